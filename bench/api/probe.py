"""``bench.probe``: compare embeddings on MIR tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from bench.api.embed import Vectors, specs_of
from bench.api.frames import Frame
from bench.api.progress import ui
from bench.api.results import Results
from bench.api.work import Work, data_of, environment_of, seeds_of, texts
from bench.probes import DEFAULT
from bench.protocols import Lane
from bench.run.probe.experiment import ProbeExperiment
from bench.run.probe.request import ProbeRequest


def probe(
    extractors: Vectors,
    tasks: str | Sequence[str],
    *,
    probes: str | Sequence[str] = (DEFAULT,),
    data: str | None = None,
    root: str | Path | None = None,
    listens: str | Path | Frame | None = None,
    columns: Mapping[str, str] | str | None = None,
    audio: str | Path | None = None,
    meta: str | Path | None = None,
    layers: bool = False,
    seeds: int = 1,
    train_fraction: float = 1.0,
    lane: Lane = "corrected",
    treat: str = "",
    controls: bool = True,
    allow_leaks: bool = False,
    **work: Unpack[Work],
) -> Results:
    """Train small models on the vectors for MIR tasks, as ``bench probe``: tags, genres, keys, emotion.

    Parameters
    ----------
    extractors
        Specs of ``bench ls extractors``, or `Embeddings`, or several of either.
    tasks
        Specs of ``bench ls tasks``, or ``"all"`` for those whose data are there.
    probes
        Specs of probes, such as ``"quick"``, ``"linear"``, ``"zero-shot"``.
    data, listens, columns, audio, meta
        The tracks of the tasks named ``catalog-...``, as in `bench.run`.
    root
        The folder of the tasks' data; with `data`, that of the data set.
    layers
        Whether to probe each layer of the extractors.
    seeds
        Number of trainings of each probe.
    train_fraction
        Share of the training tracks to use, above 0 and at most 1.
    lane
        ``corrected``, or ``published`` for what the papers did.
    treat
        Treatment of all vectors, such as ``"standardize"``.
    controls
        Whether to add random vectors and shuffled rows.
    allow_leaks
        Whether to compute cells with known leaks; their records contain a warning.
    **work
        Cache, folder of the records, device and the like: see `bench.api.work.Work`.

    Returns
    -------
    Results
        The comparison; its records are in the folder ``mir`` of `results`.

    Raises
    ------
    BenchError
        With the messages of the command line: for unknown names and settings, missing data, and leaks.

    """
    environment = environment_of(work)
    found = data_of(environment, data=data, root=root, listens=listens, columns=columns, audio=audio, meta=meta)
    request = ProbeRequest(
        data=found if data else replace(found, root=None),
        extractors=specs_of(extractors, environment),
        tasks=texts(tasks),
        root=None if data else found.root,
        probes=texts(probes),
        layers=layers,
        seeds=seeds_of(seeds),
        train_fraction=train_fraction,
        lane=lane,
        treat=treat,
        controls=controls,
        allow_leaks=allow_leaks,
    )
    experiment = ProbeExperiment(request, environment, ui(quiet=work.get("quiet", False)))
    experiment.open().plan()
    return Results(experiment.do().records)
