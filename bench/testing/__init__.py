"""Contracts that any plugin can inherit: five lines in a third-party test file.

    from bench.testing import ExtractorContract

    class TestMine(ExtractorContract):
        spec = "mine"

The methods are plain assertions, so ``bench check mine`` runs them without pytest as well.
"""

from bench.testing.engine import EngineContract
from bench.testing.extractor import ExtractorContract
from bench.testing.recommender import RecommenderContract
from bench.testing.source import TableSourceContract
from bench.testing.task import TaskContract

__all__ = ["EngineContract", "ExtractorContract", "RecommenderContract", "TableSourceContract", "TaskContract"]
