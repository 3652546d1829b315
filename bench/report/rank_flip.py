"""Draw how a paper's MIR tasks and its recommender rank the embeddings, as an SVG that needs no library.

``python -m bench.report.rank_flip > docs/pictures/rank_flip.svg`` draws the printed numbers of RecSys 2024. The picture
brings its own background, and follows the reader's choice of a light or dark screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise

from bench.metrics import MIR
from bench.published import Paper, Table, paper
from bench.report.format import heading

LEFT, STEP, TOP, ROW, MARGIN = 110, 165, 100, 40, 14
"""Places in pixels: the first column, the distance of columns, the first rank, the distance of ranks, the bottom."""
GAP = ' stroke-dasharray="1 6"'
STYLE = """\
.card{fill:#fff;stroke:#d0d7de}text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}\
.small{font-size:11px;fill:#59636e;stroke:#fff;stroke-width:3px;paint-order:stroke}.line{fill:none;stroke:#8c959f;stroke-width:2}.dot{fill:#8c959f}\
.up .line{stroke:#0969da;stroke-width:4}.up .dot{fill:#0969da}.up .name{font-weight:600}\
.down .line{stroke:#bc4c00;stroke-width:4;stroke-dasharray:9 4}.down .dot{fill:#bc4c00}.down .name{font-weight:600}\
@media (prefers-color-scheme:dark){.card{fill:#0d1117;stroke:#3d444d}text{fill:#f0f6fc}\
.small{fill:#9198a1;stroke:#0d1117}\
.up .line{stroke:#4493f8}.up .dot{fill:#4493f8}.down .line{stroke:#f0883e}.down .dot{fill:#f0883e}}"""


def svg(source: Paper) -> str:
    """Return the picture of the paper's MIR table; the best and the worst embedding of the recommender stand out.

    Raises
    ------
    ValueError
        The paper has no MIR table.

    """
    table = next((one for one in source.tables if one.kind == "mir"), None)
    if table is None or table.recommender is None:
        raise ValueError(f"{source.name} has no table of MIR tasks beside recommendation")
    columns = _columns(table)
    ranked = [_ranks(column) for column in columns]
    names = list(ranked[-1])
    role = {names[-1]: "down", names[0]: "up"}
    at = {
        name: [(LEFT + STEP * i, TOP + ROW * (ranks[name] - 1), i) for i, ranks in enumerate(ranked) if name in ranks]
        for name in reversed(names)
    }
    width, height = LEFT + STEP * (len(columns) - 1) + 170, TOP + ROW * len(names) + MARGIN
    lines = [f'<g class="{role.get(name, "")}">{_lines(dots, name, len(columns))}</g>' for name, dots in at.items()]
    values = [
        f'<text class="small" text-anchor="middle" x="{x}" y="{y - 10}">{columns[i][name]:.{source.decimals}f}</text>'
        for name, dots in at.items()
        for x, y, i in dots
    ]
    said = f"Rank 1 on top, printed values above the dots. {source.authors}, {source.where}, Table {table.id}."
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>Ranks of embeddings by MIR tasks and by recommendation, {escape(source.where)}</title>",
        f"<desc>{escape(_told(table, columns, ranked))}</desc>\n<style>{STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        '<text class="title" x="20" y="28">What hears music best does not recommend it best</text>',
        *_headings(table),
        *lines,
        *values,
        f'<text class="small" x="20" y="{height - 14}">{escape(said)}</text>',
        "</svg>\n",
    ]
    return "\n".join(parts)


def _columns(table: Table) -> list[Mapping[str, float]]:
    """Return the printed values by embedding: a column for each task, then the recommender's."""
    count = len(table.rows[0]) - 1
    return [{row[0]: row[1 + one] for row in table.rows if row[1 + one] is not None} for one in range(count)]


def _ranks(column: Mapping[str, float]) -> dict[str, int]:
    """Return the ranks by embedding, the best first."""
    return {name: rank for rank, name in enumerate(sorted(column, key=lambda name: -column[name]), 1)}


def _headings(table: Table) -> Iterator[str]:
    assert table.recommender is not None
    model, metric = table.recommender
    titles = [(title, MIR[name].heading) for _, name, title in table.tasks]
    for index, (title, below) in enumerate([*titles, ("Recommendation", f"{model}, {heading(metric)}")]):
        x = LEFT + STEP * index
        yield f'<text text-anchor="middle" x="{x}" y="56">{escape(title)}</text>'
        yield f'<text class="small" text-anchor="middle" x="{x}" y="71">{escape(below)}</text>'


def _lines(at: Sequence[tuple[int, int, int]], name: str, columns: int) -> str:
    """Return an embedding's lines, dotted across a task without its value, with its name at both ends."""
    parts = [
        f'<path class="line" d="M{x} {y} L{to_x} {to_y}"{"" if to == i + 1 else GAP}/>'
        for (x, y, i), (to_x, to_y, to) in pairwise(at)
    ]
    parts += [f'<circle class="dot" cx="{x}" cy="{y}" r="5"/>' for x, y, _ in at]
    ends = {0: (-12, ' text-anchor="end"'), columns - 1: (12, "")}
    parts += [
        f'<text class="name"{ends[i][1]} x="{x + ends[i][0]}" y="{y + 5}">{escape(name)}</text>'
        for x, y, i in at
        if i in ends
    ]
    return "".join(parts)


def _told(table: Table, columns: Sequence[Mapping[str, float]], ranked: Sequence[Mapping[str, int]]) -> str:
    """Return the picture in words, for screen readers."""
    titles = [*(title for _, _, title in table.tasks), "Recommendation"]
    return " ".join(
        f"{title}: {', '.join(f'{name} {column[name]:.3f}' for name in ranks)}."
        for title, column, ranks in zip(titles, columns, ranked, strict=True)
    )


if __name__ == "__main__":
    print(svg(paper("recsys2024")), end="")
