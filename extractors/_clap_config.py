"""Sizes of CLAP's towers: HTS-AT, a Swin transformer over mel bands, and RoBERTa."""

from __future__ import annotations

from dataclasses import dataclass

from ._checkpoint import Shapes
from ._config import NetworkConfig

RATE, SAMPLES = 48_000, 480_000
FFT, HOP, BANDS, LOW, HIGH = 1024, 480, 64, 50.0, 14_000.0
"""Samples of the spectrum's window and between frames; mel bands from LOW to HIGH Hz."""
SIDE, FOLDS, PATCH = 256, 4, 4
"""The spectrogram is cut into FOLDS pieces of SIDE frames, stacked to a square image, and the image into patches."""
FIRST = 2
"""Row of the position table for the first token: the rows before it are for padding."""
LONGEST = 77
"""Most tokens of a text, its start and end included."""


@dataclass(frozen=True)
class Config(NetworkConfig):
    """Sizes of the tower (Chen et al. 2022, arXiv:2202.00874); the defaults are HTSAT-base.

    channels : of a patch; each stage halves the patches per side and doubles the channels
    depths, heads : blocks and attention heads of each stage
    window : patches per side of a window, within which patches attend to one another
    joint : width of the space that audio shares with text
    """

    channels: int = 128
    depths: tuple[int, ...] = (2, 2, 12, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = 8
    joint: int = 512

    @property
    def width(self) -> int:
        """Channels of the last stage."""
        return self.channels << len(self.depths) - 1

    def side(self, stage: int) -> int:
        """Return the patches per side in a stage."""
        return SIDE // PATCH >> stage

    def shift(self, stage: int, block: int) -> int:
        """Return by how many patches the windows of a block are shifted: half a window in every second block."""
        return self.window // 2 if block % 2 and self.side(stage) > self.window else 0

    def tensors(self) -> Shapes:
        """Return every tensor that is used, under its published name without ``audio_model.audio_encoder.``."""
        c, out = self.channels, dict[str, tuple[int, ...]]()

        def pair(name: str, *shape: int) -> None:
            out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

        pair("batch_norm", BANDS)
        out["batch_norm.running_mean"] = out["batch_norm.running_var"] = (BANDS,)
        pair("patch_embed.proj", c, 1, PATCH, PATCH)
        pair("patch_embed.norm", c)
        for stage, depth in enumerate(self.depths):
            c = self.channels << stage
            for at in range(depth):
                block = f"layers.{stage}.blocks.{at}"
                out[f"{block}.attention.self.relative_position_bias_table"] = (
                    (2 * self.window - 1) ** 2,
                    self.heads[stage],
                )
                for part in ("self.query", "self.key", "self.value", "output.dense"):
                    pair(f"{block}.attention.{part}", c, c)
                pair(f"{block}.layernorm_before", c)
                pair(f"{block}.layernorm_after", c)
                pair(f"{block}.intermediate.dense", 4 * c, c)
                pair(f"{block}.output.dense", c, 4 * c)
            if stage < len(self.depths) - 1:
                out[f"layers.{stage}.downsample.reduction.weight"] = (2 * c, 4 * c)
                pair(f"layers.{stage}.downsample.norm", 4 * c)
        pair("norm", c)
        pair("audio_projection.linear1", self.joint, c)
        pair("audio_projection.linear2", self.joint, self.joint)
        return out

    def unused(self) -> tuple[str, ...]:
        """Return the beginnings of the names of all other published tensors: the text tower, counters, indices."""
        blocks = [(stage, at) for stage, depth in enumerate(self.depths) for at in range(depth)]
        indices = (f"layers.{stage}.blocks.{at}.attention.self.relative_position_index" for stage, at in blocks)
        return ("text_model.", "text_projection.", "logit_scale", "batch_norm.num_batches_tracked", *indices)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window, whatever its length: shorter windows are padded."""
        total = SAMPLES // HOP * (FFT // 2 + 1) * BANDS
        total += self.side(0) ** 2 * self.channels * PATCH**2 + self.joint * (self.width + self.joint)
        for stage, depth in enumerate(self.depths):
            c, patches = self.channels << stage, self.side(stage) ** 2
            total += depth * patches * (12 * c * c + 2 * self.window**2 * c)
            total += patches // 4 * 8 * c * c * (stage < len(self.depths) - 1)
        return 2 * total

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the spectrogram, or of a feed-forward net of the first stage beside the patches."""
        frames, bins = SAMPLES // HOP, FFT // 2 + 1
        front = 2 * 4 * SAMPLES + frames * bins * (8 + 3 * 4)  # repeated and padded; spectra, their parts, power
        block = self.side(0) ** 2 * self.channels * (3 * 4 + 11 * width)
        return batch * max(front, block)


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the tower (Liu et al. 2019, arXiv:1907.11692); the defaults are RoBERTa-base.

    words, positions : rows of the tables
    joint : width of the space that text shares with audio
    """

    words: int = 50_265
    positions: int = 514
    width: int = 768
    inner: int = 3_072
    depth: int = 12
    heads: int = 12
    joint: int = 512

    def tensors(self) -> Shapes:
        """Return every tensor that is used, under transformers' names without ``text_model.``."""
        out: dict[str, tuple[int, ...]] = {}

        def pair(name: str, *shape: int) -> None:
            out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

        for name, rows in (("word", self.words), ("position", self.positions), ("token_type", 1)):
            out[f"embeddings.{name}_embeddings.weight"] = (rows, self.width)
        pair("embeddings.LayerNorm", self.width)
        for at in range(self.depth):
            block = f"encoder.layer.{at}"
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                pair(f"{block}.attention.{part}", self.width, self.width)
            pair(f"{block}.attention.output.LayerNorm", self.width)
            pair(f"{block}.intermediate.dense", self.inner, self.width)
            pair(f"{block}.output.dense", self.width, self.inner)
            pair(f"{block}.output.LayerNorm", self.width)
        pair("pooler.dense", self.width, self.width)
        pair("text_projection.linear1", self.joint, self.width)
        pair("text_projection.linear2", self.joint, self.joint)
        return out


FULL = Config()
TINY = Config(channels=8, depths=(2, 1, 1, 1), heads=(1, 2, 2, 4), joint=12)
TEXT_FULL = TextConfig()
