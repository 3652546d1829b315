"""Records to tables and figures: on the terminal, in Markdown, HTML, CSV, LaTeX, SVG and PNG.

A report reads records and the files of single users beside them, and nothing else; what others published
is a record too.
"""

from bench.report.console import show
from bench.report.files import FORMATS, write
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.report.group import boards
from bench.report.probed import Probed, probed
from bench.report.table import Block, Board, Row, Value

__all__ = [
    "FORMATS",
    "Block",
    "Board",
    "Cell",
    "Chapter",
    "Grid",
    "Head",
    "Probed",
    "Row",
    "Section",
    "Value",
    "boards",
    "probed",
    "show",
    "write",
]
