"""A device that does not exist, to test code for GPUs on a machine without one.

Inside `pretend_device`, torch knows the device ``pretend``. Its tensors hold ordinary CPU tensors and compute the
same values, but they refuse what a GPU refuses: operations that mix devices, random draws from a generator of
another device, and NumPy views. Every step at which the host of a real GPU waits for its queue is logged with its
place in the code: copies between host and device, ``.item()``, ``nonzero`` and boolean masks. Autograd, optimisers,
autocast and modules work as usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from bench.testing import autocast_rules
from bench.testing.device_log import WAITS, Log

NAME = "pretend"
"""The name of the device for ``.to(...)`` and ``device=...``."""
aten = torch.ops.aten
_INDEXING = frozenset(
    {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
)
_FUSED = frozenset({aten.scaled_dot_product_attention.default})
"""Operations that a GPU computes in one kernel, without storing what is between, although torch could split them."""


_log = Log()
_generators: dict[int, torch.Generator] = {}
"""Generators of the device by the address of torch's own object, which Python may wrap anew."""


class PretendTensor(torch.Tensor):
    """A tensor of the pretended device, which holds a CPU tensor."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> PretendTensor:
        """Wrap a CPU tensor."""
        if held.dtype == torch.float64 and not _log.float64:
            raise TypeError(f"the device {NAME} has no float64")
        tensor: PretendTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME, 0),
        )
        tensor.held = held
        _log.keep(tensor)
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Compute an operation with the held tensors."""
        return _compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        """Return the values; the host waits."""
        _log.note("item")
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, as for every tensor that is not on the CPU."""
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy; copy it to the CPU first")

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write values; with indices, CUDA copies a number from the host, which waits for it."""
        indices = index if isinstance(index, tuple) else (index,)
        if isinstance(value, (int, float)) and any(
            isinstance(each, torch.Tensor) and each.dtype != torch.bool for each in indices
        ):
            _log.note("to device")
        super().__setitem__(index, value)

    def __array__(self, *_: object, **__: object) -> Any:
        """Refuse, as `numpy`."""
        return self.numpy()

    def __repr__(self) -> str:  # type: ignore[override]
        """Return the values and the device."""
        return f"{NAME}({self.held!r})"


class _Mode(TorchDispatchMode):
    """Sees the operations that create tensors, which have no tensor of the device among their arguments."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Event:
    """A point in the device's queue for which the host can wait."""

    def record(self, stream: object) -> None:
        """Mark the point in a queue, which must be named: by default torch takes that of the current GPU."""

    def synchronize(self) -> None:
        """Wait for the device to reach it."""
        _log.note("event")


@contextmanager
def pretend_device(*, float64: bool = True, memory: float = math.inf) -> Iterator[Log]:
    """Make the device ``pretend`` usable, and return the log of what happens on it.

    Without `float64`, the device refuses that type, as Apple's GPUs do. It says that it has `memory` bytes, less
    those of its tensors; it does not refuse more.
    """
    global _log
    _register()
    before, _log = _log, Log(float64=float64, memory=memory)
    generator = torch.Generator
    torch.Generator = _AnyGenerator  # type: ignore[assignment,misc]
    try:
        # One thread: torch counts the devices that have a thread of their own once, before this one is known.
        with _Mode(), torch.autograd.set_multithreading_enabled(False):
            yield _log
    finally:
        _log, torch.Generator = before, generator  # type: ignore[misc]


@cache
def _register() -> None:
    """Tell torch about the device, once in a process."""
    from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

    class Module(_DummyBackendModule):
        """What ``torch.pretend`` offers."""

        Event = _Event

        @staticmethod
        def current_stream(device: torch.device) -> object:
            return device

        @staticmethod
        def get_amp_supported_dtype() -> list[torch.dtype]:
            return [torch.float16, torch.bfloat16]

        @property
        def has_float64(self) -> bool:
            return _log.float64

        @staticmethod
        def empty_cache() -> None:
            """Free unused memory: there is none."""

        @staticmethod
        def mem_get_info(_device: object = None) -> tuple[float, float]:
            return _log.memory - _log.alive(), _log.memory

        @staticmethod
        def get_device_name(_device: object = None) -> str:
            return "a device that does not exist"

        @staticmethod
        def synchronize(_device: object = None) -> None:
            _log.note("synchronize")

    # The module accepts any attribute, which torch's annotation does not say.
    _setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    autocast_rules.register(NAME)
    # Where torch makes a tensor of Python values, it does not ask the mode.
    kernels = torch.library.Library("aten", "IMPL", "PrivateUse1")
    for op in (aten.empty.memory_format, aten.empty_strided.default, aten.copy_.default):
        kernels.impl(op, lambda *args, op=op, **kwargs: _compute(op, args, kwargs))
    _libraries.append(kernels)


_libraries: list[torch.library.Library] = []
"""Torch forgets the rules of a library that nothing refers to."""
_Generator = torch.Generator


class _MakesGenerators(type):
    """Makes generators of the CPU, marked if they belong to the pretended device."""

    def __call__(cls, device: str | torch.device = "cpu") -> torch.Generator:
        ours = torch.device(device).type == NAME
        made = _Generator("cpu" if ours else device)
        if ours:
            _generators[made._cdata] = made  # type: ignore[attr-defined]
        return made

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Generator)


class _AnyGenerator(metaclass=_MakesGenerators):
    """Stands for torch.Generator, which refuses the device."""


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Check and log an operation, and compute it with the held tensors."""
    flat, spec = tree_flatten((args, kwargs))
    mine = [each for each in flat if isinstance(each, PretendTensor)]
    device = kwargs.get("device")
    here = device is not None and torch.device(device).type == NAME
    if func is aten.copy_.default:
        return _copy_into(*args, **kwargs)
    if func is aten._to_copy.default and (mine or here):
        return _copy(args[0], here or (device is None and bool(mine)), kwargs)
    if not mine and not here:
        return func(*args, **kwargs)
    if _composite(func) and func not in _FUSED:
        with _Mode():
            found = func.decompose(*args, **kwargs)
        if found is not NotImplemented:
            return found
    _check(func, args, flat, kwargs)
    _note(func, args, kwargs)
    plain_args, plain = tree_unflatten([_held(each) for each in flat], spec)
    if device is not None:
        plain["device"] = "cpu"
    known = {id(each.held): each for each in mine}  # an operation in place returns its own argument

    # In inference mode, a view of an ordinary tensor is an ordinary tensor.
    ordinary = func.is_view and not mine[0].is_inference()

    def wrapped(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known:
            return known[id(value)]
        with torch.inference_mode(torch.is_inference_mode_enabled() and not ordinary):
            return PretendTensor(value)

    result = func(*plain_args, **plain)
    if device is not None and not here:
        return result
    _log.launches += 1
    return tree_map(wrapped, result)


@cache
def _composite(func: Any) -> bool:
    """Whether an operation consists of others; in inference mode torch does not split it."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


def _held(value: Any) -> Any:
    return value.held if isinstance(value, PretendTensor) else value


def _copy(source: torch.Tensor, to_device: bool, kwargs: dict[str, Any]) -> torch.Tensor:
    """Copy a tensor to a device or type."""
    blocking = not kwargs.get("non_blocking")
    if to_device != isinstance(source, PretendTensor):
        _log.note("to device" if to_device else "to host", blocking=blocking)
    plain = {name: value for name, value in kwargs.items() if name not in ("device", "non_blocking")}
    copied = aten._to_copy.default(_held(source), device="cpu", **plain)
    return PretendTensor(copied) if to_device else copied


def _copy_into(target: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """Copy values into a tensor, from any device."""
    if isinstance(target, PretendTensor) != isinstance(source, PretendTensor) and source.dim():
        _log.note("to device" if isinstance(target, PretendTensor) else "to host", blocking=not non_blocking)
    aten.copy_.default(_held(target), _held(source), non_blocking)
    return target


def _check(func: Any, args: Any, flat: list[Any], kwargs: dict[str, Any]) -> None:
    """Raise RuntimeError for what a GPU refuses. Numbers without dimensions and indices may be on the CPU."""
    for each in flat:
        if not isinstance(each, torch.Tensor) or isinstance(each, PretendTensor) or not each.dim():
            continue
        if func in _INDEXING and each is not args[0]:
            _log.note("index of the host")
            continue
        raise RuntimeError(f"{func}: tensors on {NAME}:0 and {each.device} {tuple(each.shape)}; expected one device")
    generator = kwargs.get("generator")
    if isinstance(generator, _Generator) and generator._cdata not in _generators:  # type: ignore[attr-defined]
        raise RuntimeError(f"{func}: expected a generator of {NAME}, got one of {generator.device}")


def _note(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Log an operation for which the host waits."""
    kind = WAITS.get(func)
    if func in _INDEXING:
        indices = tree_flatten(args[1])[0]
        if any(isinstance(each, torch.Tensor) and each.dtype in (torch.bool, torch.uint8) for each in indices):
            kind = "boolean mask"
    if func is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None:
        kind = "repeat_interleave"
    if kind:
        _log.note(kind)
