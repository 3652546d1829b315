"""Measure how many test pairs have an artist, or an artist and title, that the user has in training."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from bench.splits.split import Split

ARTISTS, TITLES = 0.75, 0.01
"""Larger shares of such test pairs are worth a warning."""


def overlap_warnings(numbers: Mapping[str, float | int | None]) -> list[str]:
    """Return a warning for each share that `overlap` measured above its limit."""
    found = []
    for name, limit, what in (
        ("artist", ARTISTS, "are by artists their listener trains on: content may score by the artist alone"),
        ("title", TITLES, "are of an artist and title their listener trains on under another id: free hits"),
    ):
        shares = {kind: numbers.get(f"{name}_overlap_{kind}") for kind in ("hot", "cold")}
        found += [
            f"{share:.1%} of {numbers[f'{name}_known_{kind}']} {kind} test pairs {what}"
            for kind, share in shares.items()
            if share is not None and share > limit
        ]
    return found


def overlap(split: Split, meta: pl.DataFrame) -> dict[str, float | int | None]:
    """Return the shares of test pairs whose artist, or artist and title, the user has in training.

    Keys are ``artist_overlap_hot`` and the like; ``artist_known_hot`` counts the test pairs with known artist.
    """
    numbers: dict[str, float | int | None] = {}
    testers = split.pairs.filter(pl.col("part") == "test").select("user").unique()
    pairs = split.pairs.select("user", "item", "part", "cold").join(testers, on="user", how="semi")
    for name, columns in (("artist", ["artist"]), ("title", ["artist", "title"])):
        if not set(columns) <= set(meta.columns):
            continue
        known = meta.drop_nulls(columns).filter(pl.col("artist") != "")
        # Join millions of rows on numbers, which is faster than on names.
        code = known.select(pl.struct(columns).rank("dense")).to_series()
        known = known.select(pl.col("track_id").alias("item"), code.alias("code"))
        coded = pairs.join(known, on="item", how="inner")
        train = coded.filter(pl.col("part") == "train").select("user", "code").unique()
        test = coded.filter(pl.col("part") == "test")
        test = test.join(train.with_columns(trained=True), on=["user", "code"], how="left")
        for which, rows in (("hot", test.filter(~pl.col("cold"))), ("cold", test.filter("cold"))):
            hits = int(rows["trained"].fill_null(False).sum())
            numbers[f"{name}_overlap_{which}"] = hits / rows.height if rows.height else None
            numbers[f"{name}_known_{which}"] = rows.height
    return numbers
