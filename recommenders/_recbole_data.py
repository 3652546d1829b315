"""What RecBole is handed: atomic files of our training rows, item vectors, and its configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError, did_you_mean

if TYPE_CHECKING:
    from bench.protocols import Interactions

NAME = "bench"
"""What the data set is called in RecBole."""
ALLOWED = ("clip_grad_norm", "learner", "require_pow", "shuffle", "train_neg_sample_args", "weight_decay")
"""Parameters of RecBole's that any model takes; the others are the bridge's business, or settings of its own."""
_WORD = re.compile(r"[\w.@+-]+")


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows (P,) in order of user and time; times only where the order matters."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.int64] | None


def rows(train: Interactions, known: NDArray[np.bool_] | None, *, sequential: bool) -> Rows:
    """Return the pairs of training, or, for a sequential model, every play where the split keeps them.

    `known` (N,) says which items may occur; None: all.
    """
    if sequential and train.plays is not None:
        user, item, time = train.plays.user, train.plays.item, train.plays.time
    else:
        user, item, time = train.user, train.item, train.first
    keep = slice(None) if known is None else known[item]
    return Rows(user[keep], item[keep], time[keep] if sequential else None)


def write(
    folder: Path,
    given: Rows,
    asked: Mapping[str, Any],
    vectors: NDArray[np.float32] | None,
    present: NDArray[np.bool_],
) -> None:
    """Write the atomic file, the same rows as arrays (for scoring), vectors (N, D) and ``asked.json``.

    Users and items are named by their indexes. Of times RecBole makes float32; as it sorts stably, and the
    rows are sorted, their order stays.
    """
    frame: dict[str, NDArray[Any]] = {"user_id:token": given.user, "item_id:token": given.item}
    if given.time is not None:
        frame["timestamp:float"] = given.time
    (folder / NAME).mkdir()
    pl.DataFrame(frame).write_csv(folder / NAME / f"{NAME}.train.inter", separator="\t")
    np.save(folder / "user.npy", given.user)
    np.save(folder / "item.npy", given.item)
    if vectors is not None:
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "present.npy", present)
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")


def parameters(text: str, model: str, known: Mapping[str, str], width_key: str) -> dict[str, Any]:
    """Read RecBole's own parameters, ``n_layers=1,loss_type=BPR``; values are JSON or words.

    Raises
    ------
    BenchError
        For a parameter that `model` does not have, or that the bridge sets itself.

    """
    found: dict[str, Any] = {}
    names = (set(known) | set(ALLOWED)) - {width_key}
    for pair in re.split(r",(?=\s*\w+=)", text) if text else ():
        key, _, value = (part.strip() for part in pair.partition("="))
        if key == width_key:
            raise BenchError(f"recbole: params={key}: say width= instead.")
        if key not in names:
            raise BenchError(f"recbole: {model} has no parameter {key!r}.{did_you_mean(key, names)}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            if not _WORD.fullmatch(value):  # RecBole evaluates text as Python
                raise BenchError(f"recbole: params={key}={value} is neither JSON nor a word.") from None
            found[key] = None if value.lower() == "none" else value
    return found


def configuration(*, sequential: bool, loss: str | None, seed: int, gpu: str) -> dict[str, Any]:
    """Return what the bridge decides in RecBole's configuration, whatever the model."""
    columns = ["user_id", "item_id", *(["timestamp"] if sequential else [])]
    made: dict[str, Any] = {
        "data_path": ".",
        "benchmark_filename": ["train"],
        "load_col": {"inter": columns},
        "seed": seed % 2**32,
        "gpu_id": gpu,
        "use_gpu": bool(gpu),
        "show_progress": False,
    }
    if sequential and loss == "CE":
        made["train_neg_sample_args"] = None
    return made


def width_key(known: Mapping[str, str]) -> str:
    """Return the parameter that sets the width of a model's items."""
    return "embedding_size" if "embedding_size" in known else "hidden_size"


def width_of(vectors: int, asked: int | None, model: str, known: Mapping[str, Any], key: str) -> tuple[int | None, str]:
    """Return the width of a model on vectors of width `vectors`, and a note when they must be projected.

    As wide as the vectors unless `asked`; where its heads do not divide that, the model's own default.

    Raises
    ------
    BenchError
        When heads do not divide what was asked for.

    """
    heads = int(known.get("n_heads") or 1)
    if asked is not None and asked % heads:
        raise BenchError(f"recbole: n_heads={heads} of {model} does not divide width={asked}. Change one of them.")
    if asked is not None or not vectors:
        return asked, ""
    if vectors % heads == 0 and key in known:
        return vectors, ""
    why = f"{heads} heads do not divide them" if key in known else "its width is not a parameter"
    return None, f"{model} cannot be as wide as the vectors ({vectors}): {why}"
