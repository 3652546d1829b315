"""Vectors from files: one row a file, notes once, and records that can be repeated elsewhere."""

import json
import shutil

import numpy as np
import pytest


@pytest.fixture
def folder(world_folder, tmp_path, monkeypatch):
    """A folder with a log and vectors of its own; it is the current one."""
    shutil.copy(world_folder / "plays.csv", tmp_path / "plays.csv")
    ids = sorted(path.stem for path in (world_folder / "audio").iterdir())
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32))
    (tmp_path / "v.ids.txt").write_text("\n".join(ids))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(bench, folder):
    """Run on the log with these extractors."""

    def run(extractor, *words, model="knn"):
        place = ["--cache", folder / "cache", "--results", folder / "results", "--device", "cpu", "--k", "5"]
        data = ["--listens", folder / "plays.csv", "--reference", "none", "--no-controls"]
        return bench("run", "--extractor", extractor, "--model", model, *data, *place, *words)

    return run


def test_one_file_under_several_spellings_is_one_row(run, folder):
    spellings = ["v.npy", "./v.npy", f"{folder}/v.npy", f"{folder}/x/../v.npy"]
    said = run(",".join(f"precomputed:path={text}" for text in spellings))
    assert said.computed == [f"precomputed:path={folder}/v.npy x knn"]
    assert [run(f"precomputed:path={text}").computed for text in spellings] == [[], [], [], []]
    assert len(list((folder / "results").rglob("seed0.json"))) == 1


def test_a_note_about_vectors_is_printed_once_for_all_models_and_seeds(run, folder):
    ids = (folder / "v.ids.txt").read_text().splitlines()
    np.save(folder / "some.npy", np.delete(np.load(folder / "v.npy"), np.s_[::3], axis=0))
    (folder / "some.ids.txt").write_text("\n".join(name for row, name in enumerate(ids) if row % 3))
    said = run("precomputed:path=some.npy", model="knn,knn:profile=max,shallow:epochs=1")
    assert len(said.computed) == 3
    lines = [line for line in said.err.splitlines() if line.startswith("note: ")]
    assert len(lines) == len(set(lines))
    assert sum("items have no vector" in line for line in lines) == 1
    for path in (folder / "results").rglob("seed0.json"):
        warnings = json.loads(path.read_text())["warnings"]
        assert len(warnings) == len(set(warnings)) >= 1


def test_a_pair_that_cannot_be_is_left_out_and_named(run, folder):
    said = run("precomputed:path=v.npy,none", model="knn,bpr:epochs=1,shallow:epochs=1")
    assert said.code == 0, said.err
    cells = [cell.replace(f"precomputed:path={folder}/v.npy", "v") for cell in said.computed]
    assert cells == ["v x knn", "none x bpr:epochs=1", "v x shallow:epochs=1", "none x shallow:epochs=1"]
    assert "left out: none x knn: knn needs item vectors\n" in said.err
    assert run("none", model="knn,bpr:epochs=1").code == 1  # nothing would be left of what is asked


def test_a_record_names_its_files_from_the_root(run, bench, folder, monkeypatch):
    assert run("shuffled:of=(precomputed:path=v.npy,ids=v.ids.txt)", "--reference", "precomputed:path=v.npy").code == 0
    (record,) = (folder / "results").rglob("seed0.json")
    asked = json.loads(record.read_text())["asked"]
    assert asked["extractors"] == [f"shuffled:of=(precomputed:path={folder}/v.npy,ids={folder}/v.ids.txt)"]
    assert asked["reference"] == f"precomputed:path={folder}/v.npy"
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert bench("run", "--from", record, "--trust", "--cache", folder / "cache", "--device", "cpu").code == 0


def test_a_repetition_names_no_temporary_folder(run, bench, folder):
    said = run("none", model="random")
    assert f"results: {folder / 'results'}" in said.err
    (record,) = (folder / "results").rglob("seed0.json")
    said = bench("run", "--from", record, "--trust", "--cache", folder / "cache", "--device", "cpu")
    assert said.code == 0, said.err
    assert "results:" not in said.err
    assert "bench-again" not in said.err


def test_equal_numbers_on_changed_data_are_no_repetition(run, bench, folder):
    assert run("none", model="random").code == 0
    (record,) = (folder / "results").rglob("seed0.json")
    words = ["run", "--from", record, "--cache", folder / "cache", "--device", "cpu"]
    shutil.copy("plays.csv", "copy.csv")
    assert bench(*words, "--listens", folder / "copy.csv").code == 0  # the same bytes under another name
    lines = (folder / "plays.csv").read_text().splitlines(keepends=True)
    (folder / "plays.csv").write_text("".join([*lines, lines[1]]))  # a play that counts twice
    said = bench(*words, "--trust")
    assert said.code == 2
    assert "the data changed" in said.out


def test_a_departure_from_the_published_lane_stands_in_plan_record_and_table(run, folder):
    said = run("precomputed:path=v.npy", model="shallow:lane=published,batch=64,epochs=1")
    assert said.code == 0, said.err
    (path,) = (folder / "results").rglob("seed0.json")
    (text,) = [text for text in json.loads(path.read_text())["warnings"] if "batch=64" in text]
    assert "10000" in text
    assert text in said.err
    assert text in " ".join(said.out.split())
