"""``bench new`` writes packages that are installed and pass their tests as they are."""

import ast
import os
import subprocess
import sys
import tomllib

import pytest

from bench.cli.new import PLUGINS, package
from bench.registry import BASES


def python(program, *words, **options):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def own_python(tmp_path_factory):
    """The Python of a new environment that sees all packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    python(sys.executable, "-m", "venv", "--without-pip", folder)
    (program,) = [one for one in folder.rglob("python*") if one.name in ("python", "python.exe")]
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = python(program, "-c", code).strip()
    here = [path for path in sys.path if "site-packages" in path]
    with open(os.path.join(site, "outer.pth"), "w") as file:
        file.writelines(f"import site; site.addsitedir({path!r})\n" for path in here)
    return program


def test_the_tests_of_new_packages_pass(bench, own_python, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in PLUGINS:
        code, out, _ = bench("new", kind, f"my-{kind}")
        assert code == 0
        assert f"pip install -e bench-my-{kind}" in out
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == 3
    words = [word for folder in folders for word in ("-e", folder)]
    options = ["--python", own_python, "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    python(sys.executable, "-m", "pip", *options, *words)
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull]
    out = python(own_python, *words, "--rootdir", tmp_path, *(folder / "tests" for folder in folders))
    assert "passed" in out
    assert "failed" not in out


@pytest.mark.parametrize("kind", PLUGINS)
def test_a_new_package_declares_its_class(kind):
    content = package(kind, "a-2d-thing")
    about = tomllib.loads(content["pyproject.toml"])
    assert about["project"]["entry-points"] == {
        f"bench.{PLUGINS[kind][0]}": {"a-2d-thing": "bench_a_2d_thing:A2dThing"}
    }
    module = ast.parse(content["src/bench_a_2d_thing/__init__.py"])
    assert "A2dThing" in {node.name for node in module.body if isinstance(node, ast.ClassDef)}
    assert PLUGINS[kind][0] in BASES
    assert "$" not in "".join(content.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["extractor", "Mine"], "'Mine'"),
        (["extractor", "a--b"], "'a--b'"),
        (["task", "../up"], "'../up'"),
        (["extractor", "mfcc"], "bench ls extractors mfcc"),
        (["recommender", "knn"], "bench ls recommenders knn"),
        (["task", "recommenders"], "bench-recommenders"),
        (["task", "mine", "--out", "full"], "--out full"),
        (["engine", "mine"], "'engine'"),
    ],
)
def test_what_is_refused(bench, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, _, err = bench("new", *words)
    assert code == 1
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
