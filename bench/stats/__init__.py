"""Statistics: intervals over users and seeds, paired tests, corrections for many tests, rank correlation."""

from bench.stats.bootstrap import (
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
    smallest_p,
    words,
)
from bench.stats.intervals import LEAST_USERS, mean_intervals, wilson
from bench.stats.paired import PairedTest, SignFlip, TTest, holm, paired_t, paired_test, sign_flip

__all__ = [
    "LEAST_USERS", "Difference", "Interval", "PairedTest", "RankCorrelation", "SignFlip", "TTest", "bootstrap",
    "compare", "correlations", "holm", "interval", "least_significant", "mean_intervals", "paired_t", "paired_test",
    "percentiles", "rank_correlation", "resampled_means", "sign_flip", "smallest_p", "two_level", "wilson", "words",
]  # fmt: skip
