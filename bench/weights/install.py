"""Install pretrained weights: download or copy the files, verify their hashes, convert and record them."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.atomic import check_writable, file_sha256, refuse_link, whole, write_text
from bench.formats.safetensors import write_safetensors
from bench.weights.download import Log, fetch, offline
from bench.weights.spec import Part, Source, Weights
from bench.weights.store import MANIFEST, absent, file_of, folder, manifest, present, verify


def say(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)


def ensure(weights: Weights, part: str | None = None, log: Log = say) -> None:
    """Make sure that a part (None: every part) is installed; download it if `Weights.automatic` allows that.

    Raises
    ------
    BenchError
        The part is absent and may not or cannot be downloaded; the message names file, licence, origin and command.

    """
    if present(weights, part):
        return
    if not weights.automatic or offline():
        raise BenchError(absent(weights) + (" Offline mode is on: nothing is fetched." if offline() else ""))
    log(f"{weights.name}: fetching {weights.described} from {weights.origins}, once (--offline forbids it)")
    try:
        pull(weights, log)
    except BenchError as error:
        raise BenchError(f"{absent(weights)} It could not be fetched now: {error}") from error


def pull(weights: Weights, log: Log = say) -> None:
    """Download, verify and convert the files, unless all parts are installed and intact.

    Raises
    ------
    BenchError
        Offline mode is on, a file cannot be downloaded, or its hash is wrong.

    """
    check_writable(folder(weights))
    with _lock(weights):
        if present(weights) and not any(verify(weights).values()):
            log(f"{weights.name}: is in {folder(weights)}, and intact")
            return
        if offline():
            raise BenchError(f"{absent(weights)} Offline mode is on: nothing is fetched.")
        downloads = folder(weights) / "download"
        if downloads.is_symlink():
            raise BenchError(f"{downloads} is a link; nothing is written there. Remove it.")
        members: dict[str, Path] = {}
        for source in weights.sources:
            try:
                path = fetch(source, downloads, log)
            except BenchError as error:
                files = " and ".join(one.file for one in weights.sources)
                raise BenchError(
                    f"{error} If you have {files} from elsewhere: bench weights add {weights.name} PATH"
                ) from error
            try:
                members |= _members(source, path, downloads / "members")
            except BenchError:
                path.unlink(missing_ok=True)  # so that the next pull downloads it again
                raise
        _install(weights, members, weights.origins, log)
        shutil.rmtree(downloads)


def add(weights: Weights, path: Path, *, accept: str | None = None, log: Log = say) -> list[str]:
    """Install weights from `path`: a published file, or a folder with published files or their members.

    Files are verified by their hash. If no hash is known, the hash of the first file is recorded, and a
    different file is rejected later unless `accept` is its sha256. Returns the names of the installed parts.

    Raises
    ------
    BenchError
        `path` does not exist or contains no file of `weights`, or a file has a wrong hash.

    """
    if not path.exists():
        raise BenchError(f"there is no {path}.")
    with tempfile.TemporaryDirectory(prefix="bench-weights-") as name:
        members: dict[str, Path] = {}
        for source in weights.sources:
            if path.is_file() and (len(weights.sources) == 1 or path.name == source.file):
                members |= _members(source, path, Path(name))
            elif (path / source.file).is_file():
                members |= _members(source, path / source.file, Path(name))
            elif path.is_dir():
                members |= {m: found for m, sha in source.members.items() if (found := _find_member(path, m, sha))}
        check_writable(folder(weights))
        with _lock(weights):
            return _install(weights, members, str(path.resolve()), log, accept)


def _lock(weights: Weights) -> AbstractContextManager[object]:
    """Return the lock that prevents other processes from installing the same weights at the same time."""
    from filelock import FileLock

    path = folder(weights) / "lock"
    refuse_link(path)  # some versions of filelock truncate what it leads to
    return FileLock(path)


def _members(source: Source, path: Path, into: Path) -> dict[str, Path]:
    """Verify one published file and extract its members; return member name -> path."""
    if source.sha256 is not None and (found := file_sha256(path)) != source.sha256:
        raise BenchError(
            f"{path} is not {source.file} as published at {source.where}: its sha256 should be {source.sha256} "
            f"and is {found}. It is refused."
        )
    if not source.members:
        return {source.file: path}
    into.mkdir(parents=True, exist_ok=True)
    out = {}
    try:
        with zipfile.ZipFile(path) as packed:
            for number, member in enumerate(source.members):
                out[member] = into / f"{number}-{Path(member).name}"
                with packed.open(member) as inside, open(out[member], "wb") as unpacked:
                    shutil.copyfileobj(inside, unpacked)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise BenchError(f"{path} cannot be unpacked: {error}.") from error
    return out


def _find_member(base: Path, member: str, sha: str) -> Path | None:
    """Find an extracted member below `base`, with or without its leading folders."""
    parts = Path(member).parts
    paths = (base.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((path for path in paths if path.is_file() and file_sha256(path) == sha), None)


def _install(
    weights: Weights, members: Mapping[str, Path], origin: str, log: Log, accept: str | None = None
) -> list[str]:
    """Verify the members, convert the parts whose members are complete, and record them."""
    found = {name: file_sha256(path) for name, path in members.items()}
    _check_hashes(weights, found, log, accept)
    complete = [part for part in weights.parts if set(part.members) <= set(members)]
    if not complete:
        names = [name for source in weights.sources for name in (source.file, *source.members)]
        raise BenchError(f"{origin} holds no file of {weights.name} with the right hash: {', '.join(names)}.")
    content = manifest(weights)
    for part in complete:
        content["parts"][part.name] = _convert(weights, part, members, found)
        log(f"{weights.name}: {part.name} is ready in {file_of(weights, part.name)}")
    content |= {
        "name": weights.name,
        "license": weights.license,
        "non_commercial": weights.non_commercial,
        "origin": origin,
        "members": content["members"] | found,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_text(folder(weights) / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return [part.name for part in complete]


def _check_hashes(weights: Weights, found: Mapping[str, str], log: Log, accept: str | None) -> None:
    """Compare hashes with the published ones or, if there are none, with those recorded for the first file."""
    recorded = manifest(weights)["members"]
    for source in weights.sources:
        for name, known in source.contents.items():
            if name not in found:
                continue
            expected = known or recorded.get(name)
            if expected is None:
                log(f"{weights.name}: no hash of {name} is known; sha256 {found[name]} is recorded from now on")
            elif found[name] != expected and not (known is None and accept == found[name]):
                hint = "" if known else f" To accept it: bench weights add {weights.name} PATH --accept {found[name]}"
                raise BenchError(
                    f"{name} of {weights.name} HAS CHANGED: its sha256 should be {expected} "
                    f"({'published' if known else 'first seen here'}) and is {found[name]}. It is refused.{hint}"
                )


def _convert(weights: Weights, part: Part, members: Mapping[str, Path], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Convert and write one part, and return its entry in the manifest."""
    made_from = {name: hashes[name] for name in part.members}
    tensors = weights.convert({name: members[name] for name in part.members})
    with whole(file_of(weights, part.name)) as temporary:
        write_safetensors(temporary, tensors)
        for name, sha256 in made_from.items():
            if file_sha256(members[name]) != sha256:
                raise BenchError(f"{members[name]} changed while it was converted. It is refused.")
        found = file_sha256(temporary)
        if part.sha256 is not None and found != part.sha256:
            raise BenchError(
                f"{weights.name}: {part.name} converts to sha256 {found} instead of {part.sha256}: "
                "this version of bench does not read the file correctly."
            )
        size = temporary.stat().st_size
    values = int(sum(array.size for array in tensors.values()))
    return {"sha256": found, "bytes": size, "values": values, "members": made_from}
