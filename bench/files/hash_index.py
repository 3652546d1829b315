"""A cache of file hashes (sha256) by path, size, times and inode, so that unchanged files are read once.

The results are also correct if the cache is lost, damaged, read-only or shared by several processes.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

from bench.errors import BenchError, TrackError, UnavailableError
from bench.files.atomic import file_sha256, present, unreadable
from bench.machine import cores

RACY_NS = 2_000_000_000
"""Hashes of files that changed so recently are not cached: the file may change again without a new
modification time, since file system clocks are coarse (compare git's "racy" index entries)."""
BATCH = 1024
"""Paths that are looked up at a time; an interruption loses at most the hashes of these."""
GROUP = 64
"""Most paths that a thread takes at a time; passing single paths to a thread would be slower."""
CHUNK = 2**18
"""Bytes that are read at a time."""
STORE_SECONDS = 5.0
"""New hashes are stored about this often; a killed process loses what it read in this time."""
BUSY_SECONDS = 30.0
_FORMAT = 2

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
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

    def hashes(self, paths: Sequence[str], workers: int | None = None) -> list[str | TrackError]:
        """Return the sha256 (hex) of each path, or a TrackError with the reason why it has none.

        A cached hash is used only if the whole `Stamp` is the same. Files are checked and read by `workers`
        threads (the system and hashing release the interpreter lock). Paths without a file are not looked up.
        Reasons: "missing", "empty file", "cannot be read: ...". Equal reasons are the same object.
        """
        known: dict[str, str | TrackError] = {}
        unique = list(dict.fromkeys(paths))
        threads = workers or min(16, 4 * cores())
        with _Session(self.path, self._warn) as index, ThreadPoolExecutor(threads) as pool:

            def spread(work: Callable[[Sequence[A]], list[B]], over: Sequence[A]) -> list[B]:
                size = max(1, min(GROUP, -(-len(over) // threads)))
                parts = pool.map(work, (over[at : at + size] for at in range(0, len(over), size)))
                return [one for part in parts for one in part]

            for begin in range(0, len(unique), BATCH):
                batch = unique[begin : begin + BATCH]
                there: list[tuple[str, Stamp, bytes]] = []
                for path, stamp in zip(batch, spread(_stamps, batch), strict=True):
                    if isinstance(stamp, TrackError):
                        known[path] = stamp
                    else:
                        there.append((path, stamp, _key(path)))
                cached = index.lookup([key for _, _, key in there])
                unread: list[tuple[str, Stamp, bytes]] = []
                for file in there:
                    if (found := cached.get(file[2])) is not None and found[0] == file[1]:
                        known[file[0]] = found[1]
                    else:
                        unread.append(file)
                hashed = spread(lambda files: [_hash(path, stamp) for path, stamp, _ in files], unread)
                for (path, _, key), (value, state) in zip(unread, hashed, strict=True):
                    known[path] = value
                    if state is not None:
                        index.waiting.append((key, *state, str(value)))
                index.store_if_due()
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
            keys = {name: _key(name) for name in names}
            known = index.lookup(list(keys.values()))
        return {name: known[key] for name, key in keys.items() if key in known}

    def remember(self, found: Iterable[tuple[str, Stamp, str]]) -> None:
        """Store (name, stamp, sha256); a name is a path, or a path followed by ``#`` and the name of a part."""
        with _Session(self.path, self._warn) as index:
            index.waiting += [(_key(name), *stamp, sha256) for name, stamp, sha256 in found]

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"the index of file hashes {self.path} cannot be used ({error}): "
                "files are hashed again in each run. Choose a writable folder with --cache.",
                RuntimeWarning,
                stacklevel=4,
            )


def _stamps(paths: Sequence[str]) -> list[Stamp | TrackError]:
    """Return the stamp of each path, or the reason why it has none."""
    found: list[Stamp | TrackError] = []
    for path in paths:
        try:
            found.append(stamp_of(present(path)))
        except UnavailableError as error:
            found.append(_reason(str(error)))
    return found


@lru_cache(256)
def _reason(text: str) -> UnavailableError:
    """Return one error for all files with the same reason: an error that was caught keeps the frames of its calls."""
    return UnavailableError(text)


def _hash(path: str, before: Stamp) -> tuple[str | TrackError, Stamp | None]:
    """Return the hash or a reason, and the stamp for the cache (None: the file changed too recently)."""
    for _ in range(2):
        began = time.time_ns()
        try:
            descriptor = os.open(path, _READ)
        except (OSError, ValueError) as error:
            return _reason(str(unreadable(error))), None
        try:
            digest, left = hashlib.sha256(), before[0]
            while left > 0 and (data := os.read(descriptor, min(left, CHUNK))):
                digest.update(data)
                left -= len(data)
            after = stamp_of(os.fstat(descriptor))
        except OSError as error:
            return _reason(str(unreadable(error))), None
        finally:
            os.close(descriptor)
        if before == after and not left:
            # Times in the future are as unreliable as recent ones.
            return digest.hexdigest(), before if before[1] < began - RACY_NS else None
        before = after
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
        self.waiting: list[tuple[bytes, int, int, int, int, str]] = []
        self.stored = time.monotonic()

    def __enter__(self) -> _Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store()
        self._close()

    def lookup(self, keys: Sequence[bytes]) -> dict[bytes, tuple[Stamp, str]]:
        """Return the cached stamps and hashes of paths, by `_key`."""

        def work(connection: sqlite3.Connection) -> dict[bytes, tuple[Stamp, str]]:
            found: dict[bytes, tuple[Any, str]] = {}
            for begin in range(0, len(keys), 500):  # some versions of SQLite allow only 999 parameters
                part = keys[begin : begin + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT path, size, mtime, ctime, inode, sha256 FROM files WHERE path IN ({marks})"
                for key, *state, value in connection.execute(query, part):
                    found[key] = tuple(state), value
            return found

        return self._attempt("lookup", work, {})

    def store_if_due(self) -> None:
        """Store the rows (path, `Stamp`, sha256) in `waiting` if the last ones were stored `STORE_SECONDS` ago."""
        if time.monotonic() - self.stored > STORE_SECONDS:
            self.store()

    def store(self) -> None:
        """Store the rows in `waiting` in one transaction, in the order of the table."""
        rows, self.waiting, self.stored = sorted(self.waiting), [], time.monotonic()

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
