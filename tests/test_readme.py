"""What the README shows is right: commands and code are run where they can be, else parsed."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest

from bench.cli import VERBS, Parser, main
from bench.registry import catalog
from bench.synthetic import WorldSize

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NOT_RUN = {
    r"^python3 -m venv|\bpip\b": "fetches packages",
    r"\bpytest\b": "runs these very tests",
    r"\bmusicnn\b": "fetches weights",
    r"--root\b|music4all-onion": "needs licensed data",
    r"\bVERB\b": "stands for all verbs",
    r"weights=PATH": "needs trained weights",
    r"\btune\b": "trains thirty times, for most of an hour; tests/run/tune/test_search.py searches a small space",
    r"\btrain\b": "trains for minutes; tests/run/train trains small networks",
    r"\bsimilar\b": "needs trained weights; tests/run/test_similar.py",
    r"\brecipe\b": "trains every model of a paper; tests/recipes runs a small one",
}
"""Pattern of a command -> why it is parsed, but not run."""


def blocks():
    """Language -> the README's code blocks; an indented one is `shell`, or `output` if it begins with no command."""
    found = defaultdict(list)
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        found[language].append(text)
    indented = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    for text in re.findall(r"(?<=\n\n)(?: {4}.*\n|\n(?= {4}))+", indented):
        found["shell" if re.match(r" {4}(bench|python3) ", text) else "output"].append(text)
    return found


BLOCKS = blocks()


def commands(text):
    """Split lines of shell into commands: words, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ";"]:
            if word not in (";", "&&"):
                words.append(word)
            elif words:
                yield words
                words = []


SHELL = [words for text in BLOCKS["shell"] for words in commands(text)]
INLINE = [words for text in re.findall(r"`(bench \w+ [^`]+)`", README) for words in commands(text)]


def arguments(words):
    """Return the words after `bench`, wherever it lies; None for another program."""
    return words[1:] if Path(words[0]).name == "bench" else None


def parse(words, *, complete=True):
    parser = Parser(prog=f"bench {words[0]}", allow_abbrev=False)
    import_module(f"bench.cli.{words[0]}").add(parser)
    for action in parser._actions:
        action.required &= complete  # text may name an option without the rest of its command
    parser.parse_args(words[1:])


def runnable(words):
    return arguments(words) is not None and not any(re.search(pattern, " ".join(words)) for pattern in NOT_RUN)


def test_all_blocks_are_found():
    assert {name: len(found) for name, found in BLOCKS.items()} == {"toml": 1, "python": 2, "shell": 5, "output": 1}
    assert README.count("\n```") == 2 * 3
    assert sum(map(runnable, SHELL)) >= 4


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_every_exception_is_needed(pattern):
    assert any(re.search(pattern, " ".join(words)) for words in [*SHELL, *INLINE])


@pytest.mark.parametrize("words", [*SHELL, *INLINE], ids=" ".join)
def test_commands_are_known_to_the_command_line(words):
    given = arguments(words)
    if given is None:
        assert words[0] in ("python3", ".venv/bin/pip", ".venv/bin/python")
    elif given[0] != "VERB":
        assert given[0] in VERBS
        parse(given, complete=words in SHELL)


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(SystemExit):
        parse(["run", "--extractor", "mfcc", "--modle", "knn"])


@pytest.mark.parametrize("text", BLOCKS["python"])
def test_python_compiles(text):
    compile(text, "README.md", "exec")


def test_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"music-embedding-bench\[(\w+)\]", README)) <= extras.keys()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/data.md", "docs/extractors.md"])
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text()):
        assert link.startswith("https://") or (ROOT / name).parent.joinpath(link).exists(), link


def test_the_page_of_data_sets_is_right():
    page = (ROOT / "docs" / "data.md").read_text()
    shown = [line for line in page.splitlines() if re.match(r" {4}(bench|python3) ", line)]
    for words in (words for line in shown for words in commands(line.strip())):
        if words[0] == "bench":
            parse(words[1:])
        else:
            assert (ROOT / words[1]).exists()
    named = {spec.partition(":")[0] for line in shown for spec in re.findall(r"--data (\S+)", line)}
    assert named == {"music4all-onion", "yambda", "lastfm-1k", "lastfm-2k"}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        compile(code, "data.md", "exec")
    installed = {entry.origin.name for entry in catalog("datasets") if entry.origin.package == "music-embedding-bench"}
    assert installed <= set(re.findall(r"`([\w-]+)`", page))


def test_files_that_contributors_are_sent_to_exist():
    named = re.findall(r"`([\w./-]+(?:/|\.py|\.toml))`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_commands_run(make_folder, tmp_path, monkeypatch, capsys):
    """In one folder and in the README's order; the log and audio of one's own are a small world's."""
    size = WorldSize(tracks=90, artists=24, cold=14, seconds=1.5, rate=22_050, listeners=60, plays=6_000, seed=5)
    world = make_folder(size)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    shutil.copy(world / "plays.csv", "plays.csv")
    (tmp_path / "music").symlink_to(world / "audio")
    ran = set()
    for words in map(arguments, filter(runnable, SHELL)):
        assert main(words) == 0, (words, capsys.readouterr().err)
        ran.add(words[0])
    assert ran == {"run", "report", "power", "leaderboard", "ls", "doctor"}
    assert next((tmp_path / "results").rglob("seed0.json"))
    assert (tmp_path / "tables" / "report.md").exists()
    assert (tmp_path / "site" / "index.html").exists()


@pytest.fixture(scope="module")
def snippet(install, tmp_path_factory):
    """The README's extractor as a package, installed; and its test."""
    folder = tmp_path_factory.mktemp("snippet")
    head = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
    head += '[project]\nname = "my-package"\nversion = "1.0"\n'
    module, test = BLOCKS["python"]
    (folder / "mine").mkdir()
    (folder / "mine" / "pyproject.toml").write_text(head + BLOCKS["toml"][0])
    (folder / "mine" / "my_package.py").write_text(module)
    (folder / "test_mine.py").write_text(test)
    return install(folder / "mine"), folder / "test_mine.py"


def python(env, *words):
    words = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_extractor_keeps_its_contract(snippet):
    assert ["bench", "check", "mine"] in INLINE
    assert " 0 failed" in python(snippet[0], "bench", "check", "mine")


@pytest.mark.slow
def test_the_extractors_own_test_passes(snippet):
    assert " passed" in python(snippet[0], "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", snippet[1])


def test_the_extractor_is_compared(snippet, small_world, tmp_path):
    (words,) = [words for words in INLINE if "--extractor mine" in " ".join(words)]
    places = ["--cache", tmp_path / "cache", "--results", tmp_path / "results", "--no-controls", "--k", "5"]
    python(snippet[0], *words, *small_world, *places)
    assert len(list((tmp_path / "results").rglob("seed0.json"))) == 1


@pytest.mark.slow
def test_the_table_of_the_quick_start(tmp_path, monkeypatch, capsys):
    """Digit for digit, for the rows that need no weights; stars depend on the rows beside."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--extractor", "mfcc", "--model", "knn", "--cache", str(tmp_path / "cache")]) == 0

    def rows(text):
        lines = [line.replace("*", "").split() for line in text.splitlines()]
        return {tuple(line[:2]): line[2:] for line in lines if line and re.search(r"\.\d{4}", " ".join(line))}

    found, shown = rows(capsys.readouterr().out), rows(BLOCKS["output"][0].partition("Evidence on")[0])
    assert len(found) == 6
    assert {name: shown[name] for name in found} == found
