"""Content-addressed vectors on disk: one set for each extractor with its settings, one row for each recording.

The sha256 of its key names the folder of a set; the sha256 of audio bytes, offset and duration is the key of a row;
the sha256 of its header, which holds the sha256 of each of its tensors, names a shard. So nothing is overwritten,
several processes can write to the same set, and damaged files are detected.
"""

from bench.store.vector_set import Failure, Vector, VectorSet

__all__ = ["Failure", "Vector", "VectorSet"]
