"""Turn records into tables and figures: on the terminal, in Markdown, HTML, CSV, LaTeX, SVG and PNG.

A report reads only records and their per-user files. Published results of others are records too.
"""

from bench.report.board import Block, Board, Row
from bench.report.build import boards
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.report.mir import Probed, probed
from bench.report.value import Value
from bench.report.writers.console import show
from bench.report.writers.write import FORMATS, write

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
