"""Probes against scikit-learn and against a ridge path by one eigendecomposition."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from probes import twin

from bench.metrics.classification import tag_scores
from bench.probes import PARTS, ProbeData, probe, resolve_probe
from bench.protocols import RunContext
from rows.row import PEERS, Case, Row

STRENGTHS = np.logspace(-3, 4, 8)
PENALTIES = np.logspace(-3, 9, 25)


def genres(clips: int, dim: int, classes: int = 8) -> ProbeData:
    """Return overlapping clusters: `clips` to train on, a quarter of them for validation, 1,000 for the test."""
    rng = np.random.default_rng([clips, dim])
    centres = rng.standard_normal((classes, dim)) * 0.32
    x, y = {}, {}
    for part, n in zip(PARTS, (clips, max(classes, clips // 4), 1_000), strict=True):
        y[part] = rng.permutation(np.arange(n) % classes)
        x[part] = (centres[y[part]] + rng.standard_normal((n, dim))).astype(np.float32)
    return ProbeData("classes", x, y, [f"class{i}" for i in range(classes)])


def ours(data: ProbeData, spec: str) -> NDArray[Any]:
    return np.asarray(probe(data, resolve_probe(spec), seed=0, run=RunContext()).prediction)


def chosen(data: ProbeData, models: list[Callable[[], Any]]) -> NDArray[Any]:
    """Fit models of scikit-learn on standardised vectors; return the test answers of the best on validation."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(data.x["train"])
    train, valid, test = (scaler.transform(data.x[part]) for part in PARTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some penalties do not converge
        fitted = [model().fit(train, data.y["train"]) for model in models]
    best = max(fitted, key=lambda model: float((model.predict(valid) == data.y["valid"]).mean()))
    return np.asarray(best.predict(test))


def logistic() -> list[Callable[[], Any]]:
    from sklearn.linear_model import LogisticRegression

    return [lambda c=c: LogisticRegression(C=c, max_iter=1_000) for c in STRENGTHS]


def quick(folder: Path, clips: int, dim: int) -> Case:
    from sklearn.neural_network import MLPClassifier

    data = genres(clips, dim)
    network = [lambda: MLPClassifier((512,), early_stopping=True, random_state=0)]
    peers = {"scikit-learn": lambda: chosen(data, logistic() + network)}
    return Case(lambda: ours(data, "quick"), peers, lambda found: accuracies(data, found))


def linear(folder: Path, clips: int, dim: int) -> Case:
    data = genres(clips, dim)
    peers = {"scikit-learn": lambda: chosen(data, logistic())}
    return Case(lambda: ours(data, "linear"), peers, lambda found: accuracies(data, found))


def accuracies(data: ProbeData, found: Mapping[str, NDArray[Any]]) -> str:
    values = {}
    for name, answers in found.items():
        classes = answers.argmax(axis=1) if answers.ndim == 2 else answers
        values[name] = float((classes == data.y["test"]).mean())
    lost = max(values.values()) - values["bench"]
    assert lost < 0.3, values
    return "accuracy " + " / ".join(f"{value:.3f}" for value in values.values()) + worse(lost, 0.02)


def worse(lost: float, allowed: float) -> str:
    return f", worse by {lost:.3f}" if lost > allowed else ""


def tags(folder: Path, share: float, dim: int) -> Case:
    data = twin(share, int(dim), 0)
    peers = {"ridge, one eigh": lambda: ridge_path(data)}

    def check(found: Mapping[str, NDArray[Any]]) -> str:
        scores = [tag_scores(data.y["test"], prediction) for prediction in found.values()]
        auc, precision = ([each[name] for each in scores] for name in ("roc_auc", "average_precision"))
        lost = max(auc[1] - auc[0], precision[1] - precision[0])
        return f"AUC {auc[0]:.3f} / {auc[1]:.3f}, AP {precision[0]:.3f} / {precision[1]:.3f}" + worse(lost, 0.002)

    return Case(lambda: ours(data, "linear"), peers, check)


def ridge_path(data: ProbeData) -> NDArray[np.float32]:
    """Return the test scores of the ridge regression whose penalty has the best macro AUC on validation."""
    mean, scale = data.x["train"].mean(axis=0), data.x["train"].std(axis=0)
    x = {part: (data.x[part] - mean) / scale for part in PARTS}
    y = data.y["train"].astype(np.float32)
    centred = y - y.mean(axis=0)
    values, axes = np.linalg.eigh(x["train"].T @ x["train"])
    rotated = axes.T @ (x["train"].T @ centred)
    valid = x["valid"] @ axes
    scores = [
        tag_scores(data.y["valid"], valid @ (rotated / (values + penalty)[:, None]))["roc_auc"] for penalty in PENALTIES
    ]
    best = PENALTIES[int(np.argmax(scores))]
    return np.asarray((x["test"] @ axes) @ (rotated / (values + best)[:, None]), np.float32)


def two_threads(folder: Path, clips: int, dim: int) -> Case:
    data = genres(clips, dim)

    def on(threads: int) -> Callable[[], NDArray[Any]]:
        def work() -> NDArray[Any]:
            torch.set_num_threads(threads)
            try:
                return ours(data, "quick")
            finally:
                torch.set_num_threads(1)

        return work

    return Case(on(2), {"bench on one thread": on(1)}, lambda found: accuracies(data, found))


SKLEARN = {"sklearn": PEERS}
SMALL, LEAST = {"clips": 426, "dim": 104}, {"clips": 64, "dim": 8}
ROWS = [
    Row("probe-quick", "linear probes and networks of one hidden layer on 8 classes; validation chooses; the peer "
        "fits 8 logistic regressions and an MLP of 512", 1.0, quick, SMALL, LEAST, 40, needs=SKLEARN),
    Row("probe-linear", "linear probes on 8 classes; validation chooses; the peer fits 8 logistic regressions",
        1.0, linear, SMALL, LEAST, 10, needs=SKLEARN),
    Row("probe-tags", "linear probes of 50 tags, clips like MagnaTagATune's; validation chooses; the peer solves the "
        "ridge regression for 25 penalties by one eigendecomposition",
        1.0, tags, {"share": 1.0, "dim": 1024}, {"share": 0.02, "dim": 16}, 100),
    Row("probe-threads", "the probe `quick` where torch has two threads, against the same on one",
        1.2, two_threads, SMALL, LEAST, 60, rounds=1),
]  # fmt: skip
