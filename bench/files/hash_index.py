"""sha256 of files, remembered by path, size and time so that a second run reads none of them.

The index is a convenience: it may be lost, damaged, read-only or shared by several processes, and
every answer is still right.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

from bench.errors import BenchError, TrackError
from bench.files.atomic import present, unreadable
from bench.machine import cores

RACY_NS = 2_000_000_000
"""A file changed so shortly before it is read may change again within the same tick of the file
system's clock, so its hash is not remembered (the reason is that of git's "racy" index entries)."""
BATCH = 1024
"""Paths to a transaction: what an interrupted run may have to hash again."""
GLANCE = 64
"""Paths whose size and time a thread looks up at a time: alone, each would cost more to hand over than to do."""
BUSY_SECONDS = 30.0
_FORMAT = 1

T = TypeVar("T")
Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


class HashIndex:
    """An index (path, size, time of last change) -> sha256 in the SQLite file `path`.

    It keeps SQLite's rollback journal: write-ahead logging does not work on network disks, and a
    transaction in some thousand files gains nothing from it.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._warned = False

    @classmethod
    def below(cls, cache: Path) -> HashIndex:
        """Return the index of a cache folder."""
        return cls(cache / "hashes.sqlite")

    def hashes(
        self,
        paths: Sequence[str],
        workers: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[str | TrackError]:
        """Return for each of `paths` its sha256 (hex) or the reason why it has none.

        A remembered hash counts only when size and time are exactly the same. `workers` threads read
        files (hashing releases the interpreter lock); `progress` is told the number of paths done.
        Reasons: "missing", "empty file", "cannot be read: ...".
        """
        known: dict[str, str | TrackError] = {}
        counts = Counter(paths)
        unique = list(counts)
        done = 0
        threads = workers or min(16, 4 * cores())
        with _Session(self.path, self._warn) as index, ThreadPoolExecutor(threads) as pool:
            for begin in range(0, len(unique), BATCH):
                batch = unique[begin : begin + BATCH]
                remembered = index.lookup(batch)
                fresh: list[tuple[bytes, int, int, str]] = []
                groups = [batch[at : at + GLANCE] for at in range(0, len(batch), GLANCE)]
                for group in pool.map(_unchanged, groups, repeat(remembered)):
                    known.update(group)
                unread = [path for path in batch if path not in known]
                for path, (value, stamp) in zip(unread, pool.map(_hash, unread), strict=True):
                    known[path] = value
                    if stamp is not None and isinstance(value, str):
                        fresh.append((os.fsencode(path), *stamp, value))
                    if progress is not None:
                        progress(done := done + counts[path])
                if progress is not None and len(unread) < len(batch):
                    done += sum(counts[path] for path in batch) - sum(counts[path] for path in unread)
                    progress(done)
                index.store(fresh)
        return [known[path] for path in paths]

    def sha256(self, path: Path) -> str:
        """Return the sha256 (hex) of one file; raises BenchError with the reason why it has none."""
        (found,) = self.hashes([str(path)])
        if isinstance(found, TrackError):
            raise BenchError(f"{path}: {found}.")
        return found

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"the index of file hashes {self.path} cannot be used ({error}): "
                "files are hashed again in each run. Choose a writable folder with --cache.",
                RuntimeWarning,
                stacklevel=4,
            )


def _unchanged(paths: Sequence[str], remembered: Mapping[str, tuple[Stamp, str]]) -> dict[str, str | TrackError]:
    """Return the hash of each path whose size and time are those remembered."""
    found: dict[str, str | TrackError] = {}
    for path in paths:
        stamp, value = remembered.get(path, (None, ""))
        with suppress(TrackError):  # said when it is read
            if stamp is not None and stamp == ((status := present(path)).st_size, status.st_mtime_ns):
                found[path] = value
    return found


def _hash(path: str) -> tuple[str | TrackError, Stamp | None]:
    """Return hash or reason, and the stamp to remember it by (None: too fresh)."""
    try:
        present(path)
        for _ in range(2):
            began = time.time_ns()
            with open(path, "rb") as file:
                before = _stamp(file.fileno())
                value = hashlib.file_digest(file, "sha256").hexdigest()
                after = _stamp(file.fileno())
            if before == after:
                # A time in the future is as doubtful as one just past.
                return value, before if before[1] < began - RACY_NS else None
    except TrackError as error:
        return error, None
    except (OSError, ValueError) as error:
        return unreadable(error), None
    return TrackError("cannot be read: it changed while it was read"), None


def _stamp(descriptor: int) -> Stamp:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


class _Session:
    """One opening of the index: mends a damaged file, and does without one that cannot be used."""

    def __init__(self, path: Path, warn: Callable[[Exception], None]) -> None:
        self.path = path
        self.warn = warn
        self.connection: sqlite3.Connection | None = None
        self.given_up: set[str] = set()

    def __enter__(self) -> _Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def lookup(self, paths: Sequence[str]) -> dict[str, tuple[Stamp, str]]:
        """Return what is remembered of `paths`."""
        encoded = {os.fsencode(path): path for path in paths}
        names = list(encoded)

        def work(connection: sqlite3.Connection) -> dict[str, tuple[Stamp, str]]:
            found = {}
            for begin in range(0, len(names), 500):  # SQLite may allow no more than 999 parameters
                part = names[begin : begin + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT path, size, mtime, sha256 FROM files WHERE path IN ({marks})"
                for name, size, changed, value in connection.execute(query, part).fetchall():
                    found[encoded[name]] = ((size, changed), value)
            return found

        return self._attempt("lookup", work, {})

    def store(self, rows: Sequence[tuple[bytes, int, int, str]]) -> None:
        """Remember rows (path, size, time, sha256) in one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

        if rows:
            self._attempt("store", work, None)

    def _attempt(self, name: str, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        for _ in range(2):
            if name in self.given_up:
                break
            try:
                if self.connection is None:
                    self.connection = self._open()
                return work(self.connection)
            except (sqlite3.OperationalError, OSError) as error:  # read-only, locked, disk full
                self.given_up.add(name)
                self.warn(error)
            except sqlite3.DatabaseError:  # damaged: start afresh
                self._close()
                for suffix in ("", "-journal"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        return otherwise

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return _ready(sqlite3.connect(self.path, timeout=BUSY_SECONDS))
        except (sqlite3.OperationalError, OSError) as error:
            if not self.path.is_file():
                raise
            self.warn(error)
            name = f"file:{quote(str(self.path))}?mode=ro"
            return _ready(sqlite3.connect(name, timeout=BUSY_SECONDS, uri=True))

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def _ready(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return `connection` with the table in place; a file of another format counts as damaged."""
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _FORMAT):
            raise sqlite3.DatabaseError(f"index format {version}")
        if version == 0:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS files "
                "(path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, sha256 TEXT) WITHOUT ROWID"
            )
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection
