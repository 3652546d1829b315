"""Records of old versions, written by the code of those versions: every one is read, and nothing of it is lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records import SCHEMA_VERSION, layout, read, write

GOLDEN = {version: sorted((Path(__file__).parent / "golden" / f"v{version}").glob("*.json")) for version in (1, 2)}
FILES = [
    pytest.param(path, version, id=f"v{version}-{path.stem}") for version, paths in GOLDEN.items() for path in paths
]


@pytest.mark.parametrize(("path", "version"), FILES)
def test_an_old_version_is_read_and_written_again_byte_for_byte(path, version):
    record = read(path)
    assert record.schema_version == version
    assert layout(record).encode() == path.read_bytes()


@pytest.mark.parametrize(("path", "version"), FILES)
def test_the_current_version_holds_the_same_and_its_hash(path, version, tmp_path):
    old = read(path)
    where, new = write(old, tmp_path)
    assert read(where) == new
    assert replace(new, schema_version=version, content_sha256=old.content_sha256) == old
    content = json.loads(where.read_text(encoding="utf-8"))
    assert content.pop("content_sha256") == new.content_sha256
    before = json.loads(path.read_text(encoding="utf-8"))
    before.pop("content_sha256", None)
    assert content == before | {"schema_version": SCHEMA_VERSION}


@pytest.mark.parametrize("version", GOLDEN)
def test_the_golden_records_cover_every_kind(version):
    records = [read(path) for path in GOLDEN[version]]
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
    assert all((record.rows is not None) == (version == 2 and record.kind == "run") for record in records)
