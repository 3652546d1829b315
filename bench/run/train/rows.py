"""The frozen vectors on which a source without audio is trained, in place of windows of recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.devices import send
from bench.entries import ExtractorEntry, audio_extractors
from bench.extract import make_ready
from bench.items.item_table import Tables
from bench.protocols import Batch, Objective, TableSource
from bench.resolver import resolve
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio
from bench.run.options import Environment
from bench.run.progress import Ui

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Rows:
    """Gives a network the vectors `table` (N, D) of recordings; it has the methods of `Windows`."""

    table: NDArray[np.float32]
    device: str

    def seen(self, train: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the vectors of the recordings (N,) to train on."""
        return self.table[train]

    def batches(self, objective: Objective, epoch: int, size: int, seed: int) -> Iterator[tuple[torch.Tensor, Batch]]:
        """Yield the batches of an epoch with the vectors of their recordings."""
        for batch in objective.batches(epoch, size):
            (inputs,) = send(self.device, self.table[batch.tracks])
            yield inputs, batch

    def vectors(self, network: torch.nn.Module, recordings: NDArray[np.int64], size: int) -> NDArray[np.float32]:
        """Return the vector (M, D) of each recording; the network is in eval mode."""
        import torch

        with torch.inference_mode():
            (inputs,) = send(self.device, self.table[recordings])
            found: NDArray[np.float32] = network(inputs).float().cpu().numpy()
        return found


@dataclass(frozen=True, eq=False)
class Below:
    """The extractor entry whose vectors a source is trained on, for the recordings of a training."""

    entry: ExtractorEntry
    audio: Audio
    extraction: ExtractionPlan
    environment: Environment

    @classmethod
    def of(cls, source: Any, rows: pl.DataFrame, environment: Environment) -> Below | None:
        """Return what lies below a source that is trained on the recordings of `rows`; None for one that hears audio.

        Raises
        ------
        BenchError
            The extractor below lacks its weights.

        """
        if not isinstance(source, TableSource):
            return None
        entry = resolve(str(source.of))
        plugins = audio_extractors([entry])
        for plugin in plugins:
            make_ready(plugin, environment.cache)
        audio = Audio(rows.with_columns(problem=pl.lit(None, dtype=pl.String)))
        return cls(entry, audio, ExtractionPlan(plugins, audio, environment), environment)

    def about(self) -> dict[str, Any]:
        """Return what the trained weights depend on."""
        return {"of": self.entry.text, "of_fingerprint": [dict(one.fingerprint) for one in self.entry.behind]}

    def plan(self, device: str) -> list[str]:
        """Return a line for each set of vectors below: how many there are, and what the missing ones cost."""
        plan = self.extraction
        return plan.plan(device) if plan.lacking else [one.settled() for one in plan]

    def vectors(self, ids: list[str], device: Callable[[], str], ui: Ui) -> tuple[NDArray[np.float32], dict[int, str]]:
        """Compute what is missing; return the vectors (N, D) of recordings, and which of them have none and why."""
        self.extraction.fill(device, ui)
        vectors, present = Tables(self.environment.cache, self.audio.row_of).joined(self.entry, ids)
        return vectors, dict.fromkeys(np.flatnonzero(~present).tolist(), f"no vector of {self.entry}")
