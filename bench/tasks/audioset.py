"""AudioSet: multi-label genres of ten-second clips.

Conventions: the 25 genres are the children of "Music genre" in the ontology; the 7 genres are those of Bahuleyan
(pop, rock, hip hop, techno, rhythm and blues, vocal music, reggae). A clip has a genre if it is labelled with the
genre or with one of its descendants. Clips without any of the genres are left out. The evaluation set is the test
part. The balanced set (`train=all`: the balanced and the unbalanced set) is for training and validation: the SHA-1
of the video id selects a tenth for validation. Metrics are macro means; the primary one is ROC-AUC. Videos
disappear from YouTube, so copies of the data differ: the record states the coverage.

References: Gemmeke et al. (ICASSP 2017); Bahuleyan (2018); Huang et al. (ICASSP 2020), section 4.5.
"""

from __future__ import annotations

import csv
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.base import FolderTask, left_out

GENRE: Final = "/m/0kpv1t"
SEVEN: Final = ("Pop music", "Rock music", "Hip hop music", "Techno", "Rhythm and blues", "Vocal music", "Reggae")


@dataclass(frozen=True)
class TrainChoice:
    """The segments to train on."""

    train: Literal["balanced", "all"] = "balanced"


class _AudioSet(FolderTask):
    """Base of the tasks with 25 and with 7 genres."""

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

    @abstractmethod
    def genres(self, ontology: dict[str, dict[str, Any]]) -> list[str]:
        """Return the ids of the genres, one for each column of the labels."""

    def needed(self) -> Sequence[str]:
        """Return the required files; `train=all` also needs the unbalanced segments."""
        return [*self.files, *(["unbalanced_train_segments.csv"] if self.settings.train == "all" else [])]

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the ontology and the segments, and select the clips with at least one genre."""
        ontology = _ontology(root / "ontology.json")
        chosen = self.genres(ontology)
        columns: dict[str, list[int]] = {}
        for column, genre in enumerate(chosen):
            for label in _with_descendants(ontology, genre):
                columns.setdefault(label, []).append(column)
        sets = ["balanced_train", *(["unbalanced_train"] if self.settings.train == "all" else []), "eval"]
        rows: list[tuple[str, float, str]] = []
        pairs: list[tuple[int, int]] = []
        others = 0
        for name in sets:
            for video, start, labels in _segments(root / f"{name}_segments.csv"):
                found = {column for label in labels for column in columns.get(label, ())}
                others += not found
                if found:
                    part = "test" if name == "eval" else "valid" if _is_validation(video) else "train"
                    pairs += [(len(rows), column) for column in found]
                    rows.append((video, start, part))
        if not rows:
            raise BenchError(f"{root}: no segment has one of the {len(chosen)} genres.")
        items = pl.DataFrame(rows, schema=["track_id", "start", "part"], orient="row")
        if (twice := items.filter(pl.col("track_id").is_duplicated())).height:
            raise BenchError(f"{root}: the video {twice['track_id'][0]} is in two segments; expected one.")
        truth = np.zeros((len(rows), len(chosen)), np.bool_)
        truth[tuple(np.asarray(pairs).T)] = True
        known = {
            _video(stem): path
            for stem, path in annotation_files.audio_by_stem(annotation_files.first(root, "audio|.")).items()
        }
        paths = [known.get(video, str(root / "audio" / f"{video}.wav")) for video in items["track_id"].to_list()]
        items = items.select(
            "track_id",
            path=pl.Series(paths, dtype=pl.String),
            offset=annotation_files.NONE,
            duration=annotation_files.NONE,
            part="part",
        )
        names = [str(ontology[genre]["name"]) for genre in chosen]
        return TaskData(items, truth, names, notes=left_out({"segments of other sounds": others}))


class AudioSet25(_AudioSet):
    """The 25 children of "Music genre" in the ontology."""

    name = "audioset25"
    convention = "macro means over 25 genres, those below a genre count as it"

    def genres(self, ontology: dict[str, dict[str, Any]]) -> list[str]:
        """Return the children of "Music genre"."""
        if GENRE not in ontology:
            raise BenchError(f"ontology.json has no class {GENRE} (Music genre).")
        return [str(one) for one in ontology[GENRE]["child_ids"]]


class AudioSet7(_AudioSet):
    """The seven genres of Bahuleyan (2018)."""

    name = "audioset7"
    convention = "macro means over 7 genres (Bahuleyan 2018), those below a genre count as it"

    def genres(self, ontology: dict[str, dict[str, Any]]) -> list[str]:
        """Return the ids of the seven classes, found by name."""
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


def _with_descendants(ontology: dict[str, dict[str, Any]], top: str) -> list[str]:
    """Return a class and all its descendants."""
    found, todo = dict[str, None](), [top]
    while todo:
        one = todo.pop()
        if one not in found:
            found[one] = None
            todo += ontology.get(one, {"child_ids": []})["child_ids"]
    return list(found)


def _segments(path: Path) -> Iterator[tuple[str, float, list[str]]]:
    """Yield the video id, the start in seconds and the labels of each row; skip lines that begin with #."""
    for number, line in annotation_files.lines(path):
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
    """Return the YouTube id (11 characters) from a file stem: ``ID``, ``YID``, ``ID_30``, ``ID_30.000_40.000``."""
    if len(stem) == 12 and stem.startswith("Y"):
        return stem[1:]
    if len(stem) > 12 and stem.startswith("Y") and stem[12] == "_":
        return stem[1:12]
    return stem[:11] if len(stem) > 11 and stem[11] in "_." else stem


def _is_validation(video: str) -> bool:
    return int(hashlib.sha1(video.encode(), usedforsecurity=False).hexdigest(), 16) % 10 == 9
