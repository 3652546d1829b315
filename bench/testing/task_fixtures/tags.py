"""Fixtures of the tagging tasks."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from bench.tasks.audioset import GENRE, SEVEN
from bench.tasks.magnatagatune import EMPTY, TAGS
from bench.testing.task_fixtures.clips import Clips, has, lines

FOLDERS = {"train": "0123456789ab", "valid": "c", "test": "def"}


def magnatagatune(root: Path, clips: Clips) -> None:
    """Write quoted tab-separated tables, album folders with two clips of each song, and rows without usable audio."""
    others = ["bongos", "duet", "plucked"]
    names = [*TAGS, *others]
    quoted = ["clip_id", *names, "mp3_path"]
    table = ["\t".join(f'"{name}"' for name in quoted)]
    info = ["\t".join(("clip_id", "track_number", "title", "artist", "album", "url", "mp3_path"))]

    def add(clip: str, on: list[bool], path: str, artist: str) -> None:
        table.append("\t".join(f'"{value}"' for value in (clip, *(str(int(one)) for one in on), path)))
        info.append("\t".join((clip, "1", "title", artist, "album", "http://example.org", path)))

    for row, track in enumerate(clips.tracks):
        folder = FOLDERS[clips.part(row)]
        song = f"{folder[track.artist % len(folder)]}/artist{track.artist}-album-{row // 2:02d}-song"
        path = f"{song}-{29 * (row % 2)}-{29 * (row % 2 + 1)}.mp3"
        untagged = row % 15 == 0
        on = [not untagged and has(track, at) for at in range(len(TAGS))]
        add(str(100 + row), [*on, True, False, False], path, clips.artist(row))
        clips.write(row, root / path)
    add(EMPTY[0], [True] * len(names), "6/empty-0-29.mp3", "nobody")
    (root / "6").mkdir(exist_ok=True)
    (root / "6/empty-0-29.mp3").touch()
    add("7", [True] * len(names), "", "nobody")
    lines(root / "annotations_final.csv", table)
    lines(root / "clip_info_final.csv", info)


def jamendo(root: Path, clips: Clips) -> None:
    """Write the files of two splits, whose rows have one field for each tag."""
    kinds = {"genre": ["ambient", "pop", "rock"], "instrument": ["bass", "piano"], "mood/theme": ["calm", "dark"]}
    tags = [f"{kind}---{name}" for kind, names in kinds.items() for name in names]
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
    subsets = {"top50tags": "", "genre": "genre---", "instrument": "instrument---", "moodtheme": "mood/theme---"}
    written = {"train": "train", "valid": "validation", "test": "test"}
    for split in (0, 1):
        for subset, begin in subsets.items():
            rows: dict[str, list[str]] = {part: [header] for part in written}
            for row, track in enumerate(clips.tracks):
                own = [tag for at, tag in enumerate(tags) if has(track, at) and tag.startswith(begin)]
                number = 1000 + row
                if own:
                    fields = (f"track_{number:07d}", f"artist_{track.artist:06d}", "album_000001",
                              f"{number % 100:02d}/{number}.mp3", "29.1", *own)  # fmt: skip
                    rows[clips.part(row)].append("\t".join(fields))
            for part, name in written.items():
                lines(root / f"data/splits/split-{split}/autotagging_{subset}-{name}.tsv", rows[part])
    for row in range(len(clips.tracks)):
        number = 1000 + row
        ending = ".low.mp3" if row % 2 else ".mp3"
        clips.write(row, root / f"audio/{number % 100:02d}/{number}{ending}")


def msd(root: Path, clips: Clips) -> None:
    """Write lists pickled as by Python 2 (protocol 0), a database of tags, and clips in folders by letter."""
    tags = ["rock", "pop", "female vocalists", "00s", "Hip-Hop"]
    ids = [f"TRAAA{chr(65 + row // 26)}{chr(65 + row % 26)}128F{row:07X}" for row in range(len(clips.tracks))]
    parts = {part: [one for row, one in enumerate(ids) if clips.part(row) == part] for part in FOLDERS}

    def pickled(path: Path, names: list[str]) -> None:
        entries = "".join(f"aS'{name}'\np{at + 1}\n" for at, name in enumerate(names))
        path.write_bytes(f"(lp0\n{entries}.".encode())

    root.mkdir(parents=True, exist_ok=True)
    # As in the released list, the validation tracks follow the training tracks.
    train = [*parts["train"], *parts["valid"]]
    pickled(root / "filtered_list_train.cP", train)
    pickled(root / "filtered_list_test.cP", parts["test"])
    lines(root / "50tagList.txt", tags)
    pairs = [(row + 1, at + 1) for row, track in enumerate(clips.tracks) for at in range(5) if has(track, at)]
    with closing(sqlite3.connect(root / "lastfm_tags.db")) as connection:
        connection.execute("CREATE TABLE tids (tid TEXT)")
        connection.execute("CREATE TABLE tags (tag TEXT)")
        connection.execute("CREATE TABLE tid_tag (tid INT, tag INT, val FLOAT)")
        connection.executemany("INSERT INTO tids VALUES (?)", [(one,) for one in ids])
        connection.executemany("INSERT INTO tags VALUES (?)", [(one,) for one in [*tags, "seen live"]])
        connection.executemany("INSERT INTO tid_tag VALUES (?, ?, 100)", [*pairs, (1, 6)])
        connection.commit()
    for row, one in enumerate(ids):
        clips.write(row, root / "audio" / one[2] / one[3] / f"{one}.mp3")


def audioset(root: Path, clips: Clips) -> None:
    """Write an ontology in which two genres are children of others, and segments with comment lines."""
    names = [*(name for name in SEVEN if name != "Techno"), "Electronic music"]
    key = {name: f"/m/{at:03d}" for at, name in enumerate([*names, "Techno", "Speech", "Grime music"])}

    def entry(one: str, name: str, children: list[str]) -> dict[str, object]:
        return {"id": one, "name": name, "child_ids": children, "restrictions": []}

    children = {"Electronic music": [key["Techno"]], "Hip hop music": [key["Grime music"]]}
    ontology = [entry(GENRE, "Music genre", [key[name] for name in names])]
    ontology += [entry(one, name, children.get(name, [])) for name, one in key.items()]
    root.mkdir(parents=True, exist_ok=True)
    (root / "ontology.json").write_text(json.dumps(ontology), encoding="utf-8")
    rows: dict[str, list[str]] = {"balanced_train": [], "unbalanced_train": [], "eval": []}
    labels = list(key.values())
    for row, track in enumerate(clips.tracks):
        video = f"{row:05d}-abcd{'xyz'[row % 3]}"
        on = [one for at, one in enumerate(labels) if has(track, at)] or [key["Speech"]]
        line = f'{video}, 30.000, 40.000, "{",".join(on)}"'
        rows["eval" if clips.part(row) == "test" else "balanced_train"].append(line)
        name = (video, f"Y{video}", f"{video}_30.000_40.000")[row % 3]
        clips.write(row, root / "audio" / f"{name}.wav")
    rows["unbalanced_train"].append(f'zzzzz-abcde, 0.000, 10.000, "{key["Reggae"]}"')
    for name, found in rows.items():
        comments = ["# Segments csv created Sun Mar  5 10:54:31 2017", "# num_ytids=1", "# YTID, start_seconds, ..."]
        lines(root / f"{name}_segments.csv", [*comments, *found])
