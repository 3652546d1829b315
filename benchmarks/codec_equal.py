"""Are `encodec`, `dac`, `mimi` what transformers computes, and how long do both take?

    pip install transformers
    python benchmarks/codec_equal.py

Upstream's models get random weights of full width and are saved as they are published; this project's converters read
the files. Both encode the same clips. Printed: the largest difference of all layers, relative to the layer's largest
value, and the CPU seconds of one full window on one thread, the better of three.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from machine import machine
from upstream import gap, row, sounds

from bench_extractors import dac, encodec, mimi
from bench_extractors._codec import converter
from bench_extractors._config import NetworkConfig
from bench_extractors._modules import load_module

FILE = "model.safetensors"
Encode = Callable[[torch.Tensor], list[torch.Tensor]]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine("transformers"))
    row("model", "parameters used", "largest difference", "transformers, CPU s", "here, CPU s")
    row(*["---"] * 5)
    compare("encodec", encodec.FULL, transformers.EncodecModel(transformers.EncodecConfig()), encodec.convert)
    for name, (rate, config, _) in dac.MODELS.items():
        sizes = transformers.DacConfig(downsampling_ratios=list(config.ratios), sampling_rate=rate)
        compare(
            f"dac, {name}", config, transformers.DacModel(sizes), converter(config, ("encoder.",)), rate, dac.SECONDS
        )
    model = transformers.MimiModel(transformers.MimiConfig())
    compare("mimi", mimi.FULL, model, converter(mimi.FULL, mimi.KEPT, mimi.rename))


def compare(name: str, config: NetworkConfig, model: Any, convert: Any, rate: int = 24_000, seconds: int = 10) -> None:
    model.eval()
    with torch.no_grad():
        for value in model.parameters():
            value += 0.2 * max(float(value.std(correction=0)), 0.1) * torch.randn_like(value)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        arrays = convert({FILE: Path(folder) / FILE})
    net = load_module(config.module, {key: torch.from_numpy(array) for key, array in arrays.items()}, torch.float32)

    def theirs(wave: torch.Tensor) -> list[torch.Tensor]:
        if name == "mimi":
            out = model.encoder(wave[:, None], output_hidden_states=True)
            return [*out.hidden_states, out.latents.mT]
        short = -wave.shape[1] % getattr(config, "frame", 1)  # DAC's feature extractor fills up with zeros
        return [model.encoder(torch.nn.functional.pad(wave, (0, short))[:, None]).mT]

    def ours(wave: torch.Tensor) -> list[torch.Tensor]:
        return list(net(*net.front_end(wave)))

    with torch.inference_mode():
        waves = sounds(rate, (seconds, 3.3, 1.01))
        largest = max(gap(a, b) for wave in waves for a, b in zip(ours(wave), theirs(wave), strict=True))
        times = [min(cpu_seconds(encode, waves[0]) for _ in range(3)) for encode in (theirs, ours)]
    row(name, sum(array.size for array in arrays.values()), largest, *(f"{time:.2f}" for time in times))


def cpu_seconds(encode: Encode, wave: torch.Tensor) -> float:
    start = time.process_time()
    encode(wave)
    return time.process_time() - start


if __name__ == "__main__":
    main()
