"""Records of version 1, written by the code of that version: every one is read, and nothing of it is lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records import layout, read, write

GOLDEN = sorted((Path(__file__).parent / "golden" / "v1").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_version_1_is_read_and_written_again_byte_for_byte(path):
    record = read(path)
    assert record.schema_version == 1
    assert layout(record).encode() == path.read_bytes()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_version_2_holds_the_same_and_a_hash(path, tmp_path):
    old = read(path)
    where, new = write(old, tmp_path)
    assert read(where) == new
    assert replace(new, schema_version=1, content_sha256=None) == old
    content = json.loads(where.read_text(encoding="utf-8"))
    assert content.pop("content_sha256") == new.content_sha256
    assert content == json.loads(path.read_text(encoding="utf-8")) | {"schema_version": 2}


def test_the_golden_records_cover_every_kind():
    records = [read(path) for path in GOLDEN]
    assert {record.kind for record in records} == {"run", "probe", "imported"}
    assert {record.data.task.kind for record in records if record.kind == "probe"} == {
        "tags", "classes", "keys", "values", "links",
    }  # fmt: skip
    assert {where for record in records for where in record.metrics} == {"hot", "cold", "mixed", "test"}
    assert any(record.recommender.refit for record in records)
    assert any(record.recommender.search for record in records)
    assert any(record.cut_short for record in records)
    assert any(len(record.extractor.view.layers) == 2 and record.extractor.view.treat for record in records)
    assert {record.control for record in records} == {True, False}
