"""Fixtures of the tasks with one class, one key or two values for each clip."""

from __future__ import annotations

import csv
from pathlib import Path

from bench.metrics.key_score import NAMES
from bench.protocols import PARTS
from bench.tasks import annotation_files
from bench.tasks.giantsteps import split_artists
from bench.tasks.gtzan import GENRES
from bench.testing.task_fixtures.clips import Clips, lines

STYLES = ("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock")


def gtzan(root: Path, clips: Clips) -> None:
    """Write six clips of each genre, from all parts of the official lists; the rest of the 930 is absent."""
    lists = {
        part: [line for _, line in annotation_files.lines(annotation_files.LISTS / f"gtzan_{part}.txt")]
        for part in PARTS
    }
    # A genre uses tracks of one of the eight synthetic genres, as long as there are any.
    left = list(range(len(clips.tracks)))
    for at, genre in enumerate(GENRES):
        for part, count in zip(PARTS, (3, 1, 2), strict=True):
            for name in [line for line in lists[part] if line.startswith(f"{genre}/")][:count]:
                row = min(left, key=lambda one: clips.tracks[one].genre != at % 8)
                left.remove(row)
                clips.write(row, (root / "genres" / name).with_suffix((".au", ".wav")[row % 2]))


def fma(root: Path, clips: Clips) -> None:
    """Write tracks.csv with three header rows and a title of two lines; subset medium includes small."""
    top = ["", "artist", "artist", "set", "set", "track", "track"]
    below = ["", "id", "name", "split", "subset", "genre_top", "title"]
    rows = [top, below, ["track_id", *[""] * 6]]
    part = {"train": "training", "valid": "validation", "test": "test"}
    for row, track in enumerate(clips.tracks):
        subset = ("small", "small", "medium", "large")[row % 4]
        title = "two\nlines" if row == 3 else track.title
        rows.append(
            [
                str(row + 2),
                str(track.artist),
                clips.artist(row),
                part[clips.part(row)],
                subset,
                STYLES[track.genre],
                title,
            ]
        )
        for folder, subsets in (("fma_small", ("small",)), ("fma_medium", ("small", "medium"))):
            if subset in subsets:
                clips.write(row, root / folder / f"{row + 2:06d}"[:3] / f"{row + 2:06d}.mp3")
    (root / "fma_metadata").mkdir(parents=True, exist_ok=True)
    with open(root / "fma_metadata/tracks.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def giantsteps(root: Path, clips: Clips) -> None:
    """Write two repositories: keys in two spellings, low confidences, an unknown key and a double key."""
    test, train = root / "giantsteps-key-dataset", root / "giantsteps-mtg-key-dataset"
    flats = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}
    table, about = ["ID\tMANUAL KEY\tC"], ["ID\tARTIST\tSONG TITLE\tMIX"]
    # The hash of a name decides its part, so choose names for both parts.
    names = [f"DJ {number}" for number in range(400)]
    by_part = {part: [name for name in names if split_artists([name]) == [part]] for part in ("train", "valid")}
    for row, track in enumerate(clips.tracks):
        tonic, mode = NAMES[track.tonic + 12 * track.minor].split()
        number = str(10_000 + row)
        if clips.part(row) == "test":
            lines(test / f"annotations/key/{number}.LOFI.key", [f"{flats.get(tonic, tonic)} {mode}"])
            clips.write(row, test / f"audio/{number}.LOFI.mp3")
            continue
        key = {5: "-", 7: f"{tonic.lower()} {mode} / c major"}.get(row, f"{tonic.lower()} {mode}")
        table.append(f"{number}\t{key}\t{1 if row % 10 == 9 else 2}")
        artist = by_part[clips.part(row)][track.artist]
        about.append(f"{number}\t{artist}\ttitle\toriginal")
        clips.write(row, train / f"audio/{number}.LOFI.mp3")
    lines(train / "annotations/annotations.txt", table)
    lines(train / "annotations/beatport_metadata.txt", about)


def emomusic(root: Path, clips: Clips) -> None:
    """Write two tables, with spaces around some values, and numbered clips."""
    marks = ["song_id,mean_arousal,std_arousal,mean_valence,std_valence"]
    info = ["song_id,file_name,Artist,Song title,Genre,Mediaeval 2013 set"]
    for row, track in enumerate(clips.tracks):
        arousal, valence = 2 + 5 * track.energy, 3 + 3 * track.bright - track.minor
        marks.append(f"{row + 2}, {arousal:.4f},1.0,{valence:.4f} ,1.0")
        part = "evaluation" if clips.part(row) == "test" else "development"
        info.append(f'{row + 2},{row + 2}.mp3,"{clips.artist(row)}",title,{STYLES[track.genre]},{part}')
        clips.write(row, root / "clips_45seconds" / f"{row + 2}.mp3")
    lines(root / "annotations/static_annotations.csv", marks)
    lines(root / "annotations/songs_info.csv", info)
