"""Read untrusted records: every error names its file, and an invalid record does not affect others."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from bench.errors import BenchError
from bench.files.atomic import TEMPORARY, digest
from bench.records.check import check
from bench.records.codec import decode
from bench.records.invalid import InvalidValueError, objects
from bench.records.limits import shown
from bench.records.record import SCHEMA_VERSION, SINCE, Kind, Record

LARGEST = 16 << 20
"""Maximum bytes of a record's file; a search with thousands of trials takes a few million."""


def read(path: Path) -> Record:
    """Read one record of the current version or an earlier one.

    Raises
    ------
    BenchError
        When the file is missing, is not a record or has a later version, when a field is invalid, or when the
        content does not match its hash. The message names the file and the field.

    """
    content = _load(path)
    kinds = get_args(Kind)
    if not isinstance(content, dict) or content.get("kind") not in kinds:
        raise BenchError(f"{path} is not a result record: 'kind' is none of {', '.join(kinds)}.")
    version = content.get("schema_version")
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        raise BenchError(
            f"{path} has schema version {shown(version)}; this version of bench reads 1 to {SCHEMA_VERSION}. Read it "
            f"with the version that wrote it{_written_with(content)}."
        )
    try:
        record = decode(Record, content)
        _check_hash(record, content)
        check(record)
    except InvalidValueError as error:
        raise BenchError(f"{path}: {error}.") from error
    return record


def read_all(folder: Path) -> Iterator[tuple[Path, Record | BenchError]]:
    """Yield every record below `folder`, sorted by path; for an unreadable one, yield the error."""
    if not folder.is_dir():
        raise BenchError(f"there is no results folder {folder}. Run `bench run` first, or name another folder.")
    for path in sorted(folder.rglob("*.json")):
        if path.name.startswith(TEMPORARY):
            continue
        try:
            yield path, read(path)
        except BenchError as error:
            yield path, error


def _load(path: Path) -> Any:
    """Return the JSON value of a regular file of limited size."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait forever
            raise BenchError(f"{path} is not a result record: it is no regular file.")
        if status.st_size > LARGEST:
            raise BenchError(f"{path} is not a result record: {status.st_size:,} bytes are more than {LARGEST:,}.")
        return json.loads(path.read_bytes().decode(), object_pairs_hook=objects)
    except FileNotFoundError as error:
        raise BenchError(f"there is no record {path}.") from error
    except RecursionError as error:
        raise BenchError(
            f"{path} is not a result record: lists or objects stand too deep inside one another."
        ) from error
    except (OSError, ValueError) as error:  # invalid UTF-8 and invalid JSON raise ValueErrors
        raise BenchError(f"{path} is not a result record: {error}.") from error


def _check_hash(record: Record, content: dict[str, Any]) -> None:
    """Raise BenchError for content that does not match its hash; version 1 has no hash."""
    version = record.schema_version
    if strange := [name for name, first in SINCE.items() if version < first and name in content]:
        raise InvalidValueError(f"is no field of version {version}", min(strange))
    if version == 1:
        return
    if record.content_sha256 is None:
        raise InvalidValueError("is missing", "content_sha256")
    if content_sha256(content) != record.content_sha256:
        raise InvalidValueError("the record was edited or damaged: its content has another hash", "content_sha256")


def content_sha256(content: dict[str, Any]) -> str:
    """Return the hash of a record's JSON values, without the hash itself."""
    return digest({name: value for name, value in content.items() if name != "content_sha256"})


def _written_with(content: dict[str, Any]) -> str:
    environment = content.get("environment")
    packages = environment.get("packages") if isinstance(environment, dict) else None
    if not isinstance(packages, dict):
        return ""
    return ": " + ", ".join(f"{shown(name)}: {shown(version)}" for name, version in list(packages.items())[:10])
