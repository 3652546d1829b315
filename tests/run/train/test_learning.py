"""What training must change: it beats random weights, which beat chance; wrong labels teach nothing."""

import numpy as np
import polars as pl
import pytest
import soundfile

from bench.cli import main
from bench.metrics.link_prediction import RankedPairs
from bench.registry import create


def same_tag_ap(spec, folder):
    """AP of pairs of held-out recordings with the same faint tone, by cosine; and that of chance."""
    import torch

    extractor = create("extractors", spec)
    extractor.load("cpu", "float32")
    meta = pl.read_csv(folder / "tracks.csv").with_row_index("row").filter(pl.col("part") == "test")
    waves = [soundfile.read(folder / "audio" / f"{one}.wav", dtype="float32")[0] for one in meta["track_id"]]
    ((_, vectors),) = extractor.frames(torch.from_numpy(np.stack(waves)))
    tag = meta["row"].to_numpy() % 3  # as it is, whatever the metadata say
    a, b = np.triu_indices(len(tag), 1)
    same = tag[a] == tag[b]
    pairs = RankedPairs(vectors[:, 0].numpy(), np.column_stack([a, b])[same])
    return pairs.scores().average_precision, same.mean()


def trained_ap(folder, words, out, spec, *more):
    assert main(["train", spec, *words, "--device", "cpu", "--cache", str(out.parent), "--out", str(out), *more]) == 0
    return same_tag_ap(f"cnn:weights={out}", folder)[0]


def test_trained_weights_beat_random_ones_and_permuted_labels_teach_nothing(make_tones, words_of, tmp_path):
    spec, more = "cnn:arch=small,objective=(tags:steps=5,least=2)", ["--epochs", "6", "--batch", "36"]
    tones, permuted = make_tones(72), make_tones(72, permuted=True)
    trained = trained_ap(tones, words_of(tones), tmp_path / "a" / "trained.safetensors", spec, *more)
    wrong = trained_ap(permuted, words_of(permuted), tmp_path / "b" / "wrong.safetensors", spec, *more)
    random, chance = same_tag_ap("cnn:arch=small,weights=random", tones)
    print(trained, wrong, random, chance)
    assert trained > random + 0.2
    assert trained > wrong + 0.2
    assert wrong < chance + 0.15
    assert random > chance - 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective", ["tags:steps=20", "text:steps=20", "triplets:steps=20", "hybrid:steps=20,patience=2"]
)
def test_every_objective_beats_random_weights(make_tones, words_of, tmp_path, objective):
    tones = make_tones(144)
    spec, more = f"cnn:arch=small,objective=({objective})", ["--epochs", "10", "--batch", "48"]
    trained = trained_ap(tones, words_of(tones), tmp_path / "trained.safetensors", spec, *more)
    random, chance = same_tag_ap("cnn:arch=small,weights=random", tones)
    assert trained > random + 0.2
    assert random > chance - 0.05
