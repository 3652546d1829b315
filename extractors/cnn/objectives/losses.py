"""The losses of the objectives, in float32 whatever the precision of the network."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from bench.devices import send
from bench.training.chunked_softmax import chunked

from .targets import Targets


def tag_loss(vectors: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Return the binary cross-entropy of embeddings (M, D), mean over windows and tags.

    Parameters
    ----------
    weight, bias : of the classifier, (L, D) and (L,)

    """
    window, label = send(vectors.device, targets.window, targets.label)
    with torch.autocast(vectors.device.type, enabled=False):
        logits = vectors.float() @ weight.T + bias
        truth = torch.zeros_like(logits).index_put_((window, label), torch.ones((), device=logits.device))
        return F.binary_cross_entropy_with_logits(logits, truth)


def text_loss(
    vectors: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, targets: Targets, size: int | None = None
) -> torch.Tensor:
    """Return the softmax cross-entropy of embeddings (M, D) to the labels of their windows, mean over windows.

    Each of the n labels of a window has the probability 1/n; every window needs a label. With logits z, a window's
    loss is log sum exp z - mean of z over its labels. The exact loss of one label, which never has all logits in
    memory, is log sum exp z - z of that label: the difference needs the rows of the labels alone.

    Parameters
    ----------
    weight, bias : of the classifier, (L, D) and (L,)
    size : bytes of logits in memory at a time; None: see `bench.training.chunked_softmax.chunk`

    """
    counts = np.bincount(targets.window, minlength=len(vectors))
    first = np.cumsum(counts) - counts
    shares = (1 / counts[targets.window]).astype(np.float32)
    shares[first] -= 1
    label, starts, share, one = send(vectors.device, targets.label, first, shares, targets.label[first])
    with torch.autocast(vectors.device.type, enabled=False):
        states = torch.cat([vectors.float(), vectors.new_ones((len(vectors), 1), dtype=torch.float32)], dim=1)
        table = torch.cat([weight, bias[:, None]], dim=1)
        rows = F.embedding_bag(label, table, starts, mode="sum", per_sample_weights=share)
        return chunked(states, table, one, size=size) - (states * rows).sum(1).mean()


def triplet_loss(vectors: torch.Tensor, allowed: NDArray[np.bool_], margin: float) -> torch.Tensor:
    """Return the sum of the hinges of T triplets with negatives mined within the batch.

    max(0, |a - p|^2 - |a - n|^2 + margin), where n is the closest of the negatives of the batch that are farther from
    a than p is; if there is none, the farthest one (Schroff et al. 2015, FaceNet, call them semi-hard).

    Parameters
    ----------
    vectors : embeddings (3 T, D) of T anchors, then T positives, then T negatives
    allowed : which negatives (T, T) an anchor may use: row = anchor, column = negative; its own is always allowed

    """
    (may,) = send(vectors.device, allowed)
    with torch.autocast(vectors.device.type, enabled=False):
        anchor, positive, negative = vectors.float().chunk(3)
        near = (anchor - positive).square().sum(1)
        squares = anchor.square().sum(1)[:, None] + negative.square().sum(1)
        far = squares - 2 * anchor @ negative.T
        farther = may & (far > near[:, None])
        closest = far.masked_fill(~farther, torch.inf).amin(1)
        farthest = far.masked_fill(~may, -torch.inf).amax(1)
        chosen = torch.where(farther.any(1), closest, farthest)
        return torch.relu(near - chosen + margin).sum()
