from dataclasses import replace

import numpy as np
import pytest

from bench.errors import BenchError
from bench.probes import KINDS, ProbeData, probe, resolve_probe, subsample
from bench.probes.clip_pooling import RULES, join
from bench.protocols import RunContext


def fit(data, spec="linear", seed=0):
    return probe(data, resolve_probe(spec), seed=seed, run=RunContext())


def broken(data, part, change):
    x = {name: values.copy() for name, values in data.x.items()}
    change(x[part])
    return replace(data, x=x)


def test_vectors_that_are_not_finite_are_named(planted):
    def spoil(x):
        x[7, 3], x[9] = np.nan, np.inf

    for part in ("train", "valid", "test"):
        with pytest.raises(BenchError, match=f"2 of .* {part} vectors hold NaN or infinity, the first in row 7"):
            fit(broken(planted.data("tags"), part, spoil))


def test_constant_features_do_not_matter(planted):
    data = planted.data("classes")
    wider = {part: np.hstack([x, np.full((len(x), 3), [0, 7, 1e6])]).astype(np.float32) for part, x in data.x.items()}
    wider["test"][:, -1] = 5.0  # a feature that is constant in train must have no effect in test
    plain, wide = fit(data, "knn"), fit(replace(data, x=wider), "knn")
    np.testing.assert_allclose(plain.prediction, wide.prediction, rtol=1e-3, atol=1e-3)
    plain, wide = fit(data), fit(replace(data, x=wider))
    agree = plain.prediction.argmax(axis=1) == wide.prediction.argmax(axis=1)
    assert agree.mean() > 0.9
    same = {part: np.ones_like(x) for part, x in data.x.items()}
    with pytest.raises(BenchError, match="all 500 training vectors"):
        fit(replace(data, x=same))


def test_scaling_is_fitted_on_train_alone(planted):
    from bench.probes.features import Features

    data = planted.data("values")
    shifted = broken(data, "test", lambda x: np.multiply(x, 100, out=x))
    for part in ("train", "valid"):
        np.testing.assert_array_equal(Features(data, "cpu").of(part, True), Features(shifted, "cpu").of(part, True))
    train = Features(data, "cpu").of("train", True).numpy()
    assert train.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert train.std(axis=0) == pytest.approx(1, abs=1e-5)
    expected = (shifted.x["test"] - data.x["train"].mean(axis=0)) / data.x["train"].std(axis=0)
    np.testing.assert_allclose(Features(shifted, "cpu").of("test", True), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["tags", "keys"])
def test_labels_absent_from_train_are_named(planted, kind):
    data = planted.data(kind)
    y = data.y["train"]
    if kind == "tags":
        y[:, 2] = False
    else:
        y[y == 2] = 1
    outcome = fit(data)
    assert any("absent from train" in note and str(data.names[2]) in note for note in outcome.notes)
    assert np.isfinite(outcome.prediction).all()
    assert not fit(planted.data("values")).notes


def test_labels_that_cannot_be_learned_are_refused(planted):
    for kind, spoil, message in (
        ("tags", lambda y: np.copyto(y, True), "every tag is on all"),
        ("classes", lambda y: np.copyto(y, 1), "of one class"),
        ("values", lambda y: np.copyto(y, 1.0), "no value varies"),
    ):
        data = planted.data(kind)
        spoil(data.y["train"])
        with pytest.raises(BenchError, match=message):
            fit(data)
    for kind in ("tags", "values"):
        data = planted.data(kind)
        data.y["valid"][:] = False
        with pytest.raises(BenchError, match=f"{kind} of the 200 valid rows"):
            fit(data)
    data = planted.data("classes")
    with pytest.raises(BenchError, match=r"whole numbers 0\.\.4"):
        fit(replace(data, y=dict(data.y) | {"valid": data.y["valid"] + 1}))
    with pytest.raises(BenchError, match="the valid part is empty"):
        fit(replace(data, x=dict(data.x) | {"valid": data.x["valid"][:0]}))
    with pytest.raises(BenchError, match="labels of shape"):
        fit(replace(data, y=dict(data.y) | {"test": data.y["test"][:3]}))
    with pytest.raises(BenchError, match="not finite"):
        fit(
            replace(
                planted.data("values"),
                y={part: np.full((n, 2), np.nan) for part, n in (("train", 500), ("valid", 200), ("test", 400))},
            )
        )


def test_wrong_specs_are_refused(planted):
    data = planted.data("tags")
    with pytest.raises(BenchError, match="Did you mean 'linear'"):
        fit(data, "linar")
    with pytest.raises(BenchError, match="no setting 'depth'"):
        fit(data, "mlp:depth=3")
    with pytest.raises(BenchError, match="widths such as"):
        fit(data, "mlp:hidden=wide")
    with pytest.raises(BenchError, match="l2 must be positive"):
        fit(data, "linear:l2=0")
    with pytest.raises(BenchError, match="need loss=squared"):
        fit(planted.data("values"), "linear:loss=logistic")
    with pytest.raises(BenchError, match="needs vectors of several layers"):
        fit(data, "quick-v1:mixture=true")
    layers = replace(data, x={part: np.stack([x, x], axis=1) for part, x in data.x.items()})
    with pytest.raises(BenchError, match="have several layers"):
        fit(layers)
    assert resolve_probe("marble:mixture=true").mixture
    assert not resolve_probe("knn").mixture


@pytest.mark.parametrize("spec", ["mlp:hidden=none,dropout=0,lr=0.03", "mlp:hidden=16,dropout=0.25,lr=0.01"])
def test_a_mixture_finds_the_informative_layer(planted, spec):
    data = planted.data("classes")
    rng = np.random.default_rng(5)
    noise = {part: rng.normal(size=x.shape).astype(np.float32) * 3 for part, x in data.x.items()}
    layers = replace(data, x={part: np.stack([noise[part], x, -noise[part]], axis=1) for part, x in data.x.items()})
    mixed = fit(layers, f"{spec},mixture=true")
    assert mixed.validation > 0.8  # noise alone: .3
    assert mixed.prediction.shape == (400, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_joined_by_a_rule_chosen_on_validation(planted, kind):
    """Each track has four clips with independent noise, so joined predictions are better."""
    data = planted.data(kind)
    rng = np.random.default_rng(3)
    x, y, groups = {}, {}, {}
    for part, values in data.x.items():
        x[part] = (np.repeat(values, 4, axis=0) + 3 * rng.normal(size=(4 * len(values), 16))).astype(np.float32)
        y[part] = np.repeat(data.y[part], 4, axis=0)
        groups[part] = [f"track{i:04d}" for i in np.repeat(np.arange(len(values)), 4)]
    order = {part: rng.permutation(len(x[part])) for part in x}
    x, y = ({p: t[p][order[p]] for p in t} for t in (x, y))
    groups = {p: [groups[p][i] for i in order[p]] for p in groups}
    by_track = ProbeData(kind, x, y, data.names, groups)
    outcome, clips = fit(by_track), fit(replace(by_track, groups=None))
    assert outcome.settings["clips"] in RULES[kind]
    assert "clips" not in clips.settings
    assert len(outcome.prediction) == len(by_track.truth("test")) == 400
    np.testing.assert_array_equal(by_track.truth("test"), data.y["test"])  # sorted by name
    assert outcome.validation > clips.validation


def test_the_rules_against_direct_computation():
    outputs = np.array([[0, 5], [1, 0], [1, 0], [9, 9]], np.float32)
    track = np.array([1, 1, 1, 0])
    np.testing.assert_allclose(join(outputs, track, "vote", "classes"), [[1, 0], [2 / 3, 1 / 3]])
    np.testing.assert_allclose(join(outputs, track, "max", "classes"), [[9, 9], [1, 5]])
    np.testing.assert_allclose(join(outputs, track, "mean", "values"), [[9, 9], [2 / 3, 5 / 3]], rtol=1e-6)
    e = np.exp
    share = (1 / (1 + e(5)) + 2 * e(1) / (1 + e(1))) / 3
    np.testing.assert_allclose(join(outputs, track, "mean_probability", "keys")[1], [share, 1 - share], rtol=1e-6)
    with pytest.raises(ValueError, match="no rule 'vote'"):
        join(outputs, track, "vote", "tags")


def test_clips_with_different_labels_and_missing_tracks_are_refused(planted):
    names = {part: [f"t{i // 2}" for i in range(n)] for part, n in (("train", 500), ("valid", 200), ("test", 400))}
    with pytest.raises(BenchError, match="clips of track 't"):
        fit(planted.data("keys", groups=names))
    same = {part: [str(i) for i in range(n)] for part, n in (("train", 500), ("valid", 200))}
    with pytest.raises(BenchError, match="the test part needs the track"):
        fit(planted.data("keys", groups=same))


@pytest.mark.parametrize("kind", KINDS)
def test_smaller_fractions_are_within_larger_ones_and_keep_the_classes(planted, kind):
    data = planted.data(kind)
    data.x["train"][:, 0] = np.arange(500)  # names the rows
    rows = [set(subsample(data, f, seed=1).x["train"][:, 0].astype(int)) for f in (0.1, 0.3, 0.7)]
    assert [len(r) for r in rows] == [50, 150, 350]
    assert rows[0] < rows[1] < rows[2]
    assert rows[1] != set(subsample(data, 0.3, seed=2).x["train"][:, 0].astype(int))
    part = subsample(data, 0.3, seed=1)
    assert part.y["train"].tolist() == data.y["train"][part.x["train"][:, 0].astype(int)].tolist()
    assert part.x["test"] is data.x["test"]
    if kind == "classes":
        np.testing.assert_allclose(np.bincount(part.y["train"]) / 150, np.bincount(data.y["train"]) / 500, atol=0.02)
    if kind in ("keys", "classes"):
        assert set(subsample(data, 0.1, seed=1).y["train"]) == set(data.y["train"])
    if kind == "tags":
        assert subsample(data, 0.1, seed=1).y["train"].any(axis=0).all()
    if kind == "values":
        assert part.y["train"].mean(axis=0) == pytest.approx(data.y["train"].mean(axis=0), abs=0.2)
    assert subsample(data, 1.0, seed=0) is data
    with pytest.raises(BenchError, match=r"fraction 1\.5"):
        subsample(data, 1.5, seed=0)


def test_whole_tracks_are_drawn(planted):
    data = planted.data("classes")
    for y in data.y.values():
        y[:] = np.repeat(y[::5], 5)
    groups = {part: [f"t{i // 5}" for i in range(len(y))] for part, y in data.y.items()}
    part = subsample(replace(data, groups=groups), 0.2, seed=0)
    names, counts = np.unique(part.groups["train"], return_counts=True)
    assert len(names) == 20
    assert (counts == 5).all()
    assert len(part.x["train"]) == len(part.y["train"]) == 100
