"""Is `clap:weights=music_audioset` what laion_clap computes? Both towers at full width, with shared random weights.

    git clone https://github.com/LAION-AI/CLAP SOURCE    # at 1fd4c37
    pip install torchlibrosa librosa transformers
    python benchmarks/clap_equal.py SOURCE

Upstream's HTSAT-base, transformers' RoBERTa and both projections are saved as laion_clap saves a checkpoint, read by
this project's converter, and run beside it on the same waves and tokens. Printed: the largest difference relative to
the largest value; for the last row, the largest difference between an upstream embedding of a wave and that of the
wave rounded to 16 bits, which upstream does to every wave.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

SECONDS = (10.0, 5.0, 3.3)
TEXTS = ([0, 713, 16, 2771, 930, 2], [0, *range(100, 140), 2])


class Upstream(torch.nn.Module):
    """laion_clap's towers under the names of its checkpoint, without the training package's imports."""

    def __init__(self, source: Path):
        super().__init__()
        from transformers import RobertaConfig, RobertaModel

        folder = source / "src" / "laion_clap" / "clap_module"
        package = types.ModuleType("clap_upstream")
        package.__path__ = [str(folder)]
        sys.modules[package.__name__] = package
        for name in ("torchvision", "torchvision.ops", "torchvision.ops.misc"):  # imported for freezing norms alone
            sys.modules.setdefault(name, types.ModuleType(name))
        sys.modules["torchvision.ops.misc"].FrozenBatchNorm2d = torch.nn.Identity  # type: ignore[attr-defined]
        htsat = importlib.import_module("clap_upstream.htsat")
        sizes = json.loads((folder / "model_configs" / "HTSAT-base.json").read_text())["audio_cfg"]
        self.audio_branch = htsat.create_htsat_model(types.SimpleNamespace(**sizes))
        names = {"vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
        self.text_branch = RobertaModel(RobertaConfig(**names))
        self.audio_projection, self.text_projection = _projection(1024), _projection(768)

    def audio(self, wave: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean (1024,) of the last patches and the unit vector (512,) of a wave of 10 s."""
        pooled = self.audio_branch({"waveform": wave[None]}, device="cpu")["embedding"]
        return pooled[0], torch.nn.functional.normalize(self.audio_projection(pooled), dim=-1)[0]

    def text(self, tokens: list[int]) -> torch.Tensor:
        """Return the unit vector (512,) of tokens, padded to 77."""
        padded = torch.tensor([tokens + [1] * (77 - len(tokens))])
        pooled = self.text_branch(input_ids=padded, attention_mask=(padded != 1).long())["pooler_output"]
        return torch.nn.functional.normalize(self.text_projection(pooled), dim=-1)[0]


def main() -> None:
    from bench_extractors._clap_config import FULL, TEXT_FULL
    from bench_extractors._clap_net import CLAPNet
    from bench_extractors._clap_text import TextNet
    from bench_extractors._clap_weights import TEXT, music_audioset

    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    upstream = Upstream(Path(sys.argv[1])).eval()
    _disturb(upstream)
    with tempfile.TemporaryDirectory() as folder:
        members = {name: Path(folder) / name for name in ("checkpoint.pt", "vocab.json", "merges.txt")}
        state = {f"module.{name}": value for name, value in upstream.state_dict().items()}
        torch.save({"epoch": 15, "state_dict": state}, members["checkpoint.pt"])
        for name in ("vocab.json", "merges.txt"):
            members[name].write_text("{}")
        arrays = music_audioset(members)
    tensors = {name: torch.from_numpy(arrays[name].copy()) for name in FULL.tensors()}
    net = CLAPNet(FULL, tensors, torch.float32)
    text = TextNet(TEXT_FULL, {name: torch.from_numpy(arrays[TEXT + name].copy()) for name in TEXT_FULL.tensors()})
    gaps: dict[str, float] = {}
    with torch.inference_mode():
        for seed, seconds in enumerate(SECONDS):
            wave = _wave(round(48_000 * seconds), seed)
            whole = wave.repeat(480_000 // len(wave))
            whole = torch.nn.functional.pad(whole, (0, 480_000 - len(whole)))
            pooled, embedding = upstream.audio(whole)
            ours = list(net(*net.front_end(wave[None])))
            _note(gaps, "patches, mean", ours[0][0].mean(0), pooled)
            _note(gaps, "embedding", ours[1][0, 0], embedding)
            rounded = torch.from_numpy((whole.numpy() * 32767.0).astype(np.int16).astype(np.float32) / 32767.0)
            _note(gaps, "16 bits, upstream alone", upstream.audio(rounded)[1], embedding)
        for tokens in TEXTS:
            _note(gaps, "text", text(tokens), upstream.text(tokens))
    print("| layer | largest relative difference |\n|---|---:|")
    for name in ("patches, mean", "embedding", "text", "16 bits, upstream alone"):
        print(f"| {name} | {gaps[name]:.1e} |")


def _projection(inputs: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(inputs, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512))


def _disturb(module: torch.nn.Module) -> None:
    """Make every parameter and statistic differ from its initial value; the spectrogram's stay as they are."""
    with torch.no_grad():
        for name, value in module.named_parameters():
            if "_extractor." not in name:
                value += 0.02 * torch.randn_like(value)
        norm: Any = module.audio_branch.bn0
        norm.running_mean -= 20 + torch.randn(64)
        norm.running_var *= 90


def _wave(samples: int, seed: int) -> torch.Tensor:
    """Return a chord of gliding tones with noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 48_000
    tones = sum(np.sin(2 * np.pi * f * (time + 0.02 * time**2)) for f in rng.uniform(80, 4_000, 6))
    return torch.from_numpy((0.08 * tones + 0.02 * rng.standard_normal(samples)).astype(np.float32))


def _note(gaps: dict[str, float], name: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    gap = float((ours - theirs).abs().max() / theirs.abs().max())
    gaps[name] = max(gaps.get(name, 0.0), gap)


if __name__ == "__main__":
    main()
