"""Run a request and write its records: check, plan, compute, record. Metrics are computed elsewhere.

The package can be called: ``bench.run(...)`` is `bench.api.run`, which ``help(bench.api.run)`` describes.
"""

import sys
from importlib import import_module
from inspect import Signature, signature
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """The package, so that ``bench.run`` names both the verb and the modules behind it."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._verb(*args, **options)

    @property
    def __signature__(self) -> Signature:
        return signature(self._verb)

    @property
    def _verb(self) -> Any:
        return import_module("bench.api").run


sys.modules[__name__].__class__ = _Callable
