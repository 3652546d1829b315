"""The Python interface: the verbs of the command line as functions, with the same engine and the same records."""

from bench.api.embed import Embeddings, catalog, embed
from bench.api.probe import probe
from bench.api.recommend import evaluate, run
from bench.api.results import Results, load_results
from bench.report.compare import Comparison

__all__ = ["Comparison", "Embeddings", "Results", "catalog", "embed", "evaluate", "load_results", "probe", "run"]
