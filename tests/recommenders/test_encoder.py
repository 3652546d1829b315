"""The encoder without padding against torch's own layers on padded batches, losses at all positions."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench.protocols import Interactions, Plays
from bench.training.chunked_softmax import chunked
from bench_recommenders.sequential.batches import Histories, cloze, final, shifted
from bench_recommenders.sequential.encoder import SequenceNetwork
from bench_recommenders.sequential.item_encoder import ItemEncoder, ItemEncoderConfig

V, D, LONGEST = 60, 16, 40


def histories(n=24, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 70, n)
    lengths[: n // 2] = 55  # many at the cap
    return Histories(np.concatenate([[0], np.cumsum(lengths)]), rng.integers(0, V, lengths.sum()))


def network(style, mode="trainable"):
    torch.manual_seed(0)
    config = ItemEncoderConfig("none", mode, D, normalize=False, bound=0.5, extra=2 if style == "bert" else 0)
    net = SequenceNetwork(
        torch.randn(V, D),
        config,
        style,
        positions=LONGEST + 1,
        layers=2,
        heads=2,
        ffn=24,
        dropout=0.1,
        norm_inputs=False,
    )
    for parameter in net.parameters():  # nothing stays at 0 or 1, so nothing can be left out
        nn.init.normal_(parameter, mean=0.1, std=0.3)
    return net.eval()


def padded(batch):
    """Tokens and targets (B, T), and which positions are real; target -100 where there is none."""
    position = batch.position.numpy()
    sequence = np.cumsum(position == 0) - 1
    shape = (sequence[-1] + 1, position.max() + 1)
    token, target = torch.zeros(shape, dtype=torch.long), torch.full(shape, -100)
    real = torch.zeros(shape, dtype=torch.bool)
    token[sequence, position], real[sequence, position] = batch.token, True
    rows = batch.picked.row.numpy()
    target[sequence[rows], position[rows]] = batch.target
    return token, target, real


def naive_bert(net, token, real):
    """BERT's layers as torch has them."""
    rows, _ = net.items()
    x = net.norm(rows[token] + net.positions[: token.shape[1]])
    for layer in net.encoder.layers:
        theirs = nn.TransformerEncoderLayer(
            D, 2, 24, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        weights = {
            "self_attn.in_proj_weight": torch.cat([layer.query.weight, layer.key_value.weight]),
            "self_attn.in_proj_bias": torch.cat([layer.query.bias, layer.key_value.bias]),
        }
        pairs = {"self_attn.out_proj": layer.out, "linear1": layer.up, "linear2": layer.down}
        for name, module in (pairs | {"norm1": layer.first, "norm2": layer.second}).items():
            weights |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
        x = torch.func.functional_call(theirs, weights, (x,), {"src_key_padding_mask": ~real})
    return x


def naive_sasrec(net, token, real):
    """SASRec as published: normalised queries look at plain keys, and are what the residual adds to."""
    rows, _ = net.items()
    length = token.shape[1]
    x = rows[token] * D**0.5 + net.positions[:length]
    later = torch.ones(length, length).triu(1).bool()
    for layer in net.encoder.layers:
        query = layer.first(x)
        mixed, _ = F.multi_head_attention_forward(
            query.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1), D, 2,
            torch.cat([layer.query.weight, layer.key_value.weight]),
            torch.cat([layer.query.bias, layer.key_value.bias]),
            None, None, False, 0.0, layer.out.weight, layer.out.bias, attn_mask=later,
        )  # fmt: skip
        x = layer.second(query + mixed.transpose(0, 1))
        x = x + layer.down(F.relu(layer.up(x)))
    return net.encoder.norm(x)


@pytest.mark.parametrize("style", ["bert", "sasrec"])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_picked_rows_in_chunks_are_all_positions_at_once(style, size):
    data, users = histories(), np.arange(24)
    torch.manual_seed(1)
    if style == "bert":
        batch = cloze(data, users, longest=LONGEST, mask=V, share=0.2, last=0.3, device="cpu")
    else:
        batch = shifted(data, users, longest=LONGEST, device="cpu")
    assert len(batch.groups) > 1
    assert any(group.place is not None for group in batch.groups)
    results = []
    for naive in (False, True):
        net = network(style)
        if naive:
            token, target, real = padded(batch)
            states = (naive_bert if style == "bert" else naive_sasrec)(net, token, real)
            loss = F.cross_entropy((states @ net.items()[1].T).flatten(0, 1), target.flatten())
        else:
            states, table = net(batch)
            loss = chunked(states, table, batch.target, size=size)
        loss.backward()
        results.append((loss.item(), {name: p.grad for name, p in net.named_parameters()}))
    (one, grads), (two, wanted) = results
    assert one == pytest.approx(two, rel=1e-6)
    for name, grad in wanted.items():
        if grad is None:
            assert name == "items.special"
            continue
        assert (grads[name] - grad).abs().max() <= 1e-5 * max(grad.abs().max(), 1e-2), name


def test_prediction_reads_the_end_of_each_sequence():
    data, users = histories(), np.array([20, 3, 15, 7])
    net = network("bert")
    batch, order = final(data, users, longest=10, mask=V, device="cpu")
    ours = net.encode(batch, net.items()[0])[order]
    for row, user in enumerate(users):
        tokens = data.token[data.indptr[user] : data.indptr[user + 1]][-9:]
        token = torch.tensor([[*tokens, V]])
        alone = naive_bert(net, token, torch.ones_like(token, dtype=torch.bool))[0, -1]
        assert torch.allclose(ours[row], alone, atol=1e-5)


def test_a_causal_prediction_is_the_last_training_state():
    data, users = histories(), np.arange(24)
    net = network("sasrec")
    batch, order = final(data, users, longest=LONGEST, mask=None, device="cpu")
    ours = net.encode(batch, net.items()[0])[order]
    for row, user in enumerate(users):
        token = torch.tensor(data.token[data.indptr[user] : data.indptr[user + 1]][-LONGEST:])[None]
        assert torch.allclose(ours[row], naive_sasrec(net, token, None)[0, -1], atol=1e-4)


def test_all_plays_are_the_sequence_where_the_split_keeps_them():
    user, item = np.array([0, 0, 2], np.int32), np.array([3, 1, 2], np.int32)
    plays = Plays(np.array([0, 0, 0, 2, 2], np.int32), np.array([3, 1, 3, 2, 0], np.int32), np.arange(5))
    vocabulary = np.array([-1, 0, 1, 2])
    for given, indptr, token in ((None, [0, 2, 2, 3], [2, 0, 1]), (plays, [0, 3, 3, 4], [2, 0, 2, 1])):
        train = Interactions(user, item, np.arange(3), np.arange(3), np.ones(3, np.int32), 3, 4, plays=given)
        found = Histories.of(train, vocabulary)
        assert found.indptr.tolist() == indptr
        assert found.token.tolist() == token


def test_masked_shares_are_those_of_the_settings():
    lengths = np.full(400, 25)
    data = Histories(np.concatenate([[0], np.cumsum(lengths)]), np.arange(lengths.sum()) % V)
    torch.manual_seed(0)
    batch = cloze(data, np.arange(400), longest=20, mask=V, share=0.2, last=0.5, device="cpu")
    hidden = batch.token == V
    assert torch.equal(torch.nonzero(hidden).squeeze(1), batch.picked.row)
    ends = batch.position == 19
    assert hidden[~ends].float().mean() == pytest.approx(0.2, abs=0.02)
    assert hidden[ends].float().mean() == pytest.approx(0.6, abs=0.06)
    assert len(batch) == 400 * 20


def test_delta_stays_within_its_bound():
    base = torch.randn(V, D)
    side = ItemEncoder(base, ItemEncoderConfig("none", "delta", D, normalize=False, bound=0.25, extra=0))
    assert torch.equal(side()[1], base)
    with torch.no_grad():
        side.free.normal_(std=10.0)
    moved = (side()[1] - base).norm(dim=1)
    assert torch.allclose(moved, 0.25 * base.norm(dim=1), rtol=1e-4)
    side()[1].sum().backward()
    assert side.free.grad.isfinite().all()
