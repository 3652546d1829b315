"""What a plugin must offer, and nothing else: the contracts between the harness and its plugins.

Plugins may inherit from these classes to get the defaults written here, or only look like them.
Nothing heavy is imported: arrays are NumPy, batches of audio and frames are torch tensors, frames
of rows are polars, all named for the type checker alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    import torch
    from numpy.typing import NDArray

Lane = Literal["published", "corrected"]
LANES: tuple[Lane, ...] = ("published", "corrected")

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")
TaskKind = Literal["tags", "classes", "keys", "values", "links"]


NAMES = "names"
FILE = {NAMES: "file"}
"""Metadata of a settings field whose value names a file to read, as in ``path: str = field(metadata=FILE)``."""
PROGRAM = {NAMES: "program"}
"""Metadata of a settings field whose value names a program to run. Neither is taken from a record untold."""


@dataclass(frozen=True)
class NoSettings:
    """The settings of a plugin that has none."""


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


@runtime_checkable
class Extractor(Protocol):
    """Audio in, frame features out. The harness decodes, cuts, batches, averages, stores.

    Declared figures must be set when ``__init__(settings)`` returns and need no weights: `layers` maps
    a layer's id to the width D of its frames.

    Optional, for a model with pretrained files: a class attribute ``weights``, a sequence of
    `bench.weights.Weights` (``bench weights`` finds them there, and an instance may narrow it to what its
    settings need); ``parameters``, their number; ``non_commercial``, for files that are not in `weights`.
    Three optional methods: ``unready() -> str | None`` says which weights are absent and what brings
    them; ``prepare()`` brings them or raises, before anything that takes long; ``tiny() -> Extractor`` (a
    class method; if it has a parameter `lane`, it is given one) gives the same code with a small random
    configuration, so that its contract can be checked without weights.
    """

    Settings: ClassVar[type[Any]] = NoSettings
    name: str
    version: str = "1"
    lanes: Sequence[Lane] = ("corrected",)
    sample_rate: int
    layers: Mapping[str, int]
    default_layer: str | None = None
    """The layer an item table takes when the spec names none; None: the last of `layers`."""
    window: Window
    clip: Clip = Clip()
    normalize: Literal["none", "zscore", "peak"] = "none"
    pooling: Literal["mean", "mean_cov", "own"] = "mean"
    stored: Literal["float32", "float16"] = "float32"
    tolerance: float = 1e-4
    """Largest relative difference of a vector over batch sizes and machines."""
    exempt: frozenset[str] = frozenset()
    """Names of contract checks that a published reading breaks on purpose."""
    license: str = ""
    trained_on: Sequence[str] = ()
    requires: Sequence[str] = ()
    """Modules that must be importable; `extra` names the extra that installs them. Where that is not enough,
    a class attribute ``install`` holds the command."""
    extra: str | None = None
    settings: Any

    def __init__(self, settings: Any) -> None:
        """Keep the settings; load nothing."""
        self.settings = settings

    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes the numbers (weights sha256, revision, settings). Loads no model."""
        ...

    def load(self, device: str, dtype: str) -> None:
        """Bring the model to `device`; the only place that imports the heavy library."""
        ...

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map waves (B, T) float32 to (layer id, frames (B, F, D)), one layer at a time.

        With ``pooling="own"`` F is 1: the plugin has already pooled its window.
        """
        ...


@runtime_checkable
class TableSource(Protocol):
    """The other kind of extractor: vectors without audio (files of vectors, controls)."""

    Settings: ClassVar[type[Any]] = NoSettings
    name: str
    version: str = "1"
    lanes: Sequence[Lane] = LANES
    license: str = ""
    trained_on: Sequence[str] = ()
    requires: Sequence[str] = ()
    extra: str | None = None
    settings: Any

    def __init__(self, settings: Any) -> None:
        """Keep the settings; read nothing."""
        self.settings = settings

    @property
    def of(self) -> str | None:
        """The spec of the extractor whose vectors arrive as `base`, or None."""
        return None

    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes the numbers, such as the sha256 of a file."""
        ...

    def present(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Which of `ids` (N,) have a vector."""
        ...

    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Vectors (N, D) for sorted `ids` that are all present; `base` (N, D') is the table of `of`."""
        ...


@dataclass(frozen=True, eq=False)
class Plays:
    """One row per training play, sorted by user, time and item; times in seconds since 1970 (UTC)."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Lock the arrays: every model of a run trains on the same ones."""
        for array in (self.user, self.item, self.time):
            array.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of plays."""
        return len(self.user)


@dataclass(frozen=True, eq=False)
class Interactions:
    """One row per (user, item), sorted by user and first play; times in seconds since 1970 (UTC).

    `plays` holds every training play where the split says ``sequence=all_plays``, else None.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    count: NDArray[np.int32]
    n_users: int
    n_items: int
    plays: Plays | None = None

    def __post_init__(self) -> None:
        """Lock the arrays: every model of a run trains on the same ones."""
        for array in (self.user, self.item, self.first, self.last, self.count):
            array.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.user)

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Row pointers (n_users + 1,): the pairs of user u are ``indptr[u]:indptr[u + 1]``."""
        import numpy as np

        return np.searchsorted(self.user, np.arange(self.n_users + 1)).astype(np.int64)


@runtime_checkable
class Items(Protocol):
    """The read-only face of an item table: row = item index, hot and cold items alike."""

    @property
    def ids(self) -> Sequence[str]:
        """Track ids (N,), sorted."""
        ...

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Vectors (N, D), not writable; rows without a vector are zero (see `present`)."""
        ...

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which rows (N,) have a vector."""
        ...

    @property
    def hot(self) -> NDArray[np.bool_]:
        """Which items (N,) occur in training."""
        ...

    @property
    def meta(self) -> Mapping[str, Sequence[Any]]:
        """Columns artist, album, title, tags, genre where known, each (N,)."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of ids and vectors."""
        ...


@dataclass
class RunContext:
    """What the harness grants a fit: nothing here depends on the clock but `deadline`."""

    seed: int = 0
    device: str = "cpu"
    deadline: float | None = None
    """``time.monotonic()`` at which training must end, keeping its best state."""
    log: Callable[[str], None] = field(default=lambda _: None)
    folder: Path | None = None
    """Where checkpoints go; None keeps none."""
    curves: Path | None = None
    """Where the TensorBoard log of loss, validation and rate goes; None: beside the checkpoints."""
    replay: Sequence[float] | None = None
    """Rates of the epochs to train, without any validation: an earlier fit found how many are best."""
    trained: dict[str, Any] = field(default_factory=dict)
    """How training ended, for the record: epochs, best_epoch, stopped (epochs, patience or deadline), and the
    rates up to the best epoch. ``bench.fit.fit`` fills it in; so should a loop of a plugin's own."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The sizes of a fit, known before it begins."""

    users: int
    items: int
    """In the table, hot and cold."""
    hot: int
    """Tracks that occur in training."""
    pairs: int
    width: int
    """Of the item vectors; 0 without any."""
    lengths: NDArray[np.int64]
    """Training tracks (users,) of each listener, or plays where the split keeps all."""
    device: str = "cpu"


@dataclass(frozen=True)
class Estimate:
    """What a fit of some shape will take."""

    bytes: int
    """At the peak on its device, beside the item table."""
    notes: Sequence[str] = ()
    """What it will do about that, and whom it leaves out, for the plan."""


@runtime_checkable
class Recommender(Protocol):
    """Learns from listening and a frozen item table; scores the whole catalogue, filters nothing.

    Optional: ``plan(shape: Shape) -> Estimate`` reckons before any work what `fit` will take, and raises
    BenchError for settings that cannot be with that shape; the harness refuses what does not fit into
    memory. ``validates = True`` says that training stops early on `valid`; a split without validation is
    then refused. ``SPACE``, a text such as ``lr=1e-4..1e-1(log),layers=1|2|3``, is where ``bench tune``
    searches when it is not told.
    """

    Settings: ClassVar[type[Any]] = NoSettings
    name: str
    version: str = "1"
    lanes: Sequence[Lane] = LANES
    needs: frozenset[str] = frozenset({"items", "vectors"})
    """``items``: it is run once for every extractor, else once in all, without any. ``vectors``: and it
    refuses the empty table of ``--extractor none``, where others would learn vectors of their own."""
    deterministic: bool = True
    requires: Sequence[str] = ()
    extra: str | None = None
    settings: Any

    def __init__(self, settings: Any) -> None:
        """Keep the settings."""
        self.settings = settings

    def fit(self, train: Interactions, items: Items, *, valid: Callable[[Recommender], float], run: RunContext) -> None:
        """Learn. `valid(model)` is the harness's validation NDCG at the run's k; never rank here.

        The harness's `valid` also has ``held_out() -> Interactions``, the validation pairs: for the stopping
        rules of the published lane, which look at a loss, and for nothing else.
        """
        ...

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32] | torch.Tensor:
        """Return (B, n_items) scores, higher is better; `items` replaces the table, row by row."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """An extractor that can be trained: ``bench train NAME`` finds it."""

    def train(self, data: Any, *, run: RunContext) -> None:
        """Train on `data` and leave the weights where `load` finds them."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Tracks and listening. `root` is the user's folder, or None for what the dataset brings itself.

    Two optional things: a class attribute ``Settings`` (a frozen dataclass; then the class is made with an
    instance of it, ``--data NAME:key=value``), and ``notes(root) -> list[str]``, which says what was left out
    of the log and what the folder lacks, once `listens` has been read.
    """

    name: str
    license: str = ""
    source: str = ""
    layout: str = ""
    """What the folder must hold, for ``bench ls datasets``."""
    builtin: bool = False
    """Made by the project itself: its results stay off leaderboards of real data."""
    default_split: str
    default_k: int

    def prepare(self, root: Path | None, cache: Path) -> Path:
        """Return the folder that holds the data; a built-in set builds it there once."""
        ...

    def catalog(self, root: Path) -> pl.DataFrame | None:
        """track_id, path (str), offset, duration (f64, s, or null), one row a track; None: no audio."""
        ...

    def listens(self, root: Path) -> pl.LazyFrame:
        """User (str), item (str), time (datetime, UTC), one row a play, streamed."""
        ...

    def meta(self, root: Path) -> pl.DataFrame | None:
        """track_id and any of artist, album, title, description, tags, genre, key."""
        ...

    def labels(self, root: Path, task: str) -> pl.DataFrame | None:
        """track_id and the labels of an MIR task, or None when this set has none."""
        ...

    def fingerprint(self, root: Path) -> dict[str, Any]:
        """What identifies the listening data and its metadata: names and sha256."""
        ...


@dataclass(frozen=True, eq=False)
class TaskData:
    """What an MIR task asks of which audio, read once from its annotations.

    items : track_id (unique), path, offset, duration (f64, s, or null; a task of a dataset leaves out these
        three: its catalogue has them), and `part` (train, valid, test), or `fold` (int: each fold is the test
        once, the next one validation, and the answers are scored together); where known also `artist`;
        `track`, if the items are clips whose answers together are that of a track; and `group`, rows that
        the bootstrap draws together (clips of a song)
    truth : a row an item: tags (N, L) bool, classes and keys (N,) int64 (keys: 0-11 major from C, 12-23
        minor), values (N, V) float64; for links the pairs that are joined (E, 3) int64: two item rows, and
        which set of rows they belong to
    names : of the L tags, the classes, or the V values
    expected : the sizes of the official parts, where there are any
    notes : what was left out, in words for the plan and the record
    disjoint : columns of `items` of which no value may stand in two parts
    """

    items: pl.DataFrame
    truth: NDArray[Any]
    names: Sequence[str]
    expected: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    disjoint: Sequence[str] = ()


@runtime_checkable
class Task(Protocol):
    """One MIR task: audio with a truth and an official split, and how answers are scored.

    A task reads annotations and names files; the harness hashes, embeds and trains probes. Optional, for a
    bound that knows the truth: ``ceiling_name``, what tables call it (None where it cannot be had), and
    ``ceiling(data, *, seed)``, its vectors (N, D).
    """

    Settings: ClassVar[type[Any]] = NoSettings
    name: str
    lanes: Sequence[Lane] = LANES
    requires: Sequence[str] = ()
    extra: str | None = None
    kind: TaskKind
    of: Literal["folder", "data"] = "folder"
    """Asked of a folder of its own (``--root``), or of the tracks of a dataset (``--data``)."""
    primary: str
    """The metric that probes are chosen by on validation, and tables are led by."""
    convention: str = ""
    """What a reader of its numbers must know: stands in the record and under tables."""
    collection: str = ""
    """Whose recordings it tests on: an extractor trained on them is refused. Empty: the dataset's."""
    license: str = ""
    source: str = ""
    layout: str = ""
    """What the folder must hold, for ``bench ls tasks``."""
    settings: Any

    def __init__(self, settings: Any) -> None:
        """Keep the settings; read nothing."""
        self.settings = settings

    def prepare(self, root: Path | None) -> Path:
        """Return the folder with the annotations; raise BenchError naming what is absent and the layout."""
        ...

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read items, truth and split; `dataset` (prepared, in `root`) for a task `of` data.

        A file that is not as expected is a BenchError with file and line. Audio that is absent is none:
        the harness lists and counts it.
        """
        ...

    def evaluate(self, truth: Any, prediction: Any, names: Sequence[str] = ()) -> dict[str, float]:
        """Metrics by name, after validating both arguments; what is undefined is left out, never NaN.

        `prediction` is a score for each tag (n, L) or class (n, C), or values (n, V), or for links the
        vectors (n, D) of the rows that `truth` pairs.
        """
        ...

    def example(self, folder: Path) -> Path | None:
        """Write a small made-up copy of the data into `folder` and return it; None: this task has none.

        ``bench check`` runs on it.
        """
        return None


Unit = TypeVar("Unit")
Done = TypeVar("Done")


@runtime_checkable
class Engine(Protocol):
    """Where extraction runs: this process, or a cluster."""

    name: str

    def map(self, work: Callable[[Unit], Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield ``work(unit)`` for each unit, in any order."""
        ...
