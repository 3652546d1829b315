"""Words and phrases of text, as labels of recordings."""

from __future__ import annotations

import polars as pl


def phrases(frame: pl.DataFrame, column: str, words: int) -> pl.DataFrame:
    """Return row (UInt32) and label: each sequence of 1 to `words` lower-case words, as often as it occurs.

    A word is a run of Unicode letters and digits. `column` holds text or lists of texts: no sequence continues from
    one text of a list into the next.
    """
    text = pl.col(column)
    pieces = text if isinstance(frame.schema[column], pl.List) else pl.concat_list(text)
    table = frame.select(piece=pieces).with_row_index("row").explode("piece").with_row_index("piece_index")
    table = table.with_columns(label=pl.col("piece").str.to_lowercase().str.extract_all(r"[\p{L}\p{N}]+"))
    table = table.select("row", "piece_index", "label").explode("label").drop_nulls("label")
    out = []
    for length in range(1, words + 1):
        steps = [pl.col("label").shift(-step).over("piece_index") for step in range(length)]
        out.append(table.select("row", label=pl.concat_str(steps, separator=" ")).drop_nulls("label"))
    return pl.concat(out)
