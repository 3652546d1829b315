"""Is `aisfx` what its package computes? Largest differences on real recordings, in two steps.

First in an environment of its own, where the package runs with Essentia (AGPL-3.0; the pins of aisfx 0.1.2 cannot be
met any more):

    python3 -m venv original && original/bin/pip install torch --pre essentia tqdm
    original/bin/pip install --no-deps aisfx==0.1.2
    original/bin/python benchmarks/aisfx_equal.py original OUT FILES...

then here, with the weights that `bench weights pull aisfx` brings:

    python benchmarks/aisfx_equal.py compare OUT

"network" feeds the package's own spectrogram to this project's network; "chain" starts from the file, with this
project's decoding, resampling and spectrogram.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import numpy as np

PINNED = "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5"
"""Hash of the published checkpoint, as in extractors/aisfx.py, which this environment need not have."""


def main() -> None:
    match sys.argv[1:]:
        case ["original", out, *files] if files:
            original(Path(out), [Path(name) for name in files])
        case ["compare", out]:
            compare(Path(out))
        case _:
            raise SystemExit(__doc__)


def original(out: Path, files: list[Path]) -> None:
    sys.path.remove(str(Path(__file__).resolve().parent))
    import torch
    from aisfx import inference
    from aisfx.preprocessing import spectrogram_normalize
    from aisfx.spectrogram.spectrogram_essentia import compute_spectrogram

    torch.set_num_threads(1)
    # The checkpoint holds NumPy numbers besides tensors, so that its pickle may run code: only the known file is read.
    checkpoint = Path(inference.get_path_modelWeights()).read_bytes()
    if (found := hashlib.sha256(checkpoint).hexdigest()) != PINNED:
        raise SystemExit(f"{inference.get_path_modelWeights()}: its sha256 is {found}, not {PINNED}. It is not read.")
    state, libraries = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=False)
    model = inference.load_bestModel(state, libraries, "cpu")
    out.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(files):
        settings = {"sr": 44_100.0, "block_size": 2048, "hop_size": 1024, "n_mels": 96, "f_min": 0.0, "f_max": 22_050.0}
        try:
            mel = spectrogram_normalize(compute_spectrogram(filename=str(path), **settings))
            patches = inference.model_get_embedding(mel, 0.5, True, model, "cpu")
        except (AssertionError, RuntimeError) as error:
            print(f"{path}: the original fails ({error or 'fewer than 51 frames'})")
            continue
        np.savez(out / f"{number:03d}.npz", path=str(path.resolve()), mel=mel, patches=patches.numpy())


def compare(out: Path) -> None:
    import soundfile
    import torch

    from bench.audio import TrackReader
    from bench.registry import create

    torch.set_num_threads(1)
    aisfx = create("extractors", "aisfx")
    aisfx.load("cpu", "float32")
    files = sorted(out.glob("*.npz"))
    if not files:
        raise SystemExit(f"{out} holds no outputs of the original: see `original` above.")
    print("| recording | rate | patches | log-mel | network, patch | chain, patch | chain, track | cosine |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for file in files:
        theirs = np.load(file)
        path = str(theirs["path"])
        cut = TrackReader(path, sample_rate=44_100, window=aisfx.window).windows()
        with torch.inference_mode():
            own = [aisfx._net.front_end(torch.from_numpy(wave)[None])[0] for wave in cut]
            wanted = theirs["patches"]
            starts = range(0, 50 * len(wanted), 50)
            given = np.pad(theirs["mel"], ((0, 100), (0, 0)))
            given = [torch.from_numpy(given[start : start + 100].astype(np.float32))[None] for start in starts]
            network, chain = (
                torch.cat([next(aisfx._net(patch)) for patch in patches])[:, 0].numpy() for patches in (given, own)
            )
        count = min(len(chain), len(wanted))
        mel = max(float((a - b).abs().max()) for a, b in zip(own, given, strict=False))
        track = np.abs(chain.mean(0) - wanted.mean(0)).max() / np.abs(wanted.mean(0)).max()
        a, b = chain.mean(0).astype(np.float64), wanted.mean(0).astype(np.float64)
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        gaps = (np.abs(network - wanted).max(), np.abs(chain[:count] - wanted[:count]).max())
        print(f"| {Path(path).stem} | {soundfile.info(path).samplerate} | {len(chain)} of {len(wanted)} | {mel:.1e} | "
              f"{gaps[0]:.1e} | {gaps[1]:.1e} | {track:.1e} | {cosine:.7f} |")  # fmt: skip


if __name__ == "__main__":
    main()
