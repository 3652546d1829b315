"""The parts of a record, each a frozen dataclass: data, task, split, vectors, recommender or probe, cost, machine.

Increase the `version` of a plugin, split, probe or metric with every change that can change its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from bench.records.limits import Count, Json, Label, Lane, Length, Name, Prose, Seconds, Sha256, Share, Text

Labels = Annotated[tuple[Label, ...], Length(most=1_000)]

_OF_DATA = frozenset({"catalog-tags", "catalog-genre", "catalog-key", "links", "text-labels"})
"""Tasks of a data set whose old records do not say so."""


@dataclass(frozen=True)
class TaskInfo:
    """The task of a probe. `primary` is its main metric in tables, `labels` the number of labels.

    metrics : version of each metric of the task
    of : whether the task is asked of a folder of its own, or of the tracks of a data set; old records do not say
    """

    name: Name
    spec: Label
    primary: Label
    kind: Literal["tags", "classes", "keys", "values", "links"] | None = None
    convention: Prose | None = None
    settings: Json | None = None
    origin: Json | None = None
    labels: Count | None = None
    version: Label | None = None
    metrics: dict[Label, Label] | None = None
    of: Literal["folder", "data"] | None = None

    @property
    def of_data(self) -> bool:
        """Whether the task is about the tracks of a data set, and says nothing of another one's."""
        return self.of == "data" if self.of else self.name in _OF_DATA


@dataclass(frozen=True)
class DataInfo:
    """The dataset, or the data of a task.

    fingerprint : hashes of the files, or of the task's items
    collection : for a probe, the collection to which the recordings belong
    complete : for a probe, whether all items of the official parts are available
    """

    name: Name
    builtin: bool
    fingerprint: Json
    license: Prose | None = None
    collection: Label | None = None
    complete: bool | None = None
    task: TaskInfo | None = None
    version: Label | None = None


@dataclass(frozen=True)
class SplitInfo:
    """The split. `overlap`: shares of test pairs with artist or title in training; `published`: whether sizes match."""

    name: Name
    settings: Json
    fingerprint: Sha256
    counts: Json
    overlap: Json | None = None
    published: Prose | None = None
    version: Label | None = None

    @property
    def fold(self) -> int | None:
        """Number of the fold that is tested, from 1; None for a split without folds."""
        found = self.settings.get("fold") if isinstance(self.settings, Mapping) else None
        return found if type(found) is int else None

    def counted(self, *path: str) -> dict[str, int]:
        """Return the numbers below a path of `counts`, such as ``("test", "hot")``; empty if there are none."""
        found: Any = self.counts
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return {k: v for k, v in found.items() if type(v) is int} if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class View:
    """How vectors are used: layer and pooling of each part of the extractor (None: its own choice), and the treatment.

    poolings : None: no part has one in its spec
    """

    layers: Annotated[tuple[Label | None, ...], Length(most=1_000)]
    treat: Label
    poolings: Annotated[tuple[Label | None, ...], Length(most=1_000)] | None = None

    @property
    def key(self) -> dict[str, Any]:
        """Return the fields that are set, which tell embeddings apart."""
        found = {"layers": self.layers, "treat": self.treat, "poolings": self.poolings}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class LayerChoice:
    """The layer that ``layer=auto`` took: the best of all `scores` in the `metric`, which is that of validation."""

    layer: Label
    metric: Label
    scores: dict[Label, float]


@dataclass(frozen=True)
class ExtractorInfo:
    """The item table. For a sum ``A+B``, lists (also `settings`) have an entry for each extractor.

    coverage : share of the items that have a vector
    heard : data, cut-off, signals and hash of the track ids that a model of ours was trained on
    heard_share : share of the tested tracks that it was trained on, by their ids; None where these are not known
    non_commercial : whether a licence forbids commercial use of the weights
    untrained : whether weights are random, for trials and speed tests
    synthetic : whether weights come from synthesised music alone
    chosen : the layer that validation chose; None: the spec or the extractor names it
    """

    name: Name
    spec: Label
    lane: Lane
    view: View
    settings: Json
    width: Count
    coverage: Share
    table_sha256: Annotated[str, Text(64, r"([0-9a-f]{64})?", ())]
    fingerprint: Json | None = None
    license: Prose | None = None
    trained_on: Labels | None = None
    non_commercial: bool | None = None
    untrained: bool | None = None
    synthetic: bool | None = None
    origin: Json | None = None
    versions: Labels | None = None
    heard: Json | None = None
    chosen: LayerChoice | None = None
    heard_share: Share | None = None


@dataclass(frozen=True)
class TrainingEnd:
    """After how many epochs a training ended and why, and which epoch was kept."""

    epochs: Count | None = None
    best_epoch: Count | None = None
    stopped: Literal["epochs", "patience", "deadline"] | None = None


@dataclass(frozen=True)
class Training(TrainingEnd):
    """How a training with epochs ended; `refit`: the second one, on training and validation pairs."""

    max_time_s: Seconds | None = None
    refit: TrainingEnd | None = None

    @property
    def cut_short(self) -> bool:
        """Whether --max-time ended the first or second training early."""
        return "deadline" in (self.stopped, self.refit and self.refit.stopped)


@dataclass(frozen=True)
class Trial:
    """One setting that a search tried.

    value : objective on validation data; None if the trial failed
    stopped : how training ended: epochs, patience or deadline; empty for a model without epochs
    same_as : the earlier trial with the same settings, whose result was reused
    """

    number: Count
    settings: dict[Label, Label]
    value: float | None
    seconds: Seconds
    stopped: Label
    same_as: Count | None
    error: Prose


@dataclass(frozen=True)
class SearchInfo:
    """How ``bench tune`` found the settings.

    base : the initial spec
    best : the number of the best trial
    budget, max_time_s : the limits of the search, in trials and seconds; None for no limit
    ended : whether it made all its trials (``budget``), or ran out of ``time`` or of new settings (``space``)
    """

    objective: Label
    base: Label
    space: Label
    sampler: Label
    seed: Count
    best: Count
    trials: tuple[Trial, ...]
    budget: Count | None = None
    max_time_s: Seconds | None = None
    ended: Literal["budget", "time", "space"] | None = None


@dataclass(frozen=True)
class RecommenderInfo:
    """The recommender, or the probe.

    refit : whether it was trained again on training and validation pairs
    chosen, searched : for a probe, the settings chosen by validation, and all tried settings with their values
    """

    name: Name
    spec: Label
    lane: Lane
    settings: Json
    deterministic: bool | None = None
    origin: Json | None = None
    refit: bool = False
    training: Training | None = None
    search: SearchInfo | None = None
    chosen: Json | None = None
    searched: Json | None = None
    version: Label | None = None


@dataclass(frozen=True)
class Cost:
    """Seconds, and the peak memory of the process so far in bytes, of the host and of the GPU; None: not measured."""

    device: Label | None = None
    extract_s_per_1000: Seconds | None = None
    fit_s: Seconds | None = None
    score_s: Seconds | None = None
    probe_s: Seconds | None = None
    peak_memory_bytes: Count | None = None
    peak_gpu_memory_bytes: Count | None = None


@dataclass(frozen=True)
class Environment:
    """Hardware, versions, the code's revision (with ``+`` for uncommitted changes) and the command line.

    gpu : name, memory and driver of the GPU in use, and versions of CUDA and cuDNN
    """

    python: Label
    platform: Label
    cpu: Label
    cores: Count | None
    device: Label
    packages: dict[Label, Label]
    revision: Label | None
    command: Prose | None
    gpu: dict[Label, Label] | None = None


@dataclass(frozen=True)
class RowsFile:
    """The file of rows beside a record: its number of rows, and the hash of its bytes."""

    count: Count
    sha256: Sha256


@dataclass(frozen=True)
class Family:
    """Rows whose differences are tested together, declared before any of them was computed.

    rows : names of the rows, "extractor × model"
    metric : the metric of the tests
    alpha : probability of any false difference
    margin : differences up to this share of the reference row's gain over its own shuffled rows count as equivalent
    """

    rows: Labels
    metric: Label
    alpha: Share
    margin: Share
