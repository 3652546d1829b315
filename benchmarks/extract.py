"""Clips a second, end to end and the model alone, as a ratio to the naive loop: `mfcc`, or a pretrained network.

For a network (``--extractor``, see networks.py) the naive loop is upstream's; for `mfcc` librosa's.

End to end is the harness's own loop: threads decode, the model runs in batches, vectors go to disk. The
loop it is measured against is what one writes first: ``librosa.load``, ``librosa.feature.mfcc``, mean and
covariance, file after file, nothing stored. Both take turns in one process on the same made-up stereo clips
(44.1 kHz, 30 s); the fastest of several rounds counts. "Model alone" starts from decoded samples. Beside the
ratio of wall times stands that of CPU seconds of all threads, which says more on a busy machine.

    python benchmarks/extract.py
    python benchmarks/extract.py --clips 100 --formats mp3 --rounds 5
    python benchmarks/extract.py --extractor mert --weights random --clips 2
    python benchmarks/extract.py --extractor mert:precision=bfloat16 --weights random --device cuda --clips 256
    python benchmarks/extract.py --extractor mert --weights random --batch 1 --json benchmarks/speed.json

With ``--json`` only the model alone is measured, on one thread; the file's entry of the extractor is replaced.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from clip_folder import RATE, make
from machine import machine
from numpy.typing import NDArray

from bench.audio import TrackReader
from bench.extract import Extraction, open_set
from bench.extract.batches import Batcher, Track
from bench.extract.readers import Source
from bench.registry import create


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--formats", nargs="+", default=["wav", "mp3"])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, help="decoding threads (default: one a core)")
    parser.add_argument("--extractor", default="mfcc", help="mfcc, or a network such as mert:size=95M")
    parser.add_argument("--weights", help="of a network: random needs no file")
    parser.add_argument("--device", default="cpu", help="of a network: cpu or cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the speed of the model alone on the CPU to it")
    arguments = parser.parse_args()
    if arguments.extractor != "mfcc" or arguments.json:
        import networks

        return networks.measure(arguments)
    try:
        import librosa
    except ImportError:
        raise SystemExit("the other half of the ratio is librosa: pip install librosa") from None
    librosa.feature.mfcc(y=np.zeros(RATE, np.float32), sr=22_050)  # its first call compiles
    print(machine("librosa", "numba"))
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.formats:
            end_to_end(arguments, Path(scratch), name)
        alone(arguments, Path(scratch))
    return None


def librosa_vector(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    import librosa

    frames = librosa.feature.mfcc(y=samples, sr=22_050, n_mfcc=13)
    return np.concatenate([frames.mean(axis=1), np.cov(frames)[np.triu_indices(13)]])


def naive(paths: list[Path]) -> list[NDArray[np.float64]]:
    import librosa

    return [librosa_vector(librosa.load(path, sr=22_050)[0]) for path in paths]


def end_to_end(arguments: argparse.Namespace, folder: Path, name: str) -> None:
    paths = make(folder, name, arguments.clips)
    sources = [Source(str(i), str(path)) for i, path in enumerate(paths)]
    ours = theirs = (float("inf"), float("inf"))
    work = Extraction(
        create("extractors", "mfcc"), Path(), batch=arguments.batch, workers=arguments.workers, log=lambda line: None
    )
    work.load()
    vectors: list[NDArray[np.float64]] = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as cache:
            work.cache = Path(cache)
            ours = min(ours, seconds(lambda: work(sources)))
            stored = open_set(work.cache, work.extractor).read("mfcc", [s.row for s in sources])[0]
        theirs = min(theirs, seconds(lambda: vectors.extend(naive(paths))))
    near = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(stored, vectors[: len(paths)], strict=True)])
    show(f"end to end, {name}", len(paths), ours, theirs)
    # Its ceiling of 80 dB below the loudest frame is the difference.
    print(f"{'':20} mean correlation of the vectors with librosa's {near:.5f}")


def alone(arguments: argparse.Namespace, folder: Path) -> None:
    paths = make(folder, "wav", min(arguments.clips, 24))
    ours, theirs = model_jobs(paths, arguments.batch)
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        a = b = (float("inf"), float("inf"))
        for _ in range(arguments.rounds):
            a = min(a, seconds(ours))
            b = min(b, seconds(theirs))
        show(f"model, {threads} thread{'s' * (threads > 1)}", len(paths), a, b)


Vectors = list[NDArray[np.float64]]


def model_jobs(paths: list[Path], batch: int) -> tuple[Callable[[], Vectors], Callable[[], Vectors]]:
    """Return bench's and librosa's MFCC of decoded clips; both return a vector for each clip."""
    mfcc = create("extractors", "mfcc")
    mfcc.load("cpu", "float32")
    cuts = [list(TrackReader(path, sample_rate=22_050, window=mfcc.window).windows()) for path in paths]
    waves = [np.concatenate([c[1024 : 1024 + mfcc.window.hop] for c in cut]) for cut in cuts]

    def ours() -> Vectors:
        batcher = Batcher(mfcc, "cpu", batch, lambda line: None)
        tracks = [Track(str(at)) for at in range(len(cuts))]
        for track, cut in zip(tracks, cuts, strict=True):
            for wave in cut:
                batcher.add(track, wave)
        batcher.flush()
        return [track.pool.vectors()["mfcc"] for track in tracks]

    return ours, lambda: [librosa_vector(wave) for wave in waves]


def show(what: str, clips: int, ours: tuple[float, float], theirs: tuple[float, float]) -> None:
    a, b = clips / ours[0], clips / theirs[0]
    text = f"{what:20} bench {a:7.1f} clips/s   librosa {b:7.1f} clips/s   {a / b:5.2f} x"
    print(f"{text}   CPU {theirs[1] / ours[1]:5.2f} x", flush=True)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
