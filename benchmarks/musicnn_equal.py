"""Is `musicnn` what the original computes? Largest differences per layer on real recordings, in two steps.

First in an environment of its own, where the original runs under TensorFlow (Python 3.11; the pins of
musicnn 0.1.0 itself cannot be met any more):

    python3 -m venv tf && tf/bin/pip install tensorflow-cpu==2.18.* tf_keras==2.18.* numpy==1.26.4 librosa==0.11.*
    tf/bin/pip install --no-deps musicnn==0.1.0
    tf/bin/python benchmarks/musicnn_equal.py original OUT FILES...

then here, with the weights that `bench weights pull musicnn` brings:

    python benchmarks/musicnn_equal.py compare OUT

"network" feeds the original's own log-mel patches to this project's network; "chain" starts from the file,
with this project's decoding, resampling and spectrogram. All patches of a track go through the original in
one batch, for with its batch of one patch 0.1.0 gives the first patch's `penultimate` again and again;
that it does is checked as well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

MODELS = {"msd": "MSD_musicnn", "mtt": "MTT_musicnn"}
LAYERS = ("penultimate", "mean_pool", "max_pool", "taggram")


def main() -> None:
    match sys.argv[1:]:
        case ["original", out, *files] if files:
            original(Path(out), [Path(name) for name in files])
        case ["compare", out]:
            for name in MODELS:
                compare(Path(out), name)
        case _:
            raise SystemExit(__doc__)


def original(out: Path, files: list[Path]) -> None:
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    sys.path.remove(str(Path(__file__).resolve().parent))  # musicnn.py in this folder is not the package
    from musicnn import configuration, extractor

    out.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(files):
        for name, model in MODELS.items():
            try:
                configuration.BATCH_SIZE = 1
                *_, package = extractor.extractor(str(path), model=model)
                configuration.BATCH_SIZE = 1 << 30
                taggram, _, layers = extractor.extractor(str(path), model=model)
            except UnboundLocalError:
                print(f"{path}: fewer than 187 frames; the original fails")
                continue
            patches, _ = extractor.batch_data(str(path), 187, 187)
            np.savez(
                out / f"{name}-{number:03d}.npz",
                path=str(path.resolve()),
                patches=patches.astype(np.float32),
                package=package["penultimate"],
                taggram=taggram,
                **{layer: layers[layer] for layer in LAYERS[:3]},
            )


def compare(out: Path, name: str) -> None:
    import torch

    from bench.audio import TrackReader
    from bench.registry import create

    torch.set_num_threads(1)  # a patch at a time is little to share
    musicnn = create("extractors", f"musicnn:weights={name}")
    musicnn.load("cpu", "float32")
    files = sorted(out.glob(f"{name}-*.npz"))
    if not files:
        raise SystemExit(f"{out} holds no outputs of the original for {name}: see `original` above.")
    largest = dict.fromkeys(LAYERS, 0.0)
    worst = {(layer, how, what): 0.0 for layer in LAYERS for how in ("network", "chain") for what in ("patch", "track")}
    count, mel = 0, 0.0
    for file in files:
        theirs = np.load(file)
        assert np.ptp(theirs["package"], axis=0).max() == 0, "0.1.0 without its error?"
        cut = TrackReader(str(theirs["path"]), sample_rate=16_000, window=musicnn.window).windows()
        with torch.inference_mode():
            own = torch.cat([musicnn._net.front_end(torch.from_numpy(wave)[None])[0] for wave in cut])
            patches = torch.from_numpy(theirs["patches"])
            assert own.shape == patches.shape, f"{file}: {len(own)} patches, the original has {len(patches)}"
            count, mel = count + len(own), max(mel, float((own - patches).abs().max()))
            for how, given in (("network", patches), ("chain", own)):
                layers = zip(*(musicnn._net(patch[None]) for patch in given), strict=True)
                for layer, found in zip(LAYERS, layers, strict=True):
                    ours = torch.cat(found)[:, 0].numpy()
                    wanted = theirs[layer]
                    track = np.abs(ours.mean(0) - wanted.mean(0)).max() / np.abs(wanted.mean(0)).max()
                    worst[layer, how, "patch"] = max(worst[layer, how, "patch"], float(np.abs(ours - wanted).max()))
                    worst[layer, how, "track"] = max(worst[layer, how, "track"], float(track))
                    largest[layer] = max(largest[layer], float(np.abs(wanted).max()))
    print(f"\n{name}: {len(files)} tracks, {count} patches; log-mel of the chain within {mel:.1e}\n")
    print(
        "| layer | largest value | network, patch | network, track | chain, patch | chain, track |\n|---|" + "---:|" * 5
    )
    for layer in LAYERS:
        cells = [f"{worst[layer, how, what]:.1e}" for how in ("network", "chain") for what in ("patch", "track")]
        print(f"| {layer} | {largest[layer]:.3g} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
