"""The input of RecBole: the training rows as an atomic file, item vectors, and its configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError, did_you_mean

if TYPE_CHECKING:
    from bench.protocols import Interactions

NAME = "bench"
"""The name of the data set in RecBole."""
ALLOWED = ("clip_grad_norm", "learner", "require_pow", "shuffle", "train_neg_sample_args", "weight_decay")
"""Parameters of RecBole that every model takes and a user may set; settings or `configuration` set the others."""
_WORD = re.compile(r"[\w.@+-]+")


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Training rows (P,) sorted by user and time; times for sequential models only."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.int64] | None


def training_rows(train: Interactions, known: NDArray[np.bool_] | None, *, sequential: bool) -> TrainingRows:
    """Return the training pairs; for a sequential model every play, where the split keeps all plays.

    `known` (N,) says which items may occur; None: all.
    """
    if sequential and train.plays is not None:
        user, item, time = train.plays.user, train.plays.item, train.plays.time
    else:
        user, item, time = train.user, train.item, train.first
    keep = slice(None) if known is None else known[item]
    return TrainingRows(user[keep], item[keep], time[keep] if sequential else None)


def write(
    folder: Path,
    rows: TrainingRows,
    request: Mapping[str, Any],
    vectors: NDArray[np.float32] | None,
    present: NDArray[np.bool_],
) -> None:
    """Write the atomic file, the same rows as arrays (for scoring), vectors (N, D) and ``request.json``.

    The tokens of users and items are their indexes. RecBole converts times to float32; the rows are sorted
    and its sort is stable, so their order stays.
    """
    frame: dict[str, NDArray[Any]] = {"user_id:token": rows.user, "item_id:token": rows.item}
    if rows.time is not None:
        frame["timestamp:float"] = rows.time
    (folder / NAME).mkdir()
    pl.DataFrame(frame).write_csv(folder / NAME / f"{NAME}.train.inter", separator="\t")
    write_rows(folder, rows)
    if vectors is not None:
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "present.npy", present)
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")


def write_rows(folder: Path, rows: TrainingRows) -> None:
    """Write the rows as arrays: a sequential model reads them as histories when it scores."""
    np.save(folder / "user.npy", rows.user)
    np.save(folder / "item.npy", rows.item)


def parameters(text: str, model: str, known: Mapping[str, str], width_key: str) -> dict[str, Any]:
    """Read parameters of RecBole, such as ``n_layers=1,loss_type=BPR``; values are JSON or words.

    Raises
    ------
    BenchError
        For a parameter that `model` does not have, or that a setting of the recommender is for.

    """
    found: dict[str, Any] = {}
    names = (set(known) | set(ALLOWED)) - {width_key}
    for pair in re.split(r",(?=\s*\w+=)", text) if text else ():
        key, _, value = (part.strip() for part in pair.partition("="))
        if key == width_key:
            raise BenchError(f"recbole: params={key}: write width= instead.")
        if key not in names:
            raise BenchError(f"recbole: {model} has no parameter {key!r}.{did_you_mean(key, names)}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            if not _WORD.fullmatch(value):  # RecBole evaluates text as Python
                raise BenchError(f"recbole: params={key}={value} is neither JSON nor a word.") from None
            found[key] = None if value.lower() == "none" else value
    return found


def configuration(*, sequential: bool, loss: str | None, seed: int, gpu: str) -> dict[str, Any]:
    """Return the part of RecBole's configuration that is the same for all models."""
    columns = ["user_id", "item_id", *(["timestamp"] if sequential else [])]
    config: dict[str, Any] = {
        "data_path": ".",
        "benchmark_filename": ["train"],
        "load_col": {"inter": columns},
        "seed": seed % 2**32,
        "gpu_id": gpu,
        "use_gpu": bool(gpu),
        "show_progress": False,
    }
    if sequential and loss == "CE":
        config["train_neg_sample_args"] = None
    return config


def width_key(known: Mapping[str, str]) -> str:
    """Return the name of the parameter for the width of a model's item embeddings."""
    return "embedding_size" if "embedding_size" in known else "hidden_size"


def width_of(vectors: int, width: int | None, model: str, known: Mapping[str, Any], key: str) -> tuple[int | None, str]:
    """Return a model's width for item vectors of width `vectors`, and a note when they must be projected.

    It is the setting `width`, else that of the vectors, or the model's own default (None) where its heads do
    not divide that of the vectors.

    Raises
    ------
    BenchError
        When the heads do not divide `width`.

    """
    heads = int(known.get("n_heads") or 1)
    if width is not None and width % heads:
        raise BenchError(f"recbole: n_heads={heads} of {model} does not divide width={width}. Change one of them.")
    if width is not None or not vectors:
        return width, ""
    if vectors % heads == 0 and key in known:
        return vectors, ""
    why = f"{heads} heads do not divide them" if key in known else "its width is not a parameter"
    return None, f"{model} cannot be as wide as the vectors ({vectors}): {why}"
