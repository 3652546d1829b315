"""What a run works on: tracks, listening, split and metadata, opened once and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bench.audio import catalog as audio_catalog
from bench.errors import BenchError
from bench.files.atomic import digest
from bench.files.hash_index import HashIndex
from bench.listening.log_dataset import FileDataset, parse_columns
from bench.protocols import Dataset
from bench.registry import create
from bench.run.options import Data, Environment
from bench.splits import cache, leaks
from bench.splits.make import Split
from bench.splits.published import checked
from bench.splits.sequences import with_plays

META = ("artist", "album", "title", "tags", "genre")


@dataclass(frozen=True)
class Opened:
    """A dataset and its catalogue.

    catalog : track_id, path, offset, duration; None without audio
    own_ids : whether track ids of catalogue and log are the same by definition
    """

    dataset: Dataset
    root: Path
    catalog: pl.DataFrame | None
    own_ids: bool
    notes: list[str]


@dataclass(frozen=True)
class Inputs:
    """Everything a run needs to know about its data."""

    opened: Opened
    fingerprint: Mapping[str, Any]
    split: Split
    split_name: str
    meta: Mapping[str, Sequence[Any]]
    catalog: pl.DataFrame | None
    notes: list[str]
    leaks: leaks.Leaks
    published: str | None = None
    """Whether a published split has the sizes that were printed for it; None for other splits."""

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.opened.dataset.name


def open_data(data: Data, environment: Environment) -> Opened:
    """Find the dataset, build it if it is built in, and read its catalogue.

    Raises
    ------
    BenchError
        For a missing file or folder, an unknown name, or options that do not go together.

    """
    if data.listens and data.data:
        raise BenchError("--data and --listens exclude one another: give one of them.")
    if data.columns and not data.listens:
        raise BenchError("--columns describes a --listens file; there is none.")
    if data.listens:
        columns = parse_columns(data.columns) if data.columns else None
        meta = Path(data.meta).expanduser() if data.meta else None
        dataset: Dataset = FileDataset(Path(data.listens).expanduser(), columns, meta)
        root = dataset.prepare(None, environment.cache)
    else:
        if data.audio or data.meta:
            raise BenchError("--audio and --meta belong to a --listens file; a dataset brings its own.")
        dataset = create("datasets", data.data or "demo")
        root = dataset.prepare(Path(data.root).expanduser() if data.root else None, environment.cache)
    notes: list[str] = []
    catalog = dataset.catalog(root)
    if data.audio:
        catalog = catalog_of(data.audio, notes)
    return Opened(dataset, root, catalog, not data.audio, notes)


def catalog_of(audio: str, notes: list[str]) -> pl.DataFrame:
    """Read ``--audio DIR|LIST``; what was skipped is noted."""
    found = audio_catalog.read(Path(audio).expanduser())
    if found.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.skipped.items()))
        notes.append(f"files in {audio} that are not audio by their names: {kinds}")
    return found.rows


def open_inputs(data: Data, split: str | None, environment: Environment, log: Callable[[str], None]) -> Inputs:
    """Open the data, make or read the split, and stop on a leak."""
    opened = open_data(data, environment)
    dataset = opened.dataset
    name, settings = cache.asked(split or dataset.default_split)
    fingerprint = _fingerprint(data, opened, environment)
    known_ids = None if opened.catalog is None else digest(sorted(opened.catalog["track_id"].to_list()))
    key = digest({"data": fingerprint, "split": settings.canonical(), "audio": known_ids, "version": 3})

    def known(items: pl.Series) -> pl.Series:
        return match(opened, items)[0]["track_id"]

    heard = None if opened.catalog is None else known
    frame = dataset.meta(opened.root)
    folder = environment.cache / "splits"
    made, found = cache.read_or_make(dataset, opened.root, settings, heard, frame, folder, key, log)
    notes = list(opened.notes)
    catalog = None
    if opened.catalog is not None:
        catalog, rule = match(opened, pl.Series("item", made.items, dtype=pl.String))
        if rule != "track_id":
            notes.append(f"tracks of the log were found by {rule}")
    notes += dataset.notes(opened.root)
    published = checked(name, settings, dataset.name, made.counts)
    notes += cache.notes(name, settings, made, published)
    notes += cache.alike(found.numbers)
    if getattr(settings, "sequence", "") == "all_plays":
        made = with_plays(made, dataset.listens(opened.root))
    return Inputs(opened, fingerprint, made, name, _meta(frame, made.items), catalog, notes, found, published)


def match(opened: Opened, items: pl.Series) -> tuple[pl.DataFrame, str]:
    """Give catalogue rows the log's ids: by track id, file name, or its stem, whichever fits most.

    Returns the rows (track_id = the log's id) and the rule that was used.
    """
    assert opened.catalog is not None
    rows = opened.catalog
    if opened.own_ids:
        return rows.filter(pl.col("track_id").is_in(items.to_list())), "track_id"
    name = pl.col("path").str.split("/").list.last()
    rules = {
        "track_id": pl.col("track_id"),
        "file name": name,
        "file name without extension": name.str.replace(r"\.[^.]+$", ""),
    }
    best, chosen = rows.clear(), "track_id"
    for rule, key in rules.items():
        # A key that two files share names neither of them.
        found = rows.with_columns(key.alias("track_id")).filter(pl.col("track_id").is_unique())
        found = found.filter(pl.col("track_id").is_in(items.to_list()))
        if len(found) > len(best):
            best, chosen = found, rule
    if not len(best):
        raise BenchError(
            f"none of the log's {len(items)} tracks (such as {items[0]!r}) is among the {len(rows)} audio files "
            f"(such as {rows['track_id'][0]!r}). Name files by track id, or give --audio a list with columns "
            "track_id and path."
        )
    return best, chosen


def _fingerprint(data: Data, opened: Opened, environment: Environment) -> dict[str, Any]:
    """Identify the listening data; a user's files are hashed once and remembered."""
    if not data.listens:
        return opened.dataset.fingerprint(opened.root)
    files = [data.listens, *([data.meta] if data.meta else [])]
    found = HashIndex.below(environment.cache).hashes([str(Path(f).expanduser().resolve()) for f in files])
    for file, result in zip(files, found, strict=True):
        if not isinstance(result, str):
            raise BenchError(f"{file}: {result}.")
    return {"files": {Path(f).name: r for f, r in zip(files, found, strict=True)}, "columns": data.columns}


def _meta(frame: pl.DataFrame | None, items: Sequence[str]) -> dict[str, list[Any]]:
    """Align metadata with item rows; an unknown value is None."""
    if frame is None:
        return {}
    wanted = pl.DataFrame({"track_id": list(items)}, schema={"track_id": pl.String})
    joined = wanted.join(frame.unique("track_id", keep="first"), on="track_id", how="left", maintain_order="left")
    return {name: joined[name].to_list() for name in META if name in frame.columns}
