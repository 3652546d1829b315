"""MERT and Music2Vec: equal to upstream's networks layer by layer; windows, lanes, precision, weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from bench import weights
from bench.audio import TrackReader
from bench.audio.windows import windows
from bench.errors import BenchError
from bench.extract import Extraction, open_set, set_sha256
from bench.extract.pooling import sums
from bench.extract.readers import Source
from bench.registry import create
from bench.testing import ExtractorContract
from bench.testing.clips import clip
from bench.weights import Part, Weights
from bench_extractors import mert, music2vec
from bench_extractors._checkpoint import check, count, new_name, old_name, random_arrays
from bench_extractors._wav2vec_config import MERT_95M, MERT_330M, MUSIC2VEC
from bench_extractors._wav2vec_net import Wav2VecNet

from . import networks

PRE = mert.TINY
POST = replace(PRE, before=False)
TWO = music2vec.TINY


def states(config, tensors, waves, dtype=torch.float32):
    """Return every kept state (L + 1, B, F, D)."""
    with torch.inference_mode():
        return torch.stack(networks.states(Wav2VecNet(config, dict(tensors), dtype), waves))


def waves(seconds=1.0, rate=24_000, count=2):
    return torch.from_numpy(np.stack([clip(seconds, rate, seed) for seed in range(count)]))


# -- upstream -------------------------------------------------------------------------------------------


def upstream(config):
    """Return upstream's network of a configuration, every parameter random, norms included."""
    transformers = pytest.importorskip("transformers", reason="upstream's networks: pip install transformers")
    sizes = {
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.ffn,
        "conv_dim": (config.channels,) * 7,
        "num_conv_pos_embedding_groups": config.groups,
    }
    torch.manual_seed(0)
    if config.front == "layer":
        sizes["num_conv_pos_embeddings"] = len(config.position)
        model = transformers.Data2VecAudioModel(transformers.Data2VecAudioConfig(**sizes))
    else:
        made = transformers.HubertConfig(feat_extract_norm="group", do_stable_layer_norm=config.before, **sizes)
        made.conv_pos_batch_norm = False  # some versions read it and do not set it
        model = transformers.HubertModel(made)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn_like(value)
    return model.eval()


def theirs(model, given):
    """Return what enters the first block and leaves each, the last one as `last_hidden_state` (L + 1, B, F, D)."""
    found = []
    layers = model.encoder.layers
    layers[0].register_forward_pre_hook(
        lambda _, args, named: found.append(args[0] if args else named["hidden_states"]), with_kwargs=True
    )
    for layer in layers:
        layer.register_forward_hook(lambda _, __, out: found.append(out[0] if isinstance(out, tuple) else out))
    with torch.inference_mode():
        last = model(given).last_hidden_state
    return torch.stack([*found[:-1], last])


@pytest.mark.parametrize(
    "config", [PRE, POST, TWO, replace(TWO, position=(19,) * 5)], ids=["330M", "95M", "two", "m2v"]
)
def test_every_layer_equals_upstreams(config):
    model = upstream(config)
    tensors = {old_name(name): value for name, value in model.state_dict().items()}
    check({name: tuple(value.shape) for name, value in tensors.items()}, config.tensors(), "upstream")
    assert count(config.tensors()) == sum(value.numel() for value in model.parameters())
    given = waves()
    ours, wanted = states(config, tensors, given), theirs(model, given)
    assert ours.shape == wanted.shape == (config.layers + 1, 2, config.frames(24_000), config.width)
    gap = (ours - wanted).abs().amax((1, 2, 3)) / wanted.abs().amax((1, 2, 3))
    assert gap.max() < 1e-5, gap


@pytest.mark.parametrize(
    ("config", "parameters", "tensors"),
    [(MERT_95M, 94_371_712, 211), (MERT_330M, 315_428_992, 403), (MUSIC2VEC, 93_164_288, 230)],
)
def test_parameters_and_tensors_are_those_published(config, parameters, tensors):
    assert (count(config.tensors()), len(config.tensors())) == (parameters, tensors)


def test_frames():
    assert [MERT_330M.frames(seconds * 24_000) for seconds in (1, 5, 30)] == [74, 374, 2249]
    assert [MUSIC2VEC.frames(seconds * 16_000) for seconds in (5, 30)] == [249, 1499]
    assert [PRE.frames(samples) for samples in (399, 400, 719, 720)] == [0, 1, 1, 2]


def test_the_arithmetic_is_what_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    for config in (PRE, POST, TWO):
        model = upstream(config)
        model.set_attn_implementation("eager")
        if hasattr(model.encoder.pos_conv_embed, "conv"):
            torch.nn.utils.parametrize.remove_parametrizations(model.encoder.pos_conv_embed.conv, "weight")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(waves(count=1))
        assert config.operations(24_000) == pytest.approx(counter.get_total_flops(), rel=2e-2)


# -- network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [PRE, POST, TWO])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_keeps_the_direction(config, dtype):
    tensors = {name: torch.from_numpy(array) for name, array in random_arrays(config.tensors(), 0).items()}
    exact, low = (states(config, tensors, waves(), d).mean(2) for d in (torch.float32, dtype))
    assert low.dtype == torch.float32
    assert torch.cosine_similarity(exact, low, dim=-1).min() > 0.999


@pytest.mark.parametrize("config", [PRE, POST, TWO])
def test_silence_and_a_constant_are_finite(config):
    tensors = {name: torch.from_numpy(array) for name, array in random_arrays(config.tensors(), 0).items()}
    assert torch.isfinite(states(config, tensors, torch.zeros(1, 2_400))).all()
    assert torch.isfinite(states(config, tensors, torch.full((1, 400), 0.9))).all()


def test_a_norm_over_time_knows_no_offset():
    tensors = {name: torch.from_numpy(array) for name, array in random_arrays(PRE.tensors(), 0).items()}
    plain = states(PRE, tensors, waves())
    assert (states(PRE, tensors, waves() + 0.1) - plain).abs().max() < 1e-3 * plain.abs().max()


# -- contracts ------------------------------------------------------------------------------------------


@pytest.fixture(scope="class")
def no_weights(tmp_path_factory):
    """An empty cache, so that the tiny configuration is checked whatever the user has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.usefixtures("no_weights")
class TestMERT(ExtractorContract):
    spec = "mert"


@pytest.mark.usefixtures("no_weights")
class TestMERTPublished(ExtractorContract):
    spec, lane = "mert", "published"

    def test_it_is_the_published_lane(self):
        assert self.make().clip.pad


@pytest.mark.usefixtures("no_weights")
class TestMusic2Vec(ExtractorContract):
    spec = "music2vec"


@pytest.mark.slow
@pytest.mark.usefixtures("no_weights")
class TestMusic2VecPublished(ExtractorContract):
    spec, lane = "music2vec", "published"


# -- windows and lanes ----------------------------------------------------------------------------------


def cut(plugin, seconds):
    wave = np.ones(round(seconds * plugin.sample_rate), np.float32)
    rate = plugin.sample_rate
    return [len(w) / rate for w in windows([wave], plugin.window, plugin.clip, rate)]


@pytest.mark.parametrize("name", ["mert", "music2vec"])
def test_windows(name):
    plugin = create("extractors", name)
    assert cut(plugin, 30) == [5.0] * 6
    assert cut(plugin, 11.5) == [5.0, 5.0, 1.5]
    assert cut(plugin, 10.9) == [5.0, 5.0]
    assert cut(plugin, 0.6) == [0.6]
    with pytest.raises(BenchError, match="too short"):
        cut(plugin, 0.4)
    assert cut(create("extractors", f"{name}:window=30"), 61.5) == [30.0, 30.0, 1.5]
    assert cut(create("extractors", f"{name}:window=none"), 61.5) == [61.5]


def test_the_published_lane_is_what_was_run():
    for name in ("mert", "music2vec"):
        plugin = create("extractors", name, lane="published")
        assert plugin.sample_rate == 24_000
        assert plugin.normalize == "none"
        assert [cut(plugin, seconds) for seconds in (0.1, 12, 30, 45)] == [[30.0]] * 4
    assert create("extractors", "music2vec").sample_rate == 16_000
    assert create("extractors", "music2vec").normalize == "zscore"


def test_published_padding_counts_as_frames(tmp_path):
    soundfile.write(tmp_path / "short.wav", clip(2.0, 24_000, 0), 24_000, subtype="FLOAT")
    plugin = mert.MERT.tiny("published")
    work = Extraction(plugin, tmp_path / "cache", log=lambda _line: None)
    assert work([Source("short", str(tmp_path / "short.wav"))]).done == 1
    padded = torch.zeros(1, 720_000)
    padded[0, :48_000] = torch.from_numpy(clip(2.0, 24_000, 0))
    tensors = {name: torch.from_numpy(array) for name, array in random_arrays(PRE.tensors(), 0).items()}
    wanted = states(PRE, tensors, padded)[-1, 0].double().mean(0).numpy()
    found = open_set(work.cache, plugin).read("2", ["short"])[0][0]
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_windows_weigh_by_their_frames(tmp_path):
    soundfile.write(tmp_path / "a.wav", clip(7.0, 24_000, 0), 24_000, subtype="FLOAT")
    plugin = mert.MERT.tiny()
    work = Extraction(plugin, tmp_path / "cache", log=lambda _line: None)
    work([Source("a", str(tmp_path / "a.wav"))])
    tensors = {name: torch.from_numpy(array) for name, array in random_arrays(PRE.tensors(), 0).items()}
    reader = TrackReader(
        tmp_path / "a.wav", sample_rate=24_000, window=plugin.window, normalize=plugin.normalize
    ).windows()
    parts = [states(PRE, tensors, torch.from_numpy(wave)[None])[:, 0].double() for wave in reader]
    assert [part.shape[1] for part in parts] == [374, 149]
    wanted = torch.cat(parts, 1).mean(1).numpy()
    for at, name in enumerate(plugin.layers):
        found = open_set(work.cache, plugin).read(name, ["a"])[0][0]
        assert np.abs(found - wanted[at]).max() <= 1e-4 * np.abs(wanted[at]).max()


def test_layers_and_their_default():
    big, small, other = (create("extractors", spec) for spec in ("mert", "mert:size=95M", "music2vec"))
    assert list(big.layers) == [str(k) for k in range(25)]
    assert set(big.layers.values()) == {1024}
    assert (len(big.layers), len(small.layers), len(other.layers)) == (25, 13, 13)
    assert set(small.layers.values()) == set(other.layers.values()) == {768}


@pytest.mark.parametrize(
    ("spec", "lane", "reason"),
    [
        ("mert:window=0.5", "corrected", "at least 1 second"),
        ("music2vec:window=0.5", "corrected", "at least 1 second"),
        ("mert:size=95m", "corrected", "Did you mean '95M'"),
        ("mert:size=95M", "published", "size"),
        ("mert:window=30", "published", "window"),
        ("music2vec:normalize=none", "published", "normalize"),
        ("mert:precision=bf16", "corrected", "bfloat16"),
    ],
)
def test_settings_that_make_no_sense_are_refused(spec, lane, reason):
    with pytest.raises(BenchError, match=reason):
        create("extractors", spec, lane=lane)


def test_every_setting_that_changes_numbers_changes_the_set():
    spec = "mert:weights=random"
    more = ["", ",size=95M", ",window=30", ",normalize=zscore", ",precision=bfloat16", ",seed=1", ",lane=published"]
    assert len({set_sha256(create("extractors", spec + text)) for text in more}) == len(more)


# -- weights --------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    """A folder as the hub gives it, with a tiny MERT in today's names of weight norm."""
    torch.save(
        {new_name(name): torch.from_numpy(array) for name, array in random_arrays(PRE.tensors(), 7).items()},
        tmp_path / "pytorch_model.bin",
    )
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 24_000}))
    return tmp_path


def declared():
    return replace(mert.MERT_330M_WEIGHTS, name="mert-tiny", convert=mert.converter(PRE))


class Small(mert.MERT):
    """MERT with the tiny network's weights."""

    def __init__(self, settings):
        super().__init__(settings, PRE, declared())


@pytest.mark.usefixtures("cache")
def test_weights_are_taken_as_they_are_in_the_file(folder):
    lines = []
    assert weights.add(declared(), folder, log=lines.append) == ["v1"]
    assert any("no hash of pytorch_model.bin is known" in line for line in lines)
    plugin = Small(mert.MERTSettings())
    for name, array in random_arrays(PRE.tensors(), 7).items():
        assert np.array_equal(plugin.tensors("cpu")[name].numpy(), array), name
    plugin.load("cpu", "float32")
    random = mert.MERT(mert.MERTSettings(weights="random", seed=7), PRE)
    random.load("cpu", "float32")
    for name, (_, total, _) in sums(plugin, waves()).items():
        assert np.array_equal(total, sums(random, waves())[name][1])
    assert plugin.fingerprint()["sha256"] == weights.sha256(declared(), "v1")


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("flag", [True, False])
def test_the_preprocessor_file_decides_about_normalising(folder, flag):
    assert Small(mert.MERTSettings()).normalize == "none"  # presumed of 330M until the file is here
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": flag, "sampling_rate": 24_000}))
    weights.add(declared(), folder, log=lambda _line: None)
    assert Small(mert.MERTSettings()).normalize == ("zscore" if flag else "none")


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("text", ["{}", "[]", '{"do_normalize": true, "sampling_rate": 16000}', "no json"])
def test_another_models_preprocessor_is_refused(folder, text):
    (folder / "preprocessor_config.json").write_text(text)
    with pytest.raises(BenchError, match=r"preprocessor_config\.json"):
        weights.add(declared(), folder, log=lambda _line: None)


@pytest.mark.usefixtures("cache")
def test_another_models_weights_are_refused(folder):
    torch.save({"encoder.x": torch.zeros(3)}, folder / "pytorch_model.bin")
    with pytest.raises(BenchError, match=r"51 missing: .* 1 unexpected: encoder\.x"):
        weights.add(declared(), folder, log=lambda _line: None)


@pytest.mark.usefixtures("cache")
def test_a_changed_file_is_refused(folder):
    weights.add(declared(), folder, log=lambda _line: None)
    torch.save(
        {name: torch.from_numpy(array) for name, array in random_arrays(PRE.tensors(), 8).items()},
        folder / "pytorch_model.bin",
    )
    with pytest.raises(BenchError, match="HAS CHANGED"):
        weights.add(declared(), folder, log=lambda _line: None)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("spec", "name"), [("mert", "mert"), ("mert:size=95M", "mert-95m"), ("music2vec", "music2vec")]
)
def test_absent_weights_are_named(spec, name):
    plugin = create("extractors", spec)
    for word in ("pytorch_model.bin", "CC BY-NC 4.0, non-commercial", "huggingface.co/m-a-p", f"weights pull {name}"):
        assert word in plugin.unready()
        with pytest.raises(BenchError, match=word):
            plugin.load("cpu", "float32")
    with pytest.raises(BenchError, match=f"weights pull {name}"):
        plugin.fingerprint()
    assert plugin.tiny().unready() is None
    assert plugin.non_commercial


def test_origins_are_pinned():
    for one in (*mert.MERT.weights, *music2vec.Music2Vec.weights):
        assert isinstance(one, Weights)
        assert all(isinstance(part, Part) and part.trained_on for part in one.parts)
        for source in one.sources:
            revision = source.origin.split("/resolve/")[1].partition("/")[0]
            assert len(revision) == 40 or source.sha256


def test_untrained_says_so():
    plugin = create("extractors", "mert:weights=random")
    assert plugin.unready() is None
    assert plugin.weights == plugin.trained_on == ()
    assert plugin.fingerprint() == {"weights": "random", "seed": 0, "precision": "float32"}


# -- full size ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["mert", "mert:size=95M", "music2vec"])
def test_full_size(spec):
    plugin = create("extractors", f"{spec}{',' if ':' in spec else ':'}weights=random")
    plugin.load("cpu", "float32")
    given = waves(5.0, plugin.sample_rate, 1)
    found = sums(plugin, given)
    assert list(found) == list(plugin.layers)
    for name, (frames, total, _) in found.items():
        assert frames == plugin.config.frames(given.shape[1])
        assert total.shape == (1, plugin.layers[name])
        assert np.isfinite(total).all()
