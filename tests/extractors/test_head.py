"""The extractor `head`: contract, weights at random and from files, what it has heard, words."""

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.protocols import Heard
from bench.registry import create
from bench.resolver import resolve
from bench.testing import TableSourceContract

IDS = [f"t{at:03d}" for at in range(40)]
KINDS = {"linear": 12 * 128 + 128, "mlp": 12 * 512 + 512 + 512 * 128 + 128}


class TestLinear(TableSourceContract):
    spec = "head:of=mfcc,kind=linear"


class TestMlp(TableSourceContract):
    spec = "head:of=mfcc,kind=mlp,weights=random,seed=3"


def base(n=40):
    found = np.random.default_rng(1).standard_normal((n, 12), np.float32) * 3 + 5
    found[:, 4] = 2.0  # a value that never changes
    return found


def trained(folder, kind="linear", words=None, of="mfcc"):
    """Write a file as training does; return the network in it, and the file."""
    path = folder / "one.safetensors"
    heard = Heard.write(path.with_suffix(".tracks.parquet"), ["a", "b"], data="demo", cutoff=None, signals=["text"])
    source = create("extractors", f"head:of=({of}),kind={kind}")
    network = source.network(4, base())
    told = {"data": "demo", "builtin": True, "cutoff": None, "signals": ["text"], "tracks_sha256": heard.sha256}
    source.save(path, network, told, words)
    return network, path


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_what_the_trained_head_gives(kind, tmp_path):
    network, path = trained(tmp_path, kind)
    source = create("extractors", f"head:weights={path}")
    assert (source.of, source.arch) == ("mfcc", kind)
    found = source.table(IDS[:9], base=base()[:9], seed=0)  # nothing depends on the other rows
    np.testing.assert_allclose(found, network(torch.from_numpy(base()[:9])).detach(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert sum(one.numel() for one in network.parameters()) == KINDS[kind]


def test_inputs_are_standardised_by_the_recordings_it_was_trained_on():
    network = create("extractors", "head:of=mfcc,kind=linear").network(0, base())
    inside = network[0](torch.from_numpy(base())).numpy()
    moving = np.arange(12) != 4
    np.testing.assert_allclose(inside.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(inside.std(axis=0), moving, atol=1e-5)


def test_random_weights_follow_the_seed():
    tables = [create("extractors", f"head:of=mfcc,seed={seed}").table(IDS, base=base(), seed=0) for seed in (0, 0, 1)]
    assert np.array_equal(tables[0], tables[1])
    assert not np.allclose(tables[0], tables[2])


def test_it_has_heard_its_own_recordings_and_those_of_what_lies_below(tmp_path):
    _, path = trained(tmp_path, of="cnn")
    entry = resolve(f"head:weights={path}")
    heard = [sorted(one.ids)[:2] for part in entry.behind for one in part.plugin.heard]
    assert heard[0] == ["a", "b"]
    assert len(heard) == 2
    plugin = entry.components[0].plugin
    assert (plugin.untrained, plugin.synthetic) == (False, True)
    assert create("extractors", "head:of=mfcc").untrained


def test_words_are_rows_of_the_labels(tmp_path):
    rows = np.eye(2, 128, dtype=np.float32)
    _, path = trained(tmp_path, words=(["slow", "fast red"], rows))
    words, vectors = create("extractors", f"head:weights={path}").words()
    assert list(words) == ["slow", "fast red"]
    assert np.array_equal(vectors, rows)


def test_what_does_not_fit_is_refused(tmp_path):
    _, path = trained(tmp_path)
    for spec in (
        "head",
        "head:of=mfcc,kind=deep",
        f"head:weights={path},kind=mlp",
        f"head:weights={path},of=musicnn",
        f"head:weights={tmp_path / 'no.safetensors'}",
    ):
        with pytest.raises(BenchError):
            create("extractors", spec)
    with pytest.raises(BenchError):
        create("extractors", f"head:weights={path}").table(IDS, base=base()[:, :5], seed=0)
    with pytest.raises(BenchError):
        create("extractors", f"cnn:weights={path}").network(0)
