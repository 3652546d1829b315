"""Statistics: intervals over listeners, items and seeds, tests, power, rank correlation."""

from bench.stats.bootstrap import RESAMPLES, Interval, bootstrap, interval, percentiles, resampled_means, two_level
from bench.stats.components import Components, Equivalence, Part, equivalence
from bench.stats.correlation import RankCorrelation, correlations, least_significant, rank_correlations, smallest_p
from bench.stats.intervals import LEAST_USERS, mean_intervals, wilson
from bench.stats.pair_scores import PairScores, item_clusters, pair_weights
from bench.stats.paired import (
    PairedTest,
    Scores,
    TTest,
    holm,
    least_different,
    paired_t,
    paired_test,
    paired_tests,
    undecided,
)
from bench.stats.power import Needed, needed, smallest_detectable
from bench.stats.sign_flip import SignFlip, sign_flip
from bench.stats.two_way import difference, two_way, two_way_tests

__all__ = [
    "LEAST_USERS", "RESAMPLES", "Components", "Equivalence", "Interval", "Needed", "PairScores", "PairedTest", "Part",
    "RankCorrelation", "Scores", "SignFlip", "TTest", "bootstrap", "correlations", "difference", "equivalence",
    "holm", "interval", "item_clusters", "least_different", "least_significant", "mean_intervals", "needed",
    "pair_weights", "paired_t", "paired_test", "paired_tests", "percentiles", "rank_correlations", "resampled_means",
    "sign_flip", "smallest_detectable", "smallest_p", "two_level", "two_way", "two_way_tests", "undecided", "wilson",
]  # fmt: skip
