"""The report as one self-contained HTML page, without scripts by default, in light and dark mode.

The templates are in `templates`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bench.report import columns
from bench.report.board import Board
from bench.report.evidence_grid import evidence_grid
from bench.report.grid import Chapter, Grid
from bench.report.writers.markdown import explained
from bench.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment

    from bench.report.plots import Plot

_BREAKS = re.compile(r"(?<=[:,+/])")
_LONG = 20
"""Maximum characters of a name that stays on one line."""


def page(
    title: str,
    boards: Sequence[Board],
    chapters: Sequence[Chapter],
    plots: Sequence[Plot] = (),
    *,
    problems: Sequence[str] = (),
    metrics: Sequence[str],
    lead: Sequence[str] = (),
    links: Sequence[tuple[str, str]] = (),
    watermark: str = "",
    scripts: str = "",
) -> str:
    """Return the whole page: contents, boards, chapters, figures, glossary, and problems.

    `links` are (text, address) of files beside the page; a watermark lies behind all of it. With `scripts`,
    the main tables can be sorted.
    """
    terms = [f"{word}: {meaning}" for word, meaning in explained(boards, metrics)]
    contents = [(f"board-{i}", board.title) for i, board in enumerate(boards)]
    contents += [(f"chapter-{i}", chapter.title) for i, chapter in enumerate(chapters)]
    rest = {"Figures": plots, "Glossary": terms, "Left out": problems}
    contents += [(name.lower().replace(" ", "-"), name) for name, found in rest.items() if found]
    return render(
        "report.html",
        title=title,
        boards=boards,
        chapters=chapters,
        plots=plots,
        problems=problems,
        metrics=metrics,
        lead=lead,
        links=links,
        terms=terms,
        contents=contents,
        watermark=watermark,
        scripts=scripts,
    )


def render(template: str, **context: Any) -> str:
    """Render a template; text in `context` is escaped and its invisible characters are made visible."""
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=_shown,
    )
    made.globals |= {"layout": columns, "evidence_grid": evidence_grid}
    made.filters |= {
        "breakable": _breakable,
        "column_classes": _column_classes,
        "column_groups": _column_groups,
        "data_address": _data_address,
    }
    return made


def _shown(value: Any) -> Any:
    """Make control and formatting characters of plain text visible; return markup and numbers unchanged."""
    return visible(value) if type(value) is str else value


def _column_groups(grid: Grid) -> list[tuple[str, int]]:
    """Return name and number of columns of each group of adjacent columns."""
    return [(group, len(list(heads))) for group, heads in groupby(grid.heads, key=lambda head: head.group)]


def _column_classes(grid: Grid) -> list[str]:
    """Return the CSS classes of each column; ``first`` draws a line where a new group starts."""
    groups = [head.group for head in grid.heads]
    return [
        " ".join(["left"] * (not head.right) + ["first"] * (at > 1 and groups[at] != groups[at - 1]))
        for at, head in enumerate(grid.heads)
    ]


def _breakable(text: str) -> str:
    """Allow line breaks between the parts of a long name."""
    from markupsafe import Markup

    return Markup("<wbr>").join(_BREAKS.split(visible(text))) if len(text) > _LONG else text


def _data_address(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
