"""Find and create plugins through entry points.

Built-in plugins use the same entry point groups as third-party ones. A plugin is imported when it is first
used; one that cannot be imported is listed with its error.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from inspect import signature
from typing import Any, Literal, TypeVar, cast

from bench.errors import BenchError, did_you_mean
from bench.protocols import LANES, Dataset, Engine, Extractor, Lane, Objective, Plugin, Recommender, TableSource, Task
from bench.specs import Spec, parse, settings_from

P = TypeVar("P", bound=Plugin)
Kind = Literal["extractors", "recommenders", "objectives", "tasks", "datasets", "engines"]
KINDS: tuple[Kind, ...] = ("extractors", "recommenders", "objectives", "tasks", "datasets", "engines")
BASES: Mapping[Kind, tuple[type[Plugin], ...]] = {
    "extractors": (Extractor, TableSource),
    "recommenders": (Recommender,),
    "objectives": (Objective,),
    "tasks": (Task,),
    "datasets": (Dataset,),
    "engines": (Engine,),
}
"""What a plugin of each kind inherits from."""


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from; recorded with every result."""

    name: str
    target: str
    package: str
    version: str


@dataclass(frozen=True)
class Entry:
    """One row of ``bench ls``: the class, or the error of its import."""

    origin: Origin
    plugin: type[Any] | None
    error: str | None


@cache
def _points(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by name; a name has several if packages conflict."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"bench.{kind}"):
        same = found.setdefault(point.name, [])
        # An editable install can list the same target twice, which is not a conflict.
        if all(point.value != other.value for other in same):
            same.append(point)
    return dict(sorted(found.items()))


def names(kind: Kind) -> list[str]:
    """Return the names of installed plugins of a kind, sorted."""
    return list(_points(kind))


def origin(kind: Kind, name: str) -> Origin:
    """Return the distribution that provides a plugin."""
    return _origin(_point(kind, name))


def get(kind: Kind, name: str) -> type[Any]:
    """Import a plugin's class.

    Raises
    ------
    BenchError
        The name is unknown or used by two packages, the import of the plugin fails, or the plugin is not a class
        of its kind or lacks methods. The message suggests similar names, or names the package.

    """
    point = _point(kind, name)
    where = _origin(point)
    who = f"the {kind[:-1]} {name!r} of {where.package} {where.version}"
    try:
        found: type[Any] = point.load()
    except Exception as error:  # a third party's module may raise anything
        raise BenchError(f"{who} cannot be imported from {point.value}: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, BASES[kind])):
        bases = " or ".join(base.__name__ for base in BASES[kind])
        raise BenchError(f"{who}: {point.value} does not inherit from {bases} of bench.protocols.")
    if unwritten := sorted(cast("Any", found).__abstractmethods__):
        raise BenchError(f"{who} lacks {_listed(unwritten)}. Write in class {point.value}: {_stubs(found, unwritten)}")
    if not is_dataclass(found.Settings):
        raise BenchError(f"{who}: Settings of {point.value} is no dataclass.")
    return found


def make(cls: type[P], settings: Any) -> P:
    """Make a plugin of a class that `get` returned.

    Raises
    ------
    BenchError
        When it takes no settings, or lacks a declaration.

    """
    who = f"the plugin {cls.__module__}.{cls.__qualname__}"
    try:
        signature(cls).bind(settings)
    except TypeError as error:
        raise BenchError(f"{who} takes no settings ({error}). Write: def __init__(self, settings)") from error
    plugin = cls(settings)
    if lacking := [name for name in cls.REQUIRED if not hasattr(plugin, name)]:
        examples = "; ".join(f"{name} = {cls.REQUIRED[name]}" for name in lacking)
        raise BenchError(
            f"{who} does not declare {_listed(lacking)}. "
            f"Write in the class, or set in its __init__, such as: {examples}"
        )
    return plugin


def create(kind: Kind, spec: Spec | str, *, lane: Lane = "corrected") -> Any:
    """Create a plugin from a spec, with validated settings and the run's lane.

    The lane is passed to settings with a field `lane`. Raises BenchError if the plugin does not support the
    lane, a setting is wrong, or a library is missing; the message then has the command that installs it.
    """
    spec = parse(spec) if isinstance(spec, str) else spec
    cls = get(kind, spec.name)
    settings_cls = cls.Settings
    has_lane = "lane" in (field.name for field in fields(settings_cls))
    wanted = spec.settings.get("lane", lane)
    if wanted not in LANES:
        raise BenchError(f"{spec}: lane={wanted} is not one of {', '.join(LANES)}.")
    if wanted not in cls.lanes:
        raise BenchError(
            f"{spec.name} has no {wanted} lane; it has: {', '.join(cls.lanes)}. "
            f"Leave out --lane {wanted}, or give another {kind[:-1]}."
        )
    typed = spec.with_default("lane", wanted) if has_lane else spec.without("lane")
    plugin = make(cls, settings_from(settings_cls, typed))
    if missing := missing_libraries(plugin):  # of the instance, since settings can make a library unnecessary
        raise BenchError(f"{spec.name} needs {', '.join(missing)}: {install_line(cls)}")
    plugin.lane = wanted
    return plugin


def lane_of(plugin: Any) -> Lane:
    """Return the lane of a plugin: the one in its spec, or else the run's."""
    return cast("Lane", plugin.lane)


def catalog(kind: Kind) -> list[Entry]:
    """Import and return all plugins of a kind; entries of broken plugins have an error."""
    entries = []
    for name, points in _points(kind).items():
        where = _origin(points[0])
        if len(points) > 1:
            claimed = " and ".join(f"{_origin(p).package} ({p.value})" for p in points)
            entries.append(Entry(where, None, f"claimed by {claimed}: uninstall one"))
            continue
        try:
            entries.append(Entry(where, get(kind, name), None))
        except BenchError as error:
            entries.append(Entry(where, None, str(error)))
    return entries


def missing_libraries(plugin: Plugin | type[Plugin]) -> list[str]:
    """Return the modules required by a plugin or its class that are not installed, without importing any."""
    return [name for name in plugin.requires if importlib.util.find_spec(name) is None]


def install_line(cls: type[Plugin]) -> str:
    """Return the command that installs a plugin's libraries."""
    if cls.install:
        return cls.install
    if cls.extra:
        return f"pip install 'music-embedding-bench[{cls.extra}]'"
    return f"pip install {' '.join(cls.requires)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _stubs(cls: type[Any], methods: Sequence[str]) -> str:
    """Return the first lines of methods as the base class has them."""
    return "; ".join(f"def {name}{signature(getattr(cls, name))}".replace("'", "") for name in methods)


def _point(kind: Kind, name: str) -> EntryPoint:
    points = _points(kind).get(name)
    if not points:
        raise BenchError(f"no {kind[:-1]} is called {name!r}.{did_you_mean(name, _points(kind))}")
    if len(points) > 1:
        claimed = " and ".join(f"{_origin(p).package} ({p.value})" for p in points)
        raise BenchError(f"the {kind[:-1]} {name!r} is claimed by {claimed}. Uninstall one of them.")
    return points[0]


def _origin(point: EntryPoint) -> Origin:
    return Origin(point.name, point.value, *_package(point.dist))


@cache
def _package(dist: Distribution | None) -> tuple[str, str]:
    """Return the name and version of a distribution, whose metadata file is parsed once."""
    if dist is None:
        return "unknown", "unknown"
    about = dist.metadata
    return about["Name"], about["Version"]
