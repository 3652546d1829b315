"""Jukebox: tokens, attention patterns against masks, half precision, the two files, memory, windows."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as fn

from bench.audio.windows import windows
from bench.errors import BenchError
from bench.registry import create, get
from bench.testing.clips import clip
from bench_extractors import _jukebox_weights as files
from bench_extractors import jukebox as module
from bench_extractors.jukebox import TINY

from .networks import TinyContract, apart, built, random_tensors, states

RATE = 44_100


class TestJukebox(TinyContract):
    spec = "jukebox"


class TestJukeboxPublished(TinyContract):
    spec, lane = "jukebox", "published"


# -- network --------------------------------------------------------------------------------------------


def seen(pattern, tokens, block):
    """Which tokens (T, T) each one may attend to."""
    at = torch.arange(tokens)
    row, column = at // block, at % block
    back = at[:, None] >= at
    match pattern:
        case 0:
            return back & (row[:, None] == row)
        case 1:
            return back & (column[:, None] == column)
        case _:
            return row[:, None] == row + 1


def plain(tensors, codes):
    """The prior as upstream draws it, with dense masks, in float64: codes (T,) to the stream after each block."""
    t = {name: tensor.double() for name, tensor in tensors.items()}
    x = torch.cat([t["start"][None], t["tokens"][codes[:-1]]]) + t["positions"][: len(codes)]
    heads = TINY.heads
    for number in range(TINY.depth):
        at = f"blocks.{number}"

        def norm(x, name, at=at):
            return fn.layer_norm(x, x.shape[-1:], t[f"{at}.{name}.weight"], t[f"{at}.{name}.bias"])

        def linear(x, name, at=at):
            return x @ t[f"{at}.{name}.w"] + t[f"{at}.{name}.b"]

        q, k, v = (part.unflatten(-1, (heads, -1)) for part in linear(norm(x, "ln_0"), "attn.c_attn").chunk(3, dim=-1))
        mask = seen(number % 3, len(x), TINY.block)
        logits = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        # The first block has no previous one: upstream attends to zeros there.
        weight = logits.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0.0)
        a = linear(torch.einsum("hqk,khd->qhd", weight, v).flatten(1), "attn.c_proj")
        m = linear(norm(x + a, "ln_1"), "mlp.c_fc")
        x = x + a + linear(m * torch.sigmoid(1.702 * m), "mlp.c_proj")
        yield x


def test_the_prior_is_upstreams():
    net, tensors = built(TINY.module)
    waves = torch.from_numpy(np.stack([clip(0.74, RATE, seed) for seed in (0, 1)]))
    with torch.inference_mode():
        codes, found = net.quantise(waves), states(net, waves)
    assert codes.shape == (2, 254)  # not a whole number of blocks
    assert len(codes[0].unique()) > 8
    for row in (0, 1):
        padded = fn.pad(codes[row], (0, 2))
        for ours, wanted in zip(found, plain(tensors, padded), strict=True):
            assert apart(ours[row], wanted[:254].float()) < 5e-6


def test_tokens_are_the_nearest_codes():
    net, tensors = built(TINY.module)
    with torch.inference_mode():
        wave = torch.from_numpy(clip(0.3, RATE, 0))[None]
        x = wave[:, None]
        for part, steps in zip(range(3), (3, 2, 2), strict=True):
            for step in range(steps):
                at = f"encoder.{part}.model.{step}"
                x = fn.conv1d(x, tensors[f"{at}.0.weight"], tensors[f"{at}.0.bias"], 2, 1)
                for power in range(4):
                    inner, wide = f"{at}.1.model.{power}.model", 3**power
                    y = fn.conv1d(x.relu(), tensors[f"{inner}.1.weight"], tensors[f"{inner}.1.bias"], 1, wide, wide)
                    x = x + fn.conv1d(y.relu(), tensors[f"{inner}.3.weight"], tensors[f"{inner}.3.bias"])
            x = fn.conv1d(x, tensors[f"encoder.{part}.model.{steps}.weight"],
                          tensors[f"encoder.{part}.model.{steps}.bias"], 1, 1)  # fmt: skip
        wanted = torch.cdist(x[0].T, tensors["codes"]).argmin(-1)
        assert torch.equal(net.quantise(wave)[0], wanted)
        assert len(wanted) == int(0.3 * RATE) // 128


def test_a_token_has_not_seen_what_comes_after():
    net, _ = built(TINY.module)
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, TINY.codes, (1, 256)))
    with torch.inference_mode():
        *_, whole = net(codes)
        for last in (1, 16, 100):
            *_, part = net(codes[:, :last])
            assert part.shape[1] == last
            assert apart(part, whole[:, :last]) < 1e-6


def test_half_precision_stays_near():
    exact, tensors = built(TINY.module)
    rough, _ = built(TINY.module, tensors)
    rough.optimize(torch.float16)
    wave = torch.from_numpy(clip(0.5, RATE, 0))[None]
    with torch.inference_mode():
        (*_, one), (*_, other) = states(exact, wave), states(rough, wave)
    assert (one.dtype, other.dtype) == (torch.float32, torch.float16)
    assert 0 < apart(other.float(), one) < 2e-2


def test_parameters_are_those_of_the_published_model():
    shapes = files.FULL.tensors()
    count = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    assert sum(n for name, n in count.items() if name.startswith("blocks.35.")) == 69_157_200
    assert sum(count.values()) == get("extractors", "jukebox").parameters
    plugin = get("extractors", "jukebox")(module.JukeboxSettings(weights="random"))
    assert plugin.memory(1) == pytest.approx(5.18e9 + 9.7 * 4 * 8192 * 4800, 0.02)  # weights, streams of one window


def test_operations_are_counted():
    """Of 8192 tokens: 857 G multiplications a second in maps, 2.5 in attention."""
    wanted = 2 * 1_048_576 / RATE * 859.5e9
    assert create("extractors", "jukebox").operations(1_048_576) == pytest.approx(wanted, rel=0.01)


# -- files ----------------------------------------------------------------------------------------------


def published_states(shape):
    """The two state dicts as upstream writes them, and what must come out of them."""
    wanted = random_tensors(shape.tensors())
    extra = {
        "y_emb.artist_emb.emb.weight": (9, shape.width), "y_emb.bow_genre_emb.emb.weight": (5, shape.width),
        "y_emb.total_length_emb.emb.weight": (128, shape.width), "prior.x_out.weight": (shape.codes, shape.width),
        "y_emb.absolute_pos_emb.emb.weight": (128, shape.width), "prior.pos_emb.pos_emb": (shape.context, shape.width),
        "y_emb.relative_pos_emb.emb.weight": (128, shape.width),
        f"prior.transformer._attn_mods.{shape.depth}.ln_0.weight": (shape.width,),
    }  # fmt: skip
    prior, coder = (
        random_tensors(extra, 1),
        {"encoders.0.x": torch.zeros(1), "bottleneck.level_blocks.1.k": torch.zeros(1)},
    )
    for name, tensor in wanted.items():
        if name.startswith("encoder."):
            coder[name.replace("encoder.", "encoders.2.level_blocks.", 1)] = tensor
        elif name.startswith("blocks."):
            kept = tensor.half() if files.HALF.match(name) else tensor
            prior[name.replace("blocks.", "prior.transformer._attn_mods.", 1)] = kept
    coder["bottleneck.level_blocks.2.k"], prior["prior.x_emb.weight"] = wanted["codes"], wanted["tokens"]
    return prior, coder, wanted


@pytest.fixture
def published(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FULL", TINY)
    prior, coder, wanted = published_states(TINY)
    members = {name: tmp_path / name for name in ("prior_level_2.pth.tar", "vqvae.pth.tar")}

    def convert(key="model"):
        for path, state in zip(members.values(), (prior, coder), strict=True):
            # As of 2020: one pickle, no zip; and what else its makers put into it.
            torch.save({key: state, "step": 1}, path, _use_new_zipfile_serialization=False)
        return files.convert(members)

    return convert, prior, coder, wanted


def test_the_two_files_become_one_part(published):
    convert, prior, _, wanted = published
    found = convert()
    assert {name: array.shape for name, array in found.items()} == TINY.tensors()
    for name, tensor in wanted.items():
        if name not in ("start", "positions"):
            half = files.HALF.match(name) is not None
            assert found[name].dtype == (np.float16 if half else np.float32)
            assert np.array_equal(found[name], (tensor.half() if half else tensor).numpy())
    table = {name: prior[f"y_emb.{name}_emb.emb.weight"] for name in (*files.SPAN, "artist", "bow_genre")}
    assert np.allclose(found["start"], table["artist"][0] + table["bow_genre"][0])
    # 255 tokens are 0.74 s: the first bin of every range, but for the share of 62 s.
    rows = (torch.arange(256) * 128 / (62 * RATE // 128 * 128) * 128).floor().long()
    place = table["total_length"][0] + table["absolute_pos"][0] + table["relative_pos"][rows]
    assert np.allclose(found["positions"], prior["prior.pos_emb.pos_emb"] + place, atol=1e-6)


def test_bins_of_the_whole_context_are_those_that_jukemir_gets():
    wide = {f"y_emb.{name}_emb.emb.weight": torch.eye(128) * scale for name, scale in
            zip(files.SPAN, (1.0, 10.0, 100.0), strict=True)}  # fmt: skip
    found = files.time_embeddings(wide, 8192)
    assert torch.equal(found[:, 0].remainder(10), torch.ones(8192))  # total length: bin 0
    assert (found[-1] // 100).argmax() == 49
    assert (found[-1] % 100 // 10).argmax() == 5


@pytest.mark.parametrize("fault", ["missing", "another width", "no state", "code"])
def test_other_files_are_refused(published, fault):
    convert, prior, coder, _ = published
    match fault:
        case "missing":
            del prior["prior.transformer._attn_mods.3.mlp.c_fc.w"]
            said = "1 missing: blocks.3.mlp.c_fc.w"
        case "another width":
            coder["bottleneck.level_blocks.2.k"], said = torch.zeros(32, 3), r"codes \(32, 3\) instead of \(32, 8\)"
        case "no state":
            said = "under 'model'"
        case "code":
            prior["prior.hook"], said = re.compile("x"), "can run code"
    with pytest.raises(BenchError, match=said):
        convert("weights" if fault == "no state" else "model")


def test_too_little_memory_is_said_before_the_work(published, monkeypatch):
    convert, *_ = published
    monkeypatch.setattr(files, "free", lambda device: 0.5e9)
    with pytest.raises(BenchError, match=r"1\.0 GB .* 0\.5 GB"):
        convert()
    monkeypatch.setattr(module, "free", lambda device: 4e9)
    with pytest.raises(BenchError, match=r"6\.\d GB .* 4\.0 GB"):
        create("extractors", "jukebox:weights=random").load("cpu", "float32")


def test_a_batch_that_does_not_fit_asks_for_a_smaller_one(monkeypatch):
    plugin = get("extractors", "jukebox").tiny()
    plugin.config = replace(plugin.config, channels=1)  # its encoder, which runs clip by clip, needs little
    plugin.load("cpu", "float32")
    monkeypatch.setattr(module, "free", lambda device: plugin.config.activations(32_768, 2, 4) + 1)
    with pytest.raises(MemoryError, match="3 windows"):
        next(plugin.frames(torch.zeros(3, 32_768)))
    assert next(plugin.frames(torch.zeros(2, 32_768)))[1].shape == (2, 256, 32)


# -- plugin ---------------------------------------------------------------------------------------------


def cut(lane, seconds):
    plugin = create("extractors", "jukebox:weights=random", lane=lane)
    return [len(w) for w in windows([np.ones(round(seconds * RATE), np.float32)], plugin.window, plugin.clip, RATE)]


def test_windows():
    assert cut("corrected", 30) == [1_048_576, 30 * RATE - 1_048_576]
    assert cut("corrected", 24) == [1_048_576]
    assert cut("published", 30) == [24 * RATE]
    assert 24 * RATE // 128 == 8268  # tokens, of which 8192 are kept
    with pytest.raises(BenchError, match="too short"):
        cut("published", 23.9)


def test_lanes():
    corrected, published = (create("extractors", "jukebox", lane=lane) for lane in ("corrected", "published"))
    assert list(corrected.layers) == ["6", "12", "18", "24", "30", "36"]
    assert dict(published.layers) == {"36": 4800}
    assert (corrected.settings.precision, published.settings.precision) == ("float32", "float16")
    assert corrected.normalize == published.normalize == "peak"
    assert corrected.weights[0].non_commercial
    with pytest.raises(BenchError, match="precision"):
        create("extractors", "jukebox:precision=float32", lane="published")


def test_without_weights_it_says_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    plugin = create("extractors", "jukebox")
    for word in ("prior_level_2.pth.tar", "Noncommercial", "10288.7 MB", "openaipublic", "bench weights pull jukebox"):
        with pytest.raises(BenchError, match=word):
            plugin.load("cpu", "float32")


@pytest.mark.slow
def test_full_width():
    """5 s through 6 of 36 untrained blocks of full width: 1722 finite frames of 4800."""
    plugin = module.Jukebox(module.JukeboxSettings(weights="random"), files.Config(depth=6))
    plugin.load("cpu", "float32")
    with torch.inference_mode():
        for name, found in plugin.frames(torch.from_numpy(clip(5, RATE, 0))[None]):
            assert found.shape == (1, 1722, plugin.layers[name])
            assert torch.isfinite(found).all()
