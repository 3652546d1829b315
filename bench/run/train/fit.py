"""The training of one network: its objective, its classifier, and the epoch that validation chooses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.norms import l2
from bench.protocols import Objective, RunContext
from bench.run.train.request import Plugins, TrainRequest
from bench.run.train.rows import Rows
from bench.run.train.windows import Windows, link_ap

if TYPE_CHECKING:
    import torch

    from bench.training.history import History


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, its words and their vectors (None if there are none), and how the training went."""

    network: torch.nn.Module
    words: tuple[list[str], NDArray[np.float32]] | None
    result: Mapping[str, Any]


def train(
    request: TrainRequest,
    plugins: Plugins,
    valid: NDArray[np.bool_],
    links: NDArray[np.int64],
    windows: Windows | Rows,
    run: RunContext,
) -> Trained:
    """Train a network by an objective; on failure or interruption the checkpoints in ``run.folder`` stay.

    Parameters
    ----------
    valid : which recordings (N,) choose the best epoch
    links : pairs (E, 2) of them, see `validation_links`

    """
    import torch

    from bench.training.loop import Schedule, fit

    objective = plugins.objective
    network: torch.nn.Module = plugins.extractor.network(request.seed, windows.seen(~valid))
    torch.manual_seed(request.seed)
    head = objective.module(_width(network, windows))
    model = torch.nn.ModuleDict({"network": network, **({} if head is None else {"head": head})}).to(run.device)
    places = np.flatnonzero(valid)
    first = None if head is None else [one.detach().clone() for one in head.parameters()]

    def batches(epoch: int) -> Iterable[Any]:
        return windows.batches(objective, epoch, request.batch, request.seed)

    def loss(step: Any) -> torch.Tensor:
        inputs, batch = step
        return objective.loss(network(inputs), batch)

    def after_valid(value: float) -> None:
        stage = objective.stage
        objective.after_valid(value - stage)
        if objective.stage > stage:
            run.log(f"stage {objective.stage + 1} begins: from now on, {objective.stage} is added to validation values")

    def score() -> float:  # an epoch of a later stage is better than any of an earlier one
        return objective.stage + link_ap(windows.vectors(network, places, request.batch), links)

    history = fit(
        model,
        torch.optim.Adam([one for one in model.parameters() if one.requires_grad], request.rate),
        batches=batches,
        loss=loss,
        valid=score,
        run=run,
        schedule=Schedule(epochs=request.epochs, patience=request.patience),
        after_valid=after_valid,
    )
    untrained = head is None or all(map(torch.equal, head.parameters(), first or ()))
    words = None if untrained else _words(objective, head)
    return Trained(network.cpu(), words, _result(history, objective.stage, valid, links))


def _width(network: torch.nn.Module, windows: Windows | Rows) -> int:
    return int(windows.vectors(network.to(windows.device).eval(), np.array([0]), 1).shape[1])


def _words(objective: Objective, head: torch.nn.Module | None) -> tuple[list[str], Any] | None:
    """Return the words of a trained classifier and their vectors of unit length."""
    words = objective.label_words()
    if words is None or head is None:
        return None
    weight: Any = head.weight
    return list(words), l2(weight.detach().float().cpu().numpy())


def _result(history: History, stage: int, valid: NDArray[np.bool_], links: NDArray[np.int64]) -> dict[str, Any]:
    n_valid = int(valid.sum())
    return {
        "epochs_trained": len(history.loss),
        "best_epoch": history.best_epoch + 1,
        "stopped": history.stopped,
        "validation_ap": history.best - stage,
        "chance_ap": len(links) / (n_valid * (n_valid - 1) // 2),
        "train_recordings": len(valid) - n_valid,
        "valid_recordings": n_valid,
    }
