"""Plugins by entry point: found lazily, an unknown name answered with "did you mean", origin kept.

Built-in plugins use the same groups as everybody's. Nothing is imported until a plugin is used, and a
plugin that cannot be imported is a row with its error, never a crash.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, cast

from bench.errors import BenchError, did_you_mean
from bench.protocols import LANES, Lane
from bench.specs import Spec, parse, settings_from

Kind = Literal["extractors", "recommenders", "tasks", "datasets", "engines"]
KINDS: tuple[Kind, ...] = ("extractors", "recommenders", "tasks", "datasets", "engines")


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from: written into every record that used it."""

    name: str
    target: str
    package: str
    version: str


@dataclass(frozen=True)
class Entry:
    """One row of ``bench ls``: the class, or the reason why there is none."""

    origin: Origin
    plugin: type[Any] | None
    error: str | None


@cache
def _points(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Every entry point of a group, by name; two targets under one name are kept apart."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"bench.{kind}"):
        same = found.setdefault(point.name, [])
        # An editable install and its build leftovers may list one target twice: that is no conflict.
        if all(point.value != other.value for other in same):
            same.append(point)
    return dict(sorted(found.items()))


def names(kind: Kind) -> list[str]:
    """Return the installed plugin names of a kind, sorted."""
    return list(_points(kind))


def origin(kind: Kind, name: str) -> Origin:
    """Say which distribution a plugin came from."""
    return _origin(_point(kind, name))


def get(kind: Kind, name: str) -> type[Any]:
    """Import a plugin's class.

    Raises
    ------
    BenchError
        For an unknown name (with the nearest ones), a name that two packages claim, or a plugin whose
        import fails (with the package to blame).

    """
    point = _point(kind, name)
    try:
        return cast("type[Any]", point.load())
    except Exception as error:  # a third party's module may raise anything
        where = _origin(point)
        raise BenchError(
            f"the {kind[:-1]} {name!r} of {where.package} {where.version} cannot be imported from "
            f"{point.value}: {type(error).__name__}: {error}"
        ) from error


def create(kind: Kind, spec: Spec | str, *, lane: Lane = "corrected") -> Any:
    """Make a plugin from a spec, with validated settings and the run's lane where it knows lanes.

    A plugin whose settings have a field `lane` is told; every plugin must list the lane among its
    `lanes`. Missing libraries are reported with the command that installs them.
    """
    spec = parse(spec) if isinstance(spec, str) else spec
    cls = get(kind, spec.name)
    settings_cls = cls.Settings
    aware = "lane" in getattr(settings_cls, "__dataclass_fields__", {})
    wanted = spec.settings.get("lane", lane)
    if wanted not in LANES:
        raise BenchError(f"{spec}: lane={wanted} is not one of {', '.join(LANES)}.")
    if wanted not in cls.lanes:
        raise BenchError(
            f"{spec.name} has no {wanted} lane; it has: {', '.join(cls.lanes)}. "
            f"Leave out --lane {wanted}, or give another {kind[:-1]}."
        )
    typed = spec.with_default("lane", wanted) if aware else spec.without("lane")
    plugin = cls(settings_from(settings_cls, typed))
    if missing := missing_libraries(plugin):  # of the instance: settings may spare a library
        raise BenchError(f"{spec.name} needs {', '.join(missing)}: {install_line(cls)}")
    plugin.lane = wanted
    return plugin


def lane_of(plugin: Any) -> Lane:
    """Return the lane a plugin was made for: the one in its spec, or the run's."""
    return cast("Lane", plugin.lane)


def catalog(kind: Kind) -> list[Entry]:
    """Return every plugin of a kind, importing each; a broken one is an entry with its error."""
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


def missing_libraries(plugin: Any) -> list[str]:
    """Return the declared modules of a plugin, or of its class, that cannot be found; none is imported."""
    return [name for name in plugin.requires if importlib.util.find_spec(name) is None]


def install_line(cls: type[Any]) -> str:
    """Return the command that brings a plugin's libraries."""
    if install := getattr(cls, "install", None):
        return str(install)
    if cls.extra:
        return f"pip install 'music-embedding-bench[{cls.extra}]'"
    return f"pip install {' '.join(cls.requires)}"


def _point(kind: Kind, name: str) -> EntryPoint:
    points = _points(kind).get(name)
    if not points:
        raise BenchError(f"no {kind[:-1]} is called {name!r}.{did_you_mean(name, _points(kind))}")
    if len(points) > 1:
        claimed = " and ".join(f"{_origin(p).package} ({p.value})" for p in points)
        raise BenchError(f"the {kind[:-1]} {name!r} is claimed by {claimed}. Uninstall one of them.")
    return points[0]


def _origin(point: EntryPoint) -> Origin:
    dist = point.dist
    return Origin(point.name, point.value, dist.name if dist else "unknown", dist.version if dist else "unknown")
