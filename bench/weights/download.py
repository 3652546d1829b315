"""Fetching files: wheels through pip's own client, the rest over https with resuming.

The standard library suffices: one range request resumes a download, and no HTTP client need be installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import __version__
from bench.errors import BenchError
from bench.weights.spec import PIP, Source

CHUNK = 1 << 20
ATTEMPTS = 5
"""Times a broken connection is taken up again where it broke."""
PATIENCE = 30.0
"""Seconds without a byte after which a connection counts as broken."""
EVERY = 10.0
"""Seconds between lines on a long download."""
LOCAL = ("localhost", "127.0.0.1", "::1")

Log = Callable[[str], None]


def offline() -> bool:
    """Whether nothing may be fetched: ``--offline``, or ``BENCH_OFFLINE`` set to anything but 0."""
    return os.environ.get("BENCH_OFFLINE", "0") not in ("", "0")


def fetch(source: Source, folder: Path, log: Log) -> Path:
    """Bring one file into `folder` and return its path; what it hashes to is for the caller to check.

    Raises
    ------
    BenchError
        When it cannot be had; the message says why.

    """
    if source.origin.startswith(PIP):
        return _pip(source, folder)
    return download(source.origin, folder / source.file, size=source.bytes, log=log)


def _pip(source: Source, folder: Path) -> Path:
    """Let this Python's pip download a wheel. Wheels only: building a source package would run its code."""
    command = [
        sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
        "--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=15",
        "--dest", str(folder), source.origin.removeprefix(PIP),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BenchError(f"pip cannot be started: {error}.") from error
    path = folder / source.file
    if done.returncode == 0 and path.exists():
        return path
    if "No module named pip" in done.stderr:
        raise BenchError(f"{sys.executable} has no pip (`{sys.executable} -m ensurepip` may bring it).")
    raise BenchError(f"pip could not download {source.file}: {_said(done.stderr)}.")


def _said(stderr: str) -> str:
    """Return what pip gives as the cause; without a network that is in a warning, not in its errors."""
    _, broken, cause = stderr.partition("connection broken by ")
    if broken:
        return f"no connection ({cause.partition(chr(10))[0][:300]})"
    lines = stderr.splitlines()
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["another file came"]
    return errors[0].removeprefix("ERROR: ").rstrip(".")


def download(url: str, to: Path, *, size: int | None = None, log: Log = print) -> Path:
    """Download `url` to `to`; an interrupted download goes on where it stopped, also in a later process.

    What has come so far lies beside it as ``NAME.part``. A server that cannot resume starts over.

    Raises
    ------
    BenchError
        Not https; refused by the server; too few bytes after several attempts; more than `size` bytes.

    """
    part = to.with_name(to.name + ".part")
    to.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        if size is not None and before > size:
            part.unlink()
        try:
            _stream(url, part, size, log)
            os.replace(part, to)
            return to
        except urllib.error.HTTPError as error:
            if error.code == 416 and part.exists():  # what we have is not the beginning of what is there now
                part.unlink()
                continue
            raise BenchError(f"{url}: the server says {error.code} {error.reason}.") from error
        except (OSError, HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", None) or error
            after = part.stat().st_size if part.exists() else 0
            if attempt == ATTEMPTS - 1 or (attempt and after == before):
                kept = f" {after / 1e6:.1f} MB are kept; the same command goes on from there." if after else ""
                raise BenchError(f"{url}: {reason}.{kept}") from error
            time.sleep(attempt)
    raise BenchError(f"{url}: the server refuses every part of it.")


def _stream(url: str, part: Path, size: int | None, log: Log) -> None:
    """Append to `part` what is missing; OSError when the connection ends early."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    headers = {"User-Agent": f"music-embedding-bench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    _secure(url)
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE) as answer:
        _secure(answer.url)
        if have and (answer.status != 206 or not _continues(answer, have)):
            have = 0
        total = _total(answer, have)
        if size is not None and total is not None and total != size:
            raise BenchError(f"{url}: the server offers {total} bytes, expected are {size}.")
        said = time.monotonic()
        with open(part, "ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                if size is not None and have > size:
                    raise BenchError(f"{url}: more than the expected {size} bytes came.")
                if time.monotonic() - said > EVERY:
                    said = time.monotonic()
                    log(f"{part.stem}: {have / 1e6:.0f}" + (f" of {total / 1e6:.0f} MB" if total else " MB"))
    if total is not None and have < total:
        raise OSError(f"the connection ended after {have} of {total} bytes")


def _continues(answer: Any, have: int) -> bool:
    """Whether a 206 answer begins where we stopped."""
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _total(answer: Any, have: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return have + int(length) if length is not None and length.isdigit() else None


def _secure(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        raise BenchError(f"{url}: weights are fetched over https only.")
