"""KNN: the tracks nearest to a user's history. It learns nothing, so it measures the item vectors themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.devices import send
from bench.errors import BenchError
from bench.norms import l2, scale_of
from bench.protocols import Interactions, Items, Lane, Recommender, RunContext, Validator

from ._made_of_table import MadeOfTable

if TYPE_CHECKING:
    import torch

BLOCK = 4096
"""Pairs whose vectors are copied at once: 80 MB at width 4800."""


@dataclass(frozen=True)
class KNNSettings:
    """Settings of the user profile.

    profile : mean of the vectors as they are (Tamm & Aljanaki 2024), mean of the vectors scaled to length 1,
        or max: no mean, each track is scored by its nearest neighbour in the history
    weight : of a track in the profile: 1 (none) or log(1 + plays) (count)
    half_life : days after which a track has half its weight in the profile; none: age has no effect
    """

    lane: Lane = "corrected"
    profile: Literal["mean", "mean_normalized", "max"] | None = None
    weight: Literal["none", "count"] = "none"
    half_life: float | None = None

    def __post_init__(self) -> None:
        """Reject settings that the published lane does not have, and a half-life that is not positive."""
        if self.half_life is not None and self.half_life <= 0:
            raise ValueError(f"half_life must be a positive number of days, got {self.half_life}")
        changed = self.profile not in (None, "mean") or self.weight != "none" or self.half_life is not None
        if self.lane == "published" and changed:
            raise ValueError("the published KNN is the cosine to the plain mean of raw vectors and has no settings")


class KNN(Recommender):
    """Cosine between a track and the user's profile.

    Published (Tamm & Aljanaki, RecSys 2024, section 3): the mean of the raw vectors of the user's
    training tracks, then the cosine. Corrected (default): vectors are scaled to length 1 before the mean, so
    that the norm of a vector is no weight. Profiles are computed on the CPU; on a GPU they and the table stay there
    for the products.
    """

    Settings = KNNSettings
    SPACE = "profile=mean|mean_normalized|max,weight=none|count,half_life=none|30|90|365"
    name = "knn"
    version = "2"
    settings: KNNSettings

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Compute the profile of every user.

        Raises
        ------
        BenchError
            When the item table has no vectors.

        """
        if not items.vectors.shape[1]:
            raise BenchError("knn needs item vectors: give an --extractor other than none.")
        self._device, self._others = run.device, MadeOfTable()
        self._unit = l2(items.vectors)
        self._candidates = self._placed(self._unit)
        self._profile = self.settings.profile or ("mean" if self.settings.lane == "published" else "mean_normalized")
        self._source = items.vectors / scale_of(items.vectors) if self._profile == "mean" else self._unit
        self.update_history(train)

    def update_history(self, known: Interactions) -> None:
        """Compute the profile of every user from the tracks of `known`."""
        self._train, self._indptr = known, known.indptr
        self._weights = self._weigh(known)
        if self._profile != "max":
            self._users = self._placed(l2(self._means(self._source)))
        elif self._device != "cpu":
            self._known = send(self._device, known.item.astype(np.int64), self._weights)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32] | torch.Tensor:
        """Return cosines (B, n_items); `items` replaces the candidates, not the profiles."""
        unit = self._candidates if items is None else self._others.of(items, lambda new: self._placed(l2(new.vectors)))
        if self._profile == "max":
            return self._nearest(users, unit)
        cosines: NDArray[np.float32] | torch.Tensor = self._users[self._placed(users.astype(np.int64))] @ unit.T
        return cosines

    def _placed(self, array: NDArray[Any]) -> Any:
        """Return an array as it is on the CPU, or as a tensor on the device."""
        return array if self._device == "cpu" else send(self._device, array)[0]

    def _nearest(self, users: NDArray[np.int32], unit: Any) -> NDArray[np.float32] | torch.Tensor:
        """Return the largest weighted cosine (B, N) of each track with any of the history."""
        here = self._device == "cpu"
        out = (
            np.full((len(users), len(unit)), -np.inf, np.float32)
            if here
            else unit.new_full((len(users), len(unit)), -np.inf)
        )
        item, weights = (self._train.item, self._weights) if here else self._known
        for row, user in enumerate(users):  # one product a user, as histories differ in length
            part = slice(int(self._indptr[user]), int(self._indptr[user + 1]))
            near = (self._candidates[item[part]] @ unit.T) * weights[part, None]
            if len(near):
                out[row] = near.max(axis=0) if here else near.amax(dim=0)
        return out

    def _weigh(self, train: Interactions) -> NDArray[np.float32]:
        """Return the weights (P,) of the pairs."""
        weights = np.log1p(train.count) if self.settings.weight == "count" else np.ones(len(train))
        if self.settings.half_life and len(train):
            # Age is measured from the user's own newest play. That leaves the direction of the profile as it
            # is, and the weights of a user who stopped long ago do not underflow.
            filled = np.diff(self._indptr) > 0
            newest = np.maximum.reduceat(train.last, self._indptr[:-1][filled])
            age = (np.repeat(newest, np.diff(self._indptr)[filled]) - train.last) / 86_400
            weights = weights * 0.5 ** (age / self.settings.half_life)
        return weights.astype(np.float32)

    def _means(self, source: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weighted mean over each user's tracks (n_users, D), computed in blocks of whole histories."""
        out = np.zeros((self._train.n_users, source.shape[1]), np.float32)
        user = 0
        while user < self._train.n_users:
            end = max(int(np.searchsorted(self._indptr, self._indptr[user] + BLOCK, side="right")) - 1, user + 1)
            part = slice(self._indptr[user], self._indptr[end])
            rows = source[self._train.item[part]] * self._weights[part, None]
            starts = self._indptr[user:end] - self._indptr[user]
            filled = np.diff(self._indptr[user : end + 1]) > 0
            if filled.any():
                out[user:end][filled] = np.add.reduceat(rows, starts[filled], axis=0)
                total = np.add.reduceat(self._weights[part], starts[filled])
                out[user:end][filled] /= np.maximum(total, np.finfo(np.float32).tiny)[:, None]
            user = end
        return out
