"""The values of boards and MIR results as frames of polars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from bench.records import PROBED
from bench.report.board import Board
from bench.report.mir import Probed
from bench.report.writers.csv import HEADER, lines

_TEXT = ("data", "split", "set", "extractor", "model", "lane", "metric", "settings", "verdict")
_WHOLE = ("k", "seeds", "differ", "comparisons")
_LONG: dict[str, Any] = {
    name: pl.String if name in _TEXT else pl.Int64 if name in _WHOLE else pl.Float64 for name in HEADER
} | {"control": pl.Boolean, "by_fold": pl.List(pl.Float64), "task": pl.String}


def long_frame(boards: Sequence[Board], probed: Sequence[Probed]) -> pl.DataFrame:
    """Return a row for every value, in full precision, with the columns of the CSV files and `task`.

    For MIR results, `data` is the data set that the task is about if it has none of its own, `set` is ``test``, `model`
    is the probe and `k` is missing; for recommenders, `task` is missing.
    """
    found = [dict(zip(HEADER, line, strict=True)) for board in boards for line in lines(board)]
    for each in probed:
        for row in each.rows.values():
            for asked, answer in row.answers.items():
                about = {
                    "data": asked.collection or None,
                    "task": asked.task,
                    "set": PROBED,
                    "extractor": row.label,
                    "model": asked.probe,
                    "lane": each.lane,
                    "seeds": len(answer.seeds),
                    "control": row.control,
                }
                main = {"metric": asked.metric, "value": answer.mean, "low": answer.low, "high": answer.high}
                found.append({**about, **main, "chance": each.chance.get(asked)})
                found += [{**about, "metric": name, "value": value} for name, value in answer.also.items()]
    return pl.DataFrame(found, schema=_LONG)


def wide_frame(boards: Sequence[Board], probed: Sequence[Probed]) -> pl.DataFrame:
    """Return a row for each row of the boards, best first, or of the MIR results if there is no board.

    Columns of boards: lane, extractor, model, control; for each candidate set the main metric with its interval, the
    multiple of chance and the verdict against the row's controls; seeds; and data and split if there are several
    boards. Columns of MIR results: lane, extractor, control, and one for each task, probe and metric.
    """
    made = [_board(board) for board in boards] or [_probed(each) for each in probed]
    frame = pl.concat(made, how="diagonal_relaxed") if made else pl.DataFrame()
    return frame.drop("data", "split", strict=False) if len(boards) == 1 else frame


def _board(board: Board) -> pl.DataFrame:
    metric = board.ranked_by[1] if board.ranked_by else ""
    found = []
    for block in board.blocks:
        for row in block.all:
            line: dict[str, Any] = {"data": board.data, "split": f"{board.split}-{board.fingerprint[:8]}"}
            line |= {"lane": block.lane, "extractor": row.extractor, "model": row.model, "control": row.control}
            for where in board.sets:
                value, controls = row.values.get(where, {}).get(metric), row.controls.get(where)
                numbers = (value.mean, value.low, value.high) if value else (None, None, None)
                line |= dict(zip((f"{where} {metric}", f"{where} low", f"{where} high"), numbers, strict=True))
                line[f"{where} x chance"] = row.times_chance(where, metric)
                line[f"{where} controls"] = controls.verdict if controls else None
            found.append({**line, "seeds": len(row.seeds)})
    return pl.DataFrame(found, infer_schema_length=None)


def _probed(each: Probed) -> pl.DataFrame:
    found = []
    for row in each.rows.values():
        answers = {f"{asked.title}: {asked.metric}": answer.mean for asked, answer in row.answers.items()}
        found.append({"lane": each.lane, "extractor": row.label, "control": row.control, **answers})
    return pl.DataFrame(found, infer_schema_length=None)
