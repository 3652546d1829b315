"""Where in its file a play stands, by its time."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from bench.listening.plays import as_plays
from bench.listening.text_table import Table

MOST = 10


def places(table: Table, chosen: Mapping[str, str], first: int, last: int) -> list[str]:
    """Return "FILE, line N" of up to ten plays from second `first` to `last`, in the order of the file.

    `chosen` maps user, item and time to the table's columns.
    """
    time = pl.col("time").dt.timestamp("us") // 1_000_000
    rows = as_plays(table, chosen).with_row_index("row").filter(time.is_between(first, last)).head(MOST).collect()
    return [table.place(row) for row in rows["row"].to_list()]
