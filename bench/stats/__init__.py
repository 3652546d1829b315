"""How sure a number is: intervals over users and seeds, paired tests, families of tests, rank correlation."""

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
from bench.stats.correlation import RankCorrelation, correlations, rank_correlation, words
from bench.stats.paired import SignFlip, TTest, holm, paired_t, sign_flip

__all__ = [
    "Difference", "Interval", "RankCorrelation", "SignFlip", "TTest", "bootstrap", "compare", "correlations", "holm",
    "interval", "paired_t", "percentiles", "rank_correlation", "resampled_means", "sign_flip", "two_level", "words",
]  # fmt: skip
