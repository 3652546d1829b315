"""A cache of file hashes (sha256) by path, size, times and inode, so that unchanged files are read once.

The results are also correct if the cache is lost, damaged, read-only or shared by several processes.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

from bench.errors import BenchError, TrackError
from bench.files.atomic import file_sha256, present, unreadable
from bench.machine import cores

RACY_NS = 2_000_000_000
"""Hashes of files that changed so recently are not cached: the file may change again without a new
modification time, since file system clocks are coarse (compare git's "racy" index entries)."""
BATCH = 1024
"""Paths per transaction; an interrupted run loses at most this many hashes."""
STAT_BATCH = 64
"""Paths whose size and time a thread checks at a time; passing single paths to a thread would be slower."""
BUSY_SECONDS = 30.0
_FORMAT = 2

T = TypeVar("T")
Stamp = tuple[int, int, int, int]
"""Size in bytes, modification time and change time (on Windows: creation time) in nanoseconds, and inode.

A file can be replaced by one of the same size and modification time (``cp -p``, ``rsync -t``); its inode or its change
time then differs.
"""


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file status. The inode is cut to what SQLite can store."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & (2**63 - 1)


def sha256_once(path: Path) -> str:
    """Return the sha256 (hex) of a file, read again in a process only if its stamp changed."""
    return _sha256_of(path.absolute(), stamp_of(path.stat()))


@lru_cache(4096)
def _sha256_of(path: Path, _state: Stamp) -> str:
    return file_sha256(path)


class HashIndex:
    """A map (absolute path, `Stamp`) -> sha256, stored in the SQLite file `path`.

    It uses SQLite's default rollback journal, because write-ahead logging does not work on network file systems.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._warned = False

    @classmethod
    def below(cls, cache: Path) -> HashIndex:
        """Return the index in a cache folder."""
        return cls(cache / "hashes.sqlite")

    def hashes(
        self,
        paths: Sequence[str],
        workers: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[str | TrackError]:
        """Return the sha256 (hex) of each path, or a TrackError with the reason why it has none.

        A cached hash is used only if the whole `Stamp` is the same. Files are read by `workers`
        threads (hashing releases the interpreter lock); `progress` is called with the number of paths done.
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
                cached = index.lookup(batch)
                fresh: list[tuple[bytes, int, int, int, int, str]] = []
                groups = [batch[at : at + STAT_BATCH] for at in range(0, len(batch), STAT_BATCH)]
                for group in pool.map(_unchanged, groups, repeat(cached)):
                    known.update(group)
                unread = [path for path in batch if path not in known]
                for path, (value, stamp) in zip(unread, pool.map(_hash, unread), strict=True):
                    known[path] = value
                    if stamp is not None and isinstance(value, str):
                        fresh.append((_key(path), *stamp, value))
                    if progress is not None:
                        progress(done := done + counts[path])
                if progress is not None and len(unread) < len(batch):
                    done += sum(counts[path] for path in batch) - sum(counts[path] for path in unread)
                    progress(done)
                index.store(fresh)
        return [known[path] for path in paths]

    def sha256(self, path: Path) -> str:
        """Return the sha256 (hex) of one file; raises BenchError if it cannot be read."""
        (found,) = self.hashes([str(path)])
        if isinstance(found, TrackError):
            raise BenchError(f"{path}: {found}.")
        return found

    def recall(self, names: Sequence[str]) -> dict[str, tuple[Stamp, str]]:
        """Return what `remember` stored: the stamp of the file, and the sha256, of those `names` that are known."""
        with _Session(self.path, self._warn) as index:
            return index.lookup(names)

    def remember(self, found: Iterable[tuple[str, Stamp, str]]) -> None:
        """Store (name, stamp, sha256); a name is a path, or a path followed by ``#`` and the name of a part."""
        with _Session(self.path, self._warn) as index:
            index.store([(_key(name), *stamp, sha256) for name, stamp, sha256 in found])

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"the index of file hashes {self.path} cannot be used ({error}): "
                "files are hashed again in each run. Choose a writable folder with --cache.",
                RuntimeWarning,
                stacklevel=4,
            )


def _unchanged(paths: Sequence[str], cached: Mapping[str, tuple[Stamp, str]]) -> dict[str, str | TrackError]:
    """Return the cached hashes of paths whose stamp is unchanged."""
    found: dict[str, str | TrackError] = {}
    for path in paths:
        stamp, value = cached.get(path, (None, ""))
        with suppress(TrackError):  # reported when the file is read
            if stamp is not None and stamp == stamp_of(present(path)):
                found[path] = value
    return found


def _hash(path: str) -> tuple[str | TrackError, Stamp | None]:
    """Return the hash or a reason, and the stamp for the cache (None: the file changed too recently)."""
    try:
        present(path)
        for _ in range(2):
            began = time.time_ns()
            with open(path, "rb") as file:
                before = stamp_of(os.fstat(file.fileno()))
                value = hashlib.file_digest(file, "sha256").hexdigest()
                after = stamp_of(os.fstat(file.fileno()))
            if before == after:
                # Times in the future are as unreliable as recent ones.
                return value, before if before[1] < began - RACY_NS else None
    except TrackError as error:
        return error, None
    except (OSError, ValueError) as error:
        return unreadable(error), None
    return TrackError("cannot be read: it changed while it was read"), None


def _key(path: str) -> bytes:
    """Return the key of a path: absolute, because a relative path names other files in other folders."""
    return os.fsencode(os.path.abspath(path))


class _Session:
    """A connection to the index that replaces a damaged file, and works without a file that cannot be used."""

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
        """Return the cached stamps and hashes of `paths`."""
        encoded: dict[bytes, list[str]] = {}
        for path in paths:
            encoded.setdefault(_key(path), []).append(path)
        names = list(encoded)

        def work(connection: sqlite3.Connection) -> dict[str, tuple[Stamp, str]]:
            found: dict[str, tuple[Any, str]] = {}
            for begin in range(0, len(names), 500):  # some versions of SQLite allow only 999 parameters
                part = names[begin : begin + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT path, size, mtime, ctime, inode, sha256 FROM files WHERE path IN ({marks})"
                for name, *state, value in connection.execute(query, part).fetchall():
                    found |= dict.fromkeys(encoded[name], (tuple(state), value))
            return found

        return self._attempt("lookup", work, {})

    def store(self, rows: Sequence[tuple[bytes, int, int, int, int, str]]) -> None:
        """Store rows (path, `Stamp`, sha256) in one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)

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
            except sqlite3.DatabaseError:  # damaged: start with an empty file
                self._close()
                for suffix in ("", "-journal"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        return otherwise

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return _prepared(sqlite3.connect(self.path, timeout=BUSY_SECONDS))
        except (sqlite3.OperationalError, OSError) as error:
            if not self.path.is_file():
                raise
            self.warn(error)
            name = f"file:{quote(str(self.path))}?mode=ro"
            return _prepared(sqlite3.connect(name, timeout=BUSY_SECONDS, uri=True))

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Create the table if necessary, and return `connection`; a file of another format counts as damaged."""
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _FORMAT):
            raise sqlite3.DatabaseError(f"index format {version}")
        if version == 0:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS files "
                "(path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER, sha256 TEXT) "
                "WITHOUT ROWID"
            )
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection
