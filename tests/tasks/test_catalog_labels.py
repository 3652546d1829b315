"""Labels of the recommended tracks: parts by artist, rare labels, words, keys."""

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.holdout import hold_out
from bench.metrics.key_score import NAMES
from bench.registry import create
from bench.tasks import key_names
from bench.tasks.artist_split import around_held_out, by_artist, frequent


class Tracks:
    """A dataset with metadata only."""

    name = "tracks"
    hold_out = 0.15

    def __init__(self, **columns):
        self.frame = pl.DataFrame(columns)

    def meta(self, root):
        return self.frame

    def labels(self, root, task):
        return None

    def catalog(self, root):
        return None


def many(n=200, **columns):
    return Tracks(track_id=[f"t{i:03d}" for i in range(n)], artist=[f"a{i // 4}" for i in range(n)], **columns)


@pytest.fixture
def read(tmp_path):
    def of(spec, dataset):
        task = create("tasks", spec)
        task.hold_out = hold_out(dataset, tmp_path, tmp_path)
        return task.read(None, dataset)

    return of


def test_artists_stay_together_and_parts_have_their_shares():
    ids = [f"t{i}" for i in range(1000)]
    artists = [f"a{i // 5}" for i in range(1000)]
    part, group = by_artist(ids, artists, valid=0.15, test=0.15)
    frame = pl.DataFrame({"artist": artists, "part": part})
    assert frame.group_by("artist").agg(pl.col("part").n_unique())["part"].max() == 1
    shares = dict(frame["part"].value_counts(normalize=True).iter_rows())
    assert abs(shares["test"] - 0.15) < 0.01
    assert abs(shares["valid"] - 0.15) < 0.01
    assert group == artists


def test_the_order_of_the_tracks_does_not_matter():
    ids = [f"t{i}" for i in range(300)]
    artists = [f"a{i % 37}" if i % 5 else None for i in range(300)]
    part, _ = by_artist(ids, artists, valid=0.2, test=0.2)
    reverse, _ = by_artist(ids[::-1], artists[::-1], valid=0.2, test=0.2)
    assert reverse[::-1] == part


def test_every_stratum_is_split():
    ids = [f"t{i}" for i in range(400)]
    artists = [f"a{i // 4}" for i in range(400)]
    genre = [f"g{(i // 4) % 5}" for i in range(400)]
    part, _ = by_artist(ids, artists, valid=0.2, test=0.2, strata=genre)
    counts = pl.DataFrame({"g": genre, "p": part}).group_by("g", "p").len()
    assert counts.height == 15
    assert counts.filter(pl.col("p") == "test")["len"].to_list() == [16] * 5


def test_held_out_tracks_are_the_test_and_the_others_validate_by_group():
    groups = [f"a{i // 4}" for i in range(400)]
    genre = [f"g{(i // 4) % 5}" for i in range(400)]
    held = [i < 100 for i in range(400)]
    part = around_held_out(held, groups, valid=0.2, strata=genre)
    frame = pl.DataFrame({"held": held, "group": groups, "genre": genre, "part": part})
    assert (frame["held"] == (frame["part"] == "test")).all()
    assert frame.group_by("group").agg(pl.col("part").n_unique())["part"].max() == 1
    assert frame.filter(pl.col("part") == "valid").group_by("genre").len()["len"].to_list() == [12] * 5
    assert around_held_out(held[::-1], groups[::-1], valid=0.2, strata=genre[::-1]) == part[::-1]
    with pytest.raises(BenchError, match="no test part"):
        around_held_out([False] * 400, groups, valid=0.2)


def test_only_held_out_tracks_are_tested(read, tmp_path):
    tracks = many(genre=["rock" if i // 4 % 2 else "jazz" for i in range(200)], title=["ab cd"] * 100 + ["cd ef"] * 100)
    held = hold_out(tracks, tmp_path, tmp_path).held
    for spec in ("catalog-genre", "text-labels:least=2"):
        items = read(spec, tracks).items
        assert set(items.filter(pl.col("part") == "test")["track_id"].to_list()) == held
    tracks.frame = tracks.frame.with_columns(part=pl.Series((["train"] * 3 + ["dev", "test"]) * 40))
    for spec in ("catalog-genre", "text-labels:least=2"):
        items = read(spec, tracks).items
        assert items["part"].to_list() == (["train"] * 3 + ["valid", "test"]) * 40


def test_too_few_artists_are_refused():
    with pytest.raises(BenchError, match="3 tracks of 1 artists leave no"):
        by_artist(["a", "b", "c"], ["x"] * 3, valid=0.2, test=0.2)


def test_labels_need_enough_tracks():
    parts = ["train"] * 4 + ["valid", "test"]
    columns = np.array([[1, 1, 1], [1, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 0]], bool)
    assert frequent(parts, columns, 3).tolist() == [True, False, False]


def test_tags_from_lists_and_from_text_are_the_same(read):
    tags = [
        [t for t, there in (("a", i % 2), ("b", i % 3 == 0), ("c", i in (5, 45, 85, 125))) if there] for i in range(200)
    ]
    tags[7] = None
    lists = read("catalog-tags", many(tags=pl.Series(tags, dtype=pl.List(pl.String))))
    text = read("catalog-tags", many(tags=[None if t is None else ", ".join(t) for t in tags]))
    assert list(lists.names) == list(text.names) == ["a", "b"]
    assert np.array_equal(lists.truth, text.truth)
    row = lists.items["track_id"].to_list().index("t009")
    assert lists.truth[row].tolist() == [True, True]
    assert "t007" not in lists.items["track_id"].to_list()
    assert "t004" in lists.items["track_id"].to_list()  # it has tags, but none of the used ones
    assert lists.notes == ["left out: 1 tracks without tags, 1 rare tags"]


def test_the_first_genre_counts_and_rare_ones_are_left_out(read):
    genre = [("rock, pop" if i // 4 % 2 else "jazz") for i in range(200)]
    genre[0] = "polka"
    data = read("catalog-genre", many(genre=genre))
    assert list(data.names) == ["jazz", "rock"]
    assert data.items.height == 199
    right = [genre[int(track[1:])].split(",")[0] for track in data.items["track_id"].to_list()]
    assert [data.names[at] for at in data.truth.tolist()] == right


def test_unknown_artists_are_reported(read):
    tracks = many(genre=["rock" if i // 4 % 2 else "jazz" for i in range(200)])
    tracks.frame = tracks.frame.with_columns(artist=pl.when(pl.col("track_id") < "t020").then(None).otherwise("artist"))
    assert "the artist of 20 tracks is unknown" in " ".join(read("catalog-genre", tracks).notes)


def test_a_dataset_without_labels_is_refused(read):
    with pytest.raises(BenchError, match="tracks has no key"):
        read("catalog-key", many(genre=["x"] * 200))
    with pytest.raises(BenchError, match="no track of tracks has a genre"):
        read("catalog-genre", many(genre=pl.Series([None] * 200, dtype=pl.String)))


def test_words_and_phrases_of_texts(read):
    title = ["Blue sea" if i % 2 else "sea, BLUE" for i in range(200)]
    tags = pl.Series([["deep sea", "blue"] if i % 3 else ["red"] for i in range(200)])
    data = read("text-labels:least=2,words=2", many(title=title, tags=tags))
    truth = {name: data.truth[:, at] for at, name in enumerate(data.names)}
    assert set(truth) == {"blue sea", "sea blue", "deep", "deep sea", "red"}  # all tracks have sea and blue
    number = np.array([int(track[1:]) for track in data.items["track_id"].to_list()])
    assert np.array_equal(truth["blue sea"], number % 2 == 1)
    assert np.array_equal(truth["deep sea"], number % 3 > 0)  # no phrase continues into the next tag


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("C major", "C major"), ("Db major", "C# major"), ("g# minor", "G# minor"), ("Cb", "B major"),
        ("F#m", "F# minor"), ("a min", "A minor"), ("E♭:maj", "D# major"), ("B flat minor", "A# minor"),
        ("-", None), ("f minor / g# major", None), ("", None), ("X", None), ("H major", None), ("C dorian", None),
    ],
)  # fmt: skip
def test_names_of_keys(text, key):
    found = key_names.number(text)
    assert (None if found is None else NAMES[found]) == key
