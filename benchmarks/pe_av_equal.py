"""Is `pe-av` what transformers computes, and how long do both take?

    pip install transformers
    python benchmarks/pe_av_equal.py

Upstream's model gets random weights of full width and is saved as its audio tower is published; this project's
converter reads the file. Both hear the same clips. Printed: the largest difference of all layers but the last, and of
the vector, relative to the layer's largest value, and the CPU seconds of one window of 10 s on one thread, the better
of two.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import transformers
from machine import machine
from safetensors.torch import save_file
from upstream import gap, row, sounds

from bench_extractors import pe_av
from bench_extractors._codec import converter
from bench_extractors._modules import load_module

FILE = "model.safetensors"


def main() -> None:
    torch.set_num_threads(1)
    print(machine("transformers"))
    row("weights", "layers", "states", "vector", "transformers, CPU s", "here, CPU s")
    row(*["---"] * 6)
    compare("base", pe_av.BASE)
    compare("large, 4 of 28 layers", replace(pe_av.LARGE, depth=4))


def compare(name: str, config: pe_av.Config) -> None:
    text = {"model_type": "modernbert", "hidden_size": config.joint, "num_hidden_layers": 1, "num_attention_heads": 16}
    audio = {"hidden_size": config.width, "intermediate_size": config.hidden, "num_hidden_layers": config.depth}
    sizes = transformers.PeAudioConfig(text_config=text, audio_config=audio | {"num_attention_heads": config.heads})
    torch.manual_seed(0)
    model = transformers.PeAudioModel(sizes).eval()
    with torch.no_grad():
        for value in model.parameters():
            value += 0.2 * max(float(value.std(correction=0)), 0.1) * torch.randn_like(value)
    with tempfile.TemporaryDirectory() as folder:
        save_file({f"audio_model.{key}": value for key, value in model.state_dict().items()}, Path(folder) / FILE)
        read = converter(config, (pe_av.ENCODER, pe_av.HEAD), pe_av.rename)
        arrays = read({FILE: Path(folder) / FILE})
    net = load_module(config.module, {key: torch.from_numpy(array) for key, array in arrays.items()}, torch.float32)

    def theirs(wave: torch.Tensor) -> list[torch.Tensor]:
        whole = torch.nn.functional.pad(wave, (0, -wave.shape[1] % config.codec.frame), mode="reflect")[:, None]
        out = model.audio_encoder(whole, output_hidden_states=True)
        # The last of upstream's states is the output behind the norm, which is no layer here.
        return [*(state[:, 1:] for state in out.hidden_states[:-1]), model.audio_head(out.pooler_output)[:, None]]

    def ours(wave: torch.Tensor) -> list[torch.Tensor]:
        *states, _, vector = net(*net.front_end(wave))
        return [*states, vector]

    with torch.inference_mode():
        waves = sounds(pe_av.RATE, (10, 3.3, 1.01))
        gaps = [[gap(a, b) for a, b in zip(ours(wave), theirs(wave), strict=True)] for wave in waves]
        times = [min(cpu_seconds(encode, waves[0]) for _ in range(2)) for encode in (theirs, ours)]
    states, vector = max(max(each[:-1]) for each in gaps), max(each[-1] for each in gaps)
    row(name, config.depth, states, vector, *(f"{taken:.1f}" for taken in times))


def cpu_seconds(encode: Callable[[torch.Tensor], list[torch.Tensor]], wave: torch.Tensor) -> float:
    start = time.process_time()
    encode(wave)
    return time.process_time() - start


if __name__ == "__main__":
    main()
