"""Readers of the released layouts: fixtures, published sizes, and errors in a file."""

import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.protocols import PARTS
from bench.registry import create, get, names
from bench.tasks import annotation_files
from bench.tasks.audioset import _AudioSet, _video
from bench.tasks.giantsteps import split_artists
from bench.tasks.magnatagatune import TAGS
from bench.tasks.msd import tracks
from bench.testing import task_fixtures

MTG = "giantsteps-mtg-key-dataset/annotations/annotations.txt"
JAMENDO = "data/splits/split-0/autotagging_genre-train.tsv"
FMA = "fma_metadata/tracks.csv"
MARKS = "annotations/static_annotations.csv"
SONGS = "annotations/songs_info.csv"


@pytest.fixture
def copy(fixture_folder, tmp_path):
    """Return a function that gives a writable copy of a task's fixture, and a function that reads the copy."""

    def copied(name):
        root = tmp_path / "root"
        shutil.copytree(fixture_folder(name), root)
        task = create("tasks", task_fixtures.SPECS.get(name, name))
        return root, lambda: task.read(task.prepare(root))

    return copied


def change(path, line, edit):
    """Apply `edit` to one line (from 1) of a text file."""
    rows = path.read_text().split("\n")
    rows[line - 1] = edit(rows[line - 1])
    path.write_text("\n".join(rows))


# -- published sizes -------------------------------------------------------------------------------------


def test_published_sizes_are_declared():
    sizes = {
        "magnatagatune": (18_706, 1_825, 5_329),
        "magnatagatune-filtered": (15_244, 1_529, 4_332),
        "gtzan": (443, 197, 290),
    }
    for name, expected in sizes.items():
        assert tuple(get("tasks", name).expected.values()) == expected
    assert sum(sizes["magnatagatune"]) == 25_860
    assert len(TAGS) == len(set(TAGS)) == 50


def test_the_fault_filtered_lists_are_the_published_ones():
    lists = {part: annotation_files.lines(annotation_files.LISTS / f"gtzan_{part}.txt") for part in PARTS}
    parts = {part: [line for _, line in found] for part, found in lists.items()}
    assert {part: len(found) for part, found in parts.items()} == {"train": 443, "valid": 197, "test": 290}
    every = [line for found in parts.values() for line in found]
    assert len(set(every)) == 930
    joined = hashlib.sha256("\n".join(every).encode()).hexdigest()
    assert joined == "b45290997e1cb52286d6c79f31b34ab8ca0dc2a930a65b3b2b6d409a65a81305"


def test_ls_names_licence_source_and_layout():
    for name in names("tasks"):
        cls = get("tasks", name)
        assert cls.license
        assert cls.source
        assert cls.layout


# -- MagnaTagATune ---------------------------------------------------------------------------------------


def test_magnatagatune_parts_are_folders(fixture_folder):
    data = create("tasks", "magnatagatune").read(fixture_folder("magnatagatune"))
    folder = data.items["path"].str.split("/").list.get(-2)
    expected = {"train": set("0123456789ab"), "valid": {"c"}, "test": set("def")}
    for part, allowed in expected.items():
        assert set(folder.filter(data.items["part"] == part)) <= allowed
    assert not data.truth.any(axis=1).all()  # some clips have no tag
    filtered = create("tasks", "magnatagatune-filtered").read(fixture_folder("magnatagatune"))
    assert filtered.truth.any(axis=1).all()
    assert filtered.items.height == data.truth.any(axis=1).sum()


def test_magnatagatune_reads_the_right_column(fixture_folder):
    data = create("tasks", "magnatagatune").read(fixture_folder("magnatagatune"))
    table = pl.read_csv(fixture_folder("magnatagatune") / "annotations_final.csv", separator="\t")
    table = table.filter(pl.col("clip_id").cast(str).is_in(data.items["track_id"].implode()))
    assert np.array_equal(data.truth, table.select(TAGS).to_numpy() == 1)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda row: '"102"\t"2"' + row[row.index("\t", 7) :], "line 4: the tag 'guitar' is '2'"),
        (lambda row: row.replace('"0"', '"yes"', 1), "is 'yes'"),
        (lambda row: row[: row.rindex("\t")] + '\t"x/y.mp3"', "line 4: mp3_path is 'x/y.mp3'"),
        (lambda row: row.replace('"102"', '"101"', 1), "line 4: clip_id repeats '101'"),
    ],
)
def test_magnatagatune_names_the_line(copy, edit, message):
    root, read = copy("magnatagatune")
    change(root / "annotations_final.csv", 4, edit)
    with pytest.raises(BenchError, match=r"annotations_final\.csv") as error:
        read()
    assert message in str(error.value)


def test_a_missing_tag_column_is_named(copy):
    root, read = copy("magnatagatune")
    change(root / "annotations_final.csv", 1, lambda row: row.replace('"sitar"', '"zither"'))
    with pytest.raises(BenchError, match=r"line 1.*'sitar'"):
        read()


# -- GTZAN -----------------------------------------------------------------------------------------------


def test_gtzan_finds_wav_and_au_and_lists_absent_clips(fixture_folder):
    data = create("tasks", "gtzan").read(fixture_folder("gtzan"))
    there = [path for path in data.items["path"].to_list() if Path(path).is_file()]
    assert {path[-3:] for path in there} == {".au", "wav"}
    assert len(there) == 60
    assert data.items.height == 930


def test_folds_are_stratified_by_genre(fixture_folder):
    task = create("tasks", "gtzan-10fold")
    data = task.read(fixture_folder("gtzan"))
    counts = pl.DataFrame({"fold": data.items["fold"], "genre": data.truth}).group_by("fold", "genre").len()
    assert counts.height == 100
    assert counts["len"].unique().to_list() == [10]


# -- keys ------------------------------------------------------------------------------------------------


def test_giantsteps_uses_confident_single_keys_and_cuts_clips(fixture_folder):
    data = create("tasks", "giantsteps:seconds=0.5").read(fixture_folder("giantsteps"))
    items = data.items
    assert "10005" not in items["track"].to_list()  # "-"
    assert "10007" not in items["track"].to_list()  # two keys
    assert "10009" not in items["track"].to_list()  # confidence 1
    assert items.filter(pl.col("track") == "10000")["offset"].to_list() == [0.0, 0.5]
    assert items["duration"].unique().to_list() == [0.5]
    assert items.group_by("track").agg(pl.col("part").n_unique())["part"].max() == 1


def test_collaborators_of_validation_artists_validate():
    single = {name: split_artists([name])[0] for name in (f"DJ {n}" for n in range(400))}
    train = [name for name, part in single.items() if part == "train"]
    valid = [name for name, part in single.items() if part == "valid"]
    assert 0.08 < len(valid) / 400 < 0.2  # 16 of 116
    chain = [f"{valid[0]}, {train[0]}", f"{train[0]}, {train[1]}", f"{train[2]}, {train[3]}"]
    assert split_artists(chain) == ["valid", "valid", "train"]


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        (
            MTG,
            3,
            "10001\tc minor\t7",
            "line 3: the confidence C is '7'",
        ),
        (MTG, 3, "\tc minor\t2", "line 3: ID is empty"),
    ],
)
def test_giantsteps_names_the_line(copy, file, line, text, message):
    root, read = copy("giantsteps")
    change(root / file, line, lambda _: text)
    with pytest.raises(BenchError) as error:
        read()
    assert file.rpartition("/")[2] in str(error.value)
    assert message in str(error.value)


def test_an_unknown_key_of_the_test_is_named(copy):
    root, read = copy("giantsteps")
    path = next((root / "giantsteps-key-dataset/annotations/key").iterdir())
    path.write_text("C mixolydian")
    with pytest.raises(BenchError, match=f"{path.name}, line 1: 'C mixolydian'"):
        read()


# -- tables with one row a clip --------------------------------------------------------------------------


def test_emomusic_scales_by_the_development_set(fixture_folder):
    data = create("tasks", "emomusic").read(fixture_folder("emomusic"))
    known = data.truth[(data.items["part"] != "test").to_numpy()]
    assert np.allclose(known.mean(axis=0), 0)
    assert np.allclose(known.std(axis=0), 1)
    assert list(data.names) == ["arousal", "valence"]


@pytest.mark.parametrize(
    ("task", "file", "line", "edit", "message"),
    [
        ("emomusic", MARKS, 3, lambda row: row.replace(" ", "x", 1), "line 3: mean_arousal"),
        ("emomusic", SONGS, 2, lambda row: row.replace("development", "dev"), "line 2: the set is"),
        ("emomusic", SONGS, 2, lambda row: "999" + row[1:], "song '999'"),
        ("jamendo-genre", JAMENDO, 1, str.lower, "line 1: 'track_id"),
        ("jamendo-genre", JAMENDO, 2,
         lambda row: row.rpartition("\t")[0] + "\trock", "line 2: 'track_"),
        ("fma-small", FMA, 4, lambda row: "x" + row, "track 1 (below 3 header lines): the id is 'x2'"),
        ("fma-small", FMA, 4, lambda row: row.replace("training", "train"), "track 2: split 'train'"),
        ("fma-small", FMA, 2, lambda row: row.replace("genre_top", "genre"), "track/genre_top"),
        ("audioset25", "eval_segments.csv", 4, lambda row: row.replace("30.000", "now"), "eval_segments.csv, line 4"),
        ("audioset25", "ontology.json", 1, lambda row: row[:50], "cannot read"),
        ("msd50", "filtered_list_test.cP", 2, lambda row: row.replace("TRAAA", "XRAAA"), "entry 1: 'XRAAA"),
    ],
)  # fmt: skip
def test_errors_name_the_place(copy, task, file, line, edit, message):
    root, read = copy(task)
    change(root / file, line, edit)
    with pytest.raises(BenchError) as error:
        read()
    assert message in str(error.value)


def test_fma_medium_includes_small(fixture_folder):
    small, medium = (create("tasks", name).read(fixture_folder("fma-small")) for name in ("fma-small", "fma-medium"))
    assert set(small.items["track_id"]) < set(medium.items["track_id"])
    assert "/fma_medium/000/000002.mp3" in medium.items["path"][0]


def test_jamendo_reads_other_splits_and_low_bitrate_files(copy):
    root, _ = copy("jamendo-top50")
    one = create("tasks", "jamendo-top50:split=1")
    assert one.read(one.prepare(root)).expected == {}
    with pytest.raises(BenchError, match="split=5"):
        create("tasks", "jamendo-top50:split=5")
    low = create("tasks", "jamendo-top50").read(root).items["path"].to_list()
    assert any(path.endswith(".low.mp3") for path in low)


# -- AudioSet, MSD ---------------------------------------------------------------------------------------


def test_descendants_count_as_their_genre(fixture_folder):
    root = fixture_folder("audioset25")
    many, seven = (create("tasks", name).read(root) for name in ("audioset25", "audioset7"))
    hip, electronic = many.names.index("Hip hop music"), many.names.index("Electronic music")
    techno = seven.truth[:, seven.names.index("Techno")]
    assert techno.any()
    assert many.truth[:, electronic][techno].all()
    assert many.truth[:, hip].any()


@pytest.mark.parametrize("stem", ["--aE2O5G5WE", "Y--aE2O5G5WE", "--aE2O5G5WE_30", "Y--aE2O5G5WE_30.000_40.000"])
def test_names_of_video_files(stem):
    assert _video(stem) == "--aE2O5G5WE"


def test_train_all_adds_the_unbalanced_segments(fixture_folder):
    root = fixture_folder("audioset25")
    more = create("tasks", "audioset25:train=all").read(root)
    assert more.items.height == create("tasks", "audioset25").read(root).items.height + 1


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_pickled_lists_are_read_and_nothing_is_executed(tmp_path, protocol):
    ids = [f"TRAAA{chr(65 + at)}Q128F42{at:05X}" for at in range(20)]
    (tmp_path / "list.cP").write_bytes(pickle.dumps(ids, protocol=protocol))
    assert tracks(tmp_path / "list.cP") == ids

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    (tmp_path / "evil.cP").write_bytes(pickle.dumps([Evil()], protocol=protocol))
    with pytest.raises(BenchError):
        tracks(tmp_path / "evil.cP")
    assert not (tmp_path / "executed").exists()


def test_a_broken_database_is_named(copy):
    root, read = copy("msd50")
    (root / "lastfm_tags.db").write_text("no database")
    with pytest.raises(BenchError, match=r"Expected lastfm_tags\.db"):
        read()


def test_a_set_of_genres_must_say_which():
    with pytest.raises(TypeError, match="genres"):
        _AudioSet()
