"""Printed numbers: digit for digit, as they stand in the papers, and as records that follow the schema."""

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import pytest

from bench.errors import BenchError
from bench.published import PAPERS, imported, paper, papers_of
from bench.records import layout
from bench.splits.published import REPORTED

# Written down from the paper by hand, not from the package's data: HitRate, Recall, NDCG at 50.
TABLE_3 = {
    "KNN": "MusicFM .009/.000/.000; MFCC .028/.001/.001; Music2Vec .033/.002/.001; MERT .049/.003/.002; "
    "EncodecMAE .054/.003/.002; Jukebox .057/.003/.002; MusiCNN .089/.005/.004",
    "Shallow Net": "Random .021/.001/.001; MusicFM .108/.007/.005; MFCC .226/.018/.013; Music2Vec .291/.029/.021; "
    "MERT .291/.030/.021; EncodecMAE .296/.031/.021; Jukebox .272/.029/.020; MusiCNN .329/.037/.025",
    "BERT4Rec": "Random .348/.049/.038; MusicFM .261/.021/.016; MFCC .231/.019/.014; Music2Vec .281/.025/.020; "
    "MERT .360/.051/.038; EncodecMAE .349/.050/.038; Jukebox .219/.015/.012; MusiCNN .385/.058/.044",
}
METRICS = ("hitrate@50", "recall@50", "ndcg@50")


def of(name, table):
    return [record for record in imported(paper(name)) if record.asked["table"] == table]


def test_table_3_is_that_of_the_paper_in_its_order():
    found = of("recsys2024", "3")
    expected = [(model, *cell.split()) for model, cells in TABLE_3.items() for cell in cells.split("; ")]
    assert [
        (
            r.recommender.spec,
            r.extractor.spec,
            "/".join(f"{r.metrics['hot'][m]:.3f}"[1:] for m in METRICS),
        )
        for r in found
    ] == expected
    assert len(found) == 7 + 8 + 8


def test_table_4_leaves_what_was_not_reported_absent():
    found = {(r.extractor.spec, r.data.name): r.metrics["test"] for r in of("recsys2024", "4")}
    assert found["MusicFM", "magnatagatune"] == {"roc_auc": 0.924}
    assert found["EncodecMAE", "gtzan"] == {"accuracy": 0.862}
    assert found["MusiCNN", "giantsteps"] == {"weighted": 0.128}
    assert len(found) == 3 * 6 - 3


def test_table_1_gives_widths():
    widths = {r.extractor.spec: r.extractor.width for r in of("recsys2024", "3")}
    assert widths == {
        "MFCC": 104, "MusiCNN": 200, "MusicFM": 750, "EncodecMAE": 768, "Music2Vec": 768, "MERT": 1024,
        "Jukebox": 4800, "Random": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("where", "model", "extractor", "values"),
    [
        ("hot", "Shallow", "MuQ (MSD)", (0.3880, 0.0408, 0.0306)),
        ("hot", "BERT", "MusiCNN", (0.4762, 0.0631, 0.0527)),
        ("hot", "Bimodal Average", "MFCC", (0.0401, 0.0017, 0.0013)),
        ("hot", "Hybrid", "MusicFM", (0.0205, 0.0008, 0.0006)),
        ("hot", "ELSA", "–", (0.558, 0.0823, 0.0631)),
        ("cold", "BERT", "MULE", (0.5258, 0.2548, 0.1096)),
        ("cold", "Bimodal Content", "MuQ (MSD)", (0.6694, 0.4154, 0.1975)),
    ],
)
def test_the_journal_by_sample(where, model, extractor, values):
    (record,) = [r for r in of("journal2026", where) if (r.recommender.spec, r.extractor.spec) == (model, extractor)]
    assert [record.metrics[where][m] for m in METRICS] == pytest.approx(values, abs=5e-4)
    assert record.users[where] == REPORTED["journal2026"].sizes["test", where].users


def test_printed_intervals_are_kept_and_none_is_invented():
    (bert,) = [r for r in of("journal2026", "cold") if (r.recommender.spec, r.extractor.spec) == ("BERT", "MusiCNN")]
    assert bert.intervals["cold"]["hitrate@50"] == pytest.approx((0.4516 - 0.1391, 0.4516 + 0.1391))
    assert not any(r.intervals.get("hot") for r in imported(paper("recsys2024")))
    assert not any(r.intervals.get("hot") for r in of("journal2026", "hot") if r.recommender.spec == "Cosine")


@pytest.mark.parametrize("name", PAPERS)
def test_every_printed_number_is_a_record_of_the_schema(name):
    schema = json.loads(files("bench.records").joinpath("record.schema.json").read_text(encoding="utf-8"))
    records = imported(paper(name))
    valid = jsonschema.Draft202012Validator(schema)
    for record in records:
        valid.validate(json.loads(layout(replace(record, content_sha256="0" * 64))))
        assert record.kind == "imported"
        assert record.lane == "published"
        assert record.chance == {}
    assert len(records) > 30


def test_shuffled_and_learnt_vectors_are_controls():
    records = imported(paper("journal2026"))
    shuffled = [r for r in records if r.recommender.spec.endswith("Shuffle")]
    assert shuffled
    assert all(r.control and r.extractor.name == "shuffled" for r in shuffled)
    assert {r.recommender.spec for r in records if r.control} - {r.recommender.spec for r in shuffled} == {"ELSA"}
    learnt = [r for r in of("recsys2024", "3") if r.extractor.spec == "Random"]
    assert [(r.control, r.extractor.name) for r in learnt] == [(True, "none")] * 2


def test_known_artefacts_say_so():
    by = {(r.recommender.spec, r.extractor.spec): " ".join(r.warnings) for r in of("recsys2024", "3")}
    assert "averaged over its channels" in by["KNN", "MusicFM"]
    assert "24 kHz" in by["BERT4Rec", "Music2Vec"]
    assert "0.020 HitRate@50" in by["Shallow Net", "Random"]
    assert by["KNN", "MERT"] == ""
    mir = {(r.extractor.spec, r.data.name): " ".join(r.warnings) for r in of("recsys2024", "4")}
    assert "in-house" in mir["MusicFM", "magnatagatune"]
    assert mir["MusicFM", "giantsteps"] == ""
    assert "ten random folds" in mir["EncodecMAE", "gtzan"]
    assert "4,194" in mir["MusiCNN", "gtzan"]
    hot = [r for r in of("journal2026", "hot") if r.recommender.spec == "Cosine"]
    assert all("wrong rows" in " ".join(r.warnings) for r in hot)
    cold = of("journal2026", "cold")
    assert all("labelled @20" in " ".join(r.warnings) for r in cold)
    assert not any("wrong rows" in " ".join(r.warnings) for r in cold)


def test_papers_are_found_by_split_and_wrong_names_are_refused():
    assert [p.name for p in papers_of([("music4all-onion", "recsys2024"), ("demo", "journal2026")])] == ["recsys2024"]
    assert papers_of([]) == []
    with pytest.raises(BenchError, match="Did you mean 'recsys2024'"):
        paper("recsys2042")
    assert "10.1145/3640457.3688172" in paper("recsys2024").citation
    assert "arxiv.org/abs/2604.23077" in paper("journal2026").citation
