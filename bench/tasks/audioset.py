"""AudioSet: genres of ten-second clips, several a clip.

Conventions: 25 genres are the children of "Music genre" in the ontology, 7 those of Bahuleyan (pop, rock, hip
hop, techno, rhythm and blues, vocal music, reggae); a clip has a genre if it is labelled with it or with
anything below it in the ontology; clips with none of them are not asked about. Test is the evaluation set;
training the balanced set (`train=all`: and the unbalanced one), of which a tenth, by the SHA-1 of the video's
id, validates. Macro means, led by ROC-AUC. Videos vanish, so that no two copies are alike: coverage is in
the record.

References: Gemmeke et al. (ICASSP 2017); Bahuleyan (2018); Huang et al. (ICASSP 2020), section 4.5.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import Dataset, TaskData
from bench.tasks import files
from bench.tasks.base import FolderTask, left_out

GENRE: Final = "/m/0kpv1t"
SEVEN: Final = ("Pop music", "Rock music", "Hip hop music", "Techno", "Rhythm and blues", "Vocal music", "Reggae")


@dataclass(frozen=True)
class TrainChoice:
    """Which segments train."""

    train: Literal["balanced", "all"] = "balanced"


class _AudioSet(FolderTask):
    """What both label sets share."""

    Settings: ClassVar[type[Any]] = TrainChoice
    kind = "tags"
    primary = "roc_auc"
    collection = "audioset"
    license = "segments: CC BY 4.0; ontology: CC BY-SA 4.0; audio: of the videos' owners"
    source = "research.google.com/audioset; github.com/audioset/ontology"
    layout = (
        "ontology.json, balanced_train_segments.csv, eval_segments.csv (and unbalanced_train_segments.csv), and "
        "the ten-second clips as audio/**/<YouTube id>.wav (a leading Y or _<start>... after the id is taken)"
    )
    files = ("ontology.json", "balanced_train_segments.csv", "eval_segments.csv")

    def genres(self, ontology: dict[str, dict[str, Any]]) -> list[str]:
        """Return the ids of the classes."""
        raise NotImplementedError

    def needed(self) -> Sequence[str]:
        """The unbalanced segments are needed when they train."""
        return [*self.files, *(["unbalanced_train_segments.csv"] if self.settings.train == "all" else [])]

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read ontology and segments; keep the clips of the genres."""
        ontology = _ontology(root / "ontology.json")
        chosen = self.genres(ontology)
        columns: dict[str, list[int]] = {}
        for column, genre in enumerate(chosen):
            for below in _below(ontology, genre):
                columns.setdefault(below, []).append(column)
        sets = ["balanced_train", *(["unbalanced_train"] if self.settings.train == "all" else []), "eval"]
        rows: list[tuple[str, float, str]] = []
        pairs: list[tuple[int, int]] = []
        others = 0
        for name in sets:
            for video, start, labels in _segments(root / f"{name}_segments.csv"):
                found = {column for label in labels for column in columns.get(label, ())}
                others += not found
                if found:
                    part = "test" if name == "eval" else "valid" if _tenth(video) else "train"
                    pairs += [(len(rows), column) for column in found]
                    rows.append((video, start, part))
        if not rows:
            raise BenchError(f"{root}: no segment has one of the {len(chosen)} genres.")
        items = pl.DataFrame(rows, schema=["track_id", "start", "part"], orient="row")
        if (twice := items.filter(pl.col("track_id").is_duplicated())).height:
            raise BenchError(f"{root}: the video {twice['track_id'][0]} is in two segments; AudioSet has one a video.")
        truth = np.zeros((len(rows), len(chosen)), np.bool_)
        truth[tuple(np.asarray(pairs).T)] = True
        known = {_video(stem): path for stem, path in files.audio(files.first(root, "audio|.")).items()}
        paths = [known.get(video, str(root / "audio" / f"{video}.wav")) for video in items["track_id"].to_list()]
        items = items.select(
            "track_id",
            path=pl.Series(paths, dtype=pl.String),
            offset=files.NONE,
            duration=files.NONE,
            part="part",
        )
        names = [str(ontology[genre]["name"]) for genre in chosen]
        return TaskData(items, truth, names, notes=left_out({"segments of other sounds": others}))


class AudioSet25(_AudioSet):
    """The 25 children of "Music genre"."""

    name = "audioset25"
    convention = "macro means over 25 genres, those below a genre count as it"

    def genres(self, ontology: dict[str, dict[str, Any]]) -> list[str]:
        """Return the children of "Music genre"."""
        if GENRE not in ontology:
            raise BenchError(f"ontology.json has no class {GENRE} (Music genre).")
        return [str(one) for one in ontology[GENRE]["child_ids"]]


class AudioSet7(_AudioSet):
    """Seven genres, as Bahuleyan chose them."""

    name = "audioset7"
    convention = "macro means over 7 genres (Bahuleyan 2018), those below a genre count as it"

    def genres(self, ontology: dict[str, dict[str, Any]]) -> list[str]:
        """Return the seven classes by name."""
        by_name = {str(one["name"]): key for key, one in ontology.items()}
        if missing := [name for name in SEVEN if name not in by_name]:
            raise BenchError(f"ontology.json has no class called {', '.join(missing)}.")
        return [by_name[name] for name in SEVEN]


def _ontology(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(one["id"]): {"name": one["name"], "child_ids": list(one["child_ids"])} for one in content}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise BenchError(f"cannot read {path}: {error!r}. Expected ontology.json of audioset/ontology.") from error


def _below(ontology: dict[str, dict[str, Any]], top: str) -> list[str]:
    """Return a class and all its descendants."""
    found, todo = dict[str, None](), [top]
    while todo:
        one = todo.pop()
        if one not in found:
            found[one] = None
            todo += ontology.get(one, {"child_ids": []})["child_ids"]
    return list(found)


def _segments(path: Path) -> Iterator[tuple[str, float, list[str]]]:
    """Yield video, start and labels of each row; lines that begin with # are comments."""
    for number, line in files.lines(path):
        if line.startswith("#"):
            continue
        fields = next(csv.reader([line], skipinitialspace=True))
        try:
            video, start, _, labels = fields
            yield video, float(start), [one.strip() for one in labels.split(",")]
        except ValueError as error:
            raise BenchError(
                f'{path}, line {number}: {line[:80]!r}; expected YTID, start_seconds, end_seconds, "labels".'
            ) from error


def _video(stem: str) -> str:
    """Return the YouTube id (11 characters) in a file's stem: ``ID``, ``YID``, ``ID_30``, ``ID_30.000_40.000``."""
    if len(stem) == 12 and stem.startswith("Y"):
        return stem[1:]
    if len(stem) > 12 and stem.startswith("Y") and stem[12] == "_":
        return stem[1:12]
    return stem[:11] if len(stem) > 11 and stem[11] in "_." else stem


def _tenth(video: str) -> bool:
    return int(hashlib.sha1(video.encode(), usedforsecurity=False).hexdigest(), 16) % 10 == 9
