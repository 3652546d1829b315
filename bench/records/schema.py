"""The JSON schema of a record, generated from its types. ``python -m bench.records.schema`` writes the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bench.files.atomic import write_text
from bench.records.codec import hints, is_required, optional, split_limits
from bench.records.limits import LARGEST_FLOAT, MOST, EmptyObject, Free, Length, Range, Text
from bench.records.record import SCHEMA_VERSION, SINCE, Record

FILE = Path(__file__).parent / "record.schema.json"


def schema() -> dict[str, Any]:
    """Return the schema of `bench.records.Record`."""
    definitions: dict[str, Any] = {}
    made = _object(Record, definitions)
    del definitions["Record"]
    versions = {n: {"properties": {"schema_version": {"maximum": n}}} for n in range(1, SCHEMA_VERSION)}
    probe = {"properties": {"kind": {"const": "probe"}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bench result record",
        "description": (
            "One cell: an item table, a recommender or probe, and a seed, on one split. Beside <name>.json, values of "
            "every user stand in <name>.users.parquet, ranks of every held-out item in <name>.ranks.parquet, and the "
            "answers of a probe in <name>.items.parquet."
        ),
        **made,
        "$defs": definitions,
        "allOf": [
            *(
                {"if": older, "then": {"not": _any_of(*(name for name, first in SINCE.items() if first == n + 1))}}
                for n, older in versions.items()
            ),
            {"if": versions[1], "else": _needs("content_sha256")},
            {
                "if": probe,
                "then": {"properties": {"k": {"maxItems": 0}, "data": _needs("task", "collection")}},
                "else": {"properties": {"k": {"minItems": 1}}},
            },
        ],
    }


def text() -> str:
    """Return the text of the schema file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _needs(*names: str) -> dict[str, Any]:
    return {"required": list(names)}


def _any_of(*names: str) -> dict[str, Any]:
    return {"anyOf": [_needs(name) for name in names]}


def _object(cls: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    types = hints(cls)
    made = {
        "type": "object",
        "description": (cls.__doc__ or "").strip().replace("\n    ", "\n"),
        "additionalProperties": False,
        "required": [one.name for one in fields(cls) if is_required(one)],
        "properties": {one.name: _of(types[one.name], definitions) for one in fields(cls)},
    }
    definitions[cls.__name__] = made
    return made


def _of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type."""
    base, limits = split_limits(hint)
    if Free() in limits:
        return {}
    if (inner := optional(base)) is not None:
        other = {"type": "object", "maxProperties": 0} if EmptyObject() in limits else {"type": "null"}
        return {"anyOf": [_of(inner, definitions), other]}
    if isinstance(base, type) and is_dataclass(base):
        if base.__name__ not in definitions:
            _object(base, definitions)
        return {"$ref": f"#/$defs/{base.__name__}"}
    args, length = get_args(base), next((one for one in limits if isinstance(one, Length)), Length())
    origin = get_origin(base) or base
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple and args[-1] is ...:
        return {"type": "array", "items": _of(args[0], definitions), "maxItems": length.most}
    if origin is tuple:
        items = [_of(one, definitions) for one in args]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin is dict:
        names, values = _of(args[0], definitions), _of(args[1], definitions)
        return {"type": "object", "propertyNames": names, "additionalProperties": values, "maxProperties": MOST}
    return _LEAVES[origin](next(iter(limits), None))


def _text(limit: Text) -> dict[str, Any]:
    pattern = {"pattern": f"^({limit.pattern})$"} if limit.pattern else {}
    return {"type": "string", "maxLength": limit.longest, **pattern}


def _number(kind: str) -> Callable[[Range | None], dict[str, Any]]:
    def made(limit: Range | None) -> dict[str, Any]:
        low = {"minimum": limit.low} if limit and limit.low > -LARGEST_FLOAT else {}
        high = {"maximum": limit.high} if limit and limit.high < LARGEST_FLOAT else {}
        return {"type": kind, **low, **high}

    return made


_LEAVES: dict[Any, Callable[[Any], dict[str, Any]]] = {
    str: _text,
    bool: lambda _: {"type": "boolean"},
    int: _number("integer"),
    float: _number("number"),
}

if __name__ == "__main__":
    write_text(FILE, text())
