"""Each loss against a naive reference; what the objectives draw, refuse, and keep for a resumed training."""

import math

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.protocols import Interactions, TrainingData
from bench.registry import create, names
from bench_extractors.cnn.objectives.losses import tag_loss, text_loss, triplet_loss
from bench_extractors.cnn.objectives.sampler import TripletSampler
from bench_extractors.cnn.objectives.targets import Targets


def unit(*shape, seed=0):
    rows = torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))
    return torch.nn.functional.normalize(rows, dim=-1)


def labelled(windows=9, labels=40, seed=0):
    """Return one to six labels for each window."""
    rng = np.random.default_rng(seed)
    each = [rng.choice(labels, rng.integers(1, 7), replace=False) for _ in range(windows)]
    return Targets(np.repeat(np.arange(windows), [len(one) for one in each]), np.concatenate(each))


def classifier(labels=40, width=16, seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((labels, width))), torch.from_numpy(rng.standard_normal(labels))


def same(ours, naive, *given):
    """Compare a loss in float32 and its gradients with a reference in float64."""
    single = [one.float().requires_grad_() for one in given]
    double = [one.double().requires_grad_() for one in given]
    value, wanted = ours(*single), naive(*double)
    value.backward()
    wanted.backward()
    assert value.item() == pytest.approx(wanted.item(), rel=1e-5, abs=1e-5)
    for one, two in zip(single, double, strict=True):
        torch.testing.assert_close(one.grad.double(), two.grad, rtol=1e-4, atol=1e-5)


def naive_tags(targets):
    def loss(vectors, weight, bias):
        total = 0
        for m, vector in enumerate(vectors):
            mine = set(targets.label[targets.window == m].tolist())
            for label in range(len(weight)):
                chance = torch.sigmoid(vector @ weight[label] + bias[label])
                total = total - torch.log(chance if label in mine else 1 - chance)
        return total / (len(vectors) * len(weight))

    return loss


def naive_text(targets):
    def loss(vectors, weight, bias):
        total = 0
        for m, vector in enumerate(vectors):
            scores = torch.exp(weight @ vector + bias)
            mine = targets.label[targets.window == m].tolist()
            total = total - sum(torch.log(scores[label] / scores.sum()) for label in mine) / len(mine)
        return total / len(vectors)

    return loss


def naive_triplets(allowed, margin):
    def loss(vectors):
        anchors, positives, negatives = vectors.chunk(3)
        total = 0
        for i, (anchor, positive) in enumerate(zip(anchors, positives, strict=True)):
            near = ((anchor - positive) ** 2).sum()
            far = [((anchor - negatives[j]) ** 2).sum() for j in np.flatnonzero(allowed[i])]
            farther = [one for one in far if one > near]
            total = total + torch.relu(near - (min(farther) if farther else max(far)) + margin)
        return total

    return loss


def test_tag_loss_equals_the_definition():
    targets = labelled()
    same(lambda *given: tag_loss(*given, targets), naive_tags(targets), unit(9, 16), *classifier())


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_text_loss_equals_the_definition(rows):
    targets = labelled()
    same(lambda *g: text_loss(*g, targets, 4 * 40 * rows), naive_text(targets), unit(9, 16), *classifier())


@pytest.mark.parametrize("spread", [0.05, 0.5, 2.0])
def test_triplet_loss_equals_the_definition(spread):
    rng = np.random.default_rng(3)
    centre, noise = unit(1, 16, seed=4), torch.from_numpy(rng.standard_normal((36, 16)))
    vectors = torch.nn.functional.normalize(centre + spread * noise, dim=1)
    vectors[12] = -vectors[0]  # no negative is farther than this positive
    allowed = rng.random((12, 12)) < 0.5
    np.fill_diagonal(allowed, True)
    ours = [lambda v: triplet_loss(v, allowed, 0.1), naive_triplets(allowed, 0.1)]
    same(*ours, vectors)


def random_graph(n=60, edges=400, seed=0):
    rng = np.random.default_rng(seed)
    pairs = np.sort(rng.integers(0, n, (edges, 2)), axis=1)
    return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)


def test_triplets_are_what_they_should_be():
    edges = random_graph()
    linked = {tuple(pair) for pair in np.concatenate([edges, edges[:, ::-1]]).tolist()}
    drawn = TripletSampler(edges, 60).draw(np.random.default_rng(0), 20_000)
    assert drawn.shape == (20_000, 3)
    for anchor, positive, negative in drawn.tolist():
        assert (anchor, positive) in linked
        assert (positive, negative) in linked
        assert (anchor, negative) not in linked
        assert anchor != negative
    near = {a: {b for one, b in linked if one == a} for a in range(60)}
    possible = {(a, p) for a, p in linked if near[p] - near[a] - {a}}
    assert {tuple(pair) for pair in drawn[:, :2].tolist()} == possible  # in both directions


def test_allowed_negatives():
    edges = random_graph()
    linked = {tuple(pair) for pair in np.concatenate([edges, edges[:, ::-1]]).tolist()}
    sampler = TripletSampler(edges, 60)
    for seed in range(3):  # nothing is left behind by an earlier call
        drawn = sampler.draw(np.random.default_rng(seed), 50)
        anchors, negatives = drawn[:, 0].tolist(), drawn[:, 2].tolist()
        found = sampler.allowed(drawn[:, 0], drawn[:, 2])
        assert found.tolist() == [[(a, b) not in linked and a != b for b in negatives] for a in anchors]
        assert found.diagonal().all()


def test_a_graph_of_cliques_has_no_triplets():
    cliques = np.array([(a, b) for start in (0, 5) for a in range(5) for b in range(a)]) + np.repeat([[0], [5]], 10, 0)
    with pytest.raises(BenchError, match="listeners="):
        TripletSampler(cliques, 10).draw(np.random.default_rng(0), 3)


def training(n=40, seed=0):
    """Return recordings of two styles, each with its own words and listeners."""
    rng = np.random.default_rng(seed)
    style = np.arange(n) % 2
    user = np.repeat(np.arange(30), 12)
    item = np.concatenate([rng.choice(np.flatnonzero(style == u % 2), 12, replace=False) for u in range(30)])
    ones = np.ones(len(user), np.int32)
    pairs = Interactions(
        user.astype(np.int32), item.astype(np.int32), ones.astype(np.int64), ones.astype(np.int64), ones, 30, n
    )
    train = np.arange(n) < 30
    words = ["slow blue", "fast red"]
    text = [[words[s], f"title {i}"] for i, s in enumerate(style)]
    tags = [[["calm"], ["loud"]][s] + (["held"] if i >= 30 else []) for i, s in enumerate(style)]
    return TrainingData([f"t{i:02d}" for i in range(n)], train, ~train, None, tags, text, pairs)


def test_all_are_listed():
    assert names("objectives") == ["hybrid", "tags", "text", "triplets"]


def test_labels_come_from_training_recordings():
    tags, text = create("objectives", "tags:least=1"), create("objectives", "text:least=2")
    for one in (tags, text):
        one.open(training(), 0)
    assert tags.label_words() == ["calm", "loud"]
    assert set(text.label_words()) == {"title", "slow", "blue", "slow blue", "fast", "red", "fast red"}


@pytest.mark.parametrize("spec", ["tags:least=1,steps=5", "text:steps=5", "triplets:steps=5,listeners=6,least=2"])
def test_batches_hear_training_recordings_and_repeat(spec):
    data, objective = training(), create("objectives", spec)
    objective.open(data, 0)
    first, again = list(objective.batches(0, 12)), list(objective.batches(0, 12))
    assert [len(one.tracks) for one in first] == [12] * 5
    assert all(data.train[one.tracks].all() for one in first)
    assert all(np.array_equal(one.tracks, two.tracks) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0].tracks, next(objective.batches(1, 12)).tracks)
    assert not np.array_equal(first[0].tracks, first[1].tracks)


@pytest.mark.parametrize(("spec", "absent"), [("tags", "tags"), ("text", "text"), ("triplets", "listening")])
def test_an_absent_signal_is_named(spec, absent):
    data = training()
    empty = TrainingData(data.ids, data.train, data.valid)
    with pytest.raises(BenchError, match=absent):
        create("objectives", spec).open(empty, 0)


def test_each_objective_separates_the_styles():
    data = training()
    for spec in ("tags:least=1", "text", "triplets:listeners=6,least=2", "hybrid:listeners=6,least=2,patience=1"):
        torch.manual_seed(0)
        objective = create("objectives", spec)
        objective.open(data, 0)
        head = objective.module(16)
        table = torch.nn.Parameter(torch.randn(40, 16))
        optimizer = torch.optim.Adam([table, *(head.parameters() if head else [])], 0.05)
        for epoch in range(2):
            for batch in objective.batches(epoch, 30):
                optimizer.zero_grad()
                objective.loss(torch.nn.functional.normalize(table, dim=1)[batch.tracks], batch).backward()
                optimizer.step()
            objective.after_valid(0.0)
        rows = torch.nn.functional.normalize(table.detach()[:30], dim=1)
        cosine, same_style = rows @ rows.T, np.equal.outer(np.arange(30) % 2, np.arange(30) % 2)
        assert cosine[same_style].mean() > cosine[~same_style].mean() + 0.3, spec


def test_hybrid_turns_to_words_and_a_resumed_one_goes_on():
    def opened():
        one = create("objectives", "hybrid:listeners=6,least=2,patience=2")
        one.open(training(), 0)
        return one, one.module(16)

    hybrid, head = opened()
    for score in (0.3, 0.5, 0.5, 0.4):
        assert not isinstance(next(hybrid.batches(0, 12)).targets, Targets)
        kept = {name: tensor.clone() for name, tensor in head.state_dict().items()}
        hybrid.after_valid(score)
    assert isinstance(next(hybrid.batches(0, 12)).targets, Targets)
    resumed, other = opened()
    other.load_state_dict(kept)  # as before the last validation
    assert not isinstance(next(resumed.batches(0, 12)).targets, Targets)
    resumed.after_valid(0.4)
    assert isinstance(next(resumed.batches(0, 12)).targets, Targets)
    assert len(hybrid.label_words()) == len(head.weight)


def test_the_classifier_starts_with_frequencies():
    data = training()
    text = create("objectives", "text:least=2")
    text.open(data, 0)
    head = text.module(16)
    share = dict(zip(text.label_words(), head.bias.detach().exp().tolist(), strict=True))
    assert share["title"] == pytest.approx(1.0)
    assert share["slow"] == pytest.approx(0.5)
    tags = create("objectives", "tags:least=1")
    tags.open(data, 0)
    assert math.isclose(torch.sigmoid(tags.module(16).bias[0]).item(), 0.5, rel_tol=1e-6)
