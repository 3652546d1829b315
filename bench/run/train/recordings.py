"""The recordings of a training: played before the cut-off, with audio, and not held out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.audio.pcm_cache import Recording
from bench.errors import BenchError
from bench.holdout import part_names
from bench.listening.times import iso
from bench.protocols import HoldOut, Interactions, TrainingData
from bench.run.extraction_task import Audio
from bench.run.inputs import Inputs, Opened, held_out, open_data, open_inputs
from bench.run.options import Data, Environment
from bench.splits.temporal import GlobalTemporal
from bench.text import counted

VALID_SHARE = 0.15
"""Share of the groups of the training recordings that choose the best epoch."""
MOST_VALID = 2_500
"""Most validation recordings; all their pairs are ranked. More of a part ``valid`` are left out, not trained on."""
TEXT = ("title", "description", "tags", "genre")
"""Columns of the metadata whose text names what is heard. Names of artists and albums do not."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The recordings of a training, and what is known of them.

    rows : track_id, path, offset, duration, row (key of the audio), sorted by track_id
    valid : which of them choose the best epoch (N,)
    cold : number of recordings with audio that are left out because nobody played them before the cut-off
    """

    inputs: Inputs
    hold_out: HoldOut
    rows: pl.DataFrame
    valid: NDArray[np.bool_]
    cold: int
    unreadable: str

    @property
    def ids(self) -> list[str]:
        """Track ids (N,), sorted."""
        return self.rows["track_id"].to_list()

    @property
    def files(self) -> list[Recording]:
        """The recordings (N,) to decode."""
        return [Recording(*row) for row in self.rows.select("row", "path", "offset", "duration").iter_rows()]

    @property
    def cutoff(self) -> str | None:
        """ISO time (UTC) from which on no play is used; None if the split has no date."""
        settings = self.inputs.split.settings
        return iso(settings.bounds().trained) if isinstance(settings, GlobalTemporal) else None

    def without(self, rows: Iterable[int]) -> Chosen:
        """Return the same without some of the rows."""
        kept = np.ones(len(self.rows), np.bool_)
        kept[list(rows)] = False
        return replace(self, rows=self.rows.filter(pl.Series(kept)), valid=self.valid[kept])

    @cached_property
    def data(self) -> TrainingData:
        """What an objective may learn from."""
        ids = self.ids
        meta = self._meta(ids)
        split = self.inputs.split
        item = np.searchsorted(np.array(split.items, dtype=object), np.array(ids, dtype=object)).astype(np.int64)
        return TrainingData(
            ids=ids,
            train=~self.valid,
            valid=self.valid,
            artist=_column(meta, "artist"),
            tags=_pieces(meta, ("tags",)),
            text=_pieces(meta, TEXT),
            interactions=_among(split.train, item),
        )

    def _meta(self, ids: Sequence[str]) -> pl.DataFrame:
        known = {name: self.inputs.meta[name] for name in self.inputs.meta}
        frame = pl.DataFrame({"track_id": self.inputs.split.items, **known})
        dataset, root = self.inputs.opened.dataset, self.inputs.opened.root
        more = dataset.meta(root)
        if more is not None and "description" in more.columns:
            more = more.select("track_id", "description").unique("track_id", keep="first")
            frame = frame.join(more, on="track_id", how="left")
        wanted = pl.DataFrame({"track_id": ids}, schema={"track_id": pl.String})
        return wanted.join(frame, on="track_id", how="left", maintain_order="left")


def choose(
    data: Data,
    split: str | None,
    environment: Environment,
    log: Callable[[str], None],
    seed: int,
) -> Chosen:
    """Choose the recordings of a training; no file of a held-out recording is decoded later on.

    Raises
    ------
    BenchError
        When the data have no audio, or too few recordings are left for training and validation.

    """
    opened = open_data(data, environment)
    if opened.catalog is None:
        raise BenchError(f"{opened.dataset.name} has no audio here: give --audio DIR|LIST, or another --data.")
    inputs = open_inputs(data, split, environment, log, opened)
    hold_out = held_out(opened, environment, log)
    assert inputs.catalog is not None
    hot = [item for item, trained in zip(inputs.split.items, inputs.split.hot.tolist(), strict=True) if trained]
    free = inputs.catalog.filter(~pl.col("track_id").is_in(list(hold_out.held)))
    rows = free.filter(pl.col("track_id").is_in(hot)).sort("track_id")
    audio = Audio.of(rows, environment.cache)
    readable = audio.rows.filter(pl.col("row").is_not_null()).drop("problem")
    valid = _validation(readable["track_id"].to_list(), hold_out, _part(opened), seed)
    chosen = Chosen(inputs, hold_out, readable, valid, len(free) - len(rows), audio.unreadable)
    if len(more := np.flatnonzero(valid)[MOST_VALID:]):
        log(f"left out: {counted(len(more), 'validation recording')} beyond {MOST_VALID:,}")
    return chosen.without(more.tolist())


def _validation(ids: Sequence[str], hold_out: HoldOut, part: dict[str, str], seed: int) -> NDArray[np.bool_]:
    """Return which recordings choose the best epoch: a user's part ``valid``, or whole groups in order of a hash."""
    if "valid" in part.values():
        chosen = np.array([part.get(one) == "valid" for one in ids])
    else:
        group = [hold_out.groups.get(one, one) for one in ids]
        order = sorted(set(group), key=lambda name: hashlib.sha256(f"valid:{seed}:{name}".encode()).hexdigest())
        order = order[: max(1, round(VALID_SHARE * len(order)))]
        sizes = Counter(group)
        fit = int((np.cumsum([sizes[name] for name in order]) <= MOST_VALID).sum())
        chosen = np.isin(group, order[: max(1, fit)])
    if not 2 <= chosen.sum() <= len(ids) - 2:
        raise BenchError(
            f"{len(ids)} recordings with audio were played before the cut-off and are not held out: too few for "
            "training and validation. Give more audio, or another --split."
        )
    return chosen


def _part(opened: Opened) -> dict[str, str]:
    meta = opened.dataset.meta(opened.root)
    if meta is None or "part" not in meta.columns:
        return {}
    return dict(zip(meta["track_id"].to_list(), part_names(meta["part"]).to_list(), strict=True))


def _column(meta: pl.DataFrame, name: str) -> list[str | None] | None:
    return meta[name].cast(pl.String).to_list() if name in meta.columns else None


def _pieces(meta: pl.DataFrame, columns: Sequence[str]) -> list[list[str]] | None:
    """Return the texts of some columns for each recording; None if there is no text at all."""
    there = [name for name in columns if name in meta.columns]
    out: list[list[str]] = [[] for _ in range(len(meta))]
    for name in there:
        for found, value in zip(out, meta[name].to_list(), strict=True):
            if value is not None:
                found += [str(each) for each in value] if isinstance(value, list) else [str(value)]
    return out if any(out) else None


def _among(pairs: Interactions, item: NDArray[np.int64]) -> Interactions:
    """Return the pairs with one of the items (N,) alone; they become 0 to N - 1."""
    row = np.full(pairs.n_items, -1, np.int32)
    row[item] = np.arange(len(item), dtype=np.int32)
    kept = row[pairs.item] >= 0
    columns = (pairs.user[kept], row[pairs.item[kept]], pairs.first[kept], pairs.last[kept], pairs.count[kept])
    return Interactions(*columns, n_users=pairs.n_users, n_items=len(item))
