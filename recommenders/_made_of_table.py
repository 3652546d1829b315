"""What a model computes of an item table once, however often it scores that table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from bench.protocols import Items


class MadeOfTable:
    """The result for the last table given to `of`, such as its rows on a GPU; it goes when the table goes."""

    def __init__(self) -> None:
        self._table: Callable[[], Items | None] = lambda: None
        self._made: Any = None

    def of(self, items: Items, make: Callable[[Items], Any]) -> Any:
        """Return what `make` returns for `items`, which cannot change."""
        if self._table() is not items:
            self._made = make(items)
            self._table = ref(items, self._forget)
        return self._made

    def _forget(self, table: object) -> None:
        if table is self._table:
            self._made = None
