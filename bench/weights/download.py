"""Download files: wheels with pip, all others over https, where interrupted downloads are resumed.

The standard library suffices: one range request resumes a download, and no HTTP client need be installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from bench import __version__
from bench.errors import BenchError
from bench.files.atomic import refuse_link
from bench.weights.spec import PIP, Source

CHUNK = 1 << 20
ATTEMPTS = 5
"""Attempts to resume a download after the connection broke."""
PATIENCE = 30.0
"""Seconds without data after which a connection counts as broken."""
EVERY = 10.0
"""Seconds between lines of progress."""
LOCAL = ("localhost", "127.0.0.1", "::1")
MOST = 32_000_000_000
"""Bytes that a file of unknown size may have; the largest known one has 11 GB."""
STORAGE = {"huggingface.co": (".huggingface.co", ".hf.co"), "github.com": (".githubusercontent.com",)}
"""Host -> endings of the hosts to which it sends those who ask it for a file."""

Log = Callable[[str], None]


def offline() -> bool:
    """Whether downloads are forbidden: by ``--offline``, or by ``BENCH_OFFLINE`` with any value but 0."""
    return os.environ.get("BENCH_OFFLINE", "0") not in ("", "0")


def fetch(source: Source, folder: Path, log: Log) -> Path:
    """Download one file into `folder` and return its path; the caller verifies its hash.

    Raises
    ------
    BenchError
        The file cannot be downloaded; the message gives the reason.

    """
    if source.origin.startswith(PIP):
        return _pip(source, folder)
    return download(source.origin, folder / source.file, size=source.bytes, log=log)


def _pip(source: Source, folder: Path) -> Path:
    """Download a wheel with pip. Source packages are not allowed, since building one would run its code."""
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
    raise BenchError(f"pip could not download {source.file}: {_reason(done.stderr)}.")


def _reason(stderr: str) -> str:
    """Return the reason that pip gives; without a network it is in a warning, not in an error."""
    _, broken, cause = stderr.partition("connection broken by ")
    if broken:
        return f"no connection ({cause.partition(chr(10))[0][:300]})"
    lines = stderr.splitlines()
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it downloaded another file"]
    return errors[0].removeprefix("ERROR: ").rstrip(".")


def download(url: str, to: Path, *, size: int | None = None, log: Log = print) -> Path:
    """Download `url` to `to`; an interrupted download is resumed, also by a later process.

    The incomplete file is ``NAME.part`` beside `to`. If the server cannot resume, the download starts again.

    Raises
    ------
    BenchError
        `url` is not https, the server returns an error or redirects to a foreign host, the file is incomplete
        after several attempts, it has more than `size` bytes (`MOST` if unknown) or does not fit on the disk,
        or a link lies where it should be written.

    """
    part = to.with_name(to.name + ".part")
    to.parent.mkdir(parents=True, exist_ok=True)
    for path in (to, part):
        refuse_link(path)
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        if size is not None and before > size:
            part.unlink()
        try:
            _stream(url, part, size, log)
            os.replace(part, to)
            return to
        except urllib.error.HTTPError as error:
            if error.code == 416 and part.exists():  # the incomplete file does not match the file on the server
                part.unlink()
                continue
            raise BenchError(f"{url}: the server says {error.code} {error.reason}.") from error
        except (OSError, HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", None) or error
            after = part.stat().st_size if part.exists() else 0
            if attempt == ATTEMPTS - 1 or (attempt and after == before):
                hint = f" {after / 1e6:.1f} MB are stored; the same command resumes the download." if after else ""
                raise BenchError(f"{url}: {reason}.{hint}") from error
            time.sleep(attempt)
    raise BenchError(f"{url}: the server refuses every part of it.")


def _stream(url: str, part: Path, size: int | None, log: Log) -> None:
    """Append the missing bytes to `part`; raises OSError if the connection ends early."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    headers = {"User-Agent": f"music-embedding-bench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    _secure(url)
    opener = urllib.request.build_opener(_SameHost)
    with opener.open(urllib.request.Request(url, headers=headers), timeout=PATIENCE) as answer:
        if have and (answer.status != 206 or not _continues(answer, have)):
            have = 0
        total = _total(answer, have)
        if size is not None and total is not None and total != size:
            raise BenchError(f"{url}: the server offers {total} bytes, expected {size}.")
        most = MOST if size is None else size
        if (total or 0) > most:
            raise BenchError(f"{url}: the server offers {total} bytes, and at most {most} are taken.")
        free = shutil.disk_usage(part.parent).free
        if (total or 0) - have > free:
            raise BenchError(f"{url}: {total} bytes do not fit: {free} are free in {part.parent}.")
        logged = time.monotonic()
        with _opened(part, os.O_APPEND if have else os.O_TRUNC) as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                if have > most:
                    file.close()
                    part.unlink()
                    raise BenchError(f"{url}: the server sent more than the expected {most} bytes.")
                if time.monotonic() - logged > EVERY:
                    logged = time.monotonic()
                    log(f"{part.stem}: {have / 1e6:.0f}" + (f" of {total / 1e6:.0f} MB" if total else " MB"))
    if total is not None and have < total:
        raise OSError(f"the connection ended after {have} of {total} bytes")


def _continues(answer: Any, have: int) -> bool:
    """Whether a 206 response starts at byte `have`."""
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _total(answer: Any, have: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return have + int(length) if length is not None and length.isdigit() else None


def _opened(part: Path, how: int) -> BinaryIO:
    """Open a file for writing without following a link that somebody has put there meanwhile."""
    flags = os.O_WRONLY | os.O_CREAT | how | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(part, flags, 0o644), "wb")


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only within a host, or to the storage that a hub keeps its files in."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to send instead; raise BenchError when it would go to a stranger."""
        _secure(newurl)
        asked, offered = (urlsplit(url).hostname or "" for url in (req.full_url, newurl))
        origin = urlsplit(f"//{req.origin_req_host}").hostname or asked
        if offered not in (asked, origin) and not offered.endswith(STORAGE.get(origin, ("\0",))):
            raise BenchError(f"{req.full_url}: it sends us to {offered}, which does not belong to {origin}. Refused.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _secure(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        raise BenchError(f"{url}: weights are fetched over https only.")
