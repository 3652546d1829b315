"""What every recommender must keep, checked on planted listening small enough for seconds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.split import GlobalTemporal, Split, make
from bench.data.synthetic import planted
from bench.items import ItemTable
from bench.protocols import Interactions, Lane, Recommender, RunContext
from bench.registry import create
from bench.run.recommend.fit import check
from bench.run.recommend.validation import Validation
from bench.run.tune.space import parse
from bench.specs import Spec, settings_from
from bench.testing.pickles import holds_pickle

EXEMPT = frozenset({"order"})
"""What a contract may name in `exempt`."""
PAIRS = ("user", "item", "first", "last", "count")


class RecommenderContract:
    """Inherit and set `spec`.

    spec : what `--model` takes, such as ``mine:epochs=2``
    lane : the lane to check
    dim : width of the item vectors
    tolerance : largest difference of scores, relative to their spread
    exempt : checks that do not apply; ``order`` is the only one
    """

    spec: str = ""
    lane: Lane = "corrected"
    dim: int = 16
    tolerance: float = 1e-4
    exempt: frozenset[str] = frozenset()
    _works: ClassVar[dict[Any, Recommender]] = {}

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
        assert is_dataclass(type(model).Settings), "Settings is no dataclass"
        assert self.exempt <= EXEMPT, f"exempt from {set(self.exempt)}, possible are {set(EXEMPT)}"

    def test_what_it_reckons_and_where_to_search_can_be_used(self) -> None:
        """`plan`, where offered, gives bytes and notes; `SPACE` holds what the settings accept."""
        model = self.make()
        if (found := check(model, self._split, self.dim, "cpu")) is not None:
            assert found.bytes >= 0, f"plan reckons {found.bytes} bytes"
            assert not isinstance(found.notes, str), "notes is a text, not a list of texts"
        for one in parse(model.SPACE):
            for end in one.ends:
                settings_from(type(model).Settings, Spec(model.name, {one.key: end}))

    def test_it_scores_the_whole_catalogue(self) -> None:
        """(B, n_items) floats without NaN: the harness alone masks history and candidates."""
        scores = self._scores(self._work(), self._all)
        assert not np.isnan(scores).any(), "NaN among the scores"
        assert not np.isposinf(scores).any(), "+inf among the scores; -inf alone is allowed, for what has no score"
        assert np.isfinite(scores[:, self._split.hot]).any(axis=1).all(), "a listener has no finite score at all"
        assert np.ptp(scores[np.isfinite(scores)]) > 0, "every score is the same"

    def test_the_item_table_stays_frozen(self) -> None:
        """Its bytes hash the same after fit and after scoring; so do the training pairs, which all models share."""
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
        """A row of scores does not depend on who else is asked for, nor in which order."""
        model, some = self._work(), self._all[::-7][:8].copy()
        together = self._scores(model, some)
        alone = np.concatenate([self._scores(model, some[i : i + 1]) for i in range(len(some))])
        self._same(together, alone, "eight listeners at once and one by one")

    def test_it_is_deterministic_under_a_seed(self) -> None:
        """Two fits with one seed give the same scores; with two seeds, too, if and only if `deterministic`."""
        models = (self._work(), self._fitted(), self._fitted(seed=1))
        a, b, c = (self._scores(model, self._all[:8]) for model in models)
        self._same(a, b, "two fits with seed 0")
        if self.make().deterministic:
            self._same(a, c, "it is declared deterministic, but fits with seeds 0 and 1")
        else:
            assert not np.array_equal(a, c), "it is not declared deterministic, but seeds 0 and 1 give the same scores"

    def test_what_it_does_not_need_it_can_do_without(self) -> None:
        """Without `vectors` in its needs it takes a table of no columns; without `items` it scores the same with it."""
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
                "needs are without 'items', but scores with vectors and without",
            )

    def test_item_order_does_not_matter(self) -> None:
        """Renaming tracks so that their rows change permutes the scores and nothing else.

        For models without a random start only: others learn another, equally good, solution.
        """
        if "order" in self.exempt or not self.make().deterministic:
            return
        order = np.random.default_rng(5).permutation(len(self._split.items))
        straight = self._scores(self._work(), self._all)
        model = self.make()
        place = np.argsort(order)  # old row -> new row
        moved = replace(self._train(), item=place[self._split.train.item].astype(np.int32))
        table = self._table()
        shuffled = ItemTable(
            [f"{i:05d}" for i in range(len(order))], table.vectors[order], table.present[order], table.hot[order], {}
        )
        held = self._split.held_out
        valid = _Moved(replace(held, item=place[held.item].astype(np.int32)))
        model.fit(moved, shuffled, valid=valid, run=RunContext())
        self._same(straight[:, order], self._scores(model, self._all), "two orders of the items")

    def test_another_table_of_the_same_rows_can_be_scored(self) -> None:
        """`score(users, items=...)` scores degraded vectors, and leaves the model as it was."""
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
            assert not np.array_equal(before, changed), "other vectors in items= change no score"
        self._same(before, self._scores(model, self._all[:4]), "scores before and after scoring another table")

    def test_it_can_be_saved_and_loaded(self) -> None:
        """For models that offer `save` and `load`: the same scores afterwards, and no pickle on disk."""
        model = self._work()
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "model"
            try:
                model.save(path)
            except NotImplementedError:
                return
            for file in [p for p in [path, *path.rglob("*")] if p.is_file()]:
                assert not holds_pickle(file.read_bytes()), f"{file.name} is, or holds, a pickle"
            again = self.make()
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

    def _fitted(self, table: ItemTable | None = None, seed: int = 0) -> Recommender:
        model = self.make()
        self._fit(model, table or self._table(), self._train(), seed)
        return model

    def _work(self) -> Recommender:
        """Fit once a class, with seed 0: for checks that score only."""
        key = (type(self), self.spec, self.lane)
        if key not in self._works:
            type(self)._works[key] = self._fitted()
        return self._works[key]

    def _train(self) -> Interactions:
        """Return the training pairs, a copy each time: what a model does to it harms no other check."""
        train = self._split.train
        return replace(train, **{name: getattr(train, name).copy() for name in PAIRS})

    def _fit(self, model: Recommender, table: ItemTable, train: Interactions, seed: int = 0) -> None:
        model.fit(train, table, valid=Validation(self._split, None, 10, 10, 0), run=RunContext(seed=seed))

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
        assert gap <= self.tolerance, f"{what} differ by {gap:.2e} of the spread of the scores"


@dataclass
class _Moved:
    """A validation of pairs whose items have other rows than the split's; it finds every model worth 0."""

    pairs: Interactions

    def __call__(self, model: Recommender) -> float:
        return 0.0

    def held_out(self) -> Interactions:
        return self.pairs
