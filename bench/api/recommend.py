"""``bench.run`` and ``bench.evaluate``: compare embeddings in recommenders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from numpy.typing import NDArray

from bench.api.embed import Embeddings, Vectors, specs_of
from bench.api.frames import Frame
from bench.api.progress import ui
from bench.api.results import Results
from bench.api.work import Work, data_of, environment_of, seeds_of, texts
from bench.protocols import Lane
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.folds import FoldsExperiment
from bench.run.recommend.request import FoldsRequest, RecommendRequest


def run(
    extractors: Vectors,
    models: str | Sequence[str],
    *,
    data: str | None = None,
    root: str | Path | None = None,
    listens: str | Path | Frame | None = None,
    columns: Mapping[str, str] | str | None = None,
    audio: str | Path | None = None,
    meta: str | Path | None = None,
    split: str | None = None,
    folds: str | Sequence[int] | None = None,
    k: int | Sequence[int] = (),
    seeds: int = 1,
    lane: Lane = "corrected",
    treat: str = "",
    reference: str | None = None,
    controls: bool = True,
    refit: bool = False,
    **work: Unpack[Work],
) -> Results:
    """Compare extractors with recommenders, as ``bench run``: the same records, and what has one is not computed again.

    Parameters
    ----------
    extractors
        Specs of ``bench ls extractors``, or `Embeddings`, or several of either.
    models
        Specs of ``bench ls recommenders``.
    data, root
        A data set of ``bench ls datasets``, and its folder; by default the built-in demo.
    listens
        Your own listening log instead: a file (CSV, TSV, Parquet), or a frame of polars or pandas with a row per play.
    columns
        The names of the log's columns for the roles user, item and time, where they are unusual.
    audio
        Folder or list of the log's audio, for extractors that listen.
    meta
        File with artist, album, title, tags or genre by track_id.
    split
        Such as ``"global_temporal:cut=2020-02-20"``, ``"cold_random"``, ``"leave_last_out"``; None for the data's own.
    folds
        ``"all"``, or numbers: several folds of the split, whose means are shown.
    k
        Cut-offs, the main one first; empty for the data's own.
    seeds
        Number of seeds for everything random.
    lane
        ``corrected``, or ``published`` for what the papers did.
    treat
        Treatment of all vectors, such as ``"standardize"`` or ``"l2+pca:64"``.
    reference
        The extractor whose space measures the diversity of lists; None for none.
    controls
        Whether to add popularity, random vectors and shuffled rows.
    refit
        Train again on training and validation pairs after early stopping.
    **work
        Cache, folder of the records, device and the like: see `bench.api.work.Work`.

    Returns
    -------
    Results
        The comparison; its records are in the folder `results`.

    Raises
    ------
    BenchError
        With the messages of the command line: for unknown names and settings, unreadable data, and leaks.

    Examples
    --------
    >>> found = bench.run("mfcc", ["knn", "shallow"], data="demo")  # doctest: +SKIP
    >>> found.table()  # doctest: +SKIP

    """
    environment = environment_of(work)
    request = RecommendRequest(
        data=data_of(environment, data=data, root=root, listens=listens, columns=columns, audio=audio, meta=meta),
        extractors=specs_of(extractors, environment),
        models=texts(models),
        split=split,
        k=(k,) if isinstance(k, int) else tuple(k),
        seeds=seeds_of(seeds),
        lane=lane,
        treat=treat,
        reference=reference,
        controls=controls,
        refit=refit,
    )
    output = ui(quiet=work.get("quiet", False))
    experiment: FoldsExperiment | RecommendExperiment
    if folds is None:
        experiment = RecommendExperiment(request, environment, output)
    else:
        numbers = () if isinstance(folds, str) and folds == "all" else tuple(int(fold) for fold in folds)
        experiment = FoldsExperiment(FoldsRequest.of(request, numbers), environment, output)
    experiment.open().plan()
    return Results(experiment.do().records)


def evaluate(
    ids: Sequence[Any],
    vectors: NDArray[Any],
    listens: str | Path | Frame,
    *,
    models: str | Sequence[str] = ("knn",),
    name: str = "vectors",
    **options: Any,
) -> Results:
    """Compare your own vectors with their controls, on your own listening log.

    Parameters
    ----------
    ids
        The ids of the N items; those of the log's items.
    vectors
        Array (N, D) of numbers; they are computed with as float32.
    listens
        The log: a file, or a frame of polars or pandas with user, item and time.
    models
        Specs of ``bench ls recommenders``.
    name
        The name of the vectors in tables.
    **options
        Those of `run`, such as `split`, `columns`, `k`, `treat` and `results`.

    Returns
    -------
    Results
        Rows for the vectors, and for popularity, random vectors and the vectors in shuffled order.

    Raises
    ------
    BenchError
        If ids and vectors do not fit together or none of the ids is in the log, and as `run` does.

    Examples
    --------
    >>> found = bench.evaluate(ids, vectors, plays, models=["knn"], split="cold_random")  # doctest: +SKIP

    """
    return run(Embeddings(list(ids), vectors, name), models, listens=listens, **options)
