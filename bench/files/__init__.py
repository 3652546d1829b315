"""Files on disk: written whole or not at all, and an index of their hashes."""
