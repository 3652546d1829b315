"""Rankings of items, the exact k best of masked scores, and the exact ranks of held-out items."""

VERSION = "3"
"""Raised when the lists of some scores, the sets and cut-offs they are measured at, or what records hold can change."""
