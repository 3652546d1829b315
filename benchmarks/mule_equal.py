"""Is `mule` what its source computes? Largest differences of every layer, from the same random weights, in two steps.

First in an environment of its own, with Python 3.11 or older, where the source runs under TensorFlow:

    git clone https://github.com/PandoraMedia/music-audio-representations SOURCE    # at f90a472
    python3.11 -m venv original
    original/bin/pip install tensorflow-cpu==2.13.1 librosa==0.9.2 scooch "numpy<1.25" "setuptools<70" soundfile soxr
    original/bin/python benchmarks/mule_equal.py original SOURCE OUT FILES...

It builds the source's network, gives it random tensors (the factors of residuals too, which start at 0) and saves it
as Keras saves a model: in the format of the published file. Then here:

    python benchmarks/mule_equal.py compare OUT

"Network" feeds the source's own standardised spectrograms to this project's network, whose tensors the converter of
`bench weights` reads from that file; "chain" starts from the samples, with this project's windows and spectrogram, and
"last" is its last window, where the source mirrors the end of the track and this project appends zeros.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16_000


def main() -> None:
    match sys.argv[1:]:
        case ["original", source, out, *files] if files:
            original(Path(source), Path(out), [Path(name) for name in files])
        case ["compare", out]:
            compare(Path(out))
        case _:
            raise SystemExit(__doc__)


def original(source: Path, out: Path, files: list[Path]) -> None:
    sys.path[0] = str(source)
    import types

    import soundfile
    import soxr
    import tensorflow as tf
    from mule.extractors import SliceExtractor
    from mule.features.transform_features import MelSpectrogram
    from mule.models.sfnfnetf0 import SfNfNetF0

    def plain(of: type, **values: object) -> Any:
        """An object of one of the source's classes with attributes in place of its configuration files."""
        given = {f"_{name}": value for name, value in values.items()}
        return type(of.__name__, (of,), {**given, "__init__": lambda self: None})()

    made = plain(
        SfNfNetF0, projector_activation="relu", projector_layers=[], include_fc=False, alpha=0.2,
        scaled_activation_type="gelu", f_value=0,
    )  # fmt: skip
    made._make_layers(None)
    heard = tf.keras.Input(shape=(96, 300, 1))
    model = tf.keras.Model(heard, made._apply_layers(heard))
    slow, fast, stages = made._apply_stem(made._slow_stem, heard), made._apply_stem(made._fast_stem, heard), []
    for fusion, *paths in zip(made._fusion_layers, made._slow_layers, made._fast_layers, strict=True):
        slow = made._apply_nfnet_stage(paths[0], made._apply_fast_to_slow_fusion(fusion, slow, fast))
        fast = made._apply_nfnet_stage(paths[1], fast)
        stages.append(tf.concat([tf.reduce_mean(x, (1, 2)) for x in (slow, fast)], 1))
    every = tf.keras.Model(heard, [*stages[:-1], model(heard)])
    rng = np.random.default_rng(0)
    for variable in model.variables:
        noise = rng.standard_normal(variable.shape)
        if len(variable.shape) > 1:
            noise = 0.02 + noise / np.sqrt(np.prod(variable.shape[:-1]))
        elif len(variable.shape) == 1:
            noise = 0.1 * noise if "bias" in variable.name else 1 + 0.3 * noise
        variable.assign(noise)
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "model.keras")
    mel = plain(
        MelSpectrogram, n_fft=2048, hop_length=160, win_length=400, window="hann", n_mels=96, fmin=0.0, fmax=8000.0,
        norm=2.0, mag_compression="log10_nonneg", htk=True, power=2.0, mag_range=None, pad_mode="reflect",
        extractor=types.SimpleNamespace(extract_range=lambda feature, start, end: feature.data[:, start:end]),
    )  # fmt: skip
    slices = plain(SliceExtractor, look_forward=150, look_backward=150, hop=200, standard_normalize=True)

    class Data(types.SimpleNamespace):
        def __len__(self) -> int:
            return self.data.shape[1]

    for number, path in enumerate(files):
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        wave = soxr.resample(wave.mean(1), rate, RATE).astype(np.float32)
        feature = Data(data=wave[None], sample_rate=RATE)
        spectrogram = Data(data=mel._extract(feature, 0, len(wave)))
        if len(spectrogram) < 300:
            print(f"{path}: the original fails (less than 3 s)")
            continue
        cut = slices.extract_range(spectrogram, 0, len(spectrogram))
        layers = {f"layer{at}": layer for at, layer in enumerate(every.predict(cut, batch_size=4, verbose=0))}
        np.savez(out / f"{number:03d}.npz", path=path.stem, wave=wave, cut=cut[..., 0], **layers)


def compare(out: Path) -> None:
    import torch

    from bench.audio.windows import windows
    from bench.registry import create
    from bench_extractors._mule_weights import convert

    torch.set_num_threads(1)
    mule = create("extractors", "mule:weights=random")
    tensors = {name: torch.from_numpy(array) for name, array in convert({"model.keras": out / "model.keras"}).items()}
    mule.tensors = lambda device: tensors
    mule.load("cpu", "float32")
    print("| recording | windows | layer | largest value | network | chain | last | track |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    for file in sorted(out.glob("*.npz")):
        theirs = np.load(file)
        cut = list(windows([theirs["wave"]], mule.window, mule.clip, RATE))
        with torch.inference_mode():
            given = [torch.from_numpy(one)[None, None] for one in theirs["cut"]]
            own = [mule._net.front_end(torch.from_numpy(wave)[None])[0] for wave in cut]
            network, chain = ([[x[0, 0].numpy() for x in mule._net(one)] for one in mels] for mels in (given, own))
        for at, name in enumerate(mule.layers):
            wanted = theirs[f"layer{at}"]
            scale = np.abs(wanted).max()
            a, b = (np.stack([layers[at] for layers in found]) for found in (network, chain))
            ends = -1 if len(b) > 1 else 1
            gaps = [
                np.abs(x - y).max() / scale for x, y in ((a, wanted), (b[:ends], wanted[:ends]), (b[-1], wanted[-1]))
            ]
            gaps.append(np.abs(b.mean(0) - wanted.mean(0)).max() / np.abs(wanted.mean(0)).max())
            shown = " | ".join(f"{gap:.1e}" for gap in gaps)
            print(f"| {theirs['path']} | {len(b)} of {len(wanted)} | {name} | {scale:.3g} | {shown} |")


if __name__ == "__main__":
    main()
