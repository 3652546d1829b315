"""The result record: what was asked, what went in, what came out, and what it cost.

A record is one JSON file that reports read and nothing else, with the values of every user (of a probe:
its answer on every test item) in a Parquet file beside it. Its schema is published as
``bench/record.schema.json``; old versions are read, never edited.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import TEMPORARY, digest, whole, write_text
from bench.machine import cores

if TYPE_CHECKING:
    import polars as pl

SCHEMA_VERSION = 1
KINDS = ("run", "probe", "imported")
PACKAGES = ("music-embedding-bench", "numpy", "polars", "pyarrow", "soundfile", "soxr", "torch")


@dataclass
class Record:
    """One cell: an item table, a recommender (or probe) and a seed on one split.

    `metrics`, `intervals`, `chance` and `beyond` are keyed by candidate set (hot, cold, mixed), then by
    metric name such as ``hitrate@10``; those of a probe by ``test``, then by names such as ``roc_auc`` and
    ``roc_auc:guitar``. An undefined value is absent, never NaN. Of a probe, `recommender` describes the
    probe, `data` the task, `users` counts test items, `candidates` labels, and `k` is empty.
    """

    kind: str
    asked: dict[str, Any]
    inputs_sha256: str
    data: dict[str, Any]
    split: dict[str, Any]
    extractor: dict[str, Any]
    recommender: dict[str, Any]
    lane: str
    seed: int
    k: list[int]
    control: bool
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    chance: dict[str, dict[str, float]]
    users: dict[str, int]
    candidates: dict[str, int]
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    beyond: dict[str, dict[str, float]] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    @property
    def path(self) -> Path:
        """Where the record belongs below the results folder."""
        view = {key: self.extractor.get(key) for key in ("settings", "lane", "view")}
        model = {key: self.recommender.get(key) for key in ("settings", "lane")}
        if self.kind == "probe":
            folder = Path("mir") / slug(self.data["name"])
            model |= {"split": self.split["fingerprint"]}
        else:
            folder = Path(slug(self.data["name"])) / f"{slug(self.split['name'])}-{self.split['fingerprint'][:8]}"
            model |= {"k": self.k}
        if self.recommender.get("refit"):  # another row, never to be mixed up with the one that saw less
            model["refit"] = True
        return (
            folder
            / f"{slug(self.extractor['name'])}-{digest(view)[:8]}"
            / f"{slug(self.recommender['name'])}-{digest(model)[:8]}"
            / f"seed{self.seed}.json"
        )

    @property
    def publishable(self) -> bool:
        """Whether it may stand on a leaderboard: real data, all of it, trained weights, one lane."""
        real = not self.data.get("builtin") and self.data.get("complete", True)
        return real and not self.extractor.get("untrained") and self.lane != "mixed"


def write(record: Record, folder: Path, rows: pl.DataFrame | None = None) -> Path:
    """Write a record (and its `rows_path`) atomically below `folder`; return the JSON's path."""
    path = folder / record.path
    try:
        text = json.dumps(asdict(record), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise BenchError(f"{path}: a value of the record is NaN or infinite; it is not written.") from error
    if rows is not None:
        with whole(rows_path(path, record.kind)) as temporary:
            rows.write_parquet(temporary)
    write_text(path, text + "\n")
    return path


def read(path: Path) -> Record:
    """Read one record.

    Raises
    ------
    BenchError
        When the file is absent, not JSON, or of another kind or version; it names the file.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchError(f"there is no record {path}.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BenchError(f"{path} is not a result record: {error}.") from error
    if not isinstance(content, dict) or content.get("kind") not in KINDS:
        raise BenchError(f"{path} is not a result record: 'kind' is none of {', '.join(KINDS)}.")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise BenchError(
            f"{path} has schema version {content.get('schema_version')!r}; this version of bench reads "
            f"{SCHEMA_VERSION}. Read it with the version that wrote it; its environment: {content.get('environment')}."
        )
    known = {f.name for f in fields(Record)}
    if strange := set(content) ^ known:
        raise BenchError(f"{path}: unexpected or missing fields: {', '.join(sorted(strange))}.")
    return Record(**content)


def read_all(folder: Path) -> Iterator[tuple[Path, Record | BenchError]]:
    """Yield every record below `folder`, sorted by path; an unreadable one as its error."""
    if not folder.is_dir():
        raise BenchError(f"there is no results folder {folder}. Run `bench run` first, or name another folder.")
    for path in sorted(folder.rglob("*.json")):
        if path.name.startswith(TEMPORARY):
            continue
        try:
            yield path, read(path)
        except BenchError as error:
            yield path, error


def users_path(record_path: Path) -> Path:
    """Return the per-user file that belongs to a record's path."""
    return record_path.with_suffix(".users.parquet")


def rows_path(record_path: Path, kind: str) -> Path:
    """Return the file beside a record: the answers of a probe on every test item, else values of every user."""
    return record_path.with_suffix(".items.parquet") if kind == "probe" else users_path(record_path)


def environment(device: str) -> dict[str, Any]:
    """Return hardware, versions and the code's revision, without importing anything heavy."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": cores(),
        "device": device,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "revision": _revision(),
        "command": " ".join(sys.argv[1:]) if Path(sys.argv[0]).name.startswith(("bench", "__main__")) else None,
    }


def differences(old: Mapping[str, Mapping[str, float]], new: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line for each metric that is not the same in both, absent ones included."""
    lines = []
    for where in sorted(set(old) | set(new)):
        left, right = old.get(where, {}), new.get(where, {})
        lines += [
            f"{where} {name}: {left.get(name)} then, {right.get(name)} now"
            for name in sorted(set(left) | set(right))
            if left.get(name) != right.get(name)
        ]
    return lines


def slug(text: str) -> str:
    """Return `text` as one safe folder name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "unnamed"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """Git revision of the code, with ``+`` when it was changed since; None outside a checkout."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    try:
        head = _git(here, "rev-parse", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
