"""Jukebox: what a generator of music has in mind half-way up its 72 blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError
from bench.memory import GB, free
from bench.protocols import LANES, Clip, Lane, Window
from bench.weights import Weights

from ._checkpoint import Shapes, untrained
from ._jukebox_weights import FULL, HALF, HOP, JUKEBOX, RATE, Shape
from ._network import Network
from ._pretrained import RANDOM, Precision

if TYPE_CHECKING:
    import torch

    from ._jukebox_net import JukeboxNet

EVERY = 6
"""Blocks between layers that are kept: all 36 would take 0.7 MB a track."""
BYTES = 5.18e9
"""Of the tensors that are loaded."""
TINY = Shape(width=32, depth=6, heads=2, context=256, block=16, codes=32, channels=4, features=8)


@dataclass(frozen=True)
class JukeboxSettings:
    """Which weights, and how exactly.

    weights : 5b, or random: untrained, for trials and speed
    precision : of the residual stream and its products, but for norms and softmax; none stands for float32, as in
        JukeMIR, in the published lane for float16
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
            raise ValueError("the published lane has precision=float16: leave it alone")
        object.__setattr__(self, "precision", self.precision or lanes[self.lane])


class Jukebox(Network):
    """The 5b prior of Jukebox (Dhariwal et al. 2020, arXiv:2005.00341), as JukeMIR hears with it.

    44.1 kHz mono, the clip's peak at 1; windows of 8192 tokens (23.8 s), each encoded by itself; a tail of a
    second or more is kept. Artist and genre are unknown, there are no lyrics. Layers, 4800 each: the residual
    stream after blocks `6`, `12`, ... `36` of 72; `36`, the default, is where JukeMIR (Castellon et al. 2021,
    arXiv:2107.05677) found most.

    The published lane is Tamm & Aljanaki's (2024): the first 24 s of a clip, its peak taken there, encoded
    as a whole and cut to 8192 tokens; half precision; layer 36. Shorter clips fail.

    Its weights (non-commercial, 10.3 GB to fetch) are converted once, which takes 11 GB of memory, and keep
    5.3 GB. 30 s of music take 52 TFLOP: a second on a large GPU, half an hour on two cores.
    """

    Settings = JukeboxSettings
    name = "jukebox"
    license = "OpenAI Noncommercial Use License"
    lanes = LANES
    sample_rate = RATE
    normalize = "peak"
    parameters: int | None = 2_539_115_296
    weights: Sequence[Weights] = (JUKEBOX,)
    settings: JukeboxSettings
    _shape: Shape

    def __init__(self, settings: JukeboxSettings, shape: Shape = FULL):
        super().__init__(settings)
        self.use(JUKEBOX, "5b")
        self._shape = shape
        every = EVERY if shape == FULL else 2
        kept = range(every, shape.depth + 1, every) if settings.lane == "corrected" else [shape.depth]
        self.layers = {str(number): shape.width for number in kept}
        length = shape.context * HOP
        if settings.lane == "published":
            seconds = 24.0 if shape == FULL else (length + 12_000) / RATE
            self.clip = Clip(seconds=seconds)
            self.window = Window(length=None, shortest=round(seconds * RATE))
        else:
            self.window = Window(length=length, hop=length, tail="keep", shortest=HOP, shortest_tail=RATE)

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> Jukebox:
        """Return a small random network with the same steps."""
        return cls(JukeboxSettings(lane=lane, weights="random"), TINY)

    def network(self) -> JukeboxNet:
        """Build the network."""
        from ._jukebox_net import JukeboxNet

        return JukeboxNet(self._shape)

    def load(self, device: str, dtype: str) -> None:
        """Build the network, if it fits into the device's memory.

        Raises
        ------
        BenchError
            When it does not, with both sizes.

        """
        self.prepare()
        need = BYTES + self._window_bytes() if self._shape == FULL else 0.0
        if need > (there := free(device)):
            raise BenchError(
                f"jukebox takes {need / GB:.1f} GB of memory on {device}; {there / GB:.1f} GB are free. Close other "
                "programs, or use another --device."
            )
        super().load(device, dtype)

    def tensors(self, shapes: Shapes, device: str) -> dict[str, torch.Tensor]:
        """Return the network's tensors; random ones are made one by one, for together in float32 they fill 10 GB."""
        import torch

        if self.settings.weights != RANDOM:
            return super().tensors(shapes, device)
        out = {}
        for number, (name, shape) in enumerate(shapes.items()):
            (array,) = untrained({name: shape}, 10_000 * self.settings.seed + number).values()
            out[name] = torch.from_numpy(array).to(device, torch.float16 if HALF.match(name) else torch.float32)
        return out

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Waves (B, N) to frames (B, min(N // 128, 8192), 4800) of each kept layer.

        Raises
        ------
        MemoryError
            When the batch does not fit into main memory, which would otherwise end the process; the harness
            then tries half of it.

        """
        if not waves.is_cuda and len(waves) * self._window_bytes() > free("cpu"):
            raise MemoryError(
                f"out of memory: {len(waves)} windows take {len(waves) * self._window_bytes() / GB:.1f} GB"
            )
        for number, states in enumerate(self.states(waves), 1):
            if (layer := str(number)) in self.layers:
                yield layer, states

    def autocast(self) -> str:
        """Return float32: the network itself says what runs in which precision."""
        return "float32"

    def _window_bytes(self) -> float:
        """Of a window on its way: the stream, its copy, and the float64 in which it is averaged; and temporaries."""
        return 6.0 * 4 * self._shape.context * self._shape.width
