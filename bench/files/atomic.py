"""Files that appear whole or not at all, files that can be read at all, canonical JSON, the folder for caches."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UnavailableError

TEMPORARY = ".tmp-"
"""Prefix of files still being written; readers skip them, ``bench extract --verify`` removes stale ones."""


@contextmanager
def whole(path: Path, *, named: Callable[[Path], str] | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it into place.

    An interrupted or failed writer leaves nothing under the final name. `named` may choose another
    final file name once the content is known (its hash, say).

    Raises
    ------
    BenchError
        When the folder cannot be written (read-only, full disk); it names folder and remedy.

    """
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        os.replace(temporary, path.with_name(named(temporary)) if named else path)
        sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise BenchError(
            f"cannot write {path}: {error.strerror or error}. Free some space, or choose another folder "
            "with --cache, --results or --out."
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_writable(folder: Path) -> None:
    """Raise BenchError now, not after hours of work, when nothing can be written to `folder`."""
    with whole(folder / "probe") as temporary:
        temporary.touch()
    (folder / "probe").unlink(missing_ok=True)  # several runs may start at once


def sync(path: Path) -> None:
    """Flush a file or folder to disk, so that a rename survives a power cut."""
    windows = os.name == "nt"
    if windows and path.is_dir():
        return  # Windows opens no folder
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) atomically."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def present(path: str) -> os.stat_result:
    """Return the status of a readable, non-empty regular file.

    Raises
    ------
    UnavailableError
        "missing", "empty file", or "cannot be read: ..." (a folder, a pipe, no permission).

    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(error) from error
    if not stat.S_ISREG(status.st_mode):
        # Opening a named pipe would wait forever.
        raise UnavailableError("cannot be read: it is not a file")
    if not status.st_size:
        raise UnavailableError("empty file")
    return status


def unreadable(error: OSError | ValueError) -> UnavailableError:
    """Turn what the operating system said into a reason."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UnavailableError("missing")
    return UnavailableError(f"cannot be read: {getattr(error, 'strerror', None) or error}")


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, no NaN. The base of every key and fingerprint."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes, read in constant memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_root(given: str | Path | None = None) -> Path:
    """Return the cache folder: `given`, else ``$BENCH_CACHE``, else ``~/.cache/bench`` (XDG respected)."""
    if given:
        return Path(given).expanduser()
    if named := os.environ.get("BENCH_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "bench"
