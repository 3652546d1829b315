"""``bench extract`` and ``bench export``: vectors of a whole catalogue, without listening data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import devices
from bench.entries import audio_extractors
from bench.errors import BenchError
from bench.extract import make_ready
from bench.files.atomic import check_writable, whole, write_text
from bench.items.item_table import Tables
from bench.protocols import Lane
from bench.report.format import without_folders
from bench.resolver import Resolver
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio
from bench.run.inputs import catalog_of, open_data
from bench.run.options import Data, Environment
from bench.run.progress import Ui
from bench.run.recommend.record import non_commercial
from bench.store.exported import Exported, write_about
from bench.text import one_line

FORMATS = (".npy", ".parquet", ".tsv")


class Collection:
    """A catalogue and the extractors to run on it; with `shard` (i, n), only part i of n."""

    meta: pl.DataFrame | None = None
    """What the data set knows of the tracks; None: nothing."""

    def __init__(
        self,
        data: Data,
        extractors: Sequence[str],
        lane: Lane,
        environment: Environment,
        ui: Ui,
        shard: tuple[int, int] | None = None,
    ):
        self.environment, self.ui = environment, ui
        check_writable(environment.cache)
        self.entries = Resolver(lane).extractors(extractors)
        plugins = audio_extractors(self.entries)
        for plugin in plugins:
            make_ready(plugin, environment.cache)
        if data.audio and not data.listens:
            if data.data:
                raise BenchError("--data and --audio exclude one another: give one of them.")
            notes: list[str] = []
            catalog: pl.DataFrame | None = catalog_of(data.audio, notes)
        else:
            opened = open_data(data, environment)
            catalog, notes = opened.catalog, opened.notes
            self.meta = opened.dataset.meta(opened.root)
        if catalog is None:
            raise BenchError("there is no audio: give --audio DIR|LIST, or a dataset that brings some.")
        for note in notes:
            ui.log(f"note: {note}")
        if shard is not None:  # before hashing, so that each machine reads only its own files
            part, parts = shard
            catalog = catalog.sort("track_id").gather_every(parts, part - 1)
            ui.log(f"part {part} of {parts}: {len(catalog)} tracks")
        self.audio = Audio.of(catalog, environment.cache)
        if lost := self.audio.unreadable:
            ui.log(f"note: {lost}")
        self.extraction = ExtractionPlan(plugins, self.audio, environment)

    @property
    def tracks(self) -> int:
        """Number of tracks in the catalogue."""
        return len(self.audio.rows)

    @cached_property
    def device(self) -> str:
        """The device in use."""
        return devices.choose(self.environment.device)[0]

    def plan(self) -> None:
        """Print which vectors are missing, and the resources needed to compute them."""
        lines = self.extraction.plan(self.device) if self.extraction.lacking else [f.settled() for f in self.extraction]
        for line in lines:
            self.ui.log(line)

    def verify(self) -> list[tuple[str, list[str], int]]:
        """Check every shard of the extractors' sets; return (extractor, removed files, number of rewritten shards)."""
        out = [(part.extractor.name, *part.set.verify()) for part in self.extraction]
        self.extraction.renew()
        return out

    def fill(self) -> int:
        """Compute missing vectors; return the largest number of tracks that an extractor could not embed."""
        return self.extraction.fill(lambda: self.device, self.ui)

    def summary(self) -> list[str]:
        """Return a line for each extractor, and its failures with reasons."""
        lines = []
        for part in self.extraction:
            failed = part.failures()
            widths = ", ".join(f"{name} {width}" for name, width in part.set.layers.items())
            lines.append(
                f"{part.extractor.name}: {self.tracks - len(failed)} of {self.tracks} tracks have vectors "
                f"({widths}) in {part.set.folder}"
            )
            if len(failed):
                lines.append(f"  {len(failed)} failed, listed in {part.failures_path}:")
                lines += [
                    f"    {one_line(track)}: {one_line(reason)}" for track, _, reason in failed.head(10).iter_rows()
                ]
                if len(failed) > 10:
                    lines.append(f"    ... and {len(failed) - 10} more")
        return lines

    def vectors(self) -> tuple[list[str], NDArray[np.float32]]:
        """Return the ids of the N tracks with a vector of the first entry, in order, and their vectors (N, D).

        Raises
        ------
        BenchError
            When no track has a vector.

        """
        entry = self.entries[0]
        ids = sorted(self.audio.rows["track_id"].to_list())
        vectors, present = Tables(self.environment.cache, self.audio.row_of).joined(entry, ids)
        kept = [name for name, there in zip(ids, present.tolist(), strict=True) if there]
        if not kept:
            raise BenchError(f"{entry}: no track has a vector, so there is nothing to export.")
        return kept, vectors[present]

    def export(self, out: Path) -> tuple[int, int]:
        """Write the vectors of the first entry to `out`, and what is known of them; return rows and width."""
        ids, vectors = self.vectors()
        write_vectors(out, ids, vectors)
        write_about(out, self.about)
        return len(ids), vectors.shape[1]

    @property
    def about(self) -> Exported:
        """What is known of the vectors of the first entry."""
        plugins = [one.plugin for one in self.entries[0].behind]
        return Exported(
            extractor=without_folders(self.entries[0].text),
            license=" + ".join(dict.fromkeys(plugin.license for plugin in plugins if plugin.license)),
            trained_on=sorted({name for plugin in plugins for name in plugin.trained_on}),
            heard=[one for plugin in plugins for one in plugin.heard],
            non_commercial=any(non_commercial(plugin) for plugin in plugins),
            untrained=any(plugin.untrained for plugin in plugins),
            synthetic=any(plugin.synthetic for plugin in plugins),
        )


def write_vectors(out: Path, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write vectors (N, D) as .npy with ids beside it, .parquet or .tsv.

    Raises
    ------
    BenchError
        For an unknown extension, and for an id with a line break in the ids of an .npy.

    """
    check_format(out)
    if out.suffix == ".npy":
        if odd := next((name for name in ids if len(f"{name}.".splitlines()) > 1), None):
            raise BenchError(f"{odd!r} has a line break, and {out.stem}.ids.txt has a line per id. Use .parquet.")
        with whole(out) as temporary:
            np.save(temporary, vectors, allow_pickle=False)
        write_text(out.with_suffix(".ids.txt"), "\n".join(ids) + "\n")
        return
    frame = pl.DataFrame({"track_id": ids})
    with whole(out) as temporary:
        if out.suffix == ".parquet":
            vector = pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
            frame.with_columns(vector).write_parquet(temporary)
        else:
            columns = [pl.Series(f"d{i}", column) for i, column in enumerate(vectors.T)]
            frame.with_columns(columns).write_csv(temporary, separator="\t")


def check_format(out: Path) -> None:
    """Raise BenchError for an unknown file extension, before any work."""
    if out.suffix not in FORMATS:
        raise BenchError(f"--out {out}: give a name ending in {', '.join(FORMATS)}.")
