"""What the published lane asks of the harness beyond the NDCG of validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.errors import BenchError
from bench.protocols import Interactions


def held_out(valid: Callable[[Any], float], who: str) -> Interactions:
    """Return the validation pairs.

    Raises
    ------
    BenchError
        When the caller's `valid` does not offer them.

    """
    offer: Callable[[], Interactions] | None = getattr(valid, "held_out", None)
    if offer is None:
        raise BenchError(
            f"{who}: the published lane ends training by a loss over validation pairs, and the caller offers no "
            "valid.held_out(). Take lane=corrected."
        )
    return offer()
