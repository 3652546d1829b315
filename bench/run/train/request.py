"""What ``bench train`` is asked for, and the plugins that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.protocols import Extractor, Objective, Trainable
from bench.registry import create, get, names
from bench.resolver import absolute
from bench.run.options import Data
from bench.specs import Spec, parse

DEFAULT_OBJECTIVE = "hybrid"


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """A training.

    spec : the extractor to train; its setting `objective` is the spec of an objective, the others are its own
    out : the file of weights; None: in the cache, named by all that the weights depend on
    rate : learning rate of Adam
    batch : windows per step
    patience : epochs without a better validation value after which training ends
    max_time : limit in seconds; None: no limit
    """

    spec: str
    data: Data
    split: str | None = None
    out: Path | None = None
    epochs: int = 100
    rate: float = 1e-3
    batch: int = 132
    patience: int = 20
    seed: int = 0
    max_time: float | None = None


@dataclass(frozen=True, eq=False)
class Plugins:
    """The extractor and the objective of a training, with the specs that make them."""

    extractor: Any
    """An `Extractor` or a `TableSource` that is `Trainable`."""
    objective: Objective
    spec: Spec
    objective_spec: Spec

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings of both, as JSON values."""
        return {name: _settings(plugin) for name, plugin in vars(self).items() if name in ("extractor", "objective")}

    def renewed(self) -> Plugins:
        """Return the same with an objective that has not been opened."""
        return Plugins(self.extractor, create("objectives", self.objective_spec), self.spec, self.objective_spec)


def resolve(text: str) -> Plugins:
    """Create the plugins of a spec such as ``cnn:arch=mobilenet,objective=(triplets:margin=0.1)``.

    Training starts from random weights, unless the spec names a file of weights.

    Raises
    ------
    BenchError
        For an unknown name or setting, and an extractor that cannot be trained.

    """
    asked = parse(text)
    objective = parse(asked.settings.get("objective", DEFAULT_OBJECTIVE))
    cls = get("extractors", asked.name)
    if not issubclass(cls, Trainable):
        able = [name for name in names("extractors") if issubclass(get("extractors", name), Trainable)]
        raise BenchError(f"{asked.name} cannot be trained here; these can: {', '.join(able) or 'none'}.")
    spec = parse(absolute("extractors", str(asked.without("objective"))))
    if "weights" in (field.name for field in fields(get("extractors", asked.name).Settings)):
        spec = spec.with_default("weights", "random")
    extractor = create("extractors", spec)
    if isinstance(extractor, Extractor) and extractor.window.length is None:
        raise BenchError(f"{asked.name} hears whole tracks; training draws windows of one length.")
    return Plugins(extractor, create("objectives", objective), spec, objective)


def _settings(plugin: Any) -> dict[str, Any]:
    return {"name": plugin.name, "version": plugin.version, **asdict(plugin.settings)}
