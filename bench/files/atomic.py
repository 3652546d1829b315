"""Atomic writes, checks of input files, canonical JSON, hashes, and the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UnavailableError

TEMPORARY = ".tmp-"
"""Prefix of incomplete files; readers skip them, and ``bench extract --verify`` removes old ones."""


@contextmanager
def whole(path: Path, *, named: Callable[[Path], str] | None = None) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path in the same folder, and rename it to `path` on success.

    If writing fails or is interrupted, `path` is unchanged. `named` maps the temporary path to another final
    file name, which can depend on the content, such as its hash.

    Raises
    ------
    BenchError
        The folder cannot be written (read-only, full disk).

    """
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        os.replace(temporary, path.with_name(named(temporary)) if named else path)
        sync(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if (reason := system_error(error)) is None:
            raise
        raise BenchError(
            f"cannot write {path}: {reason}. Free some space, or choose another folder "
            "with --cache, --results or --out."
        ) from error


def system_error(error: BaseException) -> str | None:
    """Return what the operating system reported, or None; polars and safetensors raise errors of their own for it."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    found = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, Exception) else None
    return os.strerror(int(found[1])) if found else None


def check_writable(folder: Path) -> None:
    """Raise BenchError if `folder` cannot be written; call it before a long computation."""
    with whole(folder / "probe") as temporary:
        temporary.touch()
    (folder / "probe").unlink(missing_ok=True)  # several runs may start at once


def sync(path: Path) -> None:
    """Flush a file or folder to disk, so that a rename survives a power failure."""
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
    """Return the status of a non-empty regular file.

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
        # Opening a named pipe could block forever.
        raise UnavailableError("cannot be read: it is not a file")
    if not status.st_size:
        raise UnavailableError("empty file")
    return status


def refuse_link(path: Path) -> None:
    """Refuse a path that is about to be written in place when a link, a pipe or a folder lies there.

    Who may write to a shared folder could otherwise let a lock or a download overwrite another file.

    Raises
    ------
    BenchError
        When something other than an ordinary file with one name lies at `path`.

    """
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise BenchError(f"{path} is a link, or no ordinary file; nothing is written there. Remove it.")


def unreadable(error: OSError | ValueError) -> UnavailableError:
    """Convert an error of the operating system to an UnavailableError with a reason."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UnavailableError("missing")
    return UnavailableError(f"cannot be read: {getattr(error, 'strerror', None) or error}")


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and without spaces, for keys and fingerprints; raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the sha256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes, read with constant memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_root(given: str | Path | None = None) -> Path:
    """Return the cache folder: `given`, ``$BENCH_CACHE``, ``$XDG_CACHE_HOME/bench``, or ``~/.cache/bench``."""
    if given:
        return Path(given).expanduser()
    if named := os.environ.get("BENCH_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "bench"
