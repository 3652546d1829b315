"""What training must change: it beats random weights, which beat chance; wrong labels teach nothing."""

import numpy as np
import polars as pl
import pytest
import soundfile

from bench.cli import main
from bench.metrics.classification import roc_auc
from bench.metrics.link_prediction import RankedPairs
from bench.registry import create


def heard(extractor, folder):
    """Vectors (N, 128) of the held-out recordings, and the tag (N,) that each has, whatever the metadata say."""
    import torch

    extractor.load("cpu", "float32")
    meta = pl.read_csv(folder / "tracks.csv").with_row_index("row").filter(pl.col("part") == "test")
    waves = [soundfile.read(folder / "audio" / f"{one}.wav", dtype="float32")[0] for one in meta["track_id"]]
    ((_, vectors),) = extractor.frames(torch.from_numpy(np.stack(waves)))
    names = np.array(["low", "middle", "high"])
    return vectors[:, 0].numpy(), names[meta["row"].to_numpy() % 3]


def same_tag_ap(spec, folder):
    """AP of pairs of held-out recordings with the same tag, by cosine; and that of chance."""
    vectors, tag = heard(create("extractors", spec), folder)
    a, b = np.triu_indices(len(tag), 1)
    same = tag[a] == tag[b]
    return RankedPairs(vectors, np.column_stack([a, b])[same]).scores().average_precision, same.mean()


def tag_auc(spec, folder):
    """Mean ROC-AUC of the tags of held-out recordings, by cosine to the tags' own vectors."""
    extractor = create("extractors", spec)
    vectors, tag = heard(extractor, folder)
    words, rows = extractor.words()
    return roc_auc(tag[:, None] == np.array(words), vectors @ rows.T).mean()


def trained(folder, words, out, spec, *more):
    assert main(["train", spec, *words, "--device", "cpu", "--cache", str(out.parent), "--out", str(out), *more]) == 0
    return f"cnn:weights={out}"


def learned(make_tones, words_of, tmp_path, *, seed, permuted=False):
    """The folder of a collection and the spec of weights that are trained on it for a few epochs."""
    tones = make_tones(72, permuted=permuted, seed=seed)
    out = tmp_path / f"{seed}-{permuted}" / "weights.safetensors"
    spec, more = "cnn:arch=small,objective=(tags:steps=8,least=2)", ["--epochs", "6", "--batch", "36"]
    return tones, trained(tones, words_of(tones), out, spec, *more, "--seed", str(seed))


@pytest.mark.parametrize("seed", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2, 3))])
def test_trained_weights_beat_random_ones_which_beat_chance(make_tones, words_of, tmp_path, seed):
    tones, right = learned(make_tones, words_of, tmp_path, seed=seed)
    random, chance = same_tag_ap(f"cnn:arch=small,weights=random,seed={seed}", tones)
    assert same_tag_ap(right, tones)[0] > random + 0.1
    assert random > chance + 0.1
    assert tag_auc(right, tones) > 0.8


@pytest.mark.slow
def test_permuted_labels_train_to_chance(make_tones, words_of, tmp_path):
    from scipy.special import stdtrit

    aucs = {}
    for permuted, seeds in ((True, range(8)), (False, range(3))):
        pairs = [learned(make_tones, words_of, tmp_path, seed=seed, permuted=permuted) for seed in seeds]
        aucs[permuted] = np.array([tag_auc(spec, tones) for tones, spec in pairs])
    # Trainings with permuted labels are draws from the randomisation distribution; its mean has a two-sided 99 %
    # t interval, which must contain chance. One training alone may be far off: recordings of a tag lie together.
    wrong, right = aucs[True], aucs[False]
    half = stdtrit(len(wrong) - 1, 0.995) * wrong.std(ddof=1) / len(wrong) ** 0.5
    assert abs(wrong.mean() - 0.5) < half < 0.25
    assert right.mean() > 0.5 + half
    assert right.min() > wrong.max()  # by chance 1 of 165


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["tags", "text", "triplets", "hybrid"])
def test_every_objective_beats_random_weights(make_tones, words_of, tmp_path, objective):
    tones = make_tones(144)
    links = ",listeners=1,least=2" if objective in ("triplets", "hybrid") else ""  # listeners play few of the tones
    spec, more = f"cnn:arch=small,objective=({objective}:steps=20{links})", ["--epochs", "10", "--batch", "48"]
    right = trained(tones, words_of(tones), tmp_path / "trained.safetensors", spec, *more)
    random, chance = same_tag_ap("cnn:arch=small,weights=random", tones)
    assert same_tag_ap(right, tones)[0] > random + 0.1
    assert random > chance
