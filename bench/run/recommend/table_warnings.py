"""Warnings about an item table: items without a vector, and pairs with almost equal ones."""

from __future__ import annotations

from bench.items.item_table import ItemTable
from bench.splits.make import Split
from bench.splits.near_duplicates import AFFORDABLE, near_duplicates


def table_warnings(table: ItemTable, split: Split, *, control: bool) -> list[str]:
    """Return warnings about a table, if any."""
    out = []
    if table.coverage < 1:
        absent, lost = int((~table.present).sum()), int((~table.present)[split.train.item].sum())
        out.append(
            f"{absent} of {len(table.ids)} items have no vector; they are never recommended, and their {lost} "
            "training pairs teach no model of vectors"
        )
    cost = len(table.ids) ** 2 * table.vectors.shape[1]
    if not control and 0 < cost <= AFFORDABLE:
        # Embeddings with a common mean are all similar: subtract it first.
        there = table.vectors[table.present]
        ids = [i for i, present in zip(table.ids, table.present.tolist(), strict=True) if present]
        found = near_duplicates(there - there.mean(axis=0), ids)
        if found.total:
            pairs = ", ".join(f"{a} = {b}" for a, b in found.pairs[:3])
            out.append(f"{found.total} pairs of items have vectors of cosine above 0.999 ({pairs})")
    return out
