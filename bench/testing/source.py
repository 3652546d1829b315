"""Contract tests for sources of precomputed vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.files.atomic import canonical_json
from bench.protocols import Lane, TableSource
from bench.registry import create


class TableSourceContract:
    """Contract tests of a table source: inherit and set `spec`, and `ids` if the source has only certain ids."""

    spec: str = ""
    lane: Lane = "corrected"
    ids: tuple[str, ...] = tuple(f"track{i:03d}" for i in range(64))

    def make(self) -> TableSource:
        """Return the source."""
        return create("extractors", self.spec, lane=self.lane)  # type: ignore[no-any-return]

    def note(self) -> str:
        """Return a note if the source has none of the ids."""
        return "" if self.make().present(list(self.ids)).any() else "none of the generated ids is in the file"

    def test_it_declares_what_it_is(self) -> None:
        """The name is declared; the fingerprint is JSON and the same for two instances."""
        assert self.make().name, "no name"
        first, second = (canonical_json(self.make().fingerprint()) for _ in range(2))
        assert first == second, "the fingerprint differs between two instances"

    def test_presence_has_one_value_per_id(self) -> None:
        """`present` returns one bool for each id."""
        answer = self.make().present(list(self.ids))
        assert answer.shape == (len(self.ids),), f"shape {answer.shape}"
        assert answer.dtype == np.bool_, f"type {answer.dtype}"

    def test_every_id_it_lists_has_a_vector(self) -> None:
        """`known_ids` returns None, or distinct ids that `present` knows."""
        listed = self.make().known_ids()
        if listed is not None:
            assert len(set(listed)) == len(listed), "an id is listed twice"
            assert self.make().present(list(listed)).all(), "an id is listed that has no vector"

    def test_rows_are_finite_and_as_many_as_ids(self) -> None:
        """The table has one finite row for each id."""
        ids = self._known()
        table = self._table(ids)
        assert table.shape[0] == len(ids), f"{table.shape[0]} rows for {len(ids)} ids"
        assert table.ndim == 2, f"shape {table.shape}"
        assert np.isfinite(table).all(), "rows that are not finite"

    def test_it_is_deterministic(self) -> None:
        """The same seed gives the same table."""
        ids = self._known()
        assert np.array_equal(self._table(ids), self._table(ids), equal_nan=True), "two calls with one seed differ"

    def test_rows_belong_to_their_ids(self) -> None:
        """Half of the ids give half of the rows, unless rows are random or depend on other vectors."""
        ids = self._known()
        table = self._table(ids)
        if self.make().of is None and np.array_equal(table, self._table(ids, seed=8)):
            assert np.array_equal(self._table(ids[::2]), table[::2]), (
                "the row of an id depends on the other ids in the call"
            )

    def _known(self) -> list[str]:
        ids = sorted(self.ids)
        return [i for i, there in zip(ids, self.make().present(ids), strict=True) if there]

    def _table(self, ids: list[str], seed: int = 7) -> NDArray[np.float32]:
        source = self.make()
        base = np.random.default_rng(0).standard_normal((len(ids), 12), np.float32) if source.of else None
        return source.table(ids, base=base, seed=seed)
