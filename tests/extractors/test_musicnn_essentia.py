"""What can be said of Essentia's MusiCNN without Essentia, which is an opt-in extra."""

import importlib.util

import pytest

from bench.errors import BenchError
from bench.extract import set_sha256
from bench.registry import create, get

Essentia = get("extractors", "musicnn-essentia")


def make(**settings):
    return Essentia(Essentia.Settings(**settings))


def test_without_a_graph_it_says_where_to_get_one_and_on_what_terms(tmp_path):
    plugin = make(path=str(tmp_path / "msd-musicnn-1.pb"))
    for word in ("msd-musicnn-1.pb", "essentia.upf.edu", "CC BY-NC-SA 4.0", "non-commercial", "musicnn-essentia:path="):
        assert word in plugin.unready()
    with pytest.raises(BenchError, match=r"msd-musicnn-1\.pb"):
        plugin.fingerprint()
    assert plugin.non_commercial
    assert plugin.trained_on == ("msd",)


def test_graph_node_and_hop_are_in_the_key(tmp_path):
    graph = tmp_path / "mtt-musicnn-1.pb"
    graph.write_bytes(b"a graph")
    sets = {set_sha256(make(path=str(graph), node=n, patch_hop=h)) for n in ("dense", "penultimate") for h in (93, 187)}
    graph.write_bytes(b"another")
    sets.add(set_sha256(make(path=str(graph))))
    assert len(sets) == 5
    assert make(path=str(graph)).layers == {"dense": 200}
    assert make(path=str(graph), node="taggram").layers == {"taggram": 50}


@pytest.mark.skipif(importlib.util.find_spec("essentia") is not None, reason="Essentia is here")
def test_the_extra_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"pip install 'music-embedding-bench\[essentia\]'"):
        create("extractors", f"musicnn-essentia:path={tmp_path}/x.pb")
