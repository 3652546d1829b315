"""How much memory there is for a model, asked before it is loaded."""

from __future__ import annotations

import math
import re
from pathlib import Path

GB = 1e9


def free(device: str) -> float:
    """Return the free bytes of a device's memory; infinity where that cannot be told."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.mem_get_info(torch.device(device))[0])
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    return 1024.0 * int(found[1]) if found else math.inf
