"""ItemKNN: the tracks most often heard by the same listeners (Sarwar et al. 2001; Dacrema et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Interactions, Items, Recommender, RunContext, Validator

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ItemKNNSettings:
    """What makes two tracks alike.

    neighbours : most alike tracks kept for each track; those tied with the last are kept as well, so
        that the order of the items decides nothing
    shrink : added to the denominator of the cosine, against tracks alike by chance
    """

    neighbours: int = 100
    shrink: float = 10.0

    def __post_init__(self) -> None:
        """Reject no neighbours and negative shrinkage."""
        if self.neighbours < 1 or self.shrink < 0:
            raise ValueError(
                f"neighbours must be positive and shrink not negative, got {self.neighbours} and {self.shrink}"
            )


class ItemKNN(Recommender):
    """Score of track j: sum over the user's tracks i among the neighbours of j of their similarity.

    ``c_ij / (sqrt(c_i c_j) + shrink)``, with c_i listeners of i and c_ij of both. Counted in sparse
    products, a dense block of similarities at a time. No vectors; tracks that nobody heard score -inf.
    """

    Settings = ItemKNNSettings
    SPACE = "neighbours=10..500(log),shrink=0..100"
    name = "itemknn"
    needs = frozenset()
    settings: ItemKNNSettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Keep each track's neighbours."""
        import torch

        from ._counts import Heard, sparse

        self._heard = Heard(train, "itemknn")
        size = len(self._heard)
        self._device = run.device
        root = torch.tensor(self._heard.listeners, dtype=torch.float64, device=run.device).sqrt().float()
        count = min(self.settings.neighbours, size)
        targets, sources, values = [], [], []
        for block, together in self._heard.together(run.device):
            rows = torch.arange(block.start, block.stop, device=run.device)
            together /= root[block, None] * root + self.settings.shrink
            together[rows - block.start, rows] = 0.0
            least = together.topk(count, dim=1, sorted=False).values.min(dim=1, keepdim=True).values
            target, source = torch.nonzero((together >= least) & (together > 0), as_tuple=True)
            values.append(together[target, source])
            targets.append(target + block.start)
            sources.append(source)
        target, source, value = torch.cat(targets), torch.cat(sources), torch.cat(values)
        order = source.argsort(stable=True)  # by source, then target: a row for each track heard
        heard, like = source[order].cpu().numpy(), target[order].cpu().numpy()
        self._alike = sparse(heard, like, (size, size), device=torch.device(run.device), values=value[order])

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Sums of similarities (B, n_items)."""
        from ._counts import product

        histories = self._heard.histories(users, self._device)
        return self._heard.spread(product(histories, self._alike))
