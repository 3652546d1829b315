"""Descriptions of pretrained weights that plugins declare: origin, hashes and licence of their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Convert = Callable[[Mapping[str, Path]], "Mapping[str, NDArray[np.generic]]"]
"""Function from member name -> path (all members of one part) to tensor name -> array, which is stored."""
PIP = "pip:"
"""Prefix of the origin of a wheel that pip downloads: ``pip:musicnn==0.1.0``."""
GITHUB = "https://raw.githubusercontent.com/"
"""Prefix of the origin of a file in a repository: ``GITHUB/OWNER/NAME/REVISION/PATH``."""


@dataclass(frozen=True)
class Source:
    """One published file.

    file : file name
    origin : ``pip:PACKAGE==VERSION`` for a wheel, or an https URL with a fixed revision
    sha256 : None if the hash is unknown; the hash of the first file is then recorded
    bytes : size; None if unknown
    members : path inside a wheel or zip -> sha256 of the members to extract; empty: the file itself is used
    """

    file: str
    origin: str
    sha256: str | None = None
    bytes: int | None = None
    members: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The origin for messages; for a file on a hub, the repository and the first digits of its revision."""
        if self.origin.startswith(PIP):
            return f"PyPI ({self.origin.removeprefix(PIP)})"
        if self.origin.startswith(GITHUB):
            owner, name, revision, *_ = self.origin.removeprefix(GITHUB).split("/")
            return f"github.com/{owner}/{name} ({revision[:7]})"
        repository, on_hub, rest = self.origin.removeprefix("https://").partition("/resolve/")
        return f"{repository} ({rest.partition('/')[0][:7]})" if on_hub else self.origin

    @property
    def contents(self) -> Mapping[str, str | None]:
        """Member name -> sha256 of the members, or of the file itself if it has none."""
        return self.members or {self.file: self.sha256}


@dataclass(frozen=True)
class Part:
    """The tensors of one model, stored in one safetensors file.

    name : as in the extractor's setting, such as ``msd``
    members : names in `Source.contents` from which it is converted
    sha256 : of the safetensors file; None if the source's hash is unknown, too
    trained_on : names of the training data sets
    """

    name: str
    members: Sequence[str]
    sha256: str | None = None
    trained_on: Sequence[str] = ()


@dataclass(frozen=True)
class Weights:
    """Pretrained weights; one row of ``bench weights ls``.

    name : argument of ``bench weights pull``
    license : licence of the weights, which may differ from that of the code
    non_commercial : whether the licence forbids commercial use; shown in `ls`, in records and in reports
    automatic : whether the weights are downloaded on first use, because they are small and free
    """

    name: str
    license: str
    sources: Sequence[Source]
    parts: Sequence[Part]
    convert: Convert = field(repr=False)
    non_commercial: bool = False
    automatic: bool = False

    def part(self, name: str) -> Part:
        """Return the part with that name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def bytes(self) -> int | None:
        """Size of all files with known size; None if no size is known."""
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
        """The origins of the files, for messages."""
        return " and ".join(dict.fromkeys(source.where for source in self.sources))
