"""What every recommender must keep, checked on planted listening small enough for seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.split import GlobalTemporal, Split, make
from bench.data.synthetic import planted
from bench.items import ItemTable
from bench.protocols import Lane, Recommender, RunContext
from bench.registry import create
from bench.run.cell import Validation


class RecommenderContract:
    """Inherit and set `spec`.

    spec : what `--model` takes, such as ``mine:epochs=2``
    lane : the lane to check
    dim : width of the item vectors
    tolerance : largest difference of scores, relative to their spread
    exempt : names of checks that do not apply
    """

    spec: str = ""
    lane: Lane = "corrected"
    dim: int = 16
    tolerance: float = 1e-4
    exempt: frozenset[str] = frozenset()

    def make(self) -> Recommender:
        """Return the recommender, not yet fitted."""
        return create("recommenders", self.spec, lane=self.lane)  # type: ignore[no-any-return]

    def note(self) -> str:
        """Say what was checked."""
        return f"{len(self._split.users)} listeners, {len(self._split.items)} tracks, planted truth"

    # -- checks -----------------------------------------------------------------------------------------

    def test_it_declares_what_it_is(self) -> None:
        """A name, what it needs, and settings that are a dataclass."""
        model = self.make()
        assert model.name, "no name"
        assert model.needs <= {"items", "vectors"}, f"needs {set(model.needs)}"

    def test_it_scores_the_whole_catalogue(self) -> None:
        """(B, n_items) floats without NaN: the harness alone masks history and candidates."""
        scores = self._scores(self._fitted(), self._all)
        assert scores.shape == (len(self._all), len(self._split.items)), f"shape {scores.shape}"
        assert not np.isnan(scores).any(), "NaN among the scores"
        assert np.isfinite(scores[:, self._split.hot]).any(axis=1).all(), "a listener has no finite score at all"

    def test_the_item_table_stays_frozen(self) -> None:
        """Its bytes hash the same after fit, and it refuses to be written to."""
        table = self._table()
        before = table.sha256
        self._fitted(table)
        assert table.now_sha256() == before, "fit wrote into the item table"
        assert not table.vectors.flags.writeable, "fit made the item table writable"

    def test_a_listener_scores_the_same_alone(self) -> None:
        """A row of scores does not depend on who else is asked for."""
        model = self._fitted()
        together = self._scores(model, self._all[:8])
        alone = np.concatenate([self._scores(model, self._all[i : i + 1]) for i in range(8)])
        self._same(together, alone, "eight listeners at once and one by one")

    def test_it_is_deterministic_under_a_seed(self) -> None:
        """Two fits with one seed give the same scores."""
        a, b = (self._scores(self._fitted(), self._all[:8]) for _ in range(2))
        self._same(a, b, "two fits with seed 0")

    def test_item_order_does_not_matter(self) -> None:
        """Renaming tracks so that their rows change permutes the scores and nothing else.

        For models without a random start only: others learn another, equally good, solution.
        """
        if "order" in self.exempt or not self.make().deterministic:
            return
        order = np.random.default_rng(5).permutation(len(self._split.items))
        straight = self._scores(self._fitted(), self._all)
        model = self.make()
        place = np.argsort(order)  # old row -> new row
        train = self._split.train
        moved = type(train)(
            train.user, place[train.item].astype(np.int32), train.first, train.last, train.count,
            train.n_users, train.n_items,
        )  # fmt: skip
        table = self._table()
        shuffled = ItemTable(
            [f"{i:05d}" for i in range(len(order))], table.vectors[order], table.present[order], table.hot[order], {}
        )
        self._fit(model, shuffled, moved)
        self._same(straight[:, order], self._scores(model, self._all), "two orders of the items")

    def test_another_table_of_the_same_rows_can_be_scored(self) -> None:
        """`score(users, items=...)` accepts degraded vectors and leaves the model as it was."""
        model = self._fitted()
        before = self._scores(model, self._all[:4])
        table = self._table()
        noisy = table.vectors + np.float32(0.1) * np.random.default_rng(1).standard_normal(
            table.vectors.shape, np.float32
        )
        other = ItemTable(table.ids, noisy, table.present.copy(), table.hot.copy(), {})
        changed = np.asarray(model.score(self._all[:4], other))
        assert changed.shape == before.shape, f"shape {changed.shape}"
        self._same(before, self._scores(model, self._all[:4]), "scores before and after scoring another table")

    def test_it_can_be_saved_and_loaded(self) -> None:
        """For models that offer `save` and `load`: the same scores afterwards, and no pickle on disk."""
        model: Any = self._fitted()
        if not hasattr(model, "save"):
            return
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "model"
            model.save(path)
            for file in [p for p in [path, *path.rglob("*")] if p.is_file()]:
                assert not file.read_bytes()[:2].startswith(b"\x80"), f"{file.name} is a pickle"
            again: Any = self.make()
            again.load(path)
            self._same(self._scores(model, self._all[:4]), self._scores(again, self._all[:4]), "saved and loaded")

    # -- how ----------------------------------------------------------------------------------------------

    @cached_property
    def _data(self) -> tuple[Any, Split]:
        made = planted(80, 150, self.dim, seed=3, plays=8_000)
        return made, make(made.listens.lazy(), GlobalTemporal(cut=made.cut.isoformat()))

    @property
    def _split(self) -> Split:
        return self._data[1]

    @property
    def _all(self) -> NDArray[np.int32]:
        return np.arange(len(self._split.users), dtype=np.int32)

    def _table(self) -> ItemTable:
        made, split = self._data
        rows = np.searchsorted(np.array(made.ids), np.array(split.items))
        vectors = np.asarray(made.tables["aligned"][rows], np.float32)
        return ItemTable(list(split.items), vectors, np.ones(len(rows), np.bool_), split.hot.copy(), {})

    def _fitted(self, table: ItemTable | None = None) -> Recommender:
        model = self.make()
        self._fit(model, table or self._table(), self._split.train)
        return model

    def _fit(self, model: Recommender, table: ItemTable, train: Any) -> None:
        moved = train is not self._split.train
        valid: Callable[[Recommender], float] = (lambda _: 0.0) if moved else Validation(self._split, None, 10, 10, 0)
        model.fit(train, table, valid=valid, run=RunContext(seed=0))

    def _scores(self, model: Recommender, users: NDArray[np.int32]) -> NDArray[np.float32]:
        scores: Any = model.score(users)
        return np.array(scores.cpu() if hasattr(scores, "cpu") else scores, dtype=np.float32)

    def _same(self, left: NDArray[np.float32], right: NDArray[np.float32], what: str) -> None:
        finite = np.isfinite(left)
        assert (finite == np.isfinite(right)).all(), f"{what}: different items have no score"
        spread = max(float(np.ptp(left[finite])), 1e-12)
        gap = float(np.abs(left[finite] - right[finite]).max()) / spread
        assert gap <= self.tolerance, f"{what} differ by {gap:.2e} of the spread of the scores"
