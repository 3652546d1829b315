"""Published numbers, to show next to measured ones without mixing them.

Each paper is one JSON file with its source, its tables, and footnotes about numbers that are known to be
artefacts. `imported` converts the numbers to records of kind ``imported``.
"""

from bench.published.imported import imported
from bench.published.paper import PAPERS, Footnote, Paper, Table, paper, papers_of

__all__ = ["PAPERS", "Footnote", "Paper", "Table", "imported", "paper", "papers_of"]
