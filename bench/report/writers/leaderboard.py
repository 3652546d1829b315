"""A leaderboard of publishable records as static pages, with one table per data, split and lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import bench
from bench.errors import BenchError
from bench.files.atomic import digest, write_text
from bench.published import paper
from bench.records import Record, slug
from bench.report import rank_flip
from bench.report.board import Board, Row
from bench.report.build import boards
from bench.report.difference import from_the_best
from bench.report.eligible import Eligible, eligible
from bench.report.format import MAIN, RANKED_BY
from bench.report.front import about_grid, front_grid, title
from bench.report.mir import probed
from bench.report.report import report_of
from bench.report.writers import csv, html, latex, markdown
from bench.report.writers.write import names

Known = Callable[[str], Sequence[str]]
SHOWN = 5
"""Maximum number of rejected records that an error names."""

BIBTEX = f"""\
@software{{bench,
  title = {{bench: which pretrained audio embedding should a music recommender use?}},
  version = {{{bench.__version__}}},
  license = {{Apache-2.0}},
}}"""
PREVIEW = (
    "Preview: these data were made by the project itself. The pages look as they would for real listening, but their "
    "numbers are no evidence about music, and no entry of a leaderboard."
)


def write(
    records: Sequence[tuple[Path, Record | BenchError]],
    folder: Path,
    metrics: tuple[str, ...] = MAIN,
    known: Known = lambda _: (),
) -> tuple[list[Path], list[str]]:
    """Write ``index.html`` and, for each data and split, a page and a CSV; return their paths and the problems.

    Records of built-in data stand on pages of their own, each marked as a preview. The same records give the same
    bytes. `known` gives sentences about an extractor, by its name, for the page of its embedding.

    Raises
    ------
    BenchError
        When no record may be shown, or the folder cannot be written.

    """
    found = eligible(sorted(records, key=lambda each: str(each[0])))
    problems = found.refused
    made = _boards(found.entries, problems)
    previews = _boards(found.previews, problems)
    if not made and not previews:
        left = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
        left += f"\n  ... and {more} more" if (more := len(problems) - SHOWN) > 0 else ""
        raise BenchError(
            f"none of {len(records)} records may stand on a leaderboard: it takes runs on real data, with trained "
            f"weights, in one lane.{left}"
        )
    every = [*made, *previews]
    pages = dict(zip(map(id, every), names(every), strict=True))
    links = _links(every)
    answers = {False: probed(found.entries), True: probed(found.previews)}
    texts = {"index.html": _index(every, pages, links, found, preview_only=not made)}
    for board in every:
        name, pairs = pages[id(board)], from_the_best(board)
        texts[f"{name}.html"] = html.page(
            f"{'Preview' if board.builtin else 'Leaderboard'}: {board.title}",
            [board],
            [*report_of([board], answers[board.builtin], []).chapters, *([pairs] if pairs else [])],
            metrics=metrics,
            lead=[*([PREVIEW] if board.builtin else []), _how(board)],
            links=[
                ("All leaderboards", "index.html"),
                ("These numbers as CSV", f"{name}.csv"),
                ("Markdown", f"{name}.md"),
                ("LaTeX", f"{name}.tex"),
            ],
            watermark="Preview" if board.builtin else "",
            scripts=_scripts("sortable.min.js", "sortable.a11y.min.js", "controls.js"),
        )
        texts[f"{name}.csv"] = csv.table(board)
        texts[f"{name}.md"] = markdown.page([board], folder, (), metrics)
        texts[f"{name}.tex"] = latex.document(board, name, metrics)
    texts |= {address: _about(name, address, every, links, known) for name, address in links.items()}
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts], problems


def _index(
    every: Sequence[Board], pages: dict[int, str], links: dict[str, str], found: Eligible, *, preview_only: bool
) -> str:
    source = paper("recsys2024")
    fronts = []
    for board in every:
        grids = [(block.lane, made) for block in board.blocks if (made := front_grid(board, block))]
        fronts.append({"board": board, "page": pages[id(board)], "title": title(board), "grids": grids})
    return html.render(
        "leaderboard.html",
        title="Which pretrained audio embedding should a music recommender use?",
        fronts=fronts,
        lanes=list(dict.fromkeys(block.lane for board in every for block in board.blocks)),
        links=links,
        picture=rank_flip.svg(source),
        source=f"{source.authors}, {source.where}",
        preview=PREVIEW,
        problems=found.refused,
        marked=found.marked,
        bibtex=BIBTEX,
        version=bench.__version__,
        records=sum(len(row.records) for board in every for row in board.rows),
        scripts=_scripts("sortable.min.js", "sortable.a11y.min.js", "leaderboard.js"),
        watermark="Preview" if preview_only else "",
    )


def _links(every: Sequence[Board]) -> dict[str, str]:
    """Return the address of the page of each embedding and each recommender; controls have none."""
    rows = [row for board in every for block in board.blocks for row in block.rows]
    named = [("embedding", row.extractor) for row in rows if row.width] + [("model", row.model) for row in rows]
    found: dict[str, str] = {}
    for kind, name in named:
        found.setdefault(name, f"{kind}-{slug(name)[:80]}-{digest(name)[:6]}.html")
    return found


def _about(name: str, address: str, every: Sequence[Board], links: dict[str, str], known: Known) -> str:
    model = address.startswith("model-")
    rows = [row for board in every for row in board.rows if name == (row.model if model else row.extractor)]
    facts = [] if model else [*_facts(rows[0]), *known(rows[0].first.extractor.name if rows[0].first else "")]
    return html.render(
        "about.html",
        title=name,
        facts=facts,
        grid=about_grid(name, every, model=model),
        links={key: value for key, value in links.items() if key != name},
        records=[
            (record.path.as_posix(), (record.content_sha256 or "")[:12]) for row in rows for _, record in row.records
        ],
        scripts=_scripts("sortable.min.js", "sortable.a11y.min.js"),
        watermark="Preview" if all(board.builtin for board in every) else "",
    )


def _facts(row: Row) -> list[str]:
    """Return what is known of an embedding, one sentence each."""
    first = row.first
    if first is None:
        return []
    found = [f"Width: {row.width}.", f"Licence: {row.license or 'unknown'}."]
    found += ["For non-commercial use only."] if first.extractor.non_commercial else []
    found.append(f"Declared training data: {', '.join(sorted(row.trained_on)) or 'none'}.")
    return found


def _scripts(*files_: str) -> str:
    """Return scripts that lie in `bench/report/assets`."""
    folder = files("bench.report") / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8").strip() for name in files_)


def _boards(records: Sequence[tuple[Path, Record]], problems: list[str]) -> list[Board]:
    return boards([(path, record) for path, record in records if record.kind == "run"], problems, (RANKED_BY,))


def _how(board: Board) -> str:
    entries = sum(len(block.rows) for block in board.blocks)
    return (
        f"Entries: {entries}, in tables by lane. Every candidate is ranked; controls and chance are always in; "
        "the best entry of a lane and those not told apart from it are bold."
    )
