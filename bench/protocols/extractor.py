"""Extractors: models that hear audio, and sources of vectors that are ready."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.errors import BenchError
from bench.protocols.common import Lane, Plugin
from bench.protocols.pooling import Poolable
from bench.protocols.recordings import Heard

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from bench.weights import Weights


@dataclass(frozen=True)
class Window:
    """How the harness cuts a track; every figure in samples at the extractor's rate.

    Windows start at 0, hop, 2 hop, ... and hold `length` samples, with `left` and `right` samples of
    real audio around them (zeros only beyond the track's ends). For a centred spectrogram of K frames
    per window choose ``length=(K-1)*frame_hop, hop=K*frame_hop, left=right=n_fft//2``: the frames of
    all windows together are then exactly those of the whole track.

    ``length=None`` hands over the whole track as one window. What is left after the last full window
    is kept as a shorter window when it has at least `shortest_tail` samples, dropped, or replaced by a
    full window that ends at the track's end (`overlap`). A track shorter than `shortest` fails.
    """

    length: int | None
    hop: int = 0
    left: int = 0
    right: int = 0
    tail: Literal["keep", "drop", "overlap"] = "keep"
    shortest: int = 1
    shortest_tail: int | None = None

    def __post_init__(self) -> None:
        """Reject windows that cannot cut a track."""
        if self.length is not None and (self.length < 1 or self.hop < 1):
            raise ValueError(f"window length and hop must be positive, got {self.length} and {self.hop}")
        if min(self.left, self.right, self.shortest) < 0:
            raise ValueError("window context and shortest clip must not be negative")


@dataclass(frozen=True)
class Clip:
    """Which part of a track is heard: the first `seconds` (None: all); `pad` fills up with zeros.

    Padding exists for the published lane only; zeros shift the mean of a short track.
    """

    seconds: float | None = None
    pad: bool = False


class VectorSource(Plugin, ABC):
    """What `Extractor` and `TableSource` share: whose vectors these are, and who may use them."""

    license: str = ""
    trained_on: Sequence[str] = ()
    """Names of the data sets that the model was trained on, where the tracks are not known (see `heard`)."""
    heard: Sequence[Heard] = ()
    """Which tracks and signals the model was trained on, where their ids are known: leak checks then compare ids. A
    data set in `heard` does not stand in `trained_on`."""
    weights: Sequence[Weights] = ()
    """Pretrained files, for ``bench weights``; an instance may narrow them to what its settings need."""
    non_commercial: bool = False
    """Whether a licence forbids commercial use; `weights` say so for themselves."""
    paper: str = ""
    """Where the model is described: authors, year, and an arXiv number or DOI."""
    traps: Sequence[str] = ()
    """What users get wrong with this model, or what is wrong with its published files: one plain sentence each."""

    @property
    def untrained(self) -> bool:
        """Whether the weights are random. Such records serve trials and speed and stay off leaderboards."""
        return False

    @property
    def synthetic(self) -> bool:
        """Whether the model has heard synthesised music alone: a warning on other data, and no leaderboard."""
        return False

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes the numbers, as JSON values: weights' sha256, revision. Loads no model."""


class Extractor(Poolable, VectorSource):
    """Audio in, frame features out. The harness decodes, cuts, batches, averages, stores.

    Declared figures must be set when ``__init__(settings)`` returns and need no weights: `layers` maps
    a layer's id to the width D of its frames.
    """

    REQUIRED: ClassVar[Mapping[str, str]] = {
        **Plugin.REQUIRED,
        "sample_rate": "16_000",
        "layers": '{"last": 768}',
        "window": "Window(length=16_000, hop=16_000)",
    }
    lanes: Sequence[Lane] = ("corrected",)
    sample_rate: int
    layers: Mapping[str, int]
    default_layer: str | None = None
    """The layer an item table takes when the spec names none; None: the last of `layers`."""
    window: Window
    clip: Clip = Clip()
    normalize: Literal["none", "zscore", "peak"] = "none"
    stored: Literal["float32", "float16"] = "float32"
    tolerance: float = 1e-4
    """Largest relative difference of a vector over batch sizes and machines."""
    exempt: frozenset[str] = frozenset()
    """Names of contract checks that a published reading breaks on purpose."""
    parameters: int | None = None
    """How many the model has; None: unknown, or none."""

    @abstractmethod
    def load(self, device: str, dtype: str) -> None:
        """Bring the model to `device`; the only place that imports the heavy library."""

    @abstractmethod
    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map waves (B, T) float32 to (layer id, frames (B, F, D)), one layer at a time.

        With ``pooling="own"`` F is 1: the plugin has already pooled its window.
        """

    def memory(self, batch: int) -> int | None:
        """Return the most bytes that the model and `batch` full windows take on a GPU at once, before it is loaded.

        With 0 windows: the model alone. None, the default, if unknown. The harness refuses a GPU without room for
        one window, and chooses the size of batches by it.
        """
        return None

    def unready(self) -> str | None:
        """Say which weights are absent and what brings them; None (the default) when nothing is."""
        return None

    def prepare(self) -> None:
        """Bring what `unready` says is absent, before anything that takes long.

        Raises
        ------
        BenchError
            When it cannot be brought. The default brings nothing: it raises what `unready` says.

        """
        if reason := self.unready():
            raise BenchError(reason)

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> Extractor | None:
        """Return the same code with a small random configuration, whose contract can be checked without weights.

        None, the default, when there is none.
        """
        return None


class Trainable(ABC):
    """A source of vectors that ``bench train`` can train: inherit from it beside `Extractor` or `TableSource`.

    The harness draws windows of `Extractor.window` from recordings at `Extractor.sample_rate`, trains the network by
    an objective (`bench.protocols.Objective`), and saves it. Its vector of a track is the mean over windows. For a
    `TableSource`, the vectors of `TableSource.of` take the place of the windows, one for each recording.
    """

    def front_end(self) -> torch.nn.Module:
        """Return a module without trained parameters: waves (B, T) float32 -> the input of the network.

        The default hands on what it is given.
        """
        import torch

        return torch.nn.Identity()

    @abstractmethod
    def network(self, seed: int, seen: NDArray[np.float32] | None = None) -> torch.nn.Module:
        """Return the module that is trained: the front end's output -> vectors (B, D) float32.

        Its weights are random, drawn from `seed` alone, or those of a file if the settings name one.

        Parameters
        ----------
        seen : the vectors (N, D') of the recordings to train on, for a `TableSource`; None for an `Extractor`

        """

    @abstractmethod
    def save(
        self,
        path: Path,
        network: torch.nn.Module,
        about: Mapping[str, Any],
        words: tuple[Sequence[str], NDArray[np.float32]] | None = None,
    ) -> None:
        """Write a trained network to `path`: equal input gives equal bytes.

        Parameters
        ----------
        about : JSON values that say how it was trained; they must be readable from the file by `trained`
        words : L words and their vectors (L, D) of unit length, see `WordVectors`

        """

    @classmethod
    @abstractmethod
    def trained(cls, path: Path) -> Mapping[str, Any]:
        """Return what `save` was told about the training of the file `path`.

        Raises
        ------
        BenchError
            When the file cannot be read, or `save` has not written it.

        """

    @abstractmethod
    def spec_of(self, path: Path) -> str:
        """Return the spec that loads the file `path`, such as ``cnn:weights=PATH``."""


class WordVectors(ABC):
    """An extractor in whose space words have vectors, too: inherit from it beside `Extractor`."""

    @abstractmethod
    def words(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Return L words (or phrases), and their vectors (L, D) of unit length.

        Raises
        ------
        BenchError
            When these settings or weights have none.

        """


class TextTower(ABC):
    """An extractor that maps any text into the space of one of its layers: inherit from it beside `Extractor`."""

    text_layer: str
    """The layer whose vectors are compared with those of texts, by cosine."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (N, D) of N texts, of unit length. Loads the tower if it is not loaded yet.

        Raises
        ------
        BenchError
            When the tower's weights or its tokenizer are absent; the message has the command that brings them.

        """

    def text_fingerprint(self) -> str | None:
        """Return the sha256 of the tower's weights; None where `fingerprint` covers them or they are absent."""
        return None


class TableSource(VectorSource):
    """The other kind of extractor: vectors without audio (files of vectors, controls)."""

    @property
    def of(self) -> str | None:
        """The spec of the extractor whose vectors arrive as `base`, or None."""
        return None

    def known_ids(self) -> Sequence[str] | None:
        """Return all ids that have a vector, or None (the default) if every id has one.

        If the ids are known, the harness matches them with those of the log, which may be written differently
        (`bench.items.matching`), and calls `present` and `table` with the ids of the source.
        """
        return None

    @abstractmethod
    def present(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Which of `ids` (N,) have a vector."""

    @abstractmethod
    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Vectors (N, D) for sorted `ids` that are all present; `base` (N, D') is the table of `of`."""
