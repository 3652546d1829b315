"""Train a model: checks before training, time limit, and retraining on training and validation data."""

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
    """A trained model with information about its training.

    known : the listeners' histories, for the model and for ranking
    training : how training ended, None for a model without epochs
    validation : means of all metrics on the validation part, before training on it
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
    """Fit `model`; with `refit`, then fit a new one on training and validation pairs for the best number of epochs.

    The second fit uses the learning rates of the first fit's epochs up to the best one, and no validation. A
    model without epochs is fitted on both parts. The model then treats tracks first played in validation as
    hot; the test candidates stay the same.

    Raises
    ------
    BenchError
        When `check` raises it.

    """
    check(model, split, table.vectors.shape[1], run.device, max_time)
    fresh = copy.copy(model)  # before training
    started = time.monotonic()
    granted = replace(run, deadline=deadline(max_time), trained={})
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
            deadline=deadline(max_time),
            # With more time, the best epoch of the first fit can change: do not resume checkpoints of other rates.
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


def validated(model: Recommender, table: ItemTable, split: Split, k: int, run: RunContext) -> float:
    """Fit `model` on the training part, and return its NDCG@k of validation.

    Raises
    ------
    BenchError
        When `check` raises it.

    """
    check(model, split, table.vectors.shape[1], run.device)
    present = table.present if "items" in model.needs else None
    valid = Validation(split, present, k, k, run.seed)
    model.fit(split.train, table, valid=valid, run=run)
    return valid(model)


def check(model: Recommender, split: Split, width: int, device: str, max_time: float | None = None) -> Estimate | None:
    """Return a model's estimate of its resources for item vectors of `width`; None if it gives no estimate.

    Raises
    ------
    BenchError
        When the model needs validation and the split has none, when its settings do not match the data's shape,
        or when it needs more than the free memory of `device`.

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
            seconds=max_time,
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


def deadline(max_time: float | None) -> float | None:
    """Return the time of the monotonic clock at which a training must end; None for no limit."""
    return None if max_time is None else time.monotonic() + max_time


def _ended(run: RunContext) -> TrainingEnd | None:
    """Return how a training ended; None for a model without epochs."""
    told = {one.name: run.trained[one.name] for one in fields(TrainingEnd) if one.name in run.trained}
    return TrainingEnd(**told) if told else None


def _cut(ended: TrainingEnd | None, what: str) -> list[str]:
    if ended is None or ended.stopped != "deadline":
        return []
    return [f"--max-time ended {what} after epoch {ended.epochs}, before it stopped by itself"]


class _NoValidation:
    """Validation of the second fit, which raises BenchError because its pairs are training data."""

    def __call__(self, model: Recommender) -> float:
        raise BenchError(
            f"{model.name} asks for validation while it is fitted on the validation pairs themselves. A training loop "
            "of its own must honour run.replay (bench.training.loop does); without it leave out --refit."
        )

    def held_out(self) -> NoReturn:
        raise BenchError("a model asks for validation pairs while it is fitted on them. Leave out --refit.")


def _hotter(table: ItemTable, known: Interactions) -> ItemTable:
    """Return the table with all tracks of `known` marked as hot."""
    hot = np.zeros(known.n_items, np.bool_)
    hot[known.item] = True
    return replace(table, hot=hot)
