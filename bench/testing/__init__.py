"""Contract tests for plugins. A test file needs only a subclass:

    from bench.testing import ExtractorContract

    class TestMine(ExtractorContract):
        spec = "mine"

The methods use plain assertions, so ``bench check mine`` also runs them, without pytest.
"""

from bench.testing.engine import EngineContract
from bench.testing.extractor import ExtractorContract
from bench.testing.recommender import RecommenderContract
from bench.testing.source import TableSourceContract
from bench.testing.task import TaskContract

__all__ = ["EngineContract", "ExtractorContract", "RecommenderContract", "TableSourceContract", "TaskContract"]
