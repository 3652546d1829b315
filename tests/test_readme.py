"""What the README and the pages of docs/ show is right: commands and code are run where they can be, else parsed."""

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
from bench.cli.ls import OWN
from bench.cli.options_page import page
from bench.registry import KINDS, catalog
from bench.synthetic import WorldSize

ROOT = Path(__file__).parents[1]
PAGES = {
    path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
README = PAGES["README.md"]
NOT_RUN = {
    r"^python3? |\bpip\b": "fetches packages, or runs tests",
    r"\bmusicnn\b": "fetches weights",
    r"--root\b": "needs licensed data",
    r"\bVERB\b": "stands for all verbs",
    r"weights=PATH": "needs trained weights",
    r"--heard\b": "needs a list of recordings; tests/report/test_heard.py",
    r"\btune\b": "trains thirty times, for most of an hour; tests/run/tune/test_search.py searches a small space",
    r"\btrain\b": "trains for minutes; tests/run/train trains small networks",
    r"\bsimilar\b": "needs trained weights; tests/run/test_similar.py",
    r"\brecipe\b": "trains every model of a paper; tests/recipes runs a small one",
}
"""Pattern of a command -> why it is parsed, but not run."""


def blocks_of(text):
    """Language -> code blocks of a page; an indented one is `sh`, or `output` if it begins with no command."""
    found = defaultdict(list)
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found[language].append(block)
    indented = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for block in re.findall(r"(?<=\n\n)(?: {4}.*\n|\n(?= {4}))+", indented):
        found["sh" if re.match(r" {4}(bench|python3?|pip) ", block) else "output"].append(block)
    return found


BLOCKS = {name: blocks_of(text) for name, text in PAGES.items()}


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


SHELL = {name: [words for text in blocks.get("sh", []) for words in commands(text)] for name, blocks in BLOCKS.items()}
ALL_SHELL = [words for found in SHELL.values() for words in found]
INLINE = [
    words
    for name, page in PAGES.items()
    if name not in ("options.md", "extractors.md")  # made of help texts
    for text in re.findall(r"`(bench \w+ [^`]+)`", page)
    for words in commands(text)
    if not {"NAME", "KIND", "DIR"} & set(words[:3]) and "|" not in words[2]
]


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


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 120


def test_all_blocks_are_found():
    count = {name: {kind: len(found) for kind, found in blocks.items()} for name, blocks in BLOCKS.items()}
    assert count["README.md"] == {"sh": 6, "output": 1}
    assert count["adding.md"] == {"sh": 1, "toml": 1, "python": 2}
    assert count["quickstart.md"] == {"sh": 3, "output": 1}
    assert sum(map(runnable, ALL_SHELL)) >= 15


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_every_exception_is_needed(pattern):
    assert any(re.search(pattern, " ".join(words)) for words in [*ALL_SHELL, *INLINE])


@pytest.mark.parametrize("words", [*ALL_SHELL, *INLINE], ids=" ".join)
def test_commands_are_known_to_the_command_line(words):
    given = arguments(words)
    if given is None:
        assert Path(words[0]).name in ("python3", "python", "pip")
        assert all((ROOT / word).exists() for word in words if word.startswith("benchmarks/"))
    elif given[0] != "VERB":
        assert given[0] in VERBS
        parse(given, complete=words in ALL_SHELL)


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(SystemExit):
        parse(["run", "--extractor", "mfcc", "--modle", "knn"])


@pytest.mark.parametrize("text", [text for blocks in BLOCKS.values() for text in blocks.get("python", [])])
def test_python_compiles(text):
    compile(text, "page.md", "exec")


def test_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(re.findall(r"music-embedding-bench\[(\w+)\]", "".join(PAGES.values())))
    assert named <= extras.keys()
    assert {"m4a", "bz2", "recbole"} <= named


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{n}" for n in PAGES if n != "README.md")]
)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8")):
        assert link.startswith("https://") or (ROOT / name).parent.joinpath(link).exists(), link


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "engines"])
def test_every_plugin_is_named_on_a_page(kind):
    said = set(re.findall(r"[\w-]+", PAGES["data.md" if kind == "datasets" else "choices.md"]))
    assert {entry.origin.name for entry in catalog(kind) if entry.origin.package == OWN} - said == set()


def test_the_page_of_options_is_of_today():
    assert PAGES["options.md"] == page(), "python -m bench.cli.options_page > docs/options.md"


def test_every_page_is_in_the_navigation():
    pages = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(pages) == sorted(set(PAGES) - {"README.md"})


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("zensical")
    for name in ("docs", "bench", "mkdocs.yml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = tmp_path / "build" / "docs"
    assert 'id="bench.protocols.Extractor.frames"' in (built / "api" / "index.html").read_text(encoding="utf-8")
    assert all((built / Path(name).stem / "index.html").exists() for name in PAGES.keys() - {"README.md", "index.md"})


def test_files_that_contributors_are_sent_to_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8") + PAGES["adding.md"]
    named = [path for path in re.findall(r"`([\w./-]+(?:/|\.py|\.toml))`", text) if not path.startswith("bench-mine")]
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.fixture(scope="module")
def own_data(make_folder, tmp_path_factory):
    """A folder with a log and audio of one's own, those of a small world, and a cache that all pages share."""
    size = WorldSize(tracks=90, artists=24, cold=14, seconds=1.5, rate=22_050, listeners=60, plays=6_000, seed=5)
    return make_folder(size), tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", [name for name, found in SHELL.items() if any(map(runnable, found))])
def test_the_commands_of_a_page_run(name, own_data, tmp_path, monkeypatch, capsys):
    """In one folder and in the page's order; the small world stands in for the demo, too, and mfcc for an extractor
    that is not installed."""
    world, cache = own_data
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    shutil.copy(world / "plays.csv", "plays.csv")
    (tmp_path / "music").symlink_to(world / "audio")
    ran = set()
    for words in map(arguments, filter(runnable, SHELL[name])):
        if words[0] in ("run", "check"):
            words = ["mfcc" if word == "mine" else word for word in words]
        if words[0] in ("run", "probe") and not {"--listens", "--data"} & set(words):
            words = [*words, "--listens", "plays.csv", "--audio", "music", "--meta", str(world / "tracks.parquet")]
        assert main(words) == 0, (words, capsys.readouterr().err)
        ran.add(words[0])
    if name == "README.md":
        assert ran == {"run", "probe", "report", "power", "ls", "new", "leaderboard"}
        assert next((tmp_path / "results").rglob("seed0.json"))
        assert (tmp_path / "tables" / "report.md").exists()
        assert (tmp_path / "site" / "index.html").exists()


def test_the_notebook_lines_run(own_data, tmp_path, monkeypatch):
    world, cache = own_data
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    shutil.copy(world / "plays.csv", "plays.csv")
    (tmp_path / "music").symlink_to(world / "audio")
    (text,) = BLOCKS["api.md"]["python"]
    names = {}
    exec(text, names)
    assert names["music"].vectors.shape == (90, 104)
    assert names["results"].to_polars().height > 0


@pytest.fixture(scope="module")
def snippet(install, tmp_path_factory):
    """The extractor of docs/adding.md as a package, installed; and its test."""
    folder = tmp_path_factory.mktemp("snippet")
    head = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
    head += '[project]\nname = "my-package"\nversion = "1.0"\n'
    module, test = BLOCKS["adding.md"]["python"]
    (folder / "mine").mkdir()
    (folder / "mine" / "pyproject.toml").write_text(head + BLOCKS["adding.md"]["toml"][0])
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
def test_a_new_encoder_reaches_the_board(install, tmp_path, monkeypatch):
    """The README's block as it stands, on the demo; pip installs into a folder of the test, without a network."""
    (words,) = [
        found for found in map(list, map(commands, BLOCKS["README.md"]["sh"])) if found[0][:2] == ["bench", "new"]
    ]
    make, _, test, *work = words
    monkeypatch.chdir(tmp_path)
    assert main(make[1:]) == 0
    env = {**install(tmp_path / "bench-mine"), "BENCH_CACHE": str(tmp_path / "cache")}
    assert " passed" in python(env, *test[2:], "--import-mode=importlib", "-p", "no:cacheprovider", "-c", "/dev/null")
    for command in work:
        python(env, *command)
    assert "mine" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def rows(text):
    """Return the cells of a table's rows of numbers by their first two cells; stars depend on the rows beside."""
    lines = [line.replace("*", "").split() for line in text.splitlines()]
    return {tuple(line[:2]): line[2:] for line in lines if line and re.search(r"\.\d{4}", " ".join(line))}


@pytest.mark.slow
def test_the_table_of_the_readme(tmp_path, monkeypatch, capsys):
    """Digit for digit, for the rows that need no weights; beside longer names, there is room for fewer columns."""
    monkeypatch.chdir(tmp_path)
    (words,) = [words for words in SHELL["README.md"] if "mfcc" in words and ".venv" in words[0]]
    assert main([*arguments(words), "--cache", str(tmp_path / "cache")]) == 0
    found, shown = rows(capsys.readouterr().out.partition("Evidence on")[0]), rows(BLOCKS["README.md"]["output"][0])
    assert len(found) == 6
    for name, cells in found.items():
        rest = iter(cells)
        assert len(shown[name]) > 3
        assert [cell for cell in shown[name] if cell not in rest] == []  # all, in this order
