"""Windows of decoded recordings on their way through a network, and the link AP of validation recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.audio.pcm_cache import FULL_SCALE, Pcm
from bench.devices import send
from bench.errors import BenchError
from bench.listening.co_listen import GraphSettings, connect
from bench.metrics.link_prediction import RankedPairs
from bench.protocols import Batch, Objective, TrainingData

if TYPE_CHECKING:
    import torch

MOST_LINKED = 0.1
"""Most pairs of validation recordings that are linked: with more, average precision by chance hides what is learned."""
VALID_WINDOWS = 8
"""Most windows of a validation recording, spread over it."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Draws windows of `length` samples from decoded recordings, and turns them into the input of a network."""

    pcm: Pcm
    length: int
    front_end: torch.nn.Module
    device: str

    def seen(self, train: NDArray[np.bool_]) -> None:
        """Return None: a network of audio needs to see nothing before training, see `Trainable.network`."""

    def inputs(self, windows: NDArray[np.int16]) -> torch.Tensor:
        """Return the front end's output of windows (B, length), on the device."""
        import torch

        (samples,) = send(self.device, windows)
        with torch.no_grad():
            found: torch.Tensor = self.front_end(samples.float() / FULL_SCALE)
        return found

    def batches(self, objective: Objective, epoch: int, size: int, seed: int) -> Iterator[tuple[torch.Tensor, Batch]]:
        """Yield the batches of an epoch with the input of their windows; windows depend on seed and epoch alone."""
        rng = np.random.default_rng((seed, epoch))
        for batch in objective.batches(epoch, size):
            yield self.inputs(self.pcm.draw(batch.tracks, self.length, rng)), batch

    def vectors(self, network: torch.nn.Module, recordings: NDArray[np.int64], size: int) -> NDArray[np.float32]:
        """Return the mean vector (M, D) of the windows of each recording; the network is in eval mode."""
        import torch

        numbers, parts = list[int](), list[torch.Tensor]()

        def cut() -> Iterator[NDArray[np.int16]]:  # of many recordings, all windows at once would take gigabytes
            for at in recordings.tolist():
                found = self.pcm.spread(at, self.length, VALID_WINDOWS)
                numbers.append(len(found))
                yield from found

        windows = cut()
        with torch.inference_mode():
            while batch := list(islice(windows, size)):
                parts.append(network(self.inputs(np.stack(batch))).float().cpu())
        counts = np.array(numbers)
        total = np.add.reduceat(torch.cat(parts).numpy(), np.cumsum(counts) - counts, axis=0)
        return np.asarray(total / counts[:, None], np.float32)


def validation_links(data: TrainingData) -> NDArray[np.int64]:
    """Return the pairs (E, 2) of validation recordings, by their place among them, that share enough listeners.

    Enough is what the co-listen graph asks for or, where more than `MOST_LINKED` of all pairs share as many, the least
    number that fewer pairs share; where no pair shares as many, what the best pair shares.

    Raises
    ------
    BenchError
        When there is no listening, or no pair of validation recordings has a listener in common, or all have as many.

    """
    pairs, n = data.interactions, int(data.valid.sum())
    most = n * (n - 1) // 2
    if pairs is None or not len(pairs):
        raise BenchError("validation needs listening before the cut-off; there is none.")
    place = np.cumsum(data.valid) - 1
    kept = data.valid[pairs.item]
    every = GraphSettings(listeners=1, least=2, neighbours=n)
    try:
        nodes, edges, common = connect(pairs.user[kept], place[pairs.item[kept]], every)
    except BenchError as error:
        raise BenchError(f"the {n} validation recordings share no listeners, so that no link can be ranked.") from error
    enough = GraphSettings().listeners
    while (common >= enough).sum() > MOST_LINKED * most and enough < common.max():
        enough += 1
    links = edges[common >= min(enough, int(common.max()))]
    if len(links) == most:
        raise BenchError(f"all pairs of the {n} validation recordings share equally many listeners.")
    return np.asarray(nodes[links], np.int64)


def link_ap(vectors: NDArray[np.float32], links: NDArray[np.int64]) -> float:
    """Return the average precision of all pairs of recordings, ranked by the cosine of their vectors (N, D)."""
    return RankedPairs(vectors, links).scores().average_precision
