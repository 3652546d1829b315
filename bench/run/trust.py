"""Find programs and files that a record names: an untrusted record must not choose what is run or read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from bench.protocols import named_by
from bench.registry import Kind, get
from bench.run.options import Data, Request
from bench.run.probe.request import ProbeRequest
from bench.run.recommend.request import RecommendRequest
from bench.specs import VIEW, parse, parse_sum

RequestT = TypeVar("RequestT", bound=Request)


def named(request: Request) -> list[str]:
    """Return a line for each program or file that a request names, including those of controls.

    A plugin declares such settings with ``field(metadata=FILE)`` or ``PROGRAM`` of `bench.protocols`. This reads no
    file and creates no plugin, because creating one may already start a program.

    Raises
    ------
    BenchError
        For a spec that cannot be read, or a plugin that is not installed.

    """
    found: list[str] = []
    for text in request.extractors:
        found += _of_extractor(text)
    if isinstance(request, RecommendRequest):
        found += _of_extractor(request.reference) if request.reference else []
        for text in request.models:
            found += _of_spec("recommenders", text)
    if isinstance(request, ProbeRequest):
        for text in request.tasks:
            found += _of_spec("tasks", text)
        found += [f"--root {request.root} (a folder)"] if request.root else []
    paths = {name: getattr(request.data, name) for name in ("root", "listens", "audio", "meta")}
    found += [f"--{name} {path} (a file or folder)" for name, path in paths.items() if path]
    return list(dict.fromkeys(found))


def with_data(request: RequestT, data: Data) -> RequestT:
    """Return the request with its data options replaced by the given ones."""
    return _data(request, {name: value for name, value in asdict(data).items() if value is not None})


def without_data(request: RequestT, data: Data) -> RequestT:
    """Return the request without the given data options, so that the remaining ones come from the record."""
    return _data(request, {name: None for name, value in asdict(data).items() if value is not None})


def _data(request: RequestT, changes: dict[str, str | None]) -> RequestT:
    if isinstance(request, ProbeRequest) and request.root is not None and "root" in changes:
        request = replace(request, root=changes.pop("root"))  # the root of the tasks' data, not of the dataset
    return replace(request, data=replace(request.data, **changes))


def _of_extractor(text: str) -> Iterator[str]:
    for spec in parse_sum(text):
        yield from _of_spec("extractors", str(spec.without(*VIEW)))
        if (of := spec.settings.get("of")) is not None:
            yield from _of_extractor(of)


def _of_spec(kind: Kind, text: str) -> Iterator[str]:
    spec = parse(text)
    declared: dict[str, Any] = {field.name: field.metadata for field in fields(get(kind, spec.name).Settings)}
    for key, value in spec.settings.items():
        if what := named_by(declared.get(key, {}), value):
            yield f"{spec.name}:{key}={value} (a {what})"
