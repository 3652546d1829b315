"""Frames that bench and ffmpeg decode from each file of a folder; ffmpeg must be installed.

A file must decode to as many frames as ffmpeg gives, or fail with a reason. Two MPEG frames (2304) more or less are
accepted: ffmpeg keeps the encoder's delay where two recordings are joined, and drops the frame before damage.

    python benchmarks/decode_ffmpeg.py FOLDER
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench.audio.catalog import EXTENSIONS
from bench.audio.decode import probe, stream
from bench.errors import TrackError

NEAR = 2304


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    wrong = 0
    files = sorted(path for path in parser.parse_args().folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
    print(f"{'ffmpeg':>10} {'bench':>10}  file")
    for path in files:
        reference = by_ffmpeg(path)
        try:
            rate = probe(path).sample_rate
            ours = sum(len(block) for block in stream(path, sample_rate=rate))
        except TrackError as error:
            print(f"{reference:10} {'-':>10}  {path.name}: {error}")
            continue
        fine = abs(ours - reference) <= NEAR
        wrong += not fine
        print(f"{reference:10} {ours:10}  {path.name}{'' if fine else ': DIFFERENT'}")
    print(f"{len(files)} files, {wrong} different")
    return wrong > 0


def by_ffmpeg(path: Path) -> int:
    """Return the frames that ffmpeg decodes at the file's own rate."""
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", str(path), "-map", "0:a:0", "-ac", "1", "-f", "f32le", "-"]
    return len(subprocess.run(command, capture_output=True, check=False).stdout) // 4


if __name__ == "__main__":
    sys.exit(main())
