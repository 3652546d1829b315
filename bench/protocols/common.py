"""What plugins of every kind share: a name, a version, settings, lanes and the libraries they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Lane = Literal["published", "corrected"]
LANES: tuple[Lane, ...] = ("published", "corrected")

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")

NAMES = "names"
FILE = {NAMES: "file"}
"""Metadata of a settings field whose value names a file to read, as in ``path: str = field(metadata=FILE)``."""
PROGRAM = {NAMES: "program"}
"""Metadata of a settings field whose value names a program. ``bench run --from`` uses neither without ``--trust``."""
WORDS = "words"


def file_or(*words: str) -> dict[str, Any]:
    """Return the metadata of a settings field whose value names a file to read, unless it is one of `words`."""
    return {NAMES: "file", WORDS: words}


def named_by(metadata: Mapping[str, Any], value: str) -> str | None:
    """Return what the value of a settings field with this metadata names: ``file``, ``program``, or None."""
    return None if value in metadata.get(WORDS, ()) else metadata.get(NAMES)


@dataclass(frozen=True)
class NoSettings:
    """The settings of a plugin that has none."""


class Plugin:
    """What plugins of every kind declare, in the class or in ``__init__``.

    `bench.registry.get` refuses a class that leaves an abstract method unwritten, and
    `bench.registry.create` an instance that lacks a declaration of `REQUIRED`. Both errors say what to write.
    """

    REQUIRED: ClassVar[Mapping[str, str]] = {"name": '"mine"'}
    """The declarations without a default, each with an example of its value."""
    Settings: ClassVar[type[Any]] = NoSettings
    """A frozen dataclass: ``NAME:key=value`` sets its fields. A field `lane` receives the lane of the run."""
    name: str
    version: str = "1"
    """Raise it when the plugin's numbers can change: results of an earlier version are then computed anew."""
    lanes: Sequence[Lane] = LANES
    lane: Lane = "corrected"
    """The lane that the registry made the plugin for."""
    requires: Sequence[str] = ()
    """Modules that must be importable; an instance whose settings spare one may shorten the list."""
    extra: str | None = None
    """The extra of this project that installs `requires`."""
    install: str | None = None
    """The command that installs `requires`, where neither an extra nor ``pip install`` of their names does."""
    settings: Any

    def __init__(self, settings: Any = None) -> None:
        """Keep the settings (None: the defaults); read and load nothing."""
        self.settings = self.Settings() if settings is None else settings
