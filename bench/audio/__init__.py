"""From audio files to windows: catalogue, hashes, decoding, resampling, cutting."""

from bench.audio.windows import TrackReader

__all__ = ["TrackReader"]
