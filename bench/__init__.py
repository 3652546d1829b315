"""bench: which pretrained audio embedding should a music recommender use?

Audio becomes vectors once; vectors become item tables; the same tables feed recommenders and
probes; everything ends in one result record, from which every table is generated.

The verbs of the command line are functions, too, with the same engine and the same records:

embed : compute the vectors of a collection of audio
evaluate : compare your own vectors on your own listening log
run : compare extractors with recommenders
probe : compare extractors on MIR tasks
load_results : read a folder of records
catalog : the audio files of a data set

They are imported when first used, so that ``import bench`` stays fast.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Comparison", "Embeddings", "Results", "catalog", "embed", "evaluate", "load_results", "probe", "run"]


def __getattr__(name: str) -> Any:
    if name == "run":  # the package of that name, which can be called
        return import_module("bench.run")
    if name in __all__:
        return getattr(import_module("bench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "__doc__"]
