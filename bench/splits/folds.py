"""The folds of a split: ``--folds all`` names them, and each is a split of its own."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from bench.specs import Spec, parse
from bench.splits.cache import asked
from bench.splits.untimed import ColdRandom


def specs_by_fold(text: str, wanted: Sequence[int] = ()) -> dict[int, str]:
    """Return the spec of each wanted fold of the split `text`, in ascending order; of all folds if none is named.

    Raises
    ------
    BenchError
        When the split has no folds or not the wanted ones, or `text` chooses a fold already.

    """
    _, settings = asked(text)
    spec = parse(text)
    if not isinstance(settings, ColdRandom):
        raise BenchError(f"--folds: the split {text} has no folds. Give --split {ColdRandom.kind}, or no --folds.")
    if "fold" in spec.settings:
        raise BenchError(f"--split {text} chooses fold {settings.fold}, and --folds others: leave out one of them.")
    if absent := [fold for fold in wanted if not 1 <= fold <= settings.folds]:
        raise BenchError(
            f"--folds: the split {text} has no fold {absent[0]}, only 1 to {settings.folds}. --split takes folds=N."
        )
    chosen = sorted(set(wanted)) or range(1, settings.folds + 1)
    return {fold: str(Spec(spec.name, {**spec.settings, "fold": str(fold)})) for fold in chosen}
