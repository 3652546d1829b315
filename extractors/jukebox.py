"""Jukebox: the states of a generator of music after half of its 72 blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError
from bench.memory import GB, free
from bench.protocols import LANES, Clip, Lane, Window
from bench.weights import Weights

from ._checkpoint import random_arrays
from ._jukebox_config import FULL, HOP, RATE, TINY, Config
from ._jukebox_weights import HALF, JUKEBOX
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch

EVERY = 6
"""Blocks between layers that are kept: all 36 would need 0.7 MB a track."""


@dataclass(frozen=True)
class JukeboxSettings:
    """Which weights, and in which precision.

    weights : 5b, or random: untrained, for trials and speed
    precision : of the residual stream and its products, without norms and softmax; none stands for float32, as
        in JukeMIR, in the published lane for float16
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["5b", "random"] = "5b"
    precision: Precision | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Choose the lane's precision; reject another in the published lane."""
        lanes: dict[Lane, Precision] = {"published": "float16", "corrected": "float32"}
        if self.lane == "published" and self.precision not in (None, "float16"):
            raise ValueError("the published lane has precision=float16: do not set it there")
        object.__setattr__(self, "precision", self.precision or lanes[self.lane])


class Jukebox(NetworkExtractor):
    """The 5b prior of Jukebox (Dhariwal et al. 2020), as JukeMIR reads it.

    44.1 kHz mono, the clip's peak at 1; windows of 8192 tokens (23.8 s), each encoded by itself; a tail of a
    second or more is kept. Artist and genre are unknown, there are no lyrics. Layers, 4800 each: the residual
    stream after blocks `6`, `12`, ... `36` of 72; `36`, the default, gave JukeMIR the best features.

    The published lane is Tamm & Aljanaki's (2024): the first 24 s of a clip, with their peak at 1, encoded
    as a whole and cut to 8192 tokens; half precision; layer 36. Shorter clips fail.
    """

    Settings = JukeboxSettings
    name = "jukebox"
    license = "OpenAI Noncommercial Use License"
    lanes = LANES
    sample_rate = RATE
    normalize = "peak"
    parameters: int | None = 2_539_115_296
    weights: Sequence[Weights] = (JUKEBOX,)
    paper = "Dhariwal et al. 2020, arXiv:2005.00341; JukeMIR: Castellon et al. 2021, arXiv:2107.05677"
    traps = (
        "Its weights are converted once, with 11 GB of memory, to 5.3 GB on disk.",
        "30 s of music need 52 TFLOP: a second on a large GPU, half an hour on two cores.",
    )
    full, small = FULL, TINY
    config: Config
    settings: JukeboxSettings

    def __init__(self, settings: JukeboxSettings, config: Config = FULL):
        super().__init__(settings, JUKEBOX, "5b", config)
        every = EVERY if config == FULL else 2
        numbers = range(every, config.depth + 1, every) if settings.lane == "corrected" else [config.depth]
        self.layers = {str(number): config.width for number in numbers}
        length = config.context * HOP
        if settings.lane == "published":
            seconds = 24.0 if config == FULL else (length + 12_000) / RATE
            self.clip = Clip(seconds=seconds)
            self.window = Window(length=None, shortest=round(seconds * RATE))
        else:
            self.window = Window(length=length, hop=length, tail="keep", shortest=HOP, shortest_tail=RATE)

    def load(self, device: str, dtype: str) -> None:
        """Build the network, if it fits into the device's memory.

        Raises
        ------
        BenchError
            When it does not, with both sizes.

        """
        self.prepare()
        if self.config == FULL and (need := self.memory(1) or 0) > (there := free(device)):
            raise BenchError(
                f"jukebox needs {need / GB:.1f} GB of memory on {device}; {there / GB:.1f} GB are free. Close other "
                "programs, or use another --device."
            )
        super().load(device, dtype)

    def random_tensors(self, device: str) -> dict[str, torch.Tensor]:
        """Return random tensors, drawn one by one: together they would fill 10 GB in float32."""
        import torch

        out = {}
        for number, (name, shape) in enumerate(self.config.tensors().items()):
            (array,) = random_arrays({name: shape}, 10_000 * self.settings.seed + number, self.random_gains).values()
            out[name] = torch.from_numpy(array).to(device, torch.float16 if HALF.match(name) else torch.float32)
        return out

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map waves (B, N) to frames (B, min(N // 128, 8192), 4800) of each kept layer.

        Raises
        ------
        MemoryError
            When the batch does not fit into main memory, before the system ends the process; the harness then
            tries half of it.

        """
        if waves.device.type == "cpu":
            need = self.config.activations(waves.shape[1], len(waves), 4 if self._plain else 2)
            if need > free("cpu"):
                raise MemoryError(f"out of memory: {len(waves)} windows need {need / GB:.1f} GB")
        for number, states in enumerate(self.states(waves), 1):
            if (layer := str(number)) in self.layers:
                yield layer, states

    def _weight_bytes(self) -> int:
        shapes = self.config.tensors().items()
        return sum(math.prod(shape) * (2 if HALF.match(name) else 4) for name, shape in shapes)
