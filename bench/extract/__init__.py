"""Compute vectors and write them to the store: decoding in threads, batches of windows of equal length."""

from bench.extract.loop import Extraction, Outcome
from bench.extract.prepare import check_length, make_ready
from bench.extract.set_key import frames_sha256, open_set, set_key, set_sha256, stored_widths

__all__ = [
    "Extraction",
    "Outcome",
    "check_length",
    "frames_sha256",
    "make_ready",
    "open_set",
    "set_key",
    "set_sha256",
    "stored_widths",
]
