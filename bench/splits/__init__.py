"""Splits of a listening log into training, validation and test pairs."""
