"""The inputs of a run: tracks, listening data, split and metadata, opened once and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from bench.audio import catalog as audio_catalog
from bench.datasets import recognise
from bench.errors import BenchError
from bench.files.atomic import digest
from bench.holdout import hold_out
from bench.items.matching import AS_WRITTEN, VERSION, Matched, last_part
from bench.items.matching import match as matched
from bench.listening.log_dataset import FileDataset, parse_columns
from bench.protocols import Dataset, HoldOut
from bench.registry import create
from bench.run.options import Data, Environment
from bench.splits import cache, leaks
from bench.splits.make import Kept, Split
from bench.splits.published import checked
from bench.splits.sequences import with_plays

META = ("artist", "album", "title", "tags", "genre")


@dataclass(frozen=True)
class Opened:
    """A dataset and its catalogue.

    catalog : track_id, path, offset, duration; None without audio
    own_ids : whether catalogue and log use the same track ids by definition
    kept : where `bench.splits.make.make` keeps what it reads of the log for further folds; None: nowhere
    """

    dataset: Dataset
    root: Path
    catalog: pl.DataFrame | None
    own_ids: bool
    notes: list[str]
    kept: Kept | None = None


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
    caveats: Sequence[str] = ()
    """What every reader of the results must know about the data."""
    published: str | None = None
    """How the sizes of a published split compare with the printed ones; None for other splits."""
    builtin: bool = False
    """Whether the listening is that of a built-in data set, under whatever name."""

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.opened.dataset.name

    @cached_property
    def meta_sha256(self) -> dict[str, str]:
        """Hash of each column of the metadata."""
        return {name: digest(list(values)) for name, values in self.meta.items()}


def open_data(data: Data, environment: Environment) -> Opened:
    """Find the dataset, build it if it is built in, and read its catalogue.

    Raises
    ------
    BenchError
        For a missing file or folder, an unknown name, or conflicting options.

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


def held_out(opened: Opened, environment: Environment, log: Callable[[str], None]) -> HoldOut:
    """Return the hold-out of a dataset's recordings, with the catalogue's audio matched with the log's tracks."""
    catalog = opened.catalog
    if catalog is not None and not opened.own_ids:
        meta = None if isinstance(opened.dataset, FileDataset) else opened.dataset.meta(opened.root)
        if meta is None:
            plays = opened.dataset.listens(opened.root).select(pl.col("item").cast(pl.String)).unique()
            items = plays.collect(engine="streaming")["item"].sort()
        else:
            items = meta["track_id"].unique().sort()
        catalog = match(opened, items)[0]
    return hold_out(opened.dataset, opened.root, environment.cache, catalog=catalog, log=log)


def catalog_of(audio: str, notes: list[str]) -> pl.DataFrame:
    """Read ``--audio DIR|LIST``, and append a note about skipped files."""
    found = audio_catalog.read(Path(audio).expanduser())
    if found.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.skipped.items()))
        notes.append(f"files in {audio} that are not audio by their names: {kinds}")
    return found.rows


def open_inputs(
    data: Data,
    split: str | None,
    environment: Environment,
    log: Callable[[str], None],
    opened: Opened | None = None,
) -> Inputs:
    """Open the data unless it is `opened`, make or read the split, and raise BenchError for a leak."""
    opened = opened or open_data(data, environment)
    dataset = opened.dataset
    name, settings = cache.asked(split or dataset.default_split)
    cache.check_times(dataset, name, settings)
    fingerprint = dataset.fingerprint(opened.root)
    key = cache.key(dataset, fingerprint, settings, _audio_key(opened))
    frame = dataset.meta(opened.root)
    frame = None if frame is None else frame.unique("track_id", keep="first", maintain_order=True)

    def known(items: pl.Series) -> pl.Series:
        return match(opened, items)[0]["track_id"]

    def described(items: Sequence[str], frame: pl.DataFrame | None = frame) -> pl.DataFrame | None:
        return None if frame is None else _aligned(opened, frame, items)[0]

    found = cache.read_or_make(
        dataset,
        opened.root,
        settings,
        None if opened.catalog is None else known,
        described,
        environment.cache / "splits",
        key,
        log,
        opened.kept,
    )
    made, notes = found.split, list(opened.notes)
    items = pl.Series("item", made.items, dtype=pl.String)
    catalog = None
    if opened.catalog is not None:
        catalog, joined = match(opened, items)
        if not opened.own_ids:
            lost = made.counts["left_out"]["items_unknown"], found.unknown
            notes.append(joined.describe("audio", "track", "file", lost))
    if frame is not None:
        frame, joined = _aligned(opened, frame, made.items)
        if isinstance(dataset, FileDataset):
            notes.append(joined.describe("metadata", "track", "row"))
    notes += dataset.notes(opened.root)
    published = checked(name, settings, dataset.name, made.counts)
    notes += cache.notes(name, settings, made, published)
    notes += cache.alike(found.leaks.numbers)
    if getattr(settings, "sequence", "") == "all_plays":
        made = with_plays(made, dataset.listens(opened.root))
    notes = [note for note in notes if note]
    caveats = dataset.caveats(opened.root)
    world = None if dataset.builtin else _world(dataset, opened.root, made)
    if world:
        caveats = [*caveats, f"its play times are those of the built-in data set {world}: the listening is simulated"]
    described_items = _meta(frame, made.items)
    builtin = dataset.builtin or world is not None
    return Inputs(
        opened, fingerprint, made, name, described_items, catalog, notes, found.leaks, caveats, published, builtin
    )


def _world(dataset: Dataset, root: Path, split: Split) -> str | None:
    """Return the name of the built-in data set whose plays another data set holds; None if it holds none's."""
    plays = split.counts.get("log", {}).get("plays")
    if not dataset.timed or plays is None or plays > recognise.MOST:
        return None
    return recognise.recognised(dataset.listens(root))


def match(opened: Opened, items: pl.Series) -> tuple[pl.DataFrame, Matched]:
    """Match the items of a log with the catalogue, by track id or file name; see `bench.items.matching`.

    Returns the matched rows in the order of `items`, with the log's ids as track_id, and a summary of the matching.

    Raises
    ------
    BenchError
        When no track of the log matches.

    """
    assert opened.catalog is not None
    rows = opened.catalog
    kinds = {AS_WRITTEN: rows["track_id"]}
    if not opened.own_ids:
        name = last_part(rows["path"])
        kinds |= {"file name": name, "file name without extension": name.str.replace(r"\.[^.]+$", "")}
    found = matched(items, kinds, exact=opened.own_ids)
    if not opened.own_ids and not found.found.any():
        raise BenchError(
            f"none of the log's {len(items)} tracks (such as {items[0]!r}) is among the {len(rows)} audio files "
            f"(such as {rows['track_id'][0]!r}). Name files by track id, or give --audio a list with columns "
            "track_id and path."
        )
    there = pl.Series(found.found)
    return rows[found.rows[found.found]].with_columns(items.filter(there).alias("track_id")), found


def _audio_key(opened: Opened) -> str | None:
    """Hash everything that determines which tracks of a log have audio: ids, file names and matching rules."""
    if opened.catalog is None:
        return None
    names = opened.catalog.select("track_id", last_part(opened.catalog["path"])).sort("track_id", "path")
    return digest([VERSION, opened.own_ids, names.rows()])


def _aligned(opened: Opened, frame: pl.DataFrame, items: Sequence[str]) -> tuple[pl.DataFrame, Matched]:
    """Return the metadata of `items` with the log's ids as track_id, and a summary of the matching."""
    found = matched(items, {AS_WRITTEN: frame["track_id"]}, exact=not isinstance(opened.dataset, FileDataset))
    there = found.wanted.filter(pl.Series(found.found))
    return frame[found.rows[found.found]].with_columns(there.alias("track_id")), found


def _meta(frame: pl.DataFrame | None, items: Sequence[str]) -> dict[str, list[Any]]:
    """Align metadata with items; unknown values are None."""
    if frame is None:
        return {}
    wanted = pl.DataFrame({"track_id": list(items)}, schema={"track_id": pl.String})
    joined = wanted.join(frame, on="track_id", how="left", maintain_order="left")
    return {name: joined[name].to_list() for name in META if name in frame.columns}
