"""Read audio files: catalogue, row keys, decoding, resampling, normalisation, windows."""

from bench.audio.windows import TrackReader

__all__ = ["TrackReader"]
