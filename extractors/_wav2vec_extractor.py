"""What MERT and Music2Vec share: waves to the state of every layer, one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from bench.protocols import Clip, Window

from ._pretrained import Pretrained
from ._threads import Threads
from ._wav2vec_config import Config

if TYPE_CHECKING:
    import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")
PUBLISHED = Clip(seconds=30.0, pad=True)
"""What Tamm and Aljanaki (2024) gave to their models: 720,000 samples, filled up with zeros."""


def window_of(seconds: float | None, rate: int) -> Window:
    """Return windows side by side; less than a second is kept if it is all there is, half a second at least."""
    if seconds is None:
        return Window(length=None, shortest=rate // 2)
    length = round(seconds * rate)
    return Window(length=length, hop=length, shortest=rate // 2, shortest_tail=rate)


class Wav2Vec(Pretrained):
    """An extractor whose network is a `Config`; a subclass sets `config` and declares the rest."""

    config: Config

    def set_config(self, config: Config) -> None:
        """Declare the layers: ``0`` enters the first block, ``k`` leaves block k, the last one after the final norm."""
        self.config = config
        self.layers = dict.fromkeys(config.names(), config.width)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window, for speed as a share of what the machine can do."""
        return self.config.operations(samples)

    def load(self, device: str, dtype: str) -> None:
        """Build the network on `device`; the setting `precision` says in which type it multiplies."""
        import torch

        from ._wav2vec_net import Net

        tensors = self.tensors(self.config.tensors(), device)
        self._net = Net(self.config, tensors, getattr(torch, self.settings.precision))
        self._threads = Threads()

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Waves (B, T) to (B, F, D) a layer; on a CPU each thread has a window of its own."""
        import torch
        from torch.backends import cudnn

        alone = waves.device.type != "cpu" or len(waves) == 1
        each: Callable[[Callable[[torch.Tensor], torch.Tensor], Sequence[torch.Tensor]], list[torch.Tensor]]
        each = _one_after_another if alone else self._threads.map
        with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False) if waves.is_cuda else nullcontext():
            states = each(self._net.enter, [waves] if alone else waves.chunk(len(waves)))
        last = len(self._net.blocks)
        yield "0", torch.cat(states)
        for at, block in enumerate(self._net.blocks, 1):
            states = each(block, states)
            if at == last:
                states = each(self._net.leave, states)
            yield str(at), torch.cat(states)


def _one_after_another(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    return [work(piece) for piece in pieces]
