"""The contracts between the harness and its plugins: abstract base classes, and what is handed over.

A plugin inherits from one of them, writes the abstract methods and sets the declarations without a default.
Every other method and declaration has a default, documented where it stands.
Nothing heavy is imported: arrays are NumPy, batches of audio and frames are torch tensors, frames
of rows are polars, all named for the type checker alone.
"""

from bench.protocols.common import FILE, LANES, NAMES, PARTS, PROGRAM, Lane, NoSettings, Part, Plugin, file_or, named_by
from bench.protocols.dataset import Dataset
from bench.protocols.engine import Done, Engine, Unit, Work
from bench.protocols.extractor import (
    Clip,
    Extractor,
    TableSource,
    TextTower,
    Trainable,
    VectorSource,
    Window,
    WordVectors,
)
from bench.protocols.objective import Batch, Objective, TrainingData
from bench.protocols.pooling import Pooling
from bench.protocols.recommender import (
    Estimate,
    Interactions,
    Items,
    Plays,
    Recommender,
    RunContext,
    Shape,
    Validator,
)
from bench.protocols.recordings import Heard, HoldOut, Signal
from bench.protocols.task import Task, TaskData, TaskKind

__all__ = [
    "FILE",
    "LANES",
    "NAMES",
    "PARTS",
    "PROGRAM",
    "Batch",
    "Clip",
    "Dataset",
    "Done",
    "Engine",
    "Estimate",
    "Extractor",
    "Heard",
    "HoldOut",
    "Interactions",
    "Items",
    "Lane",
    "NoSettings",
    "Objective",
    "Part",
    "Plays",
    "Plugin",
    "Pooling",
    "Recommender",
    "RunContext",
    "Shape",
    "Signal",
    "TableSource",
    "Task",
    "TaskData",
    "TaskKind",
    "TextTower",
    "Trainable",
    "TrainingData",
    "Unit",
    "Validator",
    "VectorSource",
    "Window",
    "WordVectors",
    "Work",
    "file_or",
    "named_by",
]
