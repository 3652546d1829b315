"""A paper's recipe from the command line on a small world."""

import pytest

from bench.cli import main
from bench.recipes.estimates import drawn, estimates
from bench.recipes.recsys2024 import published
from bench.recipes.requests import Backend
from bench.records import read_all
from bench.report import boards
from bench.synthetic import WorldSize
from bench.testing import task_fixtures


@pytest.fixture(scope="module")
def folder(make_folder):
    """A world with 76 hot tracks: too few for lists of 50, as in the paper, or of 20."""
    return make_folder(
        WorldSize(tracks=90, artists=20, cold=14, seconds=1.0, rate=22_050, listeners=60, plays=6_000, seed=5)
    )


@pytest.fixture
def recipe(folder, tmp_path, capsys):
    def call(*words):
        data = ["--listens", folder / "plays.csv", "--audio", folder / "audio", "--meta", folder / "tracks.parquet"]
        places = ["--cache", tmp_path / "cache", "--results", tmp_path / "results", "--device", "cpu"]
        code = main([str(word) for word in ("recipe", *words, *data, *places)])
        return code, *capsys.readouterr()

    return call


def test_a_paper_as_one_command(recipe, tmp_path):
    words = ["recsys2024", "--embeddings", "mfcc,MERT", "--models", "knn,Shallow net"]
    code, out, err = recipe(*words, "--out", str(tmp_path / "tables"))
    assert code == 0, err
    assert "MERT: not run" in err
    assert "Rank correlation of every recommendation column" in out
    assert "0.385" in out, "printed numbers stand beside ours"
    assert "note: k = 10, not the paper's 50: " in err
    assert "Claims of the paper at HitRate@10, lane corrected" in out
    assert "synthetic" not in out, "the log is not built in"
    page = (tmp_path / "tables" / "report.md").read_text()
    assert "A trained model beats KNN on every embedding" in page
    assert "p, sign flips" in page
    claims = (tmp_path / "tables" / "recsys2024-claims-corrected-claims.csv").read_text().splitlines()
    assert len(claims) == 31
    ratio = next(line for line in claims if ",ten-times," in line)
    assert ",3,contradicted,failed,0 of 14," in ratio

    made = boards(read_all(tmp_path / "results"), drawn=drawn(10))
    found = estimates(published(), [Backend("MFCC", "mfcc")], made, [], "corrected", 10)
    (block,) = made[0].blocks
    of = {(row.extractor, row.model): row.mean("hot", "hitrate@10") for row in block.all}
    assert found["MFCC", "KNN"].gain == of["mfcc", "knn"] - of["shuffled:of=mfcc", "knn"]
    assert found["Random", "Shallow Net"].gain is None, "vectors trained from scratch cannot be shuffled"

    code, again, err = recipe(*words)
    assert code == 0, err
    assert "computing" not in err, "everything has its record"
    assert again.split("Claims of the paper at")[1] in out


def test_wrong_words(recipe):
    assert "no recipe 'recsys2023'. Did you mean 'recsys2024'?" in recipe("recsys2023")[2]
    assert "the paper has no 'BERT'. Did you mean 'BERT4Rec'?" in recipe("recsys2024", "--models", "BERT")[2]
    assert "Did you mean 'MusiCNN'" in recipe("recsys2024", "--embeddings", "MusicCNN")[2]
    assert "none of the paper's embeddings" in recipe("recsys2024", "--embeddings", "Jukebox")[2]


def test_a_dry_run_computes_nothing(recipe, tmp_path):
    code, _, err = recipe("recsys2024", "--embeddings", "MFCC", "--models", "KNN", "--dry-run")
    assert code == 0, err
    assert "to compute: mfcc x knn" in err
    assert not list((tmp_path / "results").rglob("*.json"))


def test_two_lanes_without_probes_and_tables_on_the_way(recipe):
    words = [
        "recsys2024",
        "--embeddings",
        "mfcc",
        "--models",
        "KNN",
        "--lanes",
        "both",
        "--no-probes",
        "--max-time",
        "9s",
    ]
    code, out, err = recipe(*words)
    assert code == 0, err
    assert "task:" not in err
    assert "Claims of the paper at HitRate@10, lane published" in out
    assert "note: k = 10, not the paper's 50: " in err
    assert "Claims of the paper at HitRate@10, lane corrected" in out
    between = err.partition("computing mfcc x knn")[2].partition("computing none x elsa")[0]
    assert "NDCG" in between, "the table of KNN is there before the next model begins"
    assert "none" not in between
    code, _, err = recipe(*words)
    assert code == 0, err
    assert "NDCG" not in err, "nothing was computed"


def test_all_tables_of_a_lane_declare_one_family(recipe, tmp_path):
    words = ["recsys2024", "--embeddings", "mfcc", "--models", "KNN,shallow", "--no-probes", "--max-time", "1s"]
    code, out, err = recipe(*words, "--jobs", "2")
    assert code == 0, err
    runs = [record for _, record in read_all(tmp_path / "results")]
    assert {record.extractor.name for record in runs if not record.control} == {"mfcc", "none"}
    (rows,) = {record.family.rows for record in runs}
    assert set(rows) == {"mfcc × knn", "mfcc × shallow", "none × elsa", "none × shallow"}
    (block,) = boards(read_all(tmp_path / "results"))[0].blocks
    assert len(block.rows) == len(rows)
    assert "no command declared more than" not in out


def test_variants_of_shallow_net_belong_to_one_lane_each(recipe):
    words = ["recsys2024", "--embeddings", "MFCC", "--models", "shallow", "--ablations", "--no-probes", "--dry-run"]
    code, _, err = recipe(*words, "--lanes", "both")
    assert code == 0, err
    told = [line for line in err.splitlines() if line.startswith(("data: ", "parts: ", "note: ", "results: "))]
    assert len(told) == len(set(told)) > 3, "the plans of the experiments say it once"
    cells = [line.removeprefix("to compute: ") for line in err.splitlines() if line.startswith("to compute")]
    models = [[cell.partition(" x ")[2] for cell in line.split(", ") if " x " in cell] for line in cells]
    ablations = ["shallow:items=trainable", "shallow:user_init=random", "shallow:count=5"]
    assert models == [
        ["shallow", "shallow:reading=code", "elsa"],
        ["shallow", "shallow:reading=code"],
        ["shallow", *ablations, "elsa"],
        ["shallow"],
    ]


def test_mir_tasks_are_left_out_or_have_a_folder(recipe, tmp_path):
    assert "give one of them" in recipe("recsys2024", "--no-probes", "--mir-root", tmp_path)[2]


def test_tasks_without_their_folder_are_named_and_no_others(recipe, tmp_path):
    task_fixtures.write("gtzan", tmp_path / "mir" / "gtzan")
    words = ["recsys2024", "--embeddings", "MFCC", "--models", "KNN", "--dry-run"]
    code, _, err = recipe(*words, "--mir-root", tmp_path / "mir")
    assert code == 0, err
    assert f"left out: --mir-root {tmp_path / 'mir'} has no folder magnatagatune and no giantsteps" in err
    assert "task: gtzan" in err
    assert "--root DIR" not in err, "tasks that the paper does not have are not asked for"
