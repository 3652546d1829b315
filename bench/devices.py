"""The device to compute on: which one to take, what it can do, and what its errors mean.

Torch is imported only inside the functions, because this takes seconds.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

PINNED = 64 << 20
"""Most bytes of a copy from pinned memory: torch rounds them up to a power of two, and keeps them for later copies."""
_MEMORY = re.compile(
    # cuBLAS and cuDNN also fail in these ways when there is no memory for their handles and workspaces.
    r"out of memory|can't allocate memory|not enough memory|alloc(ation)?_failed"
    r"|(cublas|cudnn)_status_not_initialized|cudnn_status_internal_error",
    re.IGNORECASE,
)
_LOST = re.compile(r"\b(CUDA|HIP|XPU) error\b|\b(CUBLAS|CUDNN)_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)")
_REFUSED = re.compile(r"CUDA error: invalid (configuration )?argument|CUBLAS_STATUS_(INVALID_VALUE|NOT_SUPPORTED)")
"""A call that the device refuses, such as one with too large a batch; it then computes others."""
_LIBRARY = re.compile(r"CUDA|HIP|MPS|XPU|(?i:cu(dnn|blas|fft|solver|sparse)|nvrtc)")


def choose(wanted: str) -> tuple[str, str]:
    """Return the device to use and why ``auto`` chose it (empty for any other); it takes a CUDA GPU if there is one.

    An Apple GPU is never taken by itself, because nothing here has been measured on one.

    Raises
    ------
    BenchError
        When torch does not know the device, it is absent on this machine, or it holds no values (``meta``).

    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        if gpus:
            more = f", the first of {gpus}" if gpus > 1 else ""
            return "cuda", f"auto: torch finds {torch.cuda.get_device_name(0)}{more}"
        apple = "; --device mps uses the Apple GPU" if torch.backends.mps.is_available() else ""
        return "cpu", f"auto: torch finds no CUDA GPU{apple}"
    try:
        asked = torch.device(wanted)
    except RuntimeError as error:
        raise BenchError(f"--device {wanted}: there is no such device. Use auto, cpu, cuda or cuda:1.") from error
    if asked.type == "cuda" and (asked.index or 0) >= gpus:
        raise BenchError(
            f"--device {wanted}: torch finds {gpus or 'no'} GPU here (see `bench doctor`). Use --device cpu."
        )
    if asked.type not in ("cpu", "cuda") and not _available(asked):
        raise BenchError(f"--device {wanted}: this machine has no such device. Use auto, cpu, cuda or cuda:1.")
    return wanted, ""


@cache
def about(device: str) -> dict[str, str] | None:
    """Return name, memory and driver of a GPU, and versions of CUDA and cuDNN, as far as known; None for a CPU."""
    import torch

    kind = torch.device(device).type
    if kind == "cpu":
        return None
    module = _module(torch.device(device))
    found = {}
    if named := getattr(module, "get_device_name", None):
        found["name"] = str(named(device))
    if kind == "cuda":
        found["memory"] = f"{torch.cuda.get_device_properties(device).total_memory / 2**30:.1f} GiB"
        found["cuda"], found["cudnn"] = str(torch.version.cuda), str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
        with suppress(BenchError):  # in a container the program may fail although the GPU works
            if driver := nvidia_smi("driver_version"):
                found["driver"] = driver[0]
    return found


def peak(device: str) -> int | None:
    """Return the most bytes of a GPU that torch has held at once in this process; None where torch does not say."""
    import torch

    most = getattr(_module(torch.device(device)), "max_memory_allocated", None)
    return int(most(device)) if most and not device.startswith("cpu") else None


def nvidia_smi(*fields: str) -> list[str]:
    """Return one line of fields for each Nvidia GPU, without importing torch; empty where the program is absent.

    Raises
    ------
    BenchError
        When the program fails.

    """
    command = shutil.which("nvidia-smi")
    if not command:
        return []
    query = [command, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"nvidia-smi fails: {error}") from error
    return done.stdout.strip().splitlines()


def has_float64(device: str) -> bool:
    """Whether a device, such as ``cuda:1``, computes in float64; Apple's GPUs do not."""
    import torch

    return bool(getattr(_module(torch.device(device)), "has_float64", torch.device(device).type != "mps"))


def send(device: str | torch.device, *arrays: NDArray[Any]) -> list[torch.Tensor]:
    """Return arrays as tensors on a device, by one copy; on the CPU without a copy.

    The host does not wait for the device, except for more than `PINNED` bytes. The arrays may change as soon as this
    function returns, except on the CPU. The tensors share one block of memory, which is free when the last of them
    goes.
    """
    import numpy as np
    import torch

    kind = torch.device(device).type
    if kind == "cpu":
        return [torch.from_numpy(each) for each in arrays]
    starts = [0]
    for each in arrays:
        starts.append(starts[-1] + -(-each.nbytes // 16) * 16)  # aligned for every type
    # A CUDA copy is queued from pinned memory only, which torch uses again only when the copy has ended.
    pinned = kind == "cuda" and starts[-1] <= PINNED
    host = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=pinned)
    parts = [(start, start + each.nbytes, each) for start, each in zip(starts, arrays, strict=False)]
    for start, end, each in parts:
        host.numpy()[start:end] = np.ascontiguousarray(each).reshape(-1).view(np.uint8)
    # These two may read other memory after it is free.
    there = host.to(device, non_blocking=pinned or kind not in ("cuda", "mps"))
    types = [torch.from_numpy(np.empty(0, each.dtype)).dtype for each in arrays]
    return [
        there[start:end].view(dtype).view(each.shape) for (start, end, each), dtype in zip(parts, types, strict=True)
    ]


def empty_cache(device: str) -> None:
    """Return memory that torch keeps for reuse to the device."""
    import torch

    if empty := getattr(_module(torch.device(device)), "empty_cache", None):
        empty()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU, in one of its libraries, or on the CPU."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return _MEMORY.search(str(error)) is not None


def lost(error: BaseException) -> bool:
    """Whether an error means that a GPU cannot be used any more by this process, whatever is computed next."""
    import torch

    if not isinstance(error, RuntimeError) or out_of_memory(error) or _REFUSED.search(str(error)):
        return False
    return isinstance(error, getattr(torch, "AcceleratorError", ())) or _LOST.search(str(error)) is not None


def of_library(error: BaseException) -> bool:
    """Whether a GPU, its driver or its libraries failed, so that the data may be valid."""
    return isinstance(error, RuntimeError) and _LIBRARY.search(str(error)) is not None


def _module(device: Any) -> Any:
    """Return torch's module of a type of device, such as ``torch.cuda``; None for one without a module."""
    import torch

    return getattr(torch, device.type, None)


def _available(device: Any) -> bool:
    """Whether torch offers the device on this machine."""
    import torch

    module = _module(device)
    # Older versions of torch answer for Apple's GPUs in `torch.backends` alone.
    there = getattr(module, "is_available", None) or getattr(
        getattr(torch.backends, device.type, None), "is_available", None
    )
    count = getattr(module, "device_count", None)
    return bool(there and there() and (not count or (device.index or 0) < count()))
