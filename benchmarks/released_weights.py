"""The released BERT4Rec and ours side by side: its weights, gradients and batches as ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from bench_recommenders.sequential.base import SequentialRecommender
from bench_recommenders.sequential.batches import SequenceBatch, collate


def pour(theirs: torch.nn.Module, model: SequentialRecommender) -> None:
    """Copy the weights of the released model into ours."""
    state = {name: tensor.detach().clone() for name, tensor in theirs.state_dict().items()}
    body = "transformer_model"
    at = {
        "query": "attention.self.query", "out": "attention.output.dense", "up": "intermediate.dense",
        "down": "output.dense", "first": "attention.output.LayerNorm", "second": "output.LayerNorm",
    }  # fmt: skip
    table = state["item_embeddings.weight"]
    new = {
        "items.special": table[-2:],
        "norm.weight": state[f"{body}.embeddings.LayerNorm.weight"],
        "norm.bias": state[f"{body}.embeddings.LayerNorm.bias"],
        "positions": state[f"{body}.embeddings.position_embeddings.weight"][: len(model.net.positions)],
        "token_type": state[f"{body}.embeddings.token_type_embeddings.weight"][0],
    }
    if "items.free" in model.net.state_dict():
        new["items.free"] = table[:-2] - model.net.items.base
    for number in range(len(model.net.encoder.layers)):
        there = f"{body}.encoder.layer.{number}"
        for kind in ("weight", "bias"):
            for name, path in at.items():
                new[f"encoder.layers.{number}.{name}.{kind}"] = state[f"{there}.{path}.{kind}"]
            new[f"encoder.layers.{number}.key_value.{kind}"] = torch.cat(
                [state[f"{there}.attention.self.{part}.{kind}"] for part in ("key", "value")]
            )
    model.net.load_state_dict(new)
    model._candidates = None


def gradients(theirs: torch.nn.Module, model: SequentialRecommender) -> float:
    """Largest relative difference of a parameter's gradient, of those that both sides name alike."""
    body = theirs.transformer_model
    pairs = [
        (body.embeddings.position_embeddings.weight.grad[: len(model.net.positions)], model.net.positions.grad),
        (body.embeddings.token_type_embeddings.weight.grad[0], model.net.token_type.grad),
        (body.embeddings.LayerNorm.weight.grad, model.net.norm.weight.grad),
    ]
    if model.net.items.free is not None:
        table = theirs.item_embeddings.weight.grad
        pairs += [(table[:-2], model.net.items.free.grad), (table[-2:], model.net.items.special.grad)]
    for layer, own in zip(body.encoder.layer, model.net.encoder.layers, strict=True):
        pairs += [
            (layer.attention.self.query.weight.grad, own.query.weight.grad),
            (layer.attention.self.value.weight.grad, own.key_value.weight.grad[len(own.query.weight) :]),
            (layer.intermediate.dense.weight.grad, own.up.weight.grad),
            (layer.output.dense.weight.grad, own.down.weight.grad),
            (layer.output.LayerNorm.bias.grad, own.second.bias.grad),
        ]
    return max(float((a - b).norm() / a.norm()) for a, b in pairs)


def pack(batch: Mapping[str, torch.Tensor], padding: int) -> tuple[SequenceBatch, torch.Tensor, torch.Tensor]:
    """Return a padded batch as ours, the order (B,) of its sequences there, and its hidden places in that order."""
    length = (batch["input_ids"] != padding).sum(1)
    order = torch.argsort(-length, stable=True)
    real = batch["attention_mask"][order] > 0
    token, label = batch["input_ids"][order], batch["labels"][order]
    position = torch.arange(token.shape[1]).expand_as(token)
    hidden = label != -100
    rows = np.flatnonzero(hidden[real].numpy())
    packed = collate(
        token[real].numpy(), position[real].numpy(), length[order].numpy(), rows, label[hidden].numpy(), "cpu"
    )
    return packed, order, hidden
