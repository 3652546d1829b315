"""Leaks through what a model of ours was trained on: compare the ids of its tracks with those that are tested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.datasets.contamination import same_catalogue
from bench.entries import ExtractorEntry
from bench.errors import BenchError
from bench.protocols import Heard
from bench.splits.make import Split
from bench.splits.temporal import GlobalTemporal, seconds
from bench.splits.untimed import LeaveLastOut
from bench.text import counted


def heard_tracks(extractor: ExtractorEntry, data: str, tested: Iterable[str]) -> str | None:
    """Describe which of the tested tracks of a data set the extractor was trained on; None if there are none."""
    wanted = set(tested)
    for one in _heard_of(extractor, data):
        if known := sorted(one.ids & wanted):
            which = "namely" if len(known) == 1 else "such as"
            of = counted(len(wanted), "tested track")
            return f"{extractor} was trained on {len(known):,} of {of}, {which} {known[0]!r}"
    return None


def heard_share(extractor: ExtractorEntry, data: str, tested: Iterable[str]) -> float | None:
    """Return the share of the tested tracks of a data set that the extractor was trained on, by their ids.

    None where the tracks of no training are known, and for no tested tracks.
    """
    if not any(part.plugin.heard for part in extractor.behind) or not (wanted := set(tested)):
        return None
    known = frozenset[str]().union(*(one.ids for one in _heard_of(extractor, data)))
    return len(known & wanted) / len(wanted)


def check_unheard(extractors: Iterable[ExtractorEntry], split: Split, data: str) -> None:
    """Refuse extractors that were trained on a split's cold tracks, or on listening that the split predicts.

    Listening is what the split predicts if it may be at or after the cut of a global temporal split, and in any case
    where every listener's last track is held out, because that is no matter of a date.

    Raises
    ------
    BenchError
        For the first such extractor.

    """
    cold = [item for item, hot in zip(split.items, split.hot.tolist(), strict=True) if not hot]
    for extractor in extractors:
        if reason := heard_tracks(extractor, data, cold):
            raise BenchError(
                f"{reason}. Cold tracks must be new to it: train it without them, or choose another split."
            )
        for one in _heard_of(extractor, data):
            if "listens" in one.signals and (reason := _future(one, split)):
                raise BenchError(f"{extractor} was trained on listening that the split predicts: {reason}.")


def _future(heard: Heard, split: Split) -> str | None:
    """Describe why a model has learned from plays that a split predicts; None if it has not."""
    settings = split.settings
    if isinstance(settings, LeaveLastOut):
        return (
            f"the last track of every listener. Train it without listens, or choose another split than {settings.kind}"
        )
    if not isinstance(settings, GlobalTemporal):
        return None  # the plays of unheard tracks were no part of its training
    if heard.cutoff is None:
        return f"it has no cut-off, and the split is cut at {settings.cut}. Train it with a cut-off"
    if seconds(heard.cutoff, "cut-off") > settings.bounds().cut:
        return (
            f"plays until {heard.cutoff}, and the split is cut at {settings.cut}. Train it again, or choose a later cut"
        )
    return None


def _heard_of(extractor: ExtractorEntry, data: str) -> Iterator[Heard]:
    return (one for part in extractor.behind for one in part.plugin.heard if same_catalogue(one.data, data))
