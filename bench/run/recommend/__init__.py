"""Recommendation: fit recommenders on frozen item tables, rank and evaluate."""
