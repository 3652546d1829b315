"""Compute vectors and write them to the store: decoding in threads, batches of windows of equal length."""

from bench.extract.loop import Extraction, Outcome
from bench.extract.prepare import make_ready
from bench.extract.set_key import open_set, set_key, set_sha256, stored_widths

__all__ = ["Extraction", "Outcome", "make_ready", "open_set", "set_key", "set_sha256", "stored_widths"]
