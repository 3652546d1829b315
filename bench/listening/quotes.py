"""Quotes in delimited text: which ones enclose a value, and which ones are characters of it.

The rule is the same for all tables: a quote at the start of a value encloses the value, which ends at the next
quote that is not doubled. All other quotes are ordinary characters, as in ``12" mix``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST = 1 << 24
"""Bytes that a value in quotes may have at most, when it is longer than a block of text."""

_NEVER = "a quote opens a value, and none closes it"
_EARLY = "a quote opens a value, and the one that closes it is not at its end"
_QUOTE, _NEWLINE, _RETURN = b'"\n\r'
_ENCLOSED = re.compile(rb'"(?:[^"]++|"")*+"')


class QuoteError(Exception):
    """A value in quotes does not end properly; `line` is its line in the text, from 0."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


@dataclass(frozen=True)
class Cut:
    """The whole rows at the start of a text.

    text : the rows; values that contain quotes as characters are enclosed in quotes, for strict parsers
    rows : the number of rows, counted without a parser
    lines : the number of lines
    rest : the text after the rows, unchanged
    mended : whether `text` differs from what was read
    """

    text: bytes
    rows: int
    lines: int
    rest: bytes
    mended: bool = False

    def line_of(self, row: int) -> int:
        """Return the line (from 0) on which a row (from 0) begins."""
        _, _, outside = _marks(self.text)
        return int(np.flatnonzero(outside)[row - 1]) + 1 if row else 0


def lines_of(text: bytes, *, final: bool) -> Cut:
    """Cut a text in which each line is a row, with or without quotes, after its last whole line."""
    end = len(text) if final else text.rfind(b"\n") + 1
    whole = text[:end]
    count = int(np.count_nonzero(np.frombuffer(whole, np.uint8) == _NEWLINE)) + (whole[-1:] not in (b"", b"\n"))
    return Cut(whole, count, count, text[end:])


def cut(text: bytes, separator: str, *, final: bool) -> Cut:
    """Cut a text, which begins with a row, after its last whole row; `final`: the file ends with this text.

    Raises
    ------
    QuoteError
        A quote opens a value, and none closes it, or text follows the one that closes it.

    """
    if b'"' not in text:
        return lines_of(text, final=final)
    mark = separator.encode()
    quotes, newlines, outside = _marks(text)
    if _regular(text, quotes, mark[0], final):
        ends = newlines[outside]
        end = len(text) if final else int(ends[-1]) + 1 if ends.size else 0
        if quotes.size % 2 and (final or len(text) - end > LONGEST):
            raise QuoteError(text.count(b"\n", 0, int(quotes[-1])), _NEVER)
        whole, mended = text[:end], False
    else:
        mended = True
        whole, end = _mended(text, mark, final)
        _, newlines, outside = _marks(whole)
    more = whole[-1:] not in (b"", b"\n")
    within = int(np.searchsorted(newlines, len(whole)))
    return Cut(whole, int(outside[:within].sum()) + more, within + more, text[end:], mended)


def run_on(text: bytes, separator: str, columns: int) -> int | None:
    """Return the first line (from 0) of a row of several lines that all have enough values for a row, or None.

    Almost always these are several rows: a value in the first one starts with a quote that is an ordinary
    character, and a value in the last one ends with such a quote.
    """
    if b'"' not in text:
        return None
    _, newlines, outside = _marks(text)
    ends = np.append(newlines[outside], len(text))
    for row in np.unique(np.searchsorted(ends, newlines[~outside])):
        start = int(ends[row - 1]) + 1 if row else 0
        lines = text[start : int(ends[row])].split(b"\n")
        if all(line.count(separator.encode()) >= columns - 1 for line in lines):
            return text.count(b"\n", 0, start)
    return None


def _regular(text: bytes, quotes: NDArray[np.intp], mark: int, final: bool) -> bool:
    """Return whether each quote opens a value at its start, closes it at its end, or is one of a doubled pair.

    If the text is not `final`, quotes in its last two bytes are not checked, because what follows is not known.
    """
    data = np.frombuffer(text + b"\n\n", np.uint8)
    judged = quotes if final else quotes[quotes + 2 < len(text)]
    before, last = data[judged[::2] - 1], judged[1::2]  # before the first byte: the last one, a newline
    after = data[last + 1]
    if not ((before == mark) | (before == _NEWLINE) | (before == _QUOTE)).all():
        return False
    fine = (after == mark) | (after == _NEWLINE) | (after == _QUOTE)
    returns = last[~fine]
    return bool(((data[returns + 1] == _RETURN) & (data[returns + 2] == _NEWLINE)).all())


def _marks(text: bytes) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Return the positions of quotes and newlines, and which newlines are not enclosed in quotes."""
    data = np.frombuffer(text, np.uint8)
    quotes, newlines = np.flatnonzero(data == _QUOTE), np.flatnonzero(data == _NEWLINE)
    if quotes.size > newlines.size:
        return quotes, newlines, np.searchsorted(quotes, newlines) % 2 == 0
    outside = np.ones(newlines.size, np.bool_)
    lines = np.append(np.searchsorted(newlines, quotes), newlines.size)
    for pair in np.flatnonzero(lines[1::2] > lines[: quotes.size : 2]):
        outside[lines[2 * pair] : lines[2 * pair + 1]] = False
    return quotes, newlines, outside


def _mended(text: bytes, mark: bytes, final: bool) -> tuple[bytes, int]:
    """Enclose values that contain quotes as characters; return the whole rows, and their end in `text`."""
    out: list[bytes] = []
    copied = at = row = 0
    kept = (0, 0)  # of `out` and of `text`, when the row began
    whole = True
    while (quote := text.find(b'"', at)) >= 0:
        if (newline := text.rfind(b"\n", at, quote)) >= 0:
            row, kept = newline + 1, (len(out), copied)
        if quote == 0 or text[quote - 1 : quote] in (mark, b"\n"):
            match = _ENCLOSED.match(text, quote)
            following = text[match.end() : match.end() + 2] if match else b""
            if not final and (match is None or following in (b"", b"\r")):
                whole = False
                break
            if match is None:
                raise QuoteError(text.count(b"\n", 0, quote), _NEVER)
            if following[:1] not in (mark, b"\n", b"") and following not in (b"\r\n", b"\r"):
                raise QuoteError(text.count(b"\n", 0, quote), _EARLY)
            at = match.end()
            continue
        start = max(text.rfind(mark, 0, quote), text.rfind(b"\n", 0, quote)) + 1
        stops = [stop for stop in (text.find(mark, quote), text.find(b"\n", quote)) if stop >= 0]
        if not stops and not final:
            whole = False
            break
        stop = min(stops, default=len(text))
        if text[stop - 1 : stop + 1] == b"\r\n":
            stop -= 1
        out += [text[copied:start], b'"', text[start:stop].replace(b'"', b'""'), b'"']
        copied = at = stop
    if whole and (newline := text.rfind(b"\n", at)) >= 0:
        row, kept = newline + 1, (len(out), copied)
    if whole and final:
        return b"".join([*out, text[copied:]]), len(text)
    if len(text) - row > LONGEST:
        raise QuoteError(text.count(b"\n", 0, row), _NEVER)
    return b"".join([*out[: kept[0]], text[kept[1] : row]]), row
