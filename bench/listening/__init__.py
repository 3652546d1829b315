"""Listening logs: reading, checking and caching them."""
