"""Names of the same recordings."""

import pytest

from bench.datasets.contamination import same_catalogue


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("music4all", "music4all-onion"),
        ("Music4All", "music4all"),
        ("m4a", "music4all-onion"),
        ("Onion", "music4all"),
        ("MSD", "msd50"),
        ("Million Song Dataset", "msd"),
        ("MTT", "magnatagatune-filtered"),
        ("MTG-Jamendo", "jamendo-top50"),
        ("fma", "fma-small"),
        ("AudioSet", "audioset25"),
        ("yambda", "yambda-500m"),
        ("My Log", "my-log"),
    ],
)
def test_same(one, other):
    assert same_catalogue(one, other)
    assert same_catalogue(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("demo", "demo-long"), ("msd", "music4all"), ("my-log", "my-log-2"), ("", ""), ("?", "?"), ("fma", "msd")],
)
def test_different(one, other):
    assert not same_catalogue(one, other)
