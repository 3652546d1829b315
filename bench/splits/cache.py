"""From ``--split`` to a split: read the one that was made before, or make it; and what to say of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bench.errors import BenchError, did_you_mean
from bench.files.atomic import canonical_json, digest, write_text
from bench.protocols import Dataset
from bench.specs import parse, settings_from
from bench.splits import leaks
from bench.splits.make import SPLITS, Kept, Split, SplitSettings, make
from bench.splits.published import deviations
from bench.splits.storage import read, write

EXAMPLES = 3
"""Items without audio that are named."""


def asked(text: str) -> tuple[str, SplitSettings]:
    """Read a split's spec: its name and settings.

    Raises
    ------
    BenchError
        For an unknown name or setting ("did you mean"), or a value that no split can have.

    """
    spec = parse(text)
    if spec.name not in SPLITS:
        raise BenchError(f"--split: there is no split {spec.name!r}.{did_you_mean(spec.name, SPLITS)}")
    settings: SplitSettings = settings_from(SPLITS[spec.name], spec)
    return spec.name, settings


def check_times(dataset: Dataset, name: str, settings: SplitSettings) -> None:
    """Raise BenchError if a split is made by times and the log has none; `settings` are not resolved."""
    if not dataset.timed and settings.needs_times:
        with_dates = "" if settings.kind != "cold_random" else " with start= or end="
        raise BenchError(
            f"--split {name}{with_dates} needs the times of plays, and {dataset.name} has none. "
            "Take --split cold_random, without dates: it holds out random items."
        )


@dataclass(frozen=True)
class Found:
    """A split, the results of its checks, and examples of the log's items without audio."""

    split: Split
    leaks: leaks.Leaks
    unknown: Sequence[str]


def key(dataset: Dataset, fingerprint: Mapping[str, Any], settings: SplitSettings, audio: str | None) -> str:
    """Hash everything that decides a split.

    Parameters
    ----------
    fingerprint : of the dataset's content; `Dataset.version` stands for the code that reads it
    settings : of the split, with its version
    audio : hash of what decides which items have audio; None: items without audio are used, too

    """
    return digest(
        {
            "format": 4,
            "data": fingerprint,
            "dataset": dataset.version,
            "split": settings.canonical(),
            "version": settings.version,
            "audio": audio,
        }
    )


def read_or_make(
    dataset: Dataset,
    root: Path,
    settings: SplitSettings,
    known: Callable[[pl.Series], pl.Series] | None,
    meta: Callable[[Sequence[str]], pl.DataFrame | None],
    folder: Path,
    key: str,
    log: Callable[[str], None],
    kept: Kept | None = None,
) -> Found:
    """Read the split that belongs to `key` from `folder`, or make and write it; check it for leaks.

    `known` tells which of the log's items there is audio of; without it all of them are used. `meta` returns the
    metadata of items under the log's ids. `kept` is for `make`.

    Raises
    ------
    BenchError
        When the split leaks; a new one is then not written.

    """
    pointer = folder / f"{key[:32]}.json"
    if pointer.exists():
        try:
            about = json.loads(pointer.read_text(encoding="utf-8"))
            made = read(folder / about["split"])
            return Found(made, leaks.assert_sound(made, meta(made.items)), about["unknown"])
        except BenchError as error:
            log(f"{error} It is made again.")
        except (ValueError, KeyError, TypeError):
            log(f"{pointer} is damaged. The split is made again.")
    listens = dataset.listens(root)
    heard, unknown = None, []
    if known is not None:
        items = listens.select(pl.col("item").unique().cast(pl.String)).collect().to_series().drop_nulls().sort()
        heard = known(items)
        unknown = items.filter(~items.is_in(heard.implode())).head(EXAMPLES).to_list()
    made = make(
        listens,
        settings,
        known_items=heard,
        places=lambda first, last: dataset.places(root, first, last),
        kept=kept,
    )
    sound = leaks.assert_sound(made, meta(made.items))
    path = write(made, folder)
    write_text(pointer, canonical_json({"split": path.name, "unknown": unknown}))
    return Found(made, sound, unknown)


REASONS = {
    "user_does_not_train": "the listener has no training plays",
    "heard_before_start": "the listener had played the track before the training window",
    "item_does_not_train": "the track has no training plays",
    "first_played_in_validation": "the track was first played in the validation period",
    "cold_item_of_other_half": "cold tracks serve either validation or test",
}
"""Why held-out pairs are left out, in words, by the key in a split's counts."""


def notes(name: str, settings: SplitSettings, split: Split, published: str | None) -> list[str]:
    """Say what the split left out of the log, and whether it is the published one."""
    left = split.counts["left_out"]
    parts = [f"{n} plays {why.replace('_', ' ')}" for why, n in left["plays"].items() if n]
    reasons = ((n, REASONS.get(why, why.replace("_", " "))) for why, n in left["pairs"].items())
    parts += [f"{n} held-out pairs ({why})" for n, why in reasons if n]
    found = ["left out of the log: " + ", ".join(parts)] if parts else []
    if changed := deviations(settings):
        found.append(f"{name} with {', '.join(changed)} is not the published split")
    if published and not published.startswith("not checked"):
        found.append(f"the split {published}")
    return found


def alike(numbers: Mapping[str, float | int | None]) -> list[str]:
    """Say how much of the test a recommender of known artists would find."""
    shares = {kind: numbers.get(f"artist_overlap_{kind}") for kind in ("hot", "cold")}
    parts = [f"{share:.0%} of the {kind} test pairs" for kind, share in shares.items() if share is not None]
    return [f"by artists that their listener trains on: {', '.join(parts)}"] if parts else []
