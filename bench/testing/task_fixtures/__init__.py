"""Generated fixtures of the tasks' data: the layout of the release, with a few synthesised clips and labels.

The licences do not allow to redistribute the real audio, so the tests of the tasks use these fixtures. Results on
them show that the protocol runs; they do not show how good an embedding is.
"""

from __future__ import annotations

from pathlib import Path

from bench.errors import BenchError
from bench.testing.task_fixtures import classes, tags
from bench.testing.task_fixtures.clips import Clips

WRITERS = {
    "magnatagatune": tags.magnatagatune,
    "magnatagatune-filtered": tags.magnatagatune,
    "jamendo-top50": tags.jamendo,
    "jamendo-genre": tags.jamendo,
    "jamendo-instrument": tags.jamendo,
    "jamendo-mood": tags.jamendo,
    "msd50": tags.msd,
    "audioset7": tags.audioset,
    "audioset25": tags.audioset,
    "gtzan": classes.gtzan,
    "gtzan-10fold": classes.gtzan,
    "fma-small": classes.fma,
    "fma-medium": classes.fma,
    "giantsteps": classes.giantsteps,
    "emomusic": classes.emomusic,
}
"""The function that writes the fixture of each task into a folder."""

SPECS = {"giantsteps": "giantsteps:seconds=0.5", "gtzan-10fold": "gtzan-10fold:folds=4"}
"""Specs for tasks whose default settings need more data than the fixture has."""


def write(task: str, root: Path, seed: int = 5) -> Path:
    """Write the fixture of a task into `root`, and return `root`.

    Raises
    ------
    BenchError
        If the task has no fixture: it uses a dataset, or is not built in.

    """
    if task not in WRITERS:
        raise BenchError(f"the task {task!r} has no fixture; write one with its method example(folder).")
    WRITERS[task](root, Clips(seed))
    return root
