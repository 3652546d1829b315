"""Is `basic-pitch` what the package computes? Largest differences on real recordings, in two steps.

First in an environment of its own, where ONNX Runtime runs the package's model (`pip download --no-deps
basic-pitch==0.4.0` and `unzip` bring it), in windows as the package's `inference.py` cuts them:

    python3 -m venv original && original/bin/pip install onnxruntime soundfile soxr
    original/bin/python benchmarks/basic_pitch_equal.py original nmp.onnx OUT FILES...

then here, with the weights that `bench weights pull basic-pitch` brings:

    python benchmarks/basic_pitch_equal.py compare OUT

Both hear what soxr resamples. Posteriors of the same windows are compared, without the frames that are context.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

RATE, HOP, SAMPLES, SIDE = 22_050, 36_164, 43_844, 3840
LAYERS = {
    "contour": "StatefulPartitionedCall:0",
    "note": "StatefulPartitionedCall:1",
    "onset": "StatefulPartitionedCall:2",
}


def main() -> None:
    match sys.argv[1:]:
        case ["original", model, out, *files] if files:
            original(model, Path(out), [Path(name) for name in files])
        case ["compare", out]:
            compare(Path(out))
        case _:
            raise SystemExit(__doc__)


def original(model: str, out: Path, files: list[Path]) -> None:
    import onnxruntime
    import soundfile
    import soxr

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    out.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(files):
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        wave = soxr.resample(wave.mean(1), rate, RATE, "HQ")
        padded = np.pad(wave, (SIDE, SAMPLES))
        windows = [padded[start : start + SAMPLES] for start in range(0, len(wave) + SIDE, HOP)]
        windows = [np.where(np.arange(SAMPLES) < len(wave) + SIDE - i * HOP, w, 0) for i, w in enumerate(windows)]
        found = [session.run(list(LAYERS.values()), {"serving_default_input_2:0": w[None, :, None]}) for w in windows]
        posteriors = {name: np.concatenate([each[at] for each in found]) for at, name in enumerate(LAYERS)}
        np.savez(out / f"{number:03d}.npz", path=str(path.resolve()), samples=len(wave), **posteriors)


def compare(out: Path) -> None:
    import torch

    from bench.audio import TrackReader
    from bench.registry import create

    torch.set_num_threads(1)
    plugin = create("extractors", "basic-pitch")
    plugin.load("cpu", "float32")
    files = sorted(out.glob("*.npz"))
    if not files:
        raise SystemExit(f"{out} holds no outputs of the original: see `original` above.")
    worst = dict.fromkeys(LAYERS, 0.0)
    count, largest = 0, dict.fromkeys(LAYERS, 0.0)
    for file in files:
        theirs = np.load(file)
        cut = TrackReader(str(theirs["path"]), sample_rate=RATE, window=plugin.window).windows()
        for at, wave in enumerate(cut):
            count += 1
            with torch.inference_mode():
                for name, frames in plugin.frames(torch.from_numpy(wave)[None]):
                    wanted = theirs[name][at, 15 : 15 + frames.shape[1]]
                    worst[name] = max(worst[name], float(np.abs(frames[0].numpy() - wanted).max()))
                    largest[name] = max(largest[name], float(wanted.max()))
    print(f"{len(files)} recordings, {count} windows")
    for name in LAYERS:
        print(f"| {name} | {largest[name]:.2f} | {worst[name]:.1e} |")


if __name__ == "__main__":
    main()
