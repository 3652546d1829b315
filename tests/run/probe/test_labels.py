"""Probing vectors from a file: labels and parts from a table without any log, and tasks without their audio."""

import json

import numpy as np
import polars as pl
import pytest

from bench.holdout import hold_out
from bench.listening.label_dataset import LabelDataset
from bench.protocols import PARTS
from bench.registry import create
from bench.tasks import annotation_files
from bench.tasks.gtzan import GENRES


@pytest.fixture
def vectors(tmp_path):
    """Write vectors that tell classes apart, and return their spec."""

    def write(ids, classes):
        rng = np.random.default_rng(0)
        table = np.eye(max(classes) + 1)[classes] + rng.normal(0, 0.1, (len(ids), max(classes) + 1))
        np.save(tmp_path / "v.npy", table.astype(np.float32))
        (tmp_path / "v.ids.txt").write_text("\n".join(ids))
        return f"precomputed:path={tmp_path / 'v.npy'}"

    return write


@pytest.fixture
def probe(bench, tmp_path):
    def run(*words):
        place = ["--cache", tmp_path / "cache", "--results", tmp_path / "results", "--device", "cpu", "--no-controls"]
        return bench("probe", "--probe", "knn", *words, *place)

    return run


def record(folder):
    (path,) = (folder / "results").rglob("seed0.json")
    return json.loads(path.read_text())


NAMES = [f"t{number:03d}" for number in range(120)]
GIVEN = ["Train"] * 80 + ["val"] * 20 + ["test"] * 20


def labels(folder, part):
    frame = pl.DataFrame({"track_id": NAMES, "genre": [("jazz", "rock")[at % 2] for at in range(120)], "part": part})
    frame.write_csv(folder / "labels.csv")
    return folder / "labels.csv"


def test_vectors_labels_and_parts_are_enough(probe, vectors, tmp_path):
    spec = vectors(NAMES, [at % 2 for at in range(120)])
    said = probe("--extractor", spec, "--task", "catalog-genre", "--meta", labels(tmp_path, GIVEN))
    assert said.code == 0, said.err
    found = record(tmp_path)
    assert found["split"]["counts"]["items"] == {"train": 80, "valid": 20, "test": 20}
    assert found["split"]["counts"]["used"] == {"train": 80, "test": 20}
    assert found["metrics"]["test"]["accuracy"] == 1.0
    assert found["data"]["collection"] == "labels"


def test_the_parts_given_are_those_used(tmp_path):
    part = np.random.default_rng(1).permutation(GIVEN).tolist()
    dataset = LabelDataset(labels(tmp_path, part))
    task = create("tasks", "catalog-genre")
    task.hold_out = hold_out(dataset, tmp_path, tmp_path)
    data = task.read(tmp_path, dataset)
    found = dict(data.items.select("track_id", "part").iter_rows())
    assert found == {
        name: {"Train": "train", "val": "valid", "test": "test"}[one] for name, one in zip(NAMES, part, strict=True)
    }


@pytest.mark.parametrize("wrong", ["fold 1", ""])
def test_a_part_of_another_name_is_refused(probe, vectors, tmp_path, wrong):
    spec = vectors(NAMES, [0] * 120)
    meta = labels(tmp_path, [*GIVEN[:-1], wrong])
    said = probe("--extractor", spec, "--task", "catalog-genre", "--meta", meta)
    assert said.code == 1
    assert f"'t119' has the part {wrong!r}" in said.err


def test_gtzan_with_vectors_needs_no_audio(probe, vectors, tmp_path):
    lines = [
        line.removesuffix(".wav")
        for part in PARTS
        for _, line in annotation_files.lines(annotation_files.LISTS / f"gtzan_{part}.txt")
    ]
    spec = vectors([line.partition("/")[2] for line in lines], [GENRES.index(line.partition("/")[0]) for line in lines])
    said = probe("--extractor", spec, "--task", "gtzan")
    assert said.code == 0, said.err
    found = record(tmp_path)
    assert found["split"]["counts"]["items"] == {"train": 443, "valid": 197, "test": 290}
    assert found["metrics"]["test"]["accuracy"] > 0.99
    assert found["data"]["complete"] is True
    assert probe("--extractor", "mfcc", "--task", "gtzan").code == 1  # what hears audio needs it
