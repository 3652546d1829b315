"""Rankings of items, and the exact k best of masked scores."""
