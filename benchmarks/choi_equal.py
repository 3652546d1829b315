"""Is `choi` what the source computes? The tag scores that the source prints, and a forward pass in NumPy.

    git clone https://github.com/keunwoochoi/music-auto_tagging-keras SOURCE    # at a3be105
    bench weights add choi SOURCE                                               # or: bench weights pull choi
    python benchmarks/choi_equal.py SOURCE

SOURCE holds the mel inputs of four recordings (data/bensound-*.npy), the tags that its CRNN finds in them (README.md)
and a waveform (compact_cnn/1100103.clip.npy). The forward pass below reads the files of Keras with h5py, runs in
float64 and shares no code with this project. It also prints how the inputs of each norm spread, in units of the
stored statistics: about 1 in every layer where input and statistics are read as they were in training.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import numpy as np

POOLS = {
    "crnn": [(2, 2), (3, 3), (4, 4), (4, 4)],
    "cnn": [(2, 4), (2, 4), (2, 4), (3, 5), (4, 4)],
    "compact": [(2, 4), (3, 4), (2, 5), (2, 4), (4, 4)],
}


def main() -> None:
    import torch

    from bench.registry import create

    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    source = Path(sys.argv[1])
    tags, printed = scores((source / "README.md").read_text(encoding="utf-8"))
    mels = {name: np.load(source / "data" / f"{name}.npy")[0, 0] for name in printed}
    torch.set_num_threads(1)
    print("| network | vector | tag scores | gap to the printed scores | spread of each norm's input |")
    print("|---|---:|---:|---:|---|")
    for net in ("crnn", "cnn"):
        arrays = read(source / "data" / f"music_tagger_{net}_weights_tensorflow.h5")
        for reading in ("example", "trained"):
            plugin = create("extractors", f"choi:net={net},reading={reading}")
            plugin.load("cpu", "float32")
            vector, score, gap, spreads = 0.0, 0.0, 0.0, []
            for name, mel in mels.items():
                given = (mel - mel.mean()) / mel.std() if reading == "trained" else mel
                wanted, wanted_tags, spread = tagger(net, arrays, given, variance=(net, reading) == ("crnn", "example"))
                with torch.inference_mode():
                    found = [layer[0, 0].numpy() for layer in plugin._net(torch.from_numpy(given[None]).float())]
                vector = max(vector, np.abs(found[0] - wanted).max() / np.abs(wanted).max())
                score = max(score, np.abs(found[1] - wanted_tags).max())
                gap = max(gap, *(abs(found[1][tags.index(tag)] - float(value)) for tag, value in printed[name]))
                spreads.append(spread)
            said = f"{gap:.4f}" if (net, reading) == ("crnn", "example") else "-"
            shown = ", ".join(f"{value:.2f}" for value in np.mean(spreads, axis=0))
            print(f"| {net}, {reading} | {vector:.1e} | {score:.1e} | {said} | {shown} |")
    plugin = create("extractors", "choi:net=compact")
    plugin.load("cpu", "float32")
    wave = np.load(source / "compact_cnn" / "1100103.clip.npy")
    wanted = compact(read(source / "compact_cnn" / "weights_tensorflow.hdf5"), wave)
    with torch.inference_mode():
        found = {name: layer[0, 0].numpy() for name, layer in plugin.frames(torch.from_numpy(wave)[None])}
    gap = max(np.abs(found[str(i)] - v).max() / np.abs(v).max() for i, v in enumerate(wanted, 1))
    print(f"| compact, from the waveform | {gap:.1e} | - | - | - |")


def scores(readme: str) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """Return the tags in order, and the scores printed for each recording."""
    tags = ast.literal_eval(re.search(r"\['rock',[^]]*\]", readme)[0])
    printed = re.findall(r"data/(bensound-\w+)\.mp3\n(\[.*\])\n(\[.*\])", readme)
    return tags, {name: ast.literal_eval(first) + ast.literal_eval(second) for name, first, second in printed}


def read(path: Path) -> dict[str, np.ndarray]:
    """Return name -> array without the names of groups and the numbers that TensorFlow appends."""
    import h5py

    out: dict[str, np.ndarray] = {}

    def keep(name: str, found: object) -> None:
        if isinstance(found, h5py.Dataset):
            out[name] = found[()].astype(np.float64)

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return {re.sub(r"^.*/|(?<=[A-Za-z])_1:0$|:0$", "", name): array for name, array in out.items()}


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3 x 3 with zeros around, (C, H, W)."""
    around = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    places = [(i, j) for i in range(3) for j in range(3)]
    cut = [np.tensordot(weight[:, :, i, j], around[:, i : i + x.shape[1], j : j + x.shape[2]], 1) for i, j in places]
    return sum(cut) + bias[:, None, None]


def pooled(x: np.ndarray, pool: tuple[int, int]) -> np.ndarray:
    """Maximum over whole fields, after ELU."""
    bands, frames = x.shape[1] // pool[0], x.shape[2] // pool[1]
    x = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))[:, : bands * pool[0], : frames * pool[1]]
    return x.reshape(len(x), bands, pool[0], frames, pool[1]).max((2, 4))


def tagger(net: str, arrays: dict[str, np.ndarray], mel: np.ndarray, *, variance: bool):
    """Return vector, tag scores, and for each norm after a convolution the input's spread in stored deviations."""

    def normed(x: np.ndarray, name: str, shape: tuple[int, int, int]) -> np.ndarray:
        gamma, beta, mean, spread = (
            arrays[f"{name}_{kind}"].reshape(shape) for kind in ("gamma", "beta", "running_mean", "running_std")
        )
        return gamma * (x - mean) / (np.sqrt(spread + 1e-5) if variance else spread + 1e-6) + beta

    x = np.pad(mel, ((0, 0), (37, 37)))[None] if net == "crnn" else mel[None]
    x = normed(x, "bn_0_freq", (1, 1, -1))
    spreads = []
    for block, pool in enumerate(POOLS[net], 1):
        y = convolved(x, arrays[f"conv{block}_W"], arrays[f"conv{block}_b"])
        stored = arrays[f"bn{block}_running_std"]
        spreads.append(np.median(y.std((1, 2)) / (np.sqrt(stored) if variance else stored)))
        x = pooled(normed(y, f"bn{block}", (-1, 1, 1)), pool)
    steps = x[:, 0].T
    for gru in ("gru1", "gru2") if net == "crnn" else ():
        state, out = np.zeros(32), []
        for step in steps:
            put, kept = ({g: arrays[f"{gru}_{kind}_{g}"] for g in "zrh"} for kind in "WU")
            bias = {g: arrays[f"{gru}_b_{g}"] for g in "zrh"}
            z, r = (np.clip(0.2 * (step @ put[g] + state @ kept[g] + bias[g]) + 0.5, 0, 1) for g in "zr")
            state = z * state + (1 - z) * np.tanh(step @ put["h"] + (r * state) @ kept["h"] + bias["h"])
            out.append(state)
        steps = np.stack(out)
    vector = steps[-1]
    logits = vector @ arrays["output_W"] + arrays["output_b"]
    return vector, 1 / (1 + np.exp(-logits)), spreads


def compact(arrays: dict[str, np.ndarray], wave: np.ndarray) -> list[np.ndarray]:
    """Return the means of each block's channels."""
    filters = next(array for array in arrays.values() if array.shape == (257, 96))  # stored beside the network
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(511, -1, -1) / 512)
    pieces = np.lib.stride_tricks.sliding_window_view(np.pad(wave.astype(np.float64), 256), 512)[::256][:1360]
    decibel = 10 * np.log10(np.maximum(np.abs(np.fft.rfft(pieces * hann)) ** 2 @ filters, 1e-10)).T
    x, out = np.maximum(decibel - decibel.max(), -80)[None], []
    for block, pool in enumerate(POOLS["compact"], 1):
        y = convolved(x, arrays[f"convolution2d_{block}_W"], arrays[f"convolution2d_{block}_b"])
        y = (y - y.mean((1, 2), keepdims=True)) / np.sqrt(y.var((1, 2), keepdims=True) + 1e-3)
        gamma, beta = (arrays[f"batchnormalization_{block}_{kind}"][:, None, None] for kind in ("gamma", "beta"))
        x = pooled(gamma * y + beta, pool)
        out.append(x.mean((1, 2)))
    return out


if __name__ == "__main__":
    main()
