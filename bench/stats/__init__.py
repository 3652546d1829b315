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
from bench.stats.correlation import (
    RankCorrelation,
    correlations,
    least_significant,
    rank_correlation,
    smallest_p,
    words,
)
from bench.stats.paired import SignFlip, TTest, holm, paired_t, sign_flip

__all__ = [
    "Difference", "Interval", "RankCorrelation", "SignFlip", "TTest", "bootstrap", "compare", "correlations", "holm",
    "interval", "least_significant", "paired_t", "percentiles", "rank_correlation", "resampled_means", "sign_flip",
    "smallest_p", "two_level", "words",
]  # fmt: skip
