"""The base of every extractor with a neural network: its weights, how it is loaded, how it runs layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench import weights as files
from bench.protocols import Extractor, Lane
from bench.weights import Weights

from ._checkpoint import METADATA, check, count, random_arrays
from ._config import Net, NetworkConfig
from ._threads import Threads

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    import torch
    from numpy.typing import NDArray

Precision = Literal["float32", "tf32", "bfloat16", "float16"]
"""Type of matrix products and convolutions; norms and sums stay in float32, averages over time in float64.

tf32 is float32 of which an Nvidia GPU uses 10 bits of mantissa in products; a CPU computes float32.
"""
TOLERANCES = {"tf32": 5e-3, "bfloat16": 2e-2, "float16": 2e-2}
"""Tolerances of lower precisions: how a product is rounded depends on how a machine splits it."""
RANDOM = "random"
"""Value of the setting `weights` that asks for an untrained network."""


class NetworkExtractor(Extractor):
    """An extractor of one network, with weights that were trained or are random.

    A subclass declares its `layers` in the order in which the network of its `config` yields them. Its settings
    have `weights` (``random``: untrained), `seed` (of random weights) and `precision`.

    full, small : sizes of the published network, and of the one that `tiny` returns
    autocast : torch lowers the precision of products by itself; False: the network casts its tensors
    window_per_thread : on a CPU each window of a batch runs in a thread of its own, see `_threads`
    random_gains : gains of norms in a random network, from the first to the last channel; with equal ones the
        mean over the channels of a layer would be 0
    """

    full: ClassVar[NetworkConfig]
    small: ClassVar[NetworkConfig]
    autocast: ClassVar[bool] = False
    window_per_thread: ClassVar[bool] = False
    random_gains: ClassVar[tuple[float, float]] = (0.5, 1.5)
    config: NetworkConfig

    def __init__(self, settings: Any, weights: Weights, part: str, config: NetworkConfig):
        """Keep the settings, and which part of which weights they ask for."""
        super().__init__(settings)
        self.config = config
        self.license, self.non_commercial = weights.license, weights.non_commercial
        self._trained = None if settings.weights == RANDOM else (weights, part)
        self.weights = (weights,) if self._trained else ()
        self.trained_on = weights.part(part).trained_on if self._trained else ()
        self.tolerance = TOLERANCES.get(self.precision, self.tolerance)

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> Self:
        """Return a small random network that takes the same steps."""
        lanes = {"lane": lane} if "published" in cls.lanes else {}
        # Subclasses know their weights: they take settings and sizes alone.
        return cls(cls.Settings(weights=RANDOM, **lanes), cls.small)  # type: ignore[call-arg,arg-type]

    @property
    def untrained(self) -> bool:
        """Whether the weights are random."""
        return self._trained is None

    @property
    def precision(self) -> Precision:
        """Type of the network's products."""
        return self.settings.precision  # type: ignore[no-any-return]

    @property
    def _plain(self) -> bool:
        """Whether tensors are float32 throughout."""
        return self.precision in ("float32", "tf32")

    # -- weights --------------------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """Return the hash of the tensors, or the seed, and the precision of products."""
        precision = {"precision": self.precision}
        if self._trained is None:
            return {"weights": RANDOM, "seed": self.settings.seed, **precision}
        return {"weights": self.settings.weights, "sha256": files.sha256(*self._trained), **precision}

    def unready(self) -> str | None:
        """Say which weights are absent and which command fetches them; None: nothing is absent."""
        return None if self._trained is None or files.present(*self._trained) else files.absent(self._trained[0])

    def prepare(self) -> None:
        """Fetch absent weights if they are small; large ones are fetched by ``bench weights pull`` only.

        Raises
        ------
        BenchError
            Naming file, licence, origin and command.

        """
        if self._trained is not None:
            files.ensure(*self._trained)

    def tensors(self, device: str) -> dict[str, torch.Tensor]:
        """Return the network's tensors, trained or random, after comparing them with what the network needs."""
        if self._trained is None:
            return self.random_tensors(device)
        self.prepare()
        loaded = files.load(*self._trained, device)
        found = {name: tensor for name, tensor in loaded.items() if not name.startswith(METADATA)}
        where = str(files.folder(self._trained[0]))
        check({name: tuple(tensor.shape) for name, tensor in found.items()}, self.config.tensors(), where)
        return found

    def random_tensors(self, device: str) -> dict[str, torch.Tensor]:
        """Return random tensors of the settings' seed."""
        import torch

        return {name: torch.from_numpy(array).to(device) for name, array in self.random_arrays().items()}

    def random_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return random arrays of the settings' seed."""
        return random_arrays(self.config.tensors(), self.settings.seed, self.random_gains)

    # -- running --------------------------------------------------------------------------------------

    def load(self, device: str, dtype: str) -> None:
        """Build the network on `device`; the setting `precision`, not `dtype`, is the type of its products."""
        import torch

        self._net = self.network(self.tensors(device), torch.float32 if self._plain else getattr(torch, self.precision))
        self._threads = Threads()

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> Net:
        """Build the network from its tensors, which are on their device; products run in `dtype`."""
        from ._modules import load_module

        return load_module(self.config.module, tensors, dtype)

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map waves (B, N) to (layer id, frames (B, F, D)), layer by layer."""
        yield from zip(self.layers, self.states(waves), strict=True)

    def states(self, waves: torch.Tensor) -> Iterator[torch.Tensor]:
        """Map waves (B, N) to the frames (B, F, D) of every layer that the network yields."""
        import torch

        apart = self.window_per_thread and waves.device.type == "cpu" and len(waves) > 1
        pieces = waves.chunk(len(waves)) if apart else [waves]
        map_ = self._threads.map if apart else lambda work, pieces: [work(piece) for piece in pieces]
        runs = map_(self._start, pieces)
        while parts := [part for part in map_(self._advance, runs) if part is not None]:
            yield torch.cat(parts) if apart else parts[0]

    def memory(self, batch: int) -> int | None:
        """Return the bytes of weights and activations for `batch` windows; None for whole tracks of any length.

        The weights count as float32, in which they are loaded even if products run in a lower precision.
        """
        if (samples := self._longest()) is None:
            return None
        width = 4 if self._plain else 2
        sums = 2 * 8 * sum(self.layers.values())  # of each layer, then of all in one tensor
        activations = self.config.activations(samples, batch, width)
        return self._weight_bytes() + activations + batch * (4 * samples + sums)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window of `samples`."""
        return self.config.operations(samples)

    def _weight_bytes(self) -> int:
        return 4 * count(self.config.tensors())

    def _longest(self) -> int | None:
        """Return the samples of a full window, of the whole clip where it is not cut; None where both are open."""
        if self.window.length is not None:
            return self.window.length + self.window.left + self.window.right
        return None if self.clip.seconds is None else round(self.clip.seconds * self.sample_rate)

    def _start(self, waves: torch.Tensor) -> tuple[str, Iterator[torch.Tensor]]:
        """Run the front end, always in float32: in half precision the power of a spectrogram overflows."""
        device = waves.device.type
        with products(device, "float32"):
            return device, self._net(*self._net.front_end(waves))

    def _advance(self, run: tuple[str, Iterator[torch.Tensor]]) -> torch.Tensor | None:
        """Run the network up to its next layer; None after the last one."""
        device, layers = run
        with products(device, self.precision if self.autocast or self._plain else "float32"):
            return next(layers, None)


def check_published(settings: Any, *names: str) -> None:
    """Reject values other than the defaults of settings that the published lane determines.

    Raises
    ------
    ValueError
        Naming the settings.

    """
    known = type(settings).__dataclass_fields__
    changed = [name for name in names if getattr(settings, name) != known[name].default]
    if settings.lane == "published" and changed:
        raise ValueError(f"the published lane determines {' and '.join(changed)}: do not set it there")


def products(device: str, precision: Precision) -> AbstractContextManager[Any]:
    """Set the precision of products on a type of device.

    Without this, float32 would depend on the program around it: cuDNN rounds float32 to TF32 and chooses
    algorithms anew in every run, and torch's own products do the same when a global setting or the environment
    variable TORCH_ALLOW_TF32_CUBLAS_OVERRIDE says so.
    """
    import torch

    stack = ExitStack()
    if device != "cpu":
        tf32 = precision == "tf32"
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)
        stack.enter_context(flags)
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
    lower = precision not in ("float32", "tf32")
    stack.enter_context(torch.autocast(device, getattr(torch, precision) if lower else None, enabled=lower))
    return stack
