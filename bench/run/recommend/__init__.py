"""Recommendation: fit a recommender on frozen item tables, rank, measure."""
