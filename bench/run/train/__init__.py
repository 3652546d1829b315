"""Training of extractors of our own: ``bench train``."""
