"""Numbers that others have printed, as data: to stand beside ours, never among them.

Each paper is one JSON file here, with its source, the shape of its tables, and footnotes where a number is
known to be an artefact. `imported` offers them as records of kind ``imported``.
"""

from bench.published.imported import imported
from bench.published.paper import PAPERS, Footnote, Paper, Table, paper, papers_of

__all__ = ["PAPERS", "Footnote", "Paper", "Table", "imported", "paper", "papers_of"]
