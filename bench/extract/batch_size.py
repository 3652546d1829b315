"""How many windows a GPU computes at once, by the memory that the extractor says it needs."""

from __future__ import annotations

from bench import memory
from bench.errors import BenchError
from bench.protocols import Extractor
from bench.text import size

USUAL = 16
"""Windows in a batch on a CPU, which gains nothing from more, and where an extractor does not know its memory."""
MOST = 256
SHARE = 0.8
"""Part of the free memory to plan for: libraries need workspaces, and freed blocks leave gaps between them."""


def batch_size(extractor: Extractor, device: str) -> int:
    """Return the windows in a batch, for an extractor that is not loaded yet.

    On a GPU: the largest power of two up to 256 for which model and activations fit into 80 % of the free memory.
    Large batches keep a GPU busy: it starts each operation once a batch, and its matrix products have more rows.
    """
    if device.startswith("cpu") or extractor.memory(1) is None:
        return USUAL
    room, batch = SHARE * memory.free(device), MOST
    while batch > 1 and (extractor.memory(batch) or 0) > room:
        batch //= 2
    return batch


def check_memory(extractor: Extractor, device: str) -> None:
    """Refuse a GPU that has no memory for one window; the extractor is not loaded yet.

    Raises
    ------
    BenchError
        With both sizes.

    """
    if device.startswith("cpu") or (need := extractor.memory(1)) is None:
        return
    if need > (free := memory.free(device)):
        raise BenchError(
            f"{extractor.name} needs about {size(need)} on {device} for one window; {size(free)} are free. Close other "
            "programs, or use another --device."
        )
