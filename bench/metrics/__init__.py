"""Metrics of top-k lists: accuracy with its chance level, and what lies beyond accuracy."""

from bench.metrics.beyond import PerUser, evaluate_beyond
from bench.metrics.chance import chance
from bench.metrics.ranking import ALL, METRICS, Truth, evaluate, hits

__all__ = ["ALL", "METRICS", "PerUser", "Truth", "chance", "evaluate", "evaluate_beyond", "hits"]
