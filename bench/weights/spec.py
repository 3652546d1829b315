"""What a plugin says of the pretrained files it reads: where they are, what they hash to, who may use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Convert = Callable[[Mapping[str, Path]], "Mapping[str, NDArray[np.generic]]"]
"""Member name -> path, for all members of one part, to tensor name -> array: what is stored."""
PIP = "pip:"
"""Begins the origin of a wheel that pip fetches: ``pip:musicnn==0.1.0``."""


@dataclass(frozen=True)
class Source:
    """One file as its publisher offers it.

    file : its name
    origin : ``pip:PACKAGE==VERSION`` for a wheel, or an https URL that names a revision
    sha256 : None when no hash of it was ever published or measured: the first one seen is recorded
    bytes : None when unknown
    members : of a wheel or zip, what is taken out: path inside -> sha256; empty: the file itself
    """

    file: str
    origin: str
    sha256: str | None = None
    bytes: int | None = None
    members: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The origin in words: of a file on a hub, the repository and the first digits of its revision."""
        if self.origin.startswith(PIP):
            return f"PyPI ({self.origin.removeprefix(PIP)})"
        repository, on_hub, rest = self.origin.removeprefix("https://").partition("/resolve/")
        return f"{repository} ({rest.partition('/')[0][:7]})" if on_hub else self.origin

    @property
    def contents(self) -> Mapping[str, str | None]:
        """Member name -> sha256 of everything that this file brings."""
        return self.members or {self.file: self.sha256}


@dataclass(frozen=True)
class Part:
    """One model's tensors, kept as one safetensors file.

    name : as in the extractor's setting, such as ``msd``
    members : what it is made of; names of `Source.contents`
    sha256 : of the safetensors file; None when the source's hash is unknown, too
    trained_on : data sets
    """

    name: str
    members: Sequence[str]
    sha256: str | None = None
    trained_on: Sequence[str] = ()


@dataclass(frozen=True)
class Weights:
    """One row of ``bench weights ls``.

    name : what ``bench weights pull`` takes
    license : of the weights, which may differ from the code's
    non_commercial : the licence forbids commercial use: shown in `ls`, in records and in reports
    automatic : small and free enough to be fetched on first use without being asked
    """

    name: str
    license: str
    sources: Sequence[Source]
    parts: Sequence[Part]
    convert: Convert = field(repr=False)
    non_commercial: bool = False
    automatic: bool = False

    def part(self, name: str) -> Part:
        """Return the part of that name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def bytes(self) -> int | None:
        """How much is fetched, as far as it is known; None when nothing is."""
        return sum(source.bytes or 0 for source in self.sources) or None

    @property
    def terms(self) -> str:
        """The licence, and whether it forbids commercial use."""
        return f"{self.license}, non-commercial" if self.non_commercial else self.license

    @property
    def described(self) -> str:
        """Files, size and licence, for messages: ``a.whl (29.3 MB, ISC)``."""
        files = " and ".join(source.file for source in self.sources)
        size = f"{self.bytes / 1e6:.1f} MB, " if self.bytes else ""
        return f"{files} ({size}{self.terms})"

    @property
    def origins(self) -> str:
        """Where the files come from, in words."""
        return " and ".join(dict.fromkeys(source.where for source in self.sources))
