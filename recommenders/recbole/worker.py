"""A script that trains a model of RecBole 1.2.1 and returns scores to the process that started it.

RecBole sets ``np.int`` and the like for the whole process and needs three patches; none of that may reach the
harness. This script and ``worker_model.py`` import nothing of the harness, so any interpreter with RecBole can
run them. Both sides exchange lines of JSON, some followed by bytes: requests come in on stdin, answers leave
on stdout, and what RecBole prints goes to stderr. When stdin ends, the harness is gone and this process exits.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .worker_model import RecBoleModel, RefusedError
else:
    from worker_model import RecBoleModel, RefusedError  # a script belongs to no package: its folder is on the path

CELLS = 1 << 24
"""Scores computed at a time: 64 MiB of float32."""


class Link:
    """The two pipes to the harness."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._received: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while line := sys.stdin.buffer.readline():
            message = json.loads(line)
            self._received.put((message, sys.stdin.buffer.read(message.get("bytes", 0))))
        os._exit(0)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the next request and the bytes that follow it."""
        return self._received.get()

    def send(self, kind: str, body: NDArray[np.float32] | None = None, **more: Any) -> None:
        """Send an answer, and the bytes of `body` behind it."""
        self._out.write(json.dumps({"kind": kind, **more}).encode() + b"\n")
        if body is not None:
            self._out.write(np.ascontiguousarray(body).data.cast("B"))
        self._out.flush()


class DeadlineReached(Exception):  # noqa: N818 - not an error
    """Ends a training between two steps."""


class Worker:
    """Trains one model with RecBole's trainer; validation and early stopping use the harness's NDCG.

    request : what the harness wrote to ``request.json``; its arrays are beside it as .npy files
    """

    def __init__(self, link: Link, request: dict[str, Any]):
        self.link, self.request = link, request
        self.deadline = np.inf if request["seconds"] is None else time.monotonic() + request["seconds"]
        patch()
        self.model = RecBoleModel(request)
        self.best: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None
        self.losses: list[float] = []
        self._replace_methods()
        self.link.send("ready", notes=self.model.notes)

    def _replace_methods(self) -> None:
        """Let validation ask the harness, keep the best state in memory, and stop at the deadline."""
        trainer, network = self.model.trainer, self.model.network
        train_epoch, calculate_loss = trainer._train_epoch, network.calculate_loss

        def step(*args: Any, **more: Any) -> Any:
            if time.monotonic() > self.deadline:
                raise DeadlineReached
            loss = calculate_loss(*args, **more)
            parts = loss if isinstance(loss, tuple) else (loss,)
            self.losses.append(sum(float(part.detach()) for part in parts))
            return loss

        def epoch(batches: Any, number: int, *args: Any, **more: Any) -> Any:
            self.losses.clear()
            total = train_epoch(batches, number, *args, **more)
            self._send_epoch(validated=(number + 1) % trainer.eval_step == 0)
            return total

        network.calculate_loss = step
        trainer._train_epoch = epoch
        trainer._valid_epoch = lambda *_args, **_more: (self._validate(), {})
        trainer._save_checkpoint = lambda *_args, **_more: self._keep_state()

    def _send_epoch(self, *, validated: bool) -> None:
        self.link.send("epoch", loss=sum(self.losses) / max(len(self.losses), 1), validated=validated)

    def _validate(self) -> float:
        self.link.send("validate")
        return self.serve()

    def _keep_state(self) -> None:
        network = self.model.network
        state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.best = state, network.other_parameter()

    def train(self) -> None:
        """Train until patience, epochs or time run out, and leave the model in its best validated state."""
        trainer, network = self.model.trainer, self.model.network
        try:
            trainer.fit(self.model.batches, [None], verbose=False, saved=True, show_progress=False)
            stopped = "patience" if trainer.cur_step > trainer.stopping_step else "epochs"
        except DeadlineReached:
            stopped = "deadline"
            if self.losses or self.best is None:
                self._send_epoch(validated=True)
                if self._validate() >= trainer.best_valid_score:
                    self._keep_state()
        if self.best is not None:
            network.load_state_dict(self.best[0])
            network.load_other_parameter(self.best[1])
        self.link.send("fitted", stopped=stopped, sha256=self.model.vectors_sha256())

    def serve(self) -> float:
        """Answer requests until the harness says how validation went; return that value."""
        step = max(1, min(512, CELLS // self.request["n_items"]))
        while True:
            message, body = self.link.receive()
            if message["do"] == "continue":
                return float(message["value"])
            if message["do"] == "read_histories":
                self.model.read_histories()
                continue
            users = np.frombuffer(body, np.int32)
            other = np.load(message["other"], mmap_mode="r") if message["other"] else None
            with self.model.widened(other):
                for start in range(0, len(users), step):
                    block = self.model.scores(users[start : start + step])
                    self.link.send("scores", block, rows=len(block))


def patch() -> None:
    """Let RecBole 1.2.1 run with NumPy 2 and SciPy 1.13, and make sequences from plain rows."""
    for name, kind in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        if not hasattr(np, name):
            setattr(np, name, kind)
    from scipy.sparse import dok_matrix

    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = lambda self, cells: self._dict.update(cells)
    from recbole.data.dataset import Dataset, SequentialDataset

    # RecBole expects that a pre-split file holds every prefix of every sequence. Of a file that is not
    # pre-split it makes these prefixes itself, so sequential data sets take that way.
    def cut(self: Any) -> None:
        Dataset._change_feat_format(self)
        self.data_augmentation()

    SequentialDataset._change_feat_format = cut
    SequentialDataset._benchmark_presets = lambda self: None


def main() -> None:
    """Train, then score until stdin ends; an error is sent to the harness, its traceback goes to stderr."""
    link = Link()
    try:
        with open("request.json", encoding="utf-8") as file:
            worker = Worker(link, json.load(file))
        worker.train()
        worker.serve()
    except RefusedError as error:
        link.send("refused", message=str(error))
        os._exit(1)
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        link.send("error", message=f"{type(error).__name__}: {error}")
        os._exit(1)


if __name__ == "__main__":
    main()
