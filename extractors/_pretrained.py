"""What an extractor with a published checkpoint does about it: find it, name it, load it; or do without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from bench import weights as kept
from bench.protocols import Extractor

from ._checkpoint import Shapes, check, random_arrays

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16", "float16"]
"""Of matrix products and convolutions; norms and sums stay in float32, averages over time in float64."""
RANDOM = "random"
"""The value of ``weights=`` that asks for none."""


ASIDE = "aside."
"""Begins the names of what is kept with a part, and is none of the network's tensors."""


class Pretrained(Extractor):
    """An extractor whose settings have `weights` (``random``: untrained), `seed` (of those) and `precision`.

    A subclass calls `use` in its ``__init__``, and `tensors` in its ``load``.
    """

    _of: tuple[kept.Weights, str] | None = None

    def use(self, weights: kept.Weights, part: str) -> None:
        """Say which part of which weights the settings stand for, unless they ask for untrained ones."""
        trained = self.settings.weights != RANDOM
        self.license, self.non_commercial = weights.license, weights.non_commercial
        self._of = (weights, part) if trained else None
        self.weights = (weights,) if trained else ()
        self.trained_on = weights.part(part).trained_on if trained else ()
        if self.settings.precision != "float32":
            self.tolerance = 2e-2  # a product's rounding depends on how a machine splits it

    @property
    def untrained(self) -> bool:
        """Whether the settings ask for random weights."""
        return self._of is None

    def fingerprint(self) -> dict[str, Any]:
        """Return the hash of the tensors, or the seed, and the precision of the products."""
        precision = {"precision": self.settings.precision}
        if self._of is None:
            return {"weights": RANDOM, "seed": self.settings.seed, **precision}
        return {"weights": self.settings.weights, "sha256": kept.sha256(*self._of), **precision}

    def unready(self) -> str | None:
        """Say which file is absent and what brings it."""
        return None if self._of is None or kept.present(*self._of) else kept.absent(self._of[0])

    def prepare(self) -> None:
        """Return if the weights are there; large files are fetched when asked for only.

        Raises
        ------
        BenchError
            Naming file, licence, origin and command.

        """
        if self._of is not None:
            kept.ensure(*self._of)

    def tensors(self, shapes: Shapes, device: str) -> dict[str, torch.Tensor]:
        """Return the network's tensors, those published or those of the seed, after comparing them with `shapes`."""
        import torch

        if self._of is None:
            made = random_arrays(shapes, self.settings.seed)
            return {name: torch.from_numpy(array).to(device) for name, array in made.items()}
        self.prepare()
        found = {name: tensor for name, tensor in kept.load(*self._of, device).items() if not name.startswith(ASIDE)}
        check({name: tuple(tensor.shape) for name, tensor in found.items()}, shapes, str(kept.folder(self._of[0])))
        return found
