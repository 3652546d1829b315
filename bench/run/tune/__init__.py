"""Hyperparameter search on validation alone."""
