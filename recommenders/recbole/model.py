"""RecBole: any of its general and sequential models, in a process of its own (RUCAIBox, 1.2.1)."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench import memory
from bench.errors import BenchError, did_you_mean
from bench.protocols import NAMES, PROGRAM, Interactions, Items, Lane, Recommender, RunContext, Validator
from bench.training.loop import History

from ..sequential.vocabulary import moments
from . import files
from .process import Process, gpu, inspect, install_line

PRETRAINED = ("RaCT", "S3Rec")
"""Models that RecBole trains in two runs, which this recommender does not offer."""


@dataclass(frozen=True, kw_only=True)
class RecBoleSettings:
    """A model of RecBole and its training; None stands for RecBole's own default.

    model : RecBole's name of the model, such as SASRec
    vectors : the item vectors are the model's item embeddings: as they are (frozen), or as their start
        (trainable); none: it learns embeddings of its own, as it does with ``--extractor none``
    width : of the item embeddings; vectors of another width go through a learned linear projection. By
        default the model is as wide as the vectors, where its heads allow that
    epochs, batch, rate : of RecBole's trainer
    patience : validations without a better NDCG after which training stops; 0: never
    every : epochs between validations
    max_len : how many of a user's latest tracks a sequential model reads
    params : RecBole's other parameters of the model, such as ``params=(n_layers=1,loss_type=BPR)``
    python : interpreter of an environment with RecBole; by default the current one
    """

    model: str
    vectors: Literal["frozen", "trainable", "none"] = "frozen"
    width: int | None = None
    epochs: int | None = None
    batch: int | None = None
    rate: float | None = None
    patience: int | None = None
    every: int = 1
    max_len: int | None = None
    params: str = field(default="", metadata={NAMES: "setting of RecBole itself"})
    python: str | None = field(default=None, metadata=PROGRAM)

    def __post_init__(self) -> None:
        """Reject numbers that are not positive."""
        for name in ("width", "epochs", "batch", "rate", "every", "max_len"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.patience is not None and self.patience < 0:
            raise ValueError(f"patience must not be negative, got {self.patience}")


class RecBole(Recommender):
    """Any general or sequential model of RecBole 1.2.1 (MIT licence): ``recbole:SASRec``, ``recbole:LightGCN``.

    RecBole gets the training rows as a pre-split atomic file, and nothing else. It trains with its own trainer
    and samplers; the split, validation and evaluation are the harness's. After each epoch the harness asks it
    for scores and returns their NDCG, so early stopping uses the same value as for all other models.

    Item vectors, centred and scaled to a root mean square length of 1 over the training items, replace
    ``item_embedding`` after the model's initialiser has run; a hash checks that frozen ones stay unchanged.
    RecBole does not know cold tracks, so none is drawn as a negative. For scoring, their vectors are appended
    to the item embeddings. A model that still gives the other tracks the same scores then scores cold tracks,
    too (a graph model without neighbours); for any other model, and without vectors, they score -inf, and the
    log says so.

    `items` in `score` replaces the vectors of the candidates; in a graph, whose nodes are histories as well,
    it replaces both. There are no checkpoints: those of RecBole are pickles.
    """

    Settings = RecBoleSettings
    name = "recbole"
    needs = frozenset({"items"})
    deterministic = False
    validates = True
    lanes: Sequence[Lane] = ("corrected",)
    requires: Sequence[str] = ("recbole",)
    extra = "recbole"
    install = install_line()
    settings: RecBoleSettings
    history: History
    _process: Process

    def __init__(self, settings: RecBoleSettings) -> None:
        """Check the interpreter and the model's parameters without importing RecBole.

        Raises
        ------
        BenchError
            When the interpreter named lacks RecBole, RecBole lacks the model, or the model a parameter.

        """
        super().__init__(settings)
        if settings.vectors == "none":
            self.needs = frozenset()
        if settings.python:
            self.requires = ()
        if settings.python or importlib.util.find_spec("recbole"):  # else the registry reports it
            self._inspect()

    def _inspect(self) -> None:
        own = self.settings
        self._python = own.python or sys.executable
        if os.sep in self._python:  # not resolved: a virtual environment's interpreter is a link
            self._python = os.path.abspath(os.path.expanduser(self._python))
        found = inspect(self._python, own.model)
        kind = found["kinds"].get(own.model)
        usable = [name for name, each in found["kinds"].items() if each in ("general", "sequential")]
        if kind is None:
            raise BenchError(f"recbole: RecBole has no model {own.model!r}.{did_you_mean(own.model, usable)}")
        if own.model not in usable or own.model in PRETRAINED:
            why = "is trained in two runs" if own.model in PRETRAINED else f"is one of its {kind} models"
            raise BenchError(f"recbole: {own.model} {why}; only general and sequential models can be run.")
        self._sequential = kind == "sequential"
        self._key = files.width_key(found["parameters"])
        self._params = files.parameters(own.params, own.model, found["parameters"], self._key)
        self._known: dict[str, Any] = {**found["parameters"], **self._params}
        if own.width is not None and self._key not in self._known:
            raise BenchError(f"recbole: the width of {own.model} is not one parameter: leave out width=.")
        files.width_of(0, own.width, own.model, self._known, self._key)

    # -- training --------------------------------------------------------------------------------------

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train in another process, stopping early on `valid`.

        Raises
        ------
        BenchError
            When there are no training rows or they do not fit into memory; when the process fails, with its
            last lines; when frozen vectors have changed.

        """
        if hasattr(self, "_process"):
            self._process.end()
        name = f"recbole:{self.settings.model}"
        vectors = self._vectors(items)
        self._present = None if vectors is None else items.present
        rows = files.training_rows(train, self._present, sequential=self._sequential)
        self._check_rows(name, rows)
        self._n_items = train.n_items
        request = self._request(train, vectors, run)
        folder = Path(tempfile.mkdtemp(prefix="bench-recbole-"))
        self._process = Process(self._python, folder, run.device, name)
        try:
            files.write(folder, rows, request, vectors, items.present)
            self._process.start()
            sha256 = self._follow(valid, run)
        except BaseException:
            self._process.end()
            raise
        if vectors is not None and self.settings.vectors == "frozen":
            trained = np.unique(rows.item)
            if sha256 != hashlib.sha256(vectors[trained].tobytes()).hexdigest():
                raise BenchError(f"recbole: {self.settings.model} changed the frozen item vectors, or their order.")

    def _vectors(self, items: Items) -> NDArray[np.float32] | None:
        """Return the vectors (N, D) that the model gets; None when it learns its own."""
        self._scaling = None
        if self.settings.vectors == "none" or not items.vectors.shape[1]:
            return None
        self._scaling = moments(items.vectors, np.flatnonzero(items.hot & items.present))
        return self._scaled(items)

    def _scaled(self, items: Items) -> NDArray[np.float32]:
        assert self._scaling is not None
        mean, scale = self._scaling
        # At unit variance the spread of inner products would grow with the square root of the width.
        out: NDArray[np.float32] = (items.vectors - mean) / np.float32(scale * items.vectors.shape[1] ** 0.5)
        out[~items.present] = 0.0
        return out

    def _check_rows(self, name: str, rows: files.TrainingRows) -> None:
        if not len(rows.user):
            raise BenchError(f"{name}: no listener has a known track in training. Check the split.")
        if not self._sequential:
            return
        if not (np.diff(rows.user) == 0).any():
            raise BenchError(f"{name}: no listener has 2 known tracks in training, so there is no sequence.")
        longest = self.settings.max_len or 50
        needed, free = len(rows.user) * longest * 12, memory.free("cpu")
        if needed > free:
            raise BenchError(
                f"{name}: RecBole keeps {len(rows.user)} sequences of {longest} tracks in memory. That takes "
                f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. Lower max_len."
            )

    def _request(self, train: Interactions, vectors: NDArray[np.float32] | None, run: RunContext) -> dict[str, Any]:
        own = self.settings
        wide = 0 if vectors is None else vectors.shape[1]
        width, note = files.width_of(wide, own.width, own.model, self._known, self._key)
        if note:
            run.log(f"recbole: {note}")
        given = {
            "epochs": own.epochs,
            "train_batch_size": own.batch,
            "learning_rate": own.rate,
            "stopping_step": {None: None, 0: 10**9}.get(own.patience, (own.patience or 0) - 1),
            "eval_step": own.every,
            "MAX_ITEM_LIST_LENGTH": own.max_len,
            self._key: width,
        }
        loss = self._known.get("loss_type")
        fixed = files.configuration(sequential=self._sequential, loss=loss, seed=run.seed, gpu=gpu(run.device))
        return {
            "model": own.model,
            "sequential": self._sequential,
            "vectors": None if vectors is None else own.vectors,
            "n_users": train.n_users,
            "n_items": train.n_items,
            "seconds": None if run.deadline is None else run.deadline - time.monotonic(),
            "config": {k: v for k, v in given.items() if v is not None} | fixed | self._params,
        }

    def _follow(self, valid: Validator, run: RunContext) -> str | None:
        """Log epochs and validate on request until training ends; return the sha256 of the vectors."""
        self.history = history = History()
        while True:
            answer = self._process.receive()
            if answer["kind"] == "ready":
                for note in answer["notes"]:
                    run.log(f"recbole: {note}")
            elif answer["kind"] == "epoch":
                history.loss.append(answer["loss"])
                history.valid.append(None)
                if not answer["validated"]:
                    run.log(f"epoch {len(history.loss)}: loss {answer['loss']:.4f}")
            elif answer["kind"] == "validate":
                value, epoch = float(valid(self)), len(history.loss)
                if not np.isfinite(value):
                    raise BenchError(f"training: the validation value of epoch {epoch} is {value}.")
                run.log(f"epoch {epoch}: loss {history.loss[-1]:.4f}, validation {value:.4f}")
                history.valid[-1] = value
                if value >= history.best:  # RecBole keeps the later of two equals
                    history.best, history.best_epoch, history.waited = value, epoch - 1, 0
                else:
                    history.waited += 1
                self._process.send("continue", value=value)
            else:
                history.stopped = answer["stopped"]
                run.trained.update(epochs=len(history.loss), best_epoch=history.best_epoch + 1, stopped=history.stopped)
                sha256: str | None = answer["sha256"]
                return sha256

    def update_history(self, known: Interactions) -> None:
        """Let a sequential model predict what follows `known`; of a general one, what it learned of users stays."""
        if self._sequential:
            rows = files.training_rows(known, self._present, sequential=True)
            files.write_rows(self._process.folder, rows)
            self._process.send("read_histories")

    # -- scores ----------------------------------------------------------------------------------------

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32]:
        """Return scores (B, n_items); zeros for users without training rows."""
        other = None
        if items is not None and self._scaling is not None:
            other = "other.npy"
            np.save(self._process.folder / other, self._scaled(items))
        out = np.empty((len(users), self._n_items), np.float32)
        self._process.send("score", users.astype(np.int32), other=other)
        done = 0
        while done < len(users):
            rows = self._process.receive()["rows"]
            self._process.receive_into(out[done : done + rows])
            done += rows
        return out
