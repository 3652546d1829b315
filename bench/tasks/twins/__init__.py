"""Generated twins of the tasks' data: the layout of the release, with a few synthesised clips and planted labels.

Nobody may pass the real audio on, so these are what every line of the tasks is tried on. Numbers measured on
them say that the protocol runs, not how good an embedding is.
"""

from __future__ import annotations

from pathlib import Path

from bench.errors import BenchError
from bench.tasks.twins import classes, tags
from bench.tasks.twins.clips import Clips

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
"""Task -> what writes its twin into a folder."""

SPECS = {"giantsteps": "giantsteps:seconds=0.5", "gtzan-10fold": "gtzan-10fold:folds=4"}
"""Settings without which a twin is too small for its task."""


def write(task: str, root: Path, seed: int = 5) -> Path:
    """Write the twin of a task's data into `root` and return it.

    Raises
    ------
    BenchError
        The task has none: it is asked of a dataset, or not one of the built-in ones.

    """
    if task not in WRITERS:
        raise BenchError(f"the task {task!r} has no example(folder) that writes a small copy of its data for checks.")
    WRITERS[task](root, Clips(seed))
    return root
