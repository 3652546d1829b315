"""The released code of Tamm & Aljanaki (RecSys 2024) as it stands in a clone, with the edits that let it run today.

Nothing of it is kept here. Its repository names no versions, its data are not public, and it expects a
GPU cluster, TensorBoard and faiss; `EDITS` and the stand-ins are all that is changed.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import types
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import torch

from bench.synthetic import Planted

COMMIT = "ad0f645"
EDITS = {"num_workers=2": "num_workers=0"}
"""Of ``train_bert.py``. Batches are made in the process itself: masks then come from the seeded generator."""
TO_THE_END = {
    "patience_threshold = 16": "patience_threshold = 10**9",
    "ReduceLROnPlateau(optimizer, 'min', patience=5)": "ReduceLROnPlateau(optimizer, 'min', patience=10**9)",
}
"""Without early stopping and plateau, both of which it takes from a loss that this project's models never see."""


@dataclass(frozen=True)
class Run:
    """What one run of ``train_bert.py`` left behind."""

    model: torch.nn.Module
    """With the weights that it ranked by."""
    train_loss: list[float]
    """Mean over the batches of each epoch."""
    lists: pd.DataFrame
    """user_id, item_id: up to 100 a user, best first."""
    metrics: dict[str, float]
    """Its own means over test users."""
    best: int
    """Epochs until the weights that it ranked by."""


def checked(clone: Path) -> Path:
    """Return the clone, if it is at the commit compared with."""
    found = subprocess.run(["git", "-C", str(clone), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    if not found.startswith(COMMIT):
        raise SystemExit(f"{clone} is at {found.strip() or 'no commit'}, not at {COMMIT} of the released code")
    return clone.resolve()


def lay_out(clone: Path, made: Planted, table: np.ndarray, folder: Path) -> Path:
    """Write log and vectors as its scripts expect them below `folder`, run its split script, return its folder."""
    work = folder / "work"
    for name in ("data", "embeddings", "preds", "metrics"):
        (work / name).mkdir(parents=True)
    (folder / "m4a").mkdir()
    rows = pl.Series(made.ids)
    made.listens.select(
        user_id=pl.col("user").str.slice(1).cast(pl.Int64),
        track_id=pl.col("item").replace_strict(rows, np.arange(len(rows)), return_dtype=pl.Int64),
        timestamp=pl.col("time").dt.replace_time_zone(None),
    ).write_parquet(folder / "m4a" / "plays.pqt")
    np.save(work / "embeddings" / "planted.npy", table)
    with _inside(work):
        runpy.run_path(str(clone / "preprocess" / "1_train_test_split.py"))
    return work


def train(clone: Path, work: Path, *, seed: int, freeze: int, length: int, epochs: int, to_the_end: bool) -> Run:
    """Run ``train_bert.py`` in `work`; `freeze` is its flag --ifreeze, `length` its --maxseqlen."""
    code = module(clone, EDITS | (TO_THE_END if to_the_end else {}))
    kept: dict[str, Any] = {}
    losses: dict[str, list[float]] = defaultdict(list)

    class Writer:
        """TensorBoard's writer, in memory."""

        def __init__(self, log_dir: str) -> None:
            kept["name"] = Path(log_dir).name

        def add_scalar(self, tag: str, value: float, _step: int) -> None:
            losses[tag].append(value)

        def add_text(self, *_: object, **__: object) -> None: ...

        def close(self) -> None: ...

    def save(model: torch.nn.Module, _path: str, epoch: int, *_: object) -> None:
        kept["state"] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        kept["epoch"] = epoch + 1

    def load(model: torch.nn.Module, optimizer: object, _path: str) -> tuple[torch.nn.Module, object, None]:
        if to_the_end:
            kept["epoch"] = epochs
        else:
            model.load_state_dict(kept["state"])
        kept["model"] = model
        return model, optimizer, None

    code.SummaryWriter, code.save_model, code.load_checkpoint = Writer, save, load
    # model, sample, length, batch, epochs, --ifreeze, --ufreeze, comment, --uinit, unfreeze, width, confidence, l2
    arguments = ["planted", "item", length, 10_000, epochs, freeze, 0, f"seed{seed}", 1, 0, 0, 0, 0]
    np.random.seed(seed)  # noqa: NPY002 - what that code draws from
    torch.manual_seed(seed)
    with _inside(work, ["train_bert.py", *map(str, arguments)]):
        code.main()
    metrics = pd.read_csv(work / "metrics" / f"{kept['name']}_test.csv", index_col=0).loc["mean"].to_dict()
    lists = pd.read_parquet(work / "preds" / f"{kept['name']}.pqt")
    return Run(kept["model"], losses["Loss/train"], lists, metrics, kept["epoch"])


def module(clone: Path, edits: dict[str, str] = EDITS) -> types.ModuleType:
    """Return ``train_bert.py`` as a module, every edit applied, its siblings from the clone."""
    for absent in ("faiss", "torch.utils.tensorboard"):  # the first is never used there
        sys.modules[absent] = types.ModuleType(absent)
    sys.modules["torch.utils.tensorboard"].SummaryWriter = None
    if str(clone) not in sys.path:
        sys.path.append(str(clone))
    text = (clone / "train_bert.py").read_text()
    for old, new in edits.items():
        if old not in text:
            raise SystemExit(f"{clone}/train_bert.py does not hold {old!r}")
        text = text.replace(old, new)
    made = types.ModuleType("released_train_bert")
    exec(compile(text, str(clone / "train_bert.py"), "exec"), made.__dict__)
    return made


@contextmanager
def _inside(folder: Path, argv: list[str] | None = None) -> Iterator[None]:
    """In a folder and without a voice, as a script that is given `argv`."""
    before, arguments = os.getcwd(), sys.argv
    os.chdir(folder)
    sys.argv = argv or arguments
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        os.chdir(before)
        sys.argv = arguments
