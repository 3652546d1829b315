"""Contract tests for recommenders, on a small synthetic data set."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.items.item_table import ItemTable
from bench.protocols import Interactions, Lane, Recommender, RunContext
from bench.registry import create
from bench.run.recommend.fit import check
from bench.run.recommend.validation import Validation
from bench.run.tune.space import parse
from bench.specs import Spec, settings_from
from bench.splits.make import GlobalTemporal, Split, make
from bench.synthetic import planted
from bench.testing.pickles import holds_pickle

EXEMPT = frozenset({"order"})
"""Checks that can be excluded with `exempt`."""
PAIRS = ("user", "item", "first", "last", "count")


class RecommenderContract:
    """Contract tests of a recommender: inherit and set `spec`.

    spec : a value of `--model`, such as ``mine:epochs=2``
    lane : the lane to check
    device : the torch device to check on, such as ``cuda``
    dim : width of the item vectors
    tolerance : maximum difference of scores, relative to their range
    exempt : checks to exclude; only ``order`` is possible
    """

    spec: str = ""
    lane: Lane = "corrected"
    device: str = "cpu"
    dim: int = 16
    tolerance: float = 1e-4
    exempt: frozenset[str] = frozenset()
    _works: ClassVar[dict[Any, Recommender]] = {}

    def make(self) -> Recommender:
        """Return the recommender before it is fitted."""
        return create("recommenders", self.spec, lane=self.lane)  # type: ignore[no-any-return]

    def note(self) -> str:
        """Return a description of the data."""
        return f"{len(self._split.users)} listeners, {len(self._split.items)} tracks, planted truth"

    # -- checks -----------------------------------------------------------------------------------------

    def test_it_declares_what_it_is(self) -> None:
        """The name, the needs and the settings (a dataclass) are declared."""
        model = self.make()
        assert model.name, "no name"
        assert model.needs <= {"items", "vectors"}, f"needs {set(model.needs)}"
        assert is_dataclass(type(model).Settings), "Settings is not a dataclass"
        assert self.exempt <= EXEMPT, f"exempt is {set(self.exempt)}, allowed are {set(EXEMPT)}"

    def test_plan_and_space_are_valid(self) -> None:
        """`plan`, if implemented, returns bytes and notes; the settings accept the ends of `SPACE`."""
        model = self.make()
        if (found := check(model, self._split, self.dim, "cpu")) is not None:
            assert found.bytes >= 0, f"plan estimates {found.bytes} bytes"
            assert not isinstance(found.notes, str), "notes is a string, not a list of strings"
        for one in parse(model.SPACE):
            for end in one.ends:
                settings_from(type(model).Settings, Spec(model.name, {one.key: end}))

    def test_it_scores_the_whole_catalogue(self) -> None:
        """Scores are (B, n_items) without NaN; the harness, not the model, masks history and candidates."""
        scores = self._scores(self._work(), self._all)
        assert not np.isnan(scores).any(), "NaN among the scores"
        assert not np.isposinf(scores).any(), "+inf among the scores; only -inf is allowed, for items without a score"
        assert np.isfinite(scores[:, self._split.hot]).any(axis=1).all(), "a listener has no finite score"
        assert np.ptp(scores[np.isfinite(scores)]) > 0, "all scores are equal"

    def test_the_item_table_stays_frozen(self) -> None:
        """Neither fit nor score changes the item table or the training pairs, which all models share."""
        table, train, model = self._table(), self._train(), self.make()
        before = table.sha256
        self._fit(model, table, train)
        for when in ("fit", "score"):
            assert table.now_sha256() == before, f"{when} wrote into the item table"
            assert not table.vectors.flags.writeable, f"{when} made the item table writable"
            same = [np.array_equal(getattr(train, name), getattr(self._split.train, name)) for name in PAIRS]
            assert all(same), f"{when} wrote into the training pairs"
            self._scores(model, self._all)

    def test_a_listener_scores_the_same_alone(self) -> None:
        """The scores of a listener do not depend on the other listeners in the call or on their order."""
        model, some = self._work(), self._all[::-7][:8].copy()
        together = self._scores(model, some)
        alone = np.concatenate([self._scores(model, some[i : i + 1]) for i in range(len(some))])
        self._same(together, alone, "eight listeners together and one by one")

    def test_it_is_deterministic_under_a_seed(self) -> None:
        """Fits with equal seeds give equal scores; fits with different seeds do only if `deterministic` is true."""
        models = (self._work(), self._fitted(), self._fitted(seed=1))
        a, b, c = (self._scores(model, self._all[:8]) for model in models)
        self._same(a, b, "two fits with seed 0")
        if self.make().deterministic:
            self._same(a, c, "deterministic is True, but fits with seeds 0 and 1")
        else:
            assert not np.array_equal(a, c), "deterministic is False, but seeds 0 and 1 give the same scores"

    def test_a_history_can_be_replaced(self) -> None:
        """After `update_history` with the training pairs the scores are as before; tracks unknown to it do no harm."""
        model = self._fitted()
        before = self._scores(model, self._all[:8])
        model.update_history(self._split.before_test)
        self._scores(model, self._all[:8])
        model.update_history(self._train())
        self._same(before, self._scores(model, self._all[:8]), "scores before and after update_history")

    def test_needs_are_complete(self) -> None:
        """Without `vectors` in `needs`, a model fits without them; without `items`, they do not change the scores."""
        needs = self.make().needs
        if "vectors" in needs:
            return
        table = self._table()
        empty = ItemTable(table.ids, table.vectors[:, :0].copy(), table.present.copy(), table.hot.copy(), {})
        scores = self._scores(self._fitted(empty), self._all[:8])
        if "items" not in needs:
            self._same(
                self._scores(self._work(), self._all[:8]),
                scores,
                "needs has no 'items', but scores with and without vectors",
            )

    def test_item_order_does_not_matter(self) -> None:
        """Permuting the rows of the items permutes the scores.

        Only deterministic models are checked, because others may learn a different solution of the same quality.
        """
        if "order" in self.exempt or not self.make().deterministic:
            return
        order = np.random.default_rng(5).permutation(len(self._split.items))
        original = self._scores(self._work(), self._all)
        model = self.make()
        place = np.argsort(order)  # old row -> new row
        moved = replace(self._train(), item=place[self._split.train.item].astype(np.int32))
        table = self._table()
        shuffled = ItemTable(
            [f"{i:05d}" for i in range(len(order))], table.vectors[order], table.present[order], table.hot[order], {}
        )
        held = self._split.held_out
        valid = _Moved(replace(held, item=place[held.item].astype(np.int32)))
        model.fit(moved, shuffled, valid=valid, run=RunContext(device=self.device))
        self._same(original[:, order], self._scores(model, self._all), "two orders of the items")

    def test_another_table_of_the_same_rows_can_be_scored(self) -> None:
        """`score(users, items=...)` uses the given vectors, and does not change the model."""
        table = self._table()
        model = self._fitted(table)
        before = self._scores(model, self._all[:4])
        self._same(before, self._scores(model, self._all[:4], table), "scores without items= and with the same table")
        noisy = table.vectors + np.float32(0.1) * np.random.default_rng(1).standard_normal(
            table.vectors.shape, np.float32
        )
        other = ItemTable(table.ids, noisy, table.present.copy(), table.hot.copy(), {})
        changed = self._scores(model, self._all[:4], other)
        if "items" in model.needs:
            assert not np.array_equal(before, changed), "other vectors in items= do not change the scores"
        self._same(before, self._scores(model, self._all[:4]), "scores before and after scoring another table")

    def test_it_can_be_saved_and_loaded(self) -> None:
        """If a model has `save` and `load`, a loaded model gives the same scores, and no file is a pickle."""
        model = self._work()
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "model"
            try:
                model.save(path)
            except NotImplementedError:
                return
            for file in [p for p in [path, *path.rglob("*")] if p.is_file()]:
                assert not holds_pickle(file.read_bytes()), f"{file.name} is or contains a pickle"
            again = self.make()
            again.load(path)
            self._same(self._scores(model, self._all[:4]), self._scores(again, self._all[:4]), "saved and loaded")

    # -- helpers ------------------------------------------------------------------------------------------

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

    def _fitted(self, table: ItemTable | None = None, seed: int = 0) -> Recommender:
        model = self.make()
        self._fit(model, table or self._table(), self._train(), seed)
        return model

    def _work(self) -> Recommender:
        """Return a model that is fitted once per class, with seed 0, for checks that only use the scores."""
        key = (type(self), self.spec, self.lane, self.device)
        if key not in self._works:
            type(self)._works[key] = self._fitted()
        return self._works[key]

    def _train(self) -> Interactions:
        """Return a new copy of the training pairs, so that a model that changes them does not affect other checks."""
        train = self._split.train
        return replace(train, **{name: getattr(train, name).copy() for name in PAIRS})

    def _fit(self, model: Recommender, table: ItemTable, train: Interactions, seed: int = 0) -> None:
        model.fit(
            train, table, valid=Validation(self._split, None, 10, 10, 0), run=RunContext(seed=seed, device=self.device)
        )

    def _scores(
        self, model: Recommender, users: NDArray[np.int32], items: ItemTable | None = None
    ) -> NDArray[np.float32]:
        scores: Any = model.score(users) if items is None else model.score(users, items)
        found = np.array(scores.cpu() if hasattr(scores, "cpu") else scores, dtype=np.float32)
        wanted = (len(users), len(self._split.items))
        assert found.shape == wanted, f"scores of shape {found.shape}, expected (users, items) = {wanted}"
        return found

    def _same(self, left: NDArray[np.float32], right: NDArray[np.float32], what: str) -> None:
        finite = np.isfinite(left)
        assert (finite == np.isfinite(right)).all(), f"{what}: different items have no score"
        spread = max(float(np.ptp(left[finite])), 1e-12)
        gap = float(np.abs(left[finite] - right[finite]).max()) / spread
        assert gap <= self.tolerance, f"{what} differ by {gap:.2e} of the range of the scores"


@dataclass
class _Moved:
    """A validation for held-out pairs with permuted item rows; its value is 0 for every model."""

    pairs: Interactions

    def __call__(self, model: Recommender) -> float:
        return 0.0

    def held_out(self) -> Interactions:
        return self.pairs
