"""Rankings of items, and the exact k best of masked scores."""

VERSION = "2"
"""Raised when the lists of some scores, or the sets and cut-offs they are measured at, can change."""
