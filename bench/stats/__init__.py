"""Statistics: intervals over users and seeds, paired tests, corrections for many tests, rank correlation."""

from bench.stats.bootstrap import (
    RESAMPLES,
    Difference,
    Interval,
    bootstrap,
    compare,
    interval,
    percentiles,
    resampled_means,
    two_level,
)
from bench.stats.correlation import (
    RankCorrelation,
    correlations,
    least_significant,
    rank_correlation,
    rank_correlations,
    smallest_p,
    words,
)
from bench.stats.intervals import LEAST_USERS, mean_intervals, wilson
from bench.stats.paired import PairedTest, Scores, TTest, holm, paired_t, paired_test, paired_tests
from bench.stats.sign_flip import SignFlip, sign_flip

__all__ = [
    "LEAST_USERS", "RESAMPLES", "Difference", "Interval", "PairedTest", "RankCorrelation", "Scores", "SignFlip",
    "TTest", "bootstrap", "compare", "correlations", "holm", "interval", "least_significant", "mean_intervals",
    "paired_t", "paired_test", "paired_tests", "percentiles", "rank_correlation", "rank_correlations",
    "resampled_means", "sign_flip", "smallest_p", "two_level", "wilson", "words",
]  # fmt: skip
