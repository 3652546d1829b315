"""For every rule of the contract, a plugin that breaks it must fail exactly the checks of that rule."""

import json
import pickle
import time
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.protocols import Estimate, Recommender
from bench.testing import RecommenderContract


class Dot(Recommender):
    """A valid model: a listener is the sum of the vectors that they played."""

    name = "dot"

    def fit(self, train, items, *, valid, run):
        self.vectors = items.vectors.copy()
        self.users = np.zeros((train.n_users, self.vectors.shape[1]), np.float32)
        np.add.at(self.users, train.user, self.vectors[train.item])

    def score(self, users, items=None):
        return self.users[users] @ (self.vectors if items is None else items.vectors).T


class Saved(Dot):
    def save(self, path):
        path.mkdir()
        np.save(path / "users.npy", self.users)
        np.save(path / "items.npy", self.vectors)
        (path / "about.json").write_text(json.dumps({"version": 1}))

    def load(self, path):
        self.users, self.vectors = np.load(path / "users.npy"), np.load(path / "items.npy")


class SavedAsSafetensors(Saved):
    """With a header of 128 bytes, whose first byte is that of a pickle."""

    def save(self, path):
        from safetensors.numpy import save_file

        for pad in range(8, 400):
            save_file({"users": self.users, "items": self.vectors}, path, {"pad": "x" * pad})
            if path.read_bytes()[:2] in (b"\x80\x00", b"\x80\x02", b"\x80\x01"):
                return
        raise AssertionError("no header begins like a pickle")

    def load(self, path):
        from safetensors.numpy import load_file

        found = load_file(path)
        self.users, self.vectors = found["users"], found["items"]


class Torch(Dot):
    def score(self, users, items=None):
        return torch.tensor(super().score(users, items))


class Counted(Recommender):
    """A valid model that needs no vectors."""

    name = "counted"
    needs = frozenset()

    def fit(self, train, items, *, valid, run):
        self.count = np.bincount(train.item, minlength=train.n_items).astype(np.float32)

    def score(self, users, items=None):
        return np.tile(self.count, (len(users), 1))


class RandomStart(Dot):
    """A valid model that depends on the seed and declares it."""

    deterministic = False

    def fit(self, train, items, *, valid, run):
        super().fit(train, items, valid=valid, run=run)
        assert valid(self) >= 0
        self.users *= np.random.default_rng(run.seed).uniform(0.5, 1.5, self.users.shape[1]).astype(np.float32)


class ColdUnknown(Dot):
    """A valid model that has no scores for cold tracks."""

    def fit(self, train, items, *, valid, run):
        super().fit(train, items, valid=valid, run=run)
        self.cold = ~items.hot

    def score(self, users, items=None):
        return np.where(self.cold, -np.inf, super().score(users, items))


@pytest.mark.parametrize("model", [Dot, Saved, SavedAsSafetensors, Torch, Counted, RandomStart, ColdUnknown])
def test_a_valid_recommender_passes(broken, model):
    assert broken(RecommenderContract, model) == {}


class RootOfNegative(Dot):
    def score(self, users, items=None):
        with np.errstate(invalid="ignore"):
            return np.sqrt(super().score(users, items))


class Infinite(Dot):
    def score(self, users, items=None):
        found = super().score(users, items)
        return np.where(found > 20, np.inf, found)


class Indifferent(Counted):
    def score(self, users, items=None):
        return np.zeros((len(users), len(self.count)), np.float32)


class HotOnly(Dot):
    def fit(self, train, items, *, valid, run):
        super().fit(train, items, valid=valid, run=run)
        self.vectors = self.vectors[items.hot]


class WritesIntoTheTable(Dot):
    def fit(self, train, items, *, valid, run):
        items.vectors.flags.writeable = True
        items.vectors[:] *= 2
        items.vectors.flags.writeable = False
        super().fit(train, items, valid=valid, run=run)


class UnlocksTheTable(Dot):
    def fit(self, train, items, *, valid, run):
        items.vectors.flags.writeable = True
        super().fit(train, items, valid=valid, run=run)


class KeepsAView(Dot):
    """Normalises in place when it scores first, through a tensor that shares the table's memory."""

    def fit(self, train, items, *, valid, run):
        super().fit(train, items, valid=valid, run=run)
        with warnings.catch_warnings(action="ignore"):  # torch warns about this
            self.shared = torch.from_numpy(items.vectors)

    def score(self, users, items=None):
        self.shared /= self.shared.norm(dim=1, keepdim=True)
        return super().score(users, items)


class CountsOnce(Dot):
    """Overwrites the play counts, also for every later model."""

    def fit(self, train, items, *, valid, run):
        train.count.flags.writeable = True
        train.count[:] = 1
        super().fit(train, items, valid=valid, run=run)


class CentresTheBatch(Dot):
    def score(self, users, items=None):
        found = super().score(users, items)
        return found - found.mean(axis=0)


class TakesASlice(Dot):
    """Works only for users in consecutive order."""

    def score(self, users, items=None):
        return super().score(np.arange(users[0], users[-1] + 1), items)


class Unseeded(RandomStart):
    def fit(self, train, items, *, valid, run):
        run = replace(run, seed=time.time_ns())
        super().fit(train, items, valid=valid, run=run)


class SeededInSecret(RandomStart):
    deterministic = True


class IgnoresItsSeed(Dot):
    deterministic = False


class RowNumber(Dot):
    def score(self, users, items=None):
        return super().score(users, items) + np.arange(len(self.vectors), dtype=np.float32)


class IgnoresOtherVectors(Dot):
    def score(self, users, items=None):
        return super().score(users)


class TreatsOnlyItsOwn(Dot):
    """Scores other vectors without the treatment of its training vectors."""

    def fit(self, train, items, *, valid, run):
        super().fit(train, items, valid=valid, run=run)
        self.vectors = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)


class KeepsOtherVectors(Dot):
    def score(self, users, items=None):
        if items is not None:
            self.vectors = items.vectors
        return super().score(users)


class SecretNeed(Dot):
    needs = frozenset()


class CannotDoWithout(Dot):
    needs = frozenset({"items"})

    def fit(self, train, items, *, valid, run):
        if not items.vectors.shape[1]:
            raise BenchError("the table is empty")
        super().fit(train, items, valid=valid, run=run)


class UnknownNeed(Dot):
    needs = frozenset({"item"})


class Pickled(Saved):
    protocol = 5

    def save(self, path):
        super().save(path)
        (path / "users.pkl").write_bytes(pickle.dumps(self.users.tolist(), self.protocol))


class PickledAsText(Pickled):
    protocol = 0


class PickledOldBinary(Pickled):
    protocol = 1


class PickledByTorch(Saved):
    def save(self, path):
        super().save(path)
        torch.save(torch.tensor(self.users), path / "users.pt")


class PickledByNumPy(Saved):
    def save(self, path):
        super().save(path)
        np.savez(path / "users.npz", users=np.array([self.users, None], dtype=object))


class SavesHalf(Saved):
    def load(self, path):
        super().load(path)
        self.users = self.users.round()


class UntypedSettings(Dot):
    Settings = SimpleNamespace


class OneNote(Dot):
    def plan(self, shape):
        return Estimate(4 * shape.users * shape.width, "small")


class SearchesElsewhere(Dot):
    SPACE = "rate=1..2"


SAYS = "it_declares_what_it_is"
CATALOGUE, FROZEN = "it_scores_the_whole_catalogue", "the_item_table_stays_frozen"
ALONE, SEED = "a_listener_scores_the_same_alone", "it_is_deterministic_under_a_seed"
MOVED, OTHER = "item_order_does_not_matter", "another_table_of_the_same_rows_can_be_scored"
DISK, NEEDS = "it_can_be_saved_and_loaded", "needs_are_complete"
EVERY = {name.removeprefix("test_") for name in dir(RecommenderContract) if name.startswith("test_")}
PLAN = "plan_and_space_are_valid"
SCORING = EVERY - {SAYS, DISK, NEEDS, PLAN}


@pytest.mark.parametrize(
    ("model", "where", "said"),
    [
        (RootOfNegative, {CATALOGUE}, "NaN among the scores"),
        (Infinite, {CATALOGUE}, "+inf among the scores"),
        (Indifferent, {CATALOGUE}, "all scores are equal"),
        (HotOnly, SCORING, "expected (users, items)"),
        (WritesIntoTheTable, {FROZEN}, "fit wrote into the item table"),
        (UnlocksTheTable, {FROZEN}, "fit made the item table writable"),
        (KeepsAView, {FROZEN, OTHER}, "score wrote into the item table"),
        (CountsOnce, {FROZEN}, "fit wrote into the training pairs"),
        (CentresTheBatch, {ALONE}, "eight listeners together and one by one differ by"),
        (TakesASlice, {ALONE}, "scores of shape (0, "),
        (Unseeded, {SEED}, "two fits with seed 0 differ by"),
        (SeededInSecret, {SEED}, "fits with seeds 0 and 1 differ by"),
        (IgnoresItsSeed, {SEED}, "seeds 0 and 1 give the same scores"),
        (RowNumber, {MOVED}, "two orders of the items differ by"),
        (IgnoresOtherVectors, {OTHER}, "other vectors in items="),
        (TreatsOnlyItsOwn, {OTHER}, "scores without items= and with the same table differ by"),
        (KeepsOtherVectors, {OTHER}, "scores before and after scoring another table differ by"),
        (SecretNeed, {NEEDS}, "scores with and without vectors"),
        (CannotDoWithout, {NEEDS}, "the table is empty"),
        (UnknownNeed, {SAYS, NEEDS}, "needs {'item'}"),
        (OneNote, {PLAN}, "notes is a string"),
        (SearchesElsewhere, {PLAN}, "dot has no setting 'rate'"),
        (UntypedSettings, {SAYS}, "Settings is not a dataclass"),
        (Pickled, {DISK}, "users.pkl is or contains a pickle"),
        (PickledAsText, {DISK}, "users.pkl is or contains a pickle"),
        (PickledOldBinary, {DISK}, "users.pkl is or contains a pickle"),
        (PickledByTorch, {DISK}, "users.pt is or contains a pickle"),
        (PickledByNumPy, {DISK}, "users.npz is or contains a pickle"),
        (SavesHalf, {DISK}, "saved and loaded differ by"),
    ],
)  # fmt: skip
def test_a_broken_recommender_fails_the_right_checks(broken, model, where, said):
    found = broken(RecommenderContract, model)
    assert set(found) == set(where), found
    assert any(said in message for message in found.values()), found


def test_only_the_order_check_can_be_exempt(broken):
    assert broken(RecommenderContract, RowNumber, exempt=frozenset({"order"})) == {}
    found = broken(RecommenderContract, Dot, exempt=frozenset({"orders"}))
    assert list(found) == [SAYS]
