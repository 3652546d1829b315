"""Training a model: what is refused before it begins, the deadline, and training anew on all but the test."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NoReturn

import numpy as np

from bench import memory
from bench.errors import BenchError
from bench.files.atomic import digest
from bench.items.item_table import ItemTable
from bench.protocols import Estimate, Interactions, Recommender, RunContext, Shape
from bench.records import Training, TrainingEnd
from bench.run.recommend.validation import Validation, absent
from bench.splits.make import Split


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it came about.

    known : what the model, and so a ranking, takes for a listener's history
    training : how training ended, None for a model without epochs
    validation : means of all metrics on the validation part, before any training on it
    """

    model: Recommender
    known: Interactions
    training: Training | None
    validation: dict[str, dict[str, float]]
    seconds: float
    warnings: list[str]


def trained(
    model: Recommender,
    table: ItemTable,
    split: Split,
    valid: Validation,
    run: RunContext,
    ks: Sequence[int],
    *,
    max_time: float | None = None,
    refit: bool = False,
) -> Fitted:
    """Fit `model`; with `refit` fit a fresh one on training and validation pairs for the epochs found.

    The second fit repeats the rates of the first one's epochs up to the best, and sees no validation. A
    model without epochs is simply fitted on more. Tracks first heard in validation are then hot to the
    model; the candidates of the test stay what they are.

    Raises
    ------
    BenchError
        For what `check` refuses.

    """
    check(model, split, table.vectors.shape[1], run.device)
    fresh = copy.copy(model)  # before anything is learned
    started = time.monotonic()
    granted = replace(run, deadline=_deadline(max_time), trained={})
    model.fit(split.train, table, valid=valid, run=granted)
    spent = time.monotonic() - started
    validation = valid.means(model, ks)
    ended, again, known = _ended(granted), None, split.known_at_test
    warnings = _cut(ended, "training")
    if refit:
        known = split.before_test
        started = time.monotonic()
        rates = granted.trained.get("rates")
        second = replace(
            run,
            deadline=_deadline(max_time),
            # With more time the first fit may find another best epoch: checkpoints of other rates are not resumed.
            folder=run.folder / f"refit-{digest(rates)[:16]}" if run.folder else None,
            curves=run.curves / "refit" if run.curves else None,
            replay=rates,
            trained={},
        )
        run.log(f"training anew on {len(known)} training and validation pairs")
        model = fresh
        model.fit(known, _hotter(table, known), valid=_NoValidation(), run=second)
        spent += time.monotonic() - started
        again = _ended(second)
        warnings += _cut(again, "training anew on training and validation")
    elif known is not split.train:
        model.update_history(known)
    training = None if ended is None else Training(**vars(ended), max_time_s=max_time, refit=again)
    return Fitted(model, known, training, validation, spent, warnings)


def check(model: Recommender, split: Split, width: int, device: str) -> Estimate | None:
    """Return what a model reckons to need for item vectors of `width`; None when it does not say.

    Raises
    ------
    BenchError
        When it stops early and the split has no validation, when its settings do not go with the shape, or
        when it does not fit into the memory that is free on `device`.

    """
    if model.validates and (reason := absent(split, model.name)):
        raise BenchError(reason)
    train = split.train
    owner = train.user if train.plays is None else train.plays.user
    found = model.plan(
        Shape(
            users=train.n_users,
            items=train.n_items,
            hot=int(split.hot.sum()),
            pairs=len(train),
            width=width,
            lengths=np.bincount(owner, minlength=train.n_users),
            device=device,
        )
    )
    if found is None:
        return None
    free = memory.free(device)
    if found.bytes > free:
        because = "".join(f" ({note})" for note in found.notes)
        raise BenchError(
            f"{model.name} needs about {found.bytes / 1e9:.3g} GB on {device}{because}, and {free / 1e9:.3g} GB are "
            "free. Take a smaller model or batch, a loss that needs less (chunked), or another --device."
        )
    return found


def _deadline(max_time: float | None) -> float | None:
    return None if max_time is None else time.monotonic() + max_time


def _ended(run: RunContext) -> TrainingEnd | None:
    """Return how a training ended; None for a model that does not train by epochs."""
    told = {one.name: run.trained[one.name] for one in fields(TrainingEnd) if one.name in run.trained}
    return TrainingEnd(**told) if told else None


def _cut(ended: TrainingEnd | None, what: str) -> list[str]:
    if ended is None or ended.stopped != "deadline":
        return []
    return [f"--max-time ended {what} after epoch {ended.epochs}, before it stopped by itself"]


class _NoValidation:
    """The validation of a second fit: its pairs are among those it trains on."""

    def __call__(self, model: Recommender) -> float:
        raise BenchError(
            f"{model.name} asks for validation while it is fitted on the validation pairs themselves. A training loop "
            "of its own must honour run.replay (bench.training.loop does); without it leave out --refit."
        )

    def held_out(self) -> NoReturn:
        raise BenchError("a model asks for validation pairs while it is fitted on them. Leave out --refit.")


def _hotter(table: ItemTable, known: Interactions) -> ItemTable:
    """Return the same vectors with all tracks of `known` marked as heard."""
    hot = np.zeros(known.n_items, np.bool_)
    hot[known.item] = True
    return replace(table, hot=hot)
