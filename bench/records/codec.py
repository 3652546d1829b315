"""Convert between dataclasses and JSON values, check types and `bench.records.limits`, and report paths of errors.

A field without a default, or with a default factory, is always written. A field with a plain default is omitted
if it has the default value. None in a field marked `EmptyObject` is written as an empty object.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from bench.records.invalid import InvalidValueError, Repeated
from bench.records.limits import DEEPEST, EmptyObject, Free, Length, Range, Text, shown

T = TypeVar("T")
Decoder = Callable[[Any], Any]
_ANY = Length()
_SHORT = 200
"""Maximum characters of a text that is remembered as valid."""


def decode(cls: type[T], value: Any) -> T:
    """Return an instance of a dataclass from plain JSON values.

    Raises
    ------
    InvalidValueError
        For a value of a wrong type or outside its limits, and for an unknown, missing or repeated field.

    """
    return cast("T", decoder(cast("Any", cls))(value))


def encode(value: Any) -> Any:
    """Return plain JSON values from a dataclass."""
    if is_dataclass(value):
        held = {one.name: getattr(value, one.name) for one in fields(value)}
        left_out = {one.name for one in fields(value) if not is_required(one) and held[one.name] == one.default}
        empty = _empty_objects(cast("Any", type(value)))
        return {
            name: {} if each is None and name in empty else encode(each)
            for name, each in held.items()
            if name not in left_out
        }
    if isinstance(value, dict):
        return {key: encode(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [encode(each) for each in value]
    return value


def hints(cls: type[Any]) -> dict[str, Any]:
    """Return the types of a dataclass's fields, including limits."""
    return get_type_hints(cls, include_extras=True)


def is_required(field: Field[Any]) -> bool:
    """Whether a field is always written."""
    return field.default is MISSING


def split_limits(hint: Any) -> tuple[Any, list[Any]]:
    """Return the type inside ``Annotated`` and its limits."""
    return (get_args(hint)[0], list(hint.__metadata__)) if get_origin(hint) is Annotated else (hint, [])


def optional(hint: Any) -> Any:
    """Return X for ``X | None``, and None for other types."""
    if get_origin(hint) not in (Union, UnionType):
        return None
    (inner,) = [one for one in get_args(hint) if one is not NoneType]
    return inner


@cache
def decoder(hint: Any) -> Decoder:
    """Return the function that decodes values of a type."""
    base, limits = split_limits(hint)
    if Free() in limits:
        return _free
    if (inner := optional(base)) is not None:
        return _optional(decoder(inner), empty=EmptyObject() in limits)
    if is_dataclass(base):
        return _object(cast("type[Any]", base))
    args, length = get_args(base), next((one for one in limits if isinstance(one, Length)), Length())
    match get_origin(base) or base:
        case origin if origin is Literal:
            return _choice(args)
        case origin if origin is tuple and args[-1] is ...:
            return _list(decoder(args[0]), length)
        case origin if origin is tuple:
            return _fixed([decoder(one) for one in args])
        case origin if origin is dict:
            return _mapping(decoder(args[0]), decoder(args[1]), length)
        case origin if origin is str:
            return _text(next(one for one in limits if isinstance(one, Text)))
        case origin if origin is bool:
            return _flag
        case origin:
            return _number(next((one for one in limits if isinstance(one, Range)), Range()), whole=origin is int)


def _text(limit: Text) -> Decoder:
    pattern = re.compile(limit.pattern) if limit.pattern else None

    def check(value: str) -> str:
        if (why := limit.wrong(value)) or (pattern and not pattern.fullmatch(value)):
            raise InvalidValueError(why or f"{shown(value)} is not of the form {limit.pattern}")
        return value

    known = lru_cache(10_000)(check)  # records repeat names, hashes and texts

    def read(value: Any) -> str:
        if type(value) is not str:
            raise InvalidValueError(f"{shown(value)} is not text")
        return known(value) if len(value) <= _SHORT else check(value)

    return read


def _number(limit: Range, *, whole: bool) -> Decoder:
    low, high = limit.low, limit.high

    def read(value: Any) -> Any:
        kind = type(value)
        if kind is not int and (whole or kind is not float):
            raise InvalidValueError(f"{shown(value)} is not a {'whole ' if whole else ''}number")
        if low <= value <= high:
            return value
        raise InvalidValueError(limit.wrong(value) or "not a number")

    return read


def _flag(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise InvalidValueError(f"{shown(value)} is neither true nor false")


def _choice(choices: tuple[Any, ...]) -> Decoder:
    def read(value: Any) -> Any:
        for one in choices:
            if type(value) is type(one) and value == one:
                return one
        raise InvalidValueError(f"{shown(value)} is none of {', '.join(map(str, choices))}")

    return read


def _optional(inner: Decoder, *, empty: bool) -> Decoder:
    def read(value: Any) -> Any:
        return None if value is None or (empty and value == {}) else inner(value)

    return read


def _list(inner: Decoder, length: Length) -> Decoder:
    def read(value: Any) -> tuple[Any, ...]:
        _check_list(value, length)
        out = []
        try:
            for each in value:
                out.append(inner(each))  # noqa: PERF401  # its length gives the index of an invalid entry
        except InvalidValueError as error:
            raise error.inside(len(out)) from None
        return tuple(out)

    return read


def _fixed(each: list[Decoder]) -> Decoder:
    entries = Length(len(each), len(each))

    def read(value: Any) -> tuple[Any, ...]:
        _check_list(value, entries)
        at = 0
        try:
            out = []
            for at, inner in enumerate(each):
                out.append(inner(value[at]))
            return tuple(out)
        except InvalidValueError as error:
            raise error.inside(at) from None

    return read


def _check_list(value: Any, length: Length = _ANY) -> None:
    if not isinstance(value, list | tuple):
        raise InvalidValueError(f"{shown(value)} is not a list")
    if not length.least <= len(value) <= length.most:
        raise InvalidValueError(f"a list of {len(value):,} entries, not {length.least:,} to {length.most:,}")


def _check_object(value: Any, length: Length = _ANY) -> None:
    if not isinstance(value, dict):
        raise InvalidValueError(f"{shown(value)} is not an object")
    if isinstance(value, Repeated):
        raise InvalidValueError("stands twice", value.twice)
    if len(value) > length.most:
        raise InvalidValueError(f"an object of {len(value):,} entries, more than {length.most:,}")


def _mapping(key: Decoder, inner: Decoder, length: Length) -> Decoder:
    def read(value: Any) -> dict[Any, Any]:
        _check_object(value, length)
        out = {}
        name = ""
        try:
            for name, each in value.items():
                out[key(name)] = inner(each)
        except InvalidValueError as error:
            raise error.inside(name) from None
        return out

    return read


def _object(cls: type[Any]) -> Decoder:
    known = {name: decoder(hint) for name, hint in hints(cls).items()}
    needed = {one.name for one in fields(cls) if is_required(one)}

    def read(value: Any) -> Any:
        _check_object(value)
        for name in value.keys() - known.keys():
            raise InvalidValueError("an unknown field", name)
        for name in needed - value.keys():
            raise InvalidValueError("is missing", name)
        out = {}
        name = ""
        try:
            for name, each in value.items():
                out[name] = known[name](each)
        except InvalidValueError as error:
            raise error.inside(name) from None
        return cls(**out)

    return read


_KEY, _free_text, _free_number = Text(4_000), _text(Text()), _number(Range(), whole=False)


def _free(value: Any, depth: int = 0) -> Any:
    """Read any JSON value."""
    if type(value) is str:
        return _free_text(value)
    if type(value) in (int, float):
        return _free_number(value)
    why = None
    if depth > DEEPEST:
        why = f"more than {DEEPEST} levels of lists and objects"
    elif isinstance(value, dict | list | tuple):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        (_check_object if isinstance(value, dict) else _check_list)(value)
        key: Any = None
        try:
            for key, each in entries:
                if type(key) is str and (why := _KEY.wrong(key)):
                    break
                _free(each, depth + 1)
        except InvalidValueError as error:
            raise error.inside(key) from None
    elif value is not None and type(value) is not bool:
        why = f"{type(value).__name__} is no JSON value"
    if why:
        raise InvalidValueError(why)
    return value


@cache
def _empty_objects(cls: type[Any]) -> frozenset[str]:
    """Return the fields in which None is written as an empty object."""
    return frozenset(name for name, hint in hints(cls).items() if EmptyObject() in split_limits(hint)[1])
