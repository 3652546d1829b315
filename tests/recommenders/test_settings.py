"""Settings that make no sense are refused by a message that names the setting."""

import pytest

from bench.errors import BenchError
from bench.registry import create


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("bert4rec:reading=text", "reading lane=published"),
        ("bert4rec:judge=loss", "judge=loss lane=published"),
        ("bert4rec:judged=1", "judged 2 1"),
        ("bert4rec:mask_prob=0", "mask_prob 0.0"),
        ("bert4rec:predict_len=1", "predict_len 2 1"),
        ("bert4rec:bf16=true,loss=full", "bf16 loss=chunked loss=full"),
        ("bert4rec:layers=0", "layers 0"),
        ("bert4rec:lane=published,items=delta", "items=delta reading=text"),
        ("bpr:l2=-1", "l2 -1"),
        ("bpr:patience=0", "patience 0"),
        ("ease:l2=0", "l2 0"),
        ("elsa:batch=-1", "batch -1"),
        ("elsa:factors=0", "factors 0"),
        ("ials:iterations=0", "iterations"),
        ("itemknn:neighbours=0", "neighbours 0"),
        ("knn:half_life=-3", "half_life -3"),
        ("knn:half_life=0", "half_life 0"),
        ("knn:lane=published,half_life=30", "published"),
        ("knn:lane=published,profile=max", "published"),
        ("knn:lane=published,profile=mean_normalized", "published"),
        ("knn:lane=published,weight=count", "published"),
        ("recbole:SASRec,epochs=-1", "epochs -1"),
        ("recbole:SASRec,every=0", "every 0"),
        ("recbole:SASRec,max_len=x", "max_len x"),
        ("recbole:SASRec,patience=-1", "patience -1"),
        ("recbole:SASRec,vectors=thawed", "vectors=thawed frozen"),
        ("recbole:SASRec,width=0", "width 0"),
        ("sasrec:patience_steps=-1", "patience_steps"),
        ("sasrec:calibration=2", "calibration 2"),
        ("sasrec:dropout=1", "dropout 1"),
        ("shallow:batch=-1", "batch"),
        ("shallow:count=0", "count 0"),
        ("shallow:factor=2", "factor 2"),
        ("shallow:lane=published,items=trainable", "reading=text items=frozen"),
        ("shallow:reading=code", "reading=code published"),
    ],
)
def test_settings_out_of_range_are_refused(spec, words):
    with pytest.raises(BenchError) as raised:
        create("recommenders", spec)
    said = str(raised.value.__cause__ or raised.value)  # the cause does not repeat the spec
    assert [word for word in words.split() if word not in said] == []


@pytest.mark.parametrize(
    ("spec", "steps"),
    [
        ("bert4rec", 500),
        ("sasrec", 500),
        ("bert4rec:patience=5", 0),
        ("bert4rec:patience=5,patience_steps=70", 70),
        ("bert4rec:lane=published", 0),
    ],
)
def test_patience_in_steps(spec, steps):
    assert create("recommenders", spec)._patience_steps == steps
