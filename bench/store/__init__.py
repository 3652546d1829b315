"""Content-addressed vectors on disk: one set an extractor setting, one row a piece of audio.

A set's folder is named by the sha256 of its key; a row by the sha256 of the audio bytes, offset and
duration; a shard by the sha256 of its own bytes. So nothing is ever overwritten, several writers may
fill one set at once, and damage shows.
"""

from bench.store.sets import Failure, Vector, VectorSet

__all__ = ["Failure", "Vector", "VectorSet"]
