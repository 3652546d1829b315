"""Records to tables: on the terminal, in Markdown, CSV and LaTeX.

A report reads records and the per-user files beside them, and nothing else.
"""

from bench.report.console import show
from bench.report.files import FORMATS, write
from bench.report.group import boards
from bench.report.table import Block, Board, Row, Value

__all__ = ["FORMATS", "Block", "Board", "Row", "Value", "boards", "show", "write"]
