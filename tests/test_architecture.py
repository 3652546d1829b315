"""Each floor uses only floors below it; plugins know the ground floor alone; nobody imports a plugin."""

import ast
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {
        "errors",
        "files",
        "formats",
        "protocols",
        "text",
        "__init__",
        "weights",
        "devices",
        "memory",
        "norms",
        "terminal",
        "machine",
    },
    {
        "specs",
        "audio",
        "store",
        "listening",
        "splits",
        "datasets",
        "holdout",
        "synthetic",
        "metrics",
        "stats",
        "records",
        "training",
        "published",
    },
    {"registry", "treatments", "items", "ranking", "extract", "tasks", "report", "entries", "resolver"},
    {"probes", "run", "recipes", "submit", "testing"},
    {"api", "cli", "__main__"},
]
# Within a floor a room may also use the rooms named here, never in a circle.
NEIGHBOURS = {
    "files": {"errors", "machine"},
    "devices": {"errors"},
    "formats": {"errors"},
    "protocols": {"errors", "files", "weights"},
    "weights": {"errors", "files", "formats"},
    "memory": {"machine"},
    "audio": {"listening"},
    "splits": {"listening", "specs"},
    "datasets": {"holdout", "listening", "synthetic"},
    "holdout": {"audio"},
    "records": {"metrics", "stats"},
    "terminal": {"text"},
    "published": {"records", "splits"},
    "items": {"entries", "extract", "treatments"},
    "entries": {"registry"},
    "resolver": {"entries", "registry", "treatments"},
    "run": {"probes"},
    "recipes": {"run"},
    "testing": {"run"},
    "__main__": {"cli"},
    "api": {"cli"},
}
GROUND = FLOORS[0] | FLOORS[1]


def modules():
    for folder in ("bench", "extractors", "recommenders"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path):
    """Names of bench's rooms and of plugin packages that a module imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "bench":
                yield from (f"bench.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room(dotted):
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def floor(name):
    return next((level for level, rooms in enumerate(FLOORS) if name in rooms), None)


def test_every_room_has_a_floor():
    for path in (ROOT / "bench").iterdir():
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists()):
            assert floor(path.stem) is not None, f"{path.name} stands on no floor"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    place = path.relative_to(ROOT).parts
    for dotted in imported(path):
        top = dotted.split(".")[0]
        assert top not in ("bench_extractors", "bench_recommenders"), f"{path}: plugins are found by the registry"
        if top != "bench":
            continue
        target = room(dotted)
        if target.startswith("_"):  # bench.__version__
            continue
        if place[0] != "bench":
            assert target in GROUND, f"{path}: a plugin may use only the ground floor, not bench.{target}"
            continue
        own = Path(place[1]).stem
        if target == own or (level := floor(target)) is None:
            continue
        below = level < floor(own) or target in NEIGHBOURS.get(own, set())
        assert below, f"{path}: bench.{own} (floor {floor(own)}) must not use bench.{target} (floor {level})"


def test_every_package_folder_is_shipped():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {
        ".".join((prefix + top, *path.parent.relative_to(ROOT / top).parts))
        for top, prefix in (("bench", ""), ("extractors", "bench_"), ("recommenders", "bench_"))
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert folders == listed


def dotted(path):
    parts = list(path.with_suffix("").parts)
    if parts[0] != "bench":
        parts[0] = f"bench_{parts[0]}"
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def edges(path, known):
    """Modules that a module imports, in functions and for type checking, too."""
    own = dotted(path).split(".")
    package = own if path.name == "__init__.py" else own[:-1]
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in known or base in known:
                    yield inner if inner in known else base


def test_no_import_circle():
    files = {dotted(path.relative_to(ROOT)): path.relative_to(ROOT) for path in modules()}
    graph = {name: set(edges(path, files)) - {name} for name, path in files.items()}
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import one another: {' <- '.join(error.args[1])}")
    assert set(order) == set(files)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_long(path):
    assert len(path.read_text().splitlines()) <= 300
