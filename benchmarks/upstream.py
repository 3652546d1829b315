"""What comparisons with upstream's own code share: random weights, sound, differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bench.testing.clips import clip


def disturb(net: torch.nn.Module, seed: int = 0) -> None:
    """Give a module random weights in which norms, running statistics and biases matter."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point() and "front_end" not in name:
                noise = torch.randn_like(value)
                if name.endswith("running_var"):
                    value.copy_(400 * (0.3 * noise).exp())  # decibels
                elif name.endswith("running_mean"):
                    value.copy_(5 * noise - 20)
                elif value.ndim > 1:
                    value.copy_(noise / np.sqrt(max(1, value[0].numel())))
                else:
                    value.copy_(name.endswith("weight") + 0.3 * noise)


def sounds(rate: int, seconds: Sequence[float]) -> list[torch.Tensor]:
    """Return made-up clips (1, N); the second half of the last one is digital silence."""
    waves = [torch.from_numpy(clip(length, rate, seed))[None] for seed, length in enumerate(seconds)]
    waves[-1][:, waves[-1].shape[1] // 2 :] = 0
    return waves


def gap(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    if ours.shape != theirs.shape:
        raise SystemExit(f"{tuple(ours.shape)} here, {tuple(theirs.shape)} upstream")
    return float((ours - theirs).abs().max() / theirs.abs().max())


def row(*cells: object) -> None:
    """Print a row of a table."""
    print(
        "| " + " | ".join(f"{cell:.1e}" if isinstance(cell, float) else str(cell) for cell in cells) + " |", flush=True
    )
