"""What extractors say of themselves: ``bench ls extractors NAME`` and ``--free``, and docs/extractors.md."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from bench.cli.extractor_facts import commercial, described_use, made, meanings, settings, use
from bench.cli.extractor_page import page
from bench.cli.extractor_table import free
from bench.protocols import Extractor
from bench.registry import catalog, get

ROOT = Path(__file__).parents[2]
ENTRIES = [one for one in catalog("extractors") if one.origin.package == "music-embedding-bench"]
AUDIO = [one.origin.name for one in ENTRIES if issubclass(one.plugin, Extractor)]


def test_the_page_is_fresh():
    written = (ROOT / "docs" / "extractors.md").read_text(encoding="utf-8")
    assert written == page(ROOT), "python -m bench.cli.extractor_page > docs/extractors.md"


@pytest.mark.parametrize("name", AUDIO)
def test_an_extractor_says_what_users_must_know(name):
    cls = get("extractors", name)
    assert cls.paper or name == "mfcc"
    assert cls.traps
    assert all(trap.endswith(".") for trap in cls.traps)
    assert [one.name for one in settings(cls) if not one.meaning] == []


@pytest.mark.parametrize("name", AUDIO)
def test_flags_and_licences_agree(name):
    cls = get("extractors", name)
    for one in cls.weights:
        assert use(one.license, one.non_commercial) == use(one.license, False), one.name
    plugin, _ = made(cls)
    if plugin is not None:
        terms = commercial(cls)
        assert plugin.weights == () or any(plugin.weights[0].name in names for names in terms.values())


def test_terms_of_licences():
    assert [use(terms, False) for terms in ("MIT", "AGPL-3.0", "CC BY 4.0")] == ["allowed"] * 3
    assert [use(terms, False) for terms in ("CC BY-NC 4.0", "CC BY-NC-SA 4.0", "Noncommercial Use")] == [
        "forbidden"
    ] * 3
    assert [use(terms, False) for terms in ("", "unknown", "Undisclosed")] == ["unknown"] * 3
    assert use("MIT", True) == "forbidden"


def test_the_code_and_each_of_the_weights_count():
    one = get("extractors", "musicnn").weights[0]

    class Two(Extractor):
        name = "two"
        license = "MIT"
        weights = (replace(one, name="a"), replace(one, name="b", license="CC BY-NC 4.0", non_commercial=True))

    assert described_use(Two) == "allowed (a) and forbidden (b)"
    Two.license = "unknown"
    assert commercial(Two) == {"unknown": ["a", "b"]}
    Two.weights = ()
    assert commercial(Two) == {"unknown": ["two"]}


def test_free_lists_what_may_be_used_commercially(bench):
    names = {one.origin.name for one in free(ENTRIES)}
    assert {"musicnn", "musicfm", "clap", "mfcc", "crepe", "cnn"} <= names
    assert not names & {"mert", "muq", "music2vec", "jukebox", "musicnn-essentia", "precomputed"}
    code, out, _ = bench("ls", "extractors", "--free")
    assert code == 0
    table, _, rest = out.partition("Licences forbid")
    assert "musicfm" in table
    assert "CC BY-NC" not in table
    assert {"mert", "mert-95m", "jukebox"} <= set(rest.replace(",", " ").split())
    assert bench("ls", "recommenders", "--free")[0] == 1


def test_all_about_one(bench):
    code, out, _ = bench("ls", "extractors", "mert")
    assert code == 0
    words = " ".join(out.split())
    for said in ("315,428,992", "0 to 24: 1024 each; default 24", "size=330M", "arXiv:2306.00107", "window=5.0",
                 "commercial use: forbidden", "bench weights pull mert-95m", "No layer is best"):  # fmt: skip
        assert said in words
    code, out, _ = bench("ls", "extractors", "precomputed")
    assert code == 0
    assert "path=...: .npy" in out
    assert "profile=none" in bench("ls", "recommenders", "knn")[1]
    code, _, err = bench("ls", "extractors", "mertt")
    assert code == 1
    assert "Did you mean 'mert'" in err


def test_meanings_of_settings():
    @dataclass
    class Said:
        """What it is: not a setting.

        one, two : first line,
            and a second
        size : s or m

        Later text.
        """

        one: int
        two: int | None = None
        size: Literal["s", "m", "l"] = "s"

    assert meanings(Said) == {"one": "first line, and a second", "two": "first line, and a second", "size": "s or m"}

    class Plugin(Extractor):
        Settings = Said

    one, two, size = settings(Plugin)
    assert (one.default, two.default, size.default) == (None, "none", "s")
    assert size.meaning == "s or m (l)"
