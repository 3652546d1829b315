"""For every rule of the contract, a plugin that breaks it must fail exactly the checks of that rule."""

import time

import numpy as np
import pytest

from bench.protocols import TableSource
from bench.testing import TableSourceContract


class File(TableSource):
    """A valid source: rows by id from an unsorted file without the last two ids."""

    name = "file"

    def __init__(self, settings):
        super().__init__(settings)
        rng = np.random.default_rng(0)
        self.ids = [f"track{i:03d}" for i in rng.permutation(62)]
        self.matrix = rng.standard_normal((62, 5), np.float32)

    def fingerprint(self):
        return {"sha256": "0" * 64}

    def present(self, ids):
        return np.isin(ids, self.ids)

    def rows(self, ids):
        return [self.ids.index(i) for i in ids]

    def table(self, ids, *, base, seed):
        return self.matrix[self.rows(ids)]


class Drawn(File):
    """A valid source of random vectors."""

    def table(self, ids, *, base, seed):
        return np.random.default_rng(seed).standard_normal((len(ids), 3), np.float32)


class Halved(File):
    """A valid source that depends on other vectors."""

    of = "mfcc"

    def table(self, ids, *, base, seed):
        return base - base.mean(0)


@pytest.mark.parametrize("source", [File, Drawn, Halved])
def test_a_valid_source_passes(broken, source):
    assert broken(TableSourceContract, source) == {}


class InTheOrderOfTheFile(File):
    def rows(self, ids):
        return np.flatnonzero(np.isin(self.ids, ids))


class FirstRows(File):
    def rows(self, ids):
        return np.arange(len(ids))


class WithAHole(File):
    def table(self, ids, *, base, seed):
        return np.where(np.arange(5) == 3, np.nan, super().table(ids, base=base, seed=seed))


class OneTooFew(File):
    def rows(self, ids):
        return super().rows(ids)[1:]


class OneColumn(File):
    def table(self, ids, *, base, seed):
        return super().table(ids, base=base, seed=seed)[:, 0]


class UnseededSource(File):
    def table(self, ids, *, base, seed):
        return np.random.default_rng().standard_normal((len(ids), 3), np.float32)


class StampedSource(File):
    def fingerprint(self):
        return {"read": time.time_ns()}


class PresentAsNumbers(File):
    def present(self, ids):
        return super().present(ids).astype(np.int8)


SAYS, AGAIN = "it_declares_what_it_is", "it_is_deterministic"
ROWS, FINITE = "rows_belong_to_their_ids", "rows_are_finite_and_as_many_as_ids"
PRESENCE = "presence_has_one_value_per_id"


@pytest.mark.parametrize(
    ("source", "where", "said"),
    [
        (InTheOrderOfTheFile, {ROWS}, "the row of an id depends on the other ids in the call"),
        (FirstRows, {ROWS}, "the row of an id depends on the other ids in the call"),
        (WithAHole, {FINITE}, "rows that are not finite"),
        (OneTooFew, {FINITE, ROWS}, "61 rows for 62 ids"),
        (OneColumn, {FINITE}, "shape (62,)"),
        (UnseededSource, {AGAIN}, "two calls with one seed differ"),
        (StampedSource, {SAYS}, "the fingerprint differs between two instances"),
        (PresentAsNumbers, {PRESENCE}, "type int8"),
    ],
)  # fmt: skip
def test_a_broken_source_fails_the_right_checks(broken, source, where, said):
    found = broken(TableSourceContract, source)
    assert set(found) == set(where), found
    assert any(said in message for message in found.values()), found
