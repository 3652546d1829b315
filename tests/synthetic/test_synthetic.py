import hashlib
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from bench.datasets.demo import content
from bench.synthetic import (
    AMBIGUOUS,
    CUT,
    DEMO,
    DEMO_1,
    DEMO_LONG,
    DEMO_LONG_1,
    END,
    GENRES,
    START,
    Planted,
    Plays,
    Stream,
    World,
    WorldSize,
    make_plays,
    make_world,
    planted,
    render,
)
from bench.synthetic import random_stream as streams

TINY = WorldSize(tracks=40, artists=16, cold=9, seconds=2.0, listeners=30, plays=1_500, seed=7)


@cache
def made(size: WorldSize) -> tuple[World, Plays]:
    world = make_world(size)
    return world, make_plays(world)


def sound_sha(world: World, row: int) -> str:
    return hashlib.sha256(render(world, row).astype("<i2").tobytes()).hexdigest()


# Golden hashes. A change here changes the demo for everybody: raise VERSION with it.


@pytest.mark.parametrize(
    ("size", "listens", "tracks"),
    [
        (
            DEMO,
            "9612161e9a153629d1cb6c6e556e50339ed1bdb4174734f3d7d03d0e14deb954",
            "cff45a4cceb6f0b851d2e654b9bd2b005b422a79ff157ada34f068e1996c5a24",
        ),
        (
            DEMO_LONG,
            "fc6944b4b69095f1cc42c4b90d76ea31484158c0c306e442e2e6c36804caa709",
            "64b5037deefa6959a3997dfc91d2919ddb7e7b24c5a5b91ba70aa7f0bad518b8",
        ),
        (
            DEMO_1,
            "d2e60fcad586061cc87dd7caf810dddcb9768c96e123f9e7785428ac449d00c6",
            "2f78dbb35692ea47eb2c037ab2786764f28cf58a57ab73c9aecf58c35dcdd646",
        ),
        (
            DEMO_LONG_1,
            "c028c2caae5dbec12208d00738eabfa153682da13febfd972dc85593a2522def",
            "ade3d1642a527b045c6a348c2cc7a367ab506cf86ab0863cb111188373a924d2",
        ),
    ],
    ids=["demo", "demo-long", "demo of generator 1", "demo-long of generator 1"],
)
def test_rows_are_the_same_everywhere(size, listens, tracks):
    assert content(*made(size)) == {"listens_sha256": listens, "tracks_sha256": tracks}


@pytest.mark.parametrize(
    ("size", "row", "sha256"),
    [
        (DEMO, 2, "3de27fd22d27719328d944d3b319391502919a3e41c8bc958ed10b19885ff047"),
        (DEMO, 11, "6c228e9b92db4d7b9441d66de4c863c1f6885e75de49a6c65d173939e6a3c218"),
        (DEMO, 9, "bc3e3b3ef3ada23f492b5c41748cc4d6e26d2f74d7ebb5e67f15fbca0321156d"),
        (DEMO, 7, "ad5b846979d60b88548be774d2cb2af99b6d3686462673600d13eb34988ec649"),
        (DEMO_LONG, 0, "ce4604ef7e9ff6212aa3a3bd7c72319facfe1623a59194c9c591b51385eb741c"),
        (DEMO_1, 9, "1addd282b371a87f9b8221120f323f67ebf682f38344af06b912b421afce991e"),
        (DEMO_1, 7, "38d0665210c16e4baeddf99340dee51136191972c021c1c19407f9bfda0e5b44"),
        (DEMO_LONG_1, 0, "2579519ff95ed626510a94170f96a398c95319ee9914da7f83af1f6bb161b766"),
    ],
)
def test_sound_is_the_same_everywhere(size, row, sha256):
    assert sound_sha(made(size)[0], row) == sha256


@pytest.mark.parametrize(
    ("size", "width", "sha256"),
    [
        (DEMO, 15, "0cebf022b8162f688ca12935c77ed2d8e37ed0316b55ade221a5796653e240a4"),
        (DEMO_1, 13, "6f92c35262e300619bafaa282a34c99845691132cc80d42747fc2d3e8ac873ce"),
    ],
)
def test_traits_are_the_same_everywhere(size, width, sha256):
    traits = made(size)[0].traits
    assert traits.shape == (600, width)
    assert hashlib.sha256(traits.astype("<f4").tobytes()).hexdigest() == sha256


def test_tables_keep_clear_of_the_points_where_rounding_could_tip():
    # libm may differ by 1e-14 at most; no entry lies within 1e-10 of the middle between two grid points.
    exact = [
        np.sin(np.arange(streams.TURN) * (2 * np.pi / streams.TURN)),
        np.exp(np.arange(streams.LOWEST * streams.STEPS, streams.HIGHEST * streams.STEPS + 1) / streams.STEPS),
        np.exp2(np.arange(12) / 12),
    ]
    for values in exact:
        scaled = values * streams.GRID
        assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1e-10 * streams.GRID


def test_streams_are_named_and_independent():
    assert np.array_equal(Stream(1, "a").raw(4), Stream(1, "a").raw(4))
    assert not np.array_equal(Stream(1, "a").raw(4), Stream(1, "b").raw(4))
    assert not np.array_equal(Stream(1, "a").raw(4), Stream(2, "a").raw(4))
    drawn = Stream(1, "c")
    assert abs(drawn.normal(20_000).std() - 1) < 0.02
    assert np.bincount(drawn.choice([1, 0, 3], 4_000)).tolist()[1] == 0
    assert sorted(drawn.order(50).tolist()) == list(range(50))
    assert set(drawn.integers(3, 100).tolist()) == {0, 1, 2}
    noise = drawn.noise(4_001)
    assert len(noise) == 4_001
    assert np.abs(noise).max() <= 1


# A small world has the properties of the large one.


def test_same_size_same_bytes_other_seed_other_bytes():
    world, plays = made(TINY)
    again = make_world(TINY)
    assert content(again, make_plays(again)) == content(world, plays)
    assert [sound_sha(again, row) for row in (0, 39)] == [sound_sha(world, row) for row in (0, 39)]
    other = make_world(replace(TINY, seed=8))
    changed = content(other, make_plays(other))
    assert changed["listens_sha256"] != content(world, plays)["listens_sha256"]
    assert changed["tracks_sha256"] != content(world, plays)["tracks_sha256"]
    assert sound_sha(other, 0) != sound_sha(world, 0)


def test_sound_is_loud_enough_and_all_tracks_differ():
    world, _ = made(TINY)
    waves = [render(world, row) for row in range(len(world.tracks))]
    assert {len(wave) for wave in waves} == {TINY.samples}
    assert {wave.dtype for wave in waves} == {np.dtype(np.int16)}
    assert min(int(np.abs(wave.astype(int)).max()) for wave in waves) > 8_000
    assert min(float(wave.std()) for wave in waves) > 500
    assert len({wave.tobytes() for wave in waves}) == len(waves)


def test_a_track_does_not_depend_on_what_was_rendered_before():
    world, _ = made(TINY)
    first = sound_sha(world, 5)
    sound_sha(world, 6)
    assert sound_sha(world, 5) == first


def test_every_genre_has_artists_and_artists_have_a_home():
    world, _ = made(DEMO)
    genres = np.array([track.genre for track in world.tracks])
    assert np.bincount(genres, minlength=len(GENRES)).min() > 30
    home = np.array([world.artists[track.artist].genre for track in world.tracks])
    assert 0.8 < (home == genres).mean() < 0.95
    assert len({artist.name for artist in world.artists}) == DEMO.artists
    assert len(np.unique(np.bincount(world.artist_of))) > 3
    assert {track.key for track in world.tracks} == {
        f"{tonic} {mode}"
        for tonic in ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
        for mode in ("major", "minor")
    }


def test_tracks_of_an_artist_resemble_each_other():
    world, _ = made(DEMO)
    traits = world.traits / np.linalg.norm(world.traits, axis=1, keepdims=True)
    like = traits @ traits.T
    own = world.artist_of[:, None] == world.artist_of
    np.fill_diagonal(own, False)
    home = np.array([artist.genre for artist in world.artists])[world.artist_of]
    genre = (home[:, None] == home) & (world.artist_of[:, None] != world.artist_of)
    assert like[own].mean() > like[genre].mean() > like[~own & ~genre].mean()


def test_half_of_the_artists_swell_in_every_genre_and_scene_and_a_quarter_of_their_tracks_strays():
    world, _ = made(DEMO)
    cells = np.array([(artist.genre, artist.swelling, artist.scene) for artist in world.artists])
    assert set(np.unique(cells, axis=0, return_counts=True)[1]) == {3, 4}
    assert cells[:, 1:].sum(axis=0).tolist() == [60, 60]
    usual = np.array([artist.swelling for artist in world.artists])[world.artist_of]
    swelling = np.array([track.attack == "swelling" for track in world.tracks])
    assert 0.2 < (usual != swelling).mean() < 0.3
    assert 0.45 < swelling.mean() < 0.55


def test_a_swelling_track_is_a_struck_one_backwards():
    world, _ = made(TINY)
    row = next(row for row, track in enumerate(world.tracks) if track.attack == "swelling")
    struck = replace(world.tracks[row], attack="struck")
    other = replace(world, tracks=(*world.tracks[:row], struck, *world.tracks[row + 1 :]))
    assert np.array_equal(render(world, row), render(other, row)[::-1])


def test_tags_name_the_attack_of_half_the_tracks_and_seldom_a_wrong_one():
    rows = made(DEMO)[0].rows()
    named = [(row["attack"], tag) for row in rows for tag in row["tags"] if tag in ("struck", "swelling")]
    assert 0.4 < len(named) / len(rows) < 0.6
    assert 0.9 < np.mean([attack == tag for attack, tag in named]) < 1
    assert {row["scene"] for row in rows} == {"coast", "capital"}
    assert not any({"coast", "capital"} & set(row["tags"]) for row in rows)


def test_generator_1_has_neither_attack_nor_scene():
    world = made(DEMO_1)[0]
    assert {track.attack for track in world.tracks} == {"struck"}
    assert not {"attack", "scene"} & set(world.rows()[0])


def test_new_tracks_are_by_as_many_artists_as_possible():
    world, _ = made(DEMO)
    assert len(np.unique(world.artist_of[world.released >= CUT])) == DEMO.artists


def test_ambiguous_tags_occur_in_both_of_their_genres():
    world, _ = made(DEMO)
    seen: dict[str, set[str]] = {word: set() for word in AMBIGUOUS}
    for row in world.rows():
        for word in seen.keys() & set(row["tags"]):
            seen[word].add(row["genre"])
    assert all(set(AMBIGUOUS[word]) <= genres for word, genres in seen.items())


def test_text_is_noisy_but_about_the_track():
    rows = made(DEMO)[0].rows()
    assert 0.5 < np.mean([row["genre"] in row["tags"] for row in rows]) < 0.9
    assert 5 < sum(row["description"] == "" for row in rows) < 60
    assert any(not set(row["tags"]) & set(GENRES) for row in rows)
    assert all(len(set(row["tags"])) == len(row["tags"]) for row in rows)


@pytest.mark.parametrize("size", [TINY, DEMO, DEMO_LONG], ids=["tiny", "demo", "demo-long"])
def test_log_keeps_to_its_dates_and_nothing_is_played_before_its_release(size):
    world, plays = made(size)
    assert plays.time.min() >= START
    assert plays.time.max() < END
    assert (plays.time >= world.released[plays.track]).all()
    assert np.array_equal(np.lexsort((plays.track, plays.time, plays.user)), np.arange(len(plays)))
    assert set(np.unique(plays.user)) == set(range(size.listeners))
    assert abs(len(plays) - size.plays) < 0.1 * size.plays
    cold = world.released >= CUT
    assert cold.sum() >= size.cold
    assert not np.isin(plays.track[plays.time < CUT], np.flatnonzero(cold)).any()


@pytest.mark.parametrize(("size", "listeners"), [(DEMO, 4), (DEMO_LONG, 3)], ids=["demo", "demo-long"])
def test_cold_tracks_are_heard_by_several_listeners_and_all_others_before_the_cut(size, listeners):
    world, plays = made(size)
    cold = world.released >= CUT
    pairs = np.unique(plays.user * size.tracks + plays.track)
    assert np.bincount(pairs % size.tracks, minlength=size.tracks)[cold].min() >= listeners
    before = np.bincount(plays.track[plays.time < CUT], minlength=size.tracks)
    assert before[~cold].min() >= listeners


def test_test_month_of_the_demo_asks_for_a_few_tracks_each():
    world, plays = made(DEMO)
    cold = world.released >= CUT
    late = plays.time >= CUT
    old = np.unique(plays.user[~late] * 600 + plays.track[~late])
    new = np.setdiff1d(np.unique(plays.user[late] * 600 + plays.track[late]), old)
    for wanted, low, high in ((~cold, 5, 12), (cold, 1, 4)):
        counts = np.bincount((new // 600)[wanted[new % 600]])
        assert low <= np.median(counts[counts > 0]) <= high
    assert len(np.unique(new // 600)) > 380
    assert len(np.setdiff1d(plays.user, plays.user[late])) > 20  # some have left


def test_repeats_loyalty_and_varied_activity():
    _, plays = made(DEMO)
    pairs = np.unique(plays.user * 600 + plays.track)
    assert 0.3 < len(pairs) / len(plays) < 0.7
    counts = np.bincount(plays.user)
    assert np.quantile(counts, 0.9) > 4 * np.quantile(counts, 0.1)


def test_a_world_of_new_tracks_only_still_starts_with_one_to_hear():
    world, plays = made(replace(TINY, cold=39))
    assert world.released.min() < START
    assert (plays.time >= world.released[plays.track]).all()


def test_impossible_world_is_refused():
    with pytest.raises(ValueError, match="artists <= tracks"):
        WorldSize(tracks=5, artists=8)
    with pytest.raises(ValueError, match="generators 1 to 2"):
        WorldSize(generator=3)


# Planted tables.


def closeness(truth: Planted, table: str) -> float:
    """How much nearer new items lie to the mean of the listener's earlier ones than items at random."""
    vectors = truth.tables[table] - truth.tables[table].mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = {name: row for row, name in enumerate(truth.ids)}
    item = truth.listens["item"].replace_strict(rows, return_dtype=pl.Int32).to_numpy()
    user = truth.listens["user"].rank("dense").to_numpy().astype(int) - 1
    late = (truth.listens["time"] >= truth.cut).to_numpy()
    means = np.zeros((user.max() + 1, vectors.shape[1]))
    np.add.at(means, user[~late], vectors[item[~late]])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    pairs = user * len(vectors) + item
    who, new = np.divmod(np.setdiff1d(pairs[late], pairs[~late]), len(vectors))
    chance = np.random.default_rng(0).integers(0, len(vectors), len(new))
    own, other = ((means[who] * vectors[items]).sum(axis=1).mean() for items in (new, chance))
    return float(own - other)


def test_planted_tables_rank_as_they_were_made():
    truth = planted(400, 3_000, 24, seed=3, plays=40_000)
    near = {table: closeness(truth, table) for table in truth.tables}
    assert near["oracle"] > 0.2
    assert near["oracle"] > near["aligned"] + 0.02
    assert near["aligned"] > near["noisy"] + 0.05
    assert near["noisy"] > abs(near["shuffled"]) + 0.05
    assert abs(near["shuffled"]) < 0.04


def test_planted_log_is_sorted_and_cold_items_wait_for_the_cut():
    truth = planted(50, 200, 8, seed=1, plays=5_000, cold_share=0.3)
    assert truth.listens.columns == ["user", "item", "time"]
    assert truth.listens.schema["time"] == pl.Datetime("us", "UTC")
    assert truth.listens.equals(truth.listens.sort("user", "time", maintain_order=True))
    assert truth.ids == sorted(truth.ids)
    assert 30 < truth.cold.sum() < 90
    cold = [name for name, new in zip(truth.ids, truth.cold, strict=True) if new]
    first = truth.listens.filter(pl.col("item").is_in(cold))["time"].min()
    assert first is not None
    assert first >= truth.cut
    assert abs(truth.listens.height - 5_000) < 100
    assert {name: table.shape for name, table in truth.tables.items()} == dict.fromkeys(
        ("oracle", "aligned", "noisy", "shuffled"), (200, 8)
    )
    assert {table.dtype for table in truth.tables.values()} == {np.dtype(np.float32)}


def test_planted_repeats_itself():
    one, two, other = (planted(20, 60, 4, seed=seed) for seed in (5, 5, 6))
    assert one.listens.equals(two.listens)
    assert not one.listens.equals(other.listens)
    assert all(np.array_equal(one.tables[name], two.tables[name]) for name in one.tables)


@pytest.mark.parametrize(
    ("users", "items", "dim", "share"), [(0, 9, 2, 0.1), (3, 1, 2, 0.1), (3, 9, 0, 0.1), (3, 9, 2, 1.0)]
)
def test_planted_refuses_nonsense(users, items, dim, share):
    with pytest.raises(ValueError, match="planted"):
        planted(users, items, dim, seed=0, cold_share=share)


@pytest.mark.parametrize("items", [2, 3, 9, 17])
def test_planted_works_at_the_smallest_sizes(items):
    truth = planted(2, items, 1, seed=0, cold_share=0.5)
    assert set(truth.listens["item"]) <= set(truth.ids)
