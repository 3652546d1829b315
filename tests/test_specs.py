from dataclasses import dataclass
from typing import Literal

import pytest

from bench.errors import BenchError
from bench.specs import Spec, parse, parse_list, parse_sum, settings_from


@dataclass(frozen=True)
class Settings:
    width: int = 3
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    deep: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width must be positive")


def test_a_comma_before_key_continues_and_any_other_starts_the_next():
    assert parse_list("mfcc,mert:layer=7,weights=random,knn") == ["mfcc", "mert:layer=7,weights=random", "knn"]


def test_a_bare_word_after_the_colon_is_the_model():
    assert parse("recbole:SASRec") == Spec("recbole", {"model": "SASRec"})
    assert parse("recbole:SASRec,width=3").settings == {"model": "SASRec", "width": "3"}


def test_parentheses_protect():
    spec = parse("shuffled:of=(mert:layer=7,weights=random)")
    assert spec.settings == {"of": "mert:layer=7,weights=random"}
    assert parse(str(spec)) == spec
    assert parse_list("shuffled:of=(a:x=1,y=2),b") == ["shuffled:of=(a:x=1,y=2)", "b"]


def test_plus_joins_tables():
    assert [s.name for s in parse_sum("mfcc+musicnn:layer=x+random")] == ["mfcc", "musicnn", "random"]
    assert [s.name for s in parse_sum("precomputed:path=(/a+b/c.npy)")] == ["precomputed"]


@pytest.mark.parametrize("text", ["", "a,,b", "a:", "a:x=", "a:x=1,x=2", ":x=1", "a b", "a:(x=1", "a:x=1)", "mfcc,x=1"])
def test_what_cannot_be_read_is_named(text):
    with pytest.raises(BenchError, match="spec"):
        [parse(part) for part in parse_list(text)]


def test_settings_convert_by_type():
    got = settings_from(Settings, parse("p:width=7,rate=1e-3,kind=b,deep=yes,name=x"))
    assert got == Settings(7, 1e-3, "b", True, "x")
    assert settings_from(Settings, parse("p:name=none")).name is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p:widht=3", "Did you mean 'width'"),
        ("p:width=x", "not of type int"),
        ("p:kind=c", "not one of a, b"),
        ("p:deep=perhaps", "not of type bool"),
        ("p:width=0", "width must be positive"),
    ],
)
def test_settings_that_cannot_be_are_refused(text, said):
    with pytest.raises(BenchError, match=said):
        settings_from(Settings, parse(text))
