"""``layer=all`` and ``layer=auto`` on the small world."""

import json

import pytest

from bench.errors import BenchError
from bench.protocols import Extractor
from bench.records import read
from bench.report.mir import probed
from bench.resolver import Resolver
from bench.synthetic import WorldSize

NAME = "musicnn:weights=random"


@pytest.fixture(scope="module")
def run(bench, small_world, records, tmp_path_factory):
    """Every layer, the chosen one, and the chosen one's shuffled control, with kNN."""
    folder = tmp_path_factory.mktemp("layers")
    words = [*small_world, "--k", "5", "--cache", folder / "cache", "--device", "cpu", "--model", "knn"]
    specs = f"{NAME},layer=all,{NAME},layer=auto"
    said = bench("run", "--extractor", specs, *words, "--results", folder / "results")
    assert said.code == 0, said.err
    return folder, words, said, records(folder / "results")


def layers():
    return [entry.text for entry in Resolver().extractors([f"{NAME},layer=all"])]


def test_all_is_an_entry_for_each_layer():
    (entry,) = Resolver().extractors([NAME])
    plugin = entry.components[0].plugin
    assert isinstance(plugin, Extractor)
    assert layers() == [f"{NAME},layer={layer}" for layer in plugin.layers]
    assert [one.text for one in Resolver().extractors([NAME], layers=True)] == layers()
    assert [one.text for one in Resolver().extractors([f"{NAME},layer=all"], layers=False)] == [NAME]
    assert [one.text for one in Resolver().extractors(["mfcc:layer=all,n_mfcc=9"])] == ["mfcc:n_mfcc=9"]


@pytest.mark.parametrize(
    "spec", [f"mfcc+{NAME},layer=all", f"mfcc+{NAME},layer=auto", f"shuffled:of=({NAME},layer=all)"]
)
def test_several_tables_have_no_single_layer(spec):
    with pytest.raises(BenchError, match="layer="):
        Resolver().extractors([spec])


def test_auto_takes_the_layer_with_the_best_validation_and_its_results(run):
    _, _, _, found = run
    auto = found[f"{NAME},layer=auto", "knn", 0]
    chosen = auto["extractor"]["chosen"]
    of_layer = {spec.partition("layer=")[2]: found[spec, "knn", 0] for spec in layers()}
    assert chosen["metric"] == "ndcg@5"
    assert chosen["scores"] == {name: one["validation"]["hot"]["ndcg@5"] for name, one in of_layer.items()}
    assert len(set(chosen["scores"].values())) > 1
    assert chosen["layer"] == max(chosen["scores"], key=chosen["scores"].get)
    assert auto["metrics"] == of_layer[chosen["layer"]]["metrics"]
    assert auto["extractor"]["table_sha256"] == of_layer[chosen["layer"]]["extractor"]["table_sha256"]
    assert auto["extractor"]["view"]["layers"] == ["auto"]


def test_the_control_chooses_among_shuffled_layers(run):
    _, _, _, found = run
    control = found[f"shuffled:of=({NAME},layer=auto)", "knn", 0]
    chosen = control["extractor"]["chosen"]
    shuffled = {spec.partition("layer=")[2]: found[f"shuffled:of=({spec})", "knn", 0] for spec in layers()}
    assert chosen["scores"] == {name: one["validation"]["hot"]["ndcg@5"] for name, one in shuffled.items()}


def test_tables_name_the_chosen_layer(run):
    _, _, said, found = run
    layer = found[f"{NAME},layer=auto", "knn", 0]["extractor"]["chosen"]["layer"]
    assert f"layer=auto ({layer})" in said.out


def test_the_same_command_computes_nothing_again(run, bench):
    folder, words, _, _ = run
    again = bench("run", "--extractor", f"{NAME},layer=auto", *words, "--results", folder / "results")
    assert (again.code, again.computed) == (0, [])


@pytest.mark.parametrize("command", ["tune", "export", "reference", "split"])
def test_auto_is_refused_where_no_validation_chooses(run, bench, tmp_path, command):
    _, words, _, _ = run
    auto = f"{NAME},layer=auto"
    tried = {
        "tune": ["tune", "--extractor", auto, *words, "--budget", "1"],
        "export": ["export", "--extractor", auto, *words[: words.index("--k") - 2], "--out", tmp_path / "x.npy"],
        "reference": ["run", "--extractor", "mfcc", "--reference", auto, *words],
        "split": ["run", "--extractor", auto, *words, "--split", "leave_last_out:valid=none"],
    }[command]
    said = bench(*tried)
    assert said.code == 1
    assert "layer" in said.err


def test_a_probe_chooses_by_its_own_validation(bench, make_folder, tmp_path):
    world = make_folder(
        WorldSize(tracks=100, artists=50, cold=14, seconds=3.0, rate=22_050, listeners=30, plays=900, seed=5)
    )
    said = bench(
        "probe", "--extractor", f"{NAME},layer=all,{NAME},layer=auto", "--task", "catalog-genre", "--probe", "knn",
        "--audio", world / "audio", "--meta", world / "tracks.parquet", "--listens", world / "plays.csv",
        "--cache", tmp_path / "cache", "--device", "cpu", "--results", tmp_path, "--no-controls",
    )  # fmt: skip
    assert said.code == 0, said.err
    found = {}
    for path in sorted(tmp_path.rglob("seed*.json")):
        content = json.loads(path.read_text())
        found[content["extractor"]["spec"]] = content
    auto = found[f"{NAME},layer=auto"]
    chosen, metric = auto["extractor"]["chosen"], auto["data"]["task"]["primary"]
    of_layer = {spec.partition("layer=")[2]: found[spec] for spec in layers()}
    assert chosen["scores"] == {name: one["validation"]["valid"][metric] for name, one in of_layer.items()}
    assert chosen["layer"] == max(chosen["scores"], key=chosen["scores"].get)
    assert auto["metrics"] == of_layer[chosen["layer"]]["metrics"]
    (lane,) = probed([(path, read(path)) for path in sorted(tmp_path.rglob("seed*.json"))])
    assert f"{NAME},layer=auto ({chosen['layer']})" in {row.label for row in lane.rows.values()}
