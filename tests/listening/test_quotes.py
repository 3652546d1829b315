"""No row is lost over a quote: the rows are those of a plain reader of characters, or the line is named."""

import bz2
import csv
import gzip
import io
import random

import polars as pl
import pytest

from bench.audio import catalog
from bench.errors import BenchError
from bench.listening import parquet_cache, quotes, text_blocks
from bench.listening.log_dataset import FileDataset, check, scan
from bench.listening.metadata import read_meta
from bench.listening.text_table import open_table
from bench.tasks import annotation_files

STRAY = 'user,item,time,title\na,x,1,p\nb,y,2,12" mix\nc,z,3,p\nd,w,4,7" edit\ne,v,5,p\n'
PACKINGS = {"plain": bytes, "gzip": gzip.compress, "bz2": bz2.compress}


def put(folder, text, name="log.csv", pack=bytes):
    path = folder / name
    path.write_bytes(pack(text.encode()))
    return path


def refusal(call, *arguments):
    with pytest.raises(BenchError) as caught:
        call(*arguments)
    return str(caught.value)


def value(text, at, mark):
    """Read one value by hand, one character after another: the value and where it ends; None: its quote is wrong."""
    if text[at : at + 1] != '"':
        end = at
        while end < len(text) and text[end] not in (mark, "\n"):
            end += 1
        return text[at:end], end
    out, at = "", at + 1
    while at < len(text):
        if text[at : at + 2] == '""':
            out, at = out + '"', at + 2
        elif text[at] == '"':
            return (out, at + 1) if text[at + 1 : at + 2] in (mark, "\n", "") else None
        else:
            out, at = out + text[at], at + 1
    return None


def rows_by_hand(text, mark=","):
    rows, row, at = [], [], 0
    while text:
        if (found := value(text, at, mark)) is None:
            return None
        row.append(found[0])
        at = found[1] + 1
        if text[at - 1 : at] != mark:
            rows.append(row)
            row = []
            if at >= len(text):
                break
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_any_text_in_any_pieces_has_the_rows_of_a_reader_of_characters(seed):
    rng, refused, mended = random.Random(seed), 0, 0
    for _ in range(4000):
        pieces = ["a", "b", ",", "\n", '"', '""', '",', ',"', '"\n']
        text = "".join(rng.choices(pieces, k=rng.randrange(14)))
        expected, size = rows_by_hand(text), rng.randrange(1, 9)
        blocks = [text[at : at + size].encode() for at in range(0, len(text), size)]
        rest, out, rows, lines = b"", b"", 0, 0
        try:
            for block in [*blocks, None]:
                found = quotes.cut(rest + (block or b""), ",", final=block is None)
                out, rest = out + found.text, found.rest
                rows, lines = rows + found.rows, lines + found.lines
        except quotes.QuoteError:
            assert expected is None, text
            refused += 1
            continue
        assert rows == len(expected or []), text
        assert lines == len(io.StringIO(text).readlines()), text
        strict = csv.reader(io.StringIO(out.decode(), newline=""), strict=True)
        assert [row or [""] for row in strict] == expected, text
        mended += out.decode() != text
    assert min(refused, mended) > 100


@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)
@pytest.mark.parametrize("block", [5, 1 << 26])
def test_a_stray_quote_in_a_column_nobody_reads_loses_no_plays(tmp_path, monkeypatch, pack, block):
    monkeypatch.setattr(text_blocks, "BLOCK", block)
    path = put(tmp_path, STRAY, pack=pack)
    assert scan(path).collect()["item"].to_list() == ["x", "y", "z", "w", "v"]
    assert check(path)["plays"] == 5
    assert FileDataset(path).listens(tmp_path).collect().height == 5
    log = parquet_cache.Log(path, {"user": "user", "item": "item", "time": "time"}, about={"title": "title"})
    assert parquet_cache.convert(log, tmp_path / "made")["plays"] == 5
    titles = pl.read_parquet(tmp_path / "made" / parquet_cache.TRACKS)["title"].to_list()
    assert titles == ["p", '12" mix', "p", '7" edit', "p"]


def test_quoted_headers_of_tab_separated_files_make_quotes_syntax(tmp_path):
    text = '"user"\t"item"\t"time"\t"title"\n"a"\tx\t1\t12" mix\nb\t"y\t""2"""\t2\t7" edit\n'
    found = open_table(put(tmp_path, text)).read()
    assert found.rows() == [("a", "x", "1", '12" mix'), ("b", 'y\t"2"', "2", '7" edit')]


@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)
@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('u,i,1,p\nu,i,2,"Heroes" (live)\nu,i,3,p\n', 3),
        ('u,i,1,p\nu,i,2,"Heroes\nu,i,3,p\n', 3),
        ('u,i,1,"a\nb"\nu,i,2,"Heroes\nu,i,3,p\nu,i,4,Heroes"\n', 4),
        ("u,i,1,p\nu,i,2,Hello, world\nu,i,3,p\n", 3),
        ('u,i,1,"a\nb"\nu,i,2,7" mix, live\nu,i,3,p\n', 4),
    ],
    ids=["goes on", "never closed", "closed rows later", "too many values", "too many after a quote"],
)
def test_what_cannot_be_told_is_refused_with_its_line(tmp_path, pack, rows, line):
    path = put(tmp_path, "user,item,time,title\n" + rows, pack=pack)
    assert f"{path}, line {line}:" in refusal(check, path)
    log = parquet_cache.Log(path, {"user": "user", "item": "item", "time": "time"})
    assert f"{path}, line {line}:" in refusal(parquet_cache.convert, log, tmp_path / "made")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.bz2"])
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('track_id,path,title\na,1,12" mix\nb,2,"p, q"\nc,3,7" edit\n', ["a", "b", "c"]),
        ('track_id\tpath\ttitle\n"a"\t1\t"Heroes" (live)\n7" mix\t2\tp\n', ['"a"', '7" mix']),
        ('"track_id"\tpath\ttitle\n"a"\t1\t7" mix\n7" mix\t2\tp\n', ["a", '7" mix']),
    ],
    ids=["csv", "tsv", "quoted tsv"],
)
def test_the_same_text_means_the_same_everywhere(tmp_path, text, ids, name):
    pack = {"csv": bytes, "gz": gzip.compress, "bz2": bz2.compress}[name.rpartition(".")[2]]
    path = put(tmp_path, text, name, pack)
    assert scan(path, {"user": "title", "item": "track_id", "time": "path"}).collect()["item"].to_list() == ids
    assert read_meta(path)["track_id"].to_list() == ids
    assert annotation_files.table(path, ["track_id"])[0]["track_id"].to_list() == ids
    assert catalog.listed(path).rows["track_id"].to_list() == sorted(ids)


@pytest.mark.parametrize("block", [5, 1 << 26])
@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)
def test_line_numbers_count_the_lines_within_values(tmp_path, monkeypatch, pack, block):
    monkeypatch.setattr(text_blocks, "BLOCK", block)
    path = put(tmp_path, 'user,item,time,note\nu,i,1,"a\nb\nc"\n\nu,i,2,7" mix\nu,i,soon,p\n', pack=pack)
    assert f"{path}, line 7: the time" in refusal(check, path)
    log = parquet_cache.Log(path, {"user": "user", "item": "item", "time": "time"})
    assert f"{path}, line 7: the time" in refusal(parquet_cache.convert, log, tmp_path / "made")


def test_values_of_metadata_may_hold_lines_that_look_like_rows(tmp_path):
    path = put(tmp_path, 'id,description\na,"slow\nsad, long"\nb,loud\n')
    assert read_meta(path)["description"].to_list() == ["slow\nsad, long", "loud"]


def test_blank_lines_in_a_list_are_no_tracks(tmp_path):
    path = put(tmp_path, "track_id,path\na,x.wav\n\nb,y.wav\n\n")
    assert catalog.listed(path).rows["track_id"].to_list() == ["a", "b"]
    path = put(tmp_path, "track_id,path\na,x.wav\n\nb,\n")
    assert "row 3" in refusal(catalog.listed, path)
