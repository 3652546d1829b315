"""Types of result records, with validated reading and atomic writing.

A record is a JSON file, with the values of every user (for a probe: its prediction for every test item) in
a Parquet file beside it, and the ranks of every held-out item in another, which `bench.records.ranks` reads. Reports
read only these files. The JSON schema is ``bench/records/record.schema.json``; records of old versions can be read
but are never changed.
"""

from bench.records.environment import PACKAGES, environment
from bench.records.parts import (
    Cost,
    DataInfo,
    Environment,
    ExtractorInfo,
    Family,
    LayerChoice,
    RecommenderInfo,
    RowsFile,
    SearchInfo,
    SplitInfo,
    TaskInfo,
    Training,
    TrainingEnd,
    Trial,
    View,
)
from bench.records.paths import ranks_path, rows_path, users_path
from bench.records.reading import read, read_all
from bench.records.record import PROBED, SCHEMA_VERSION, SETS, Record, differences, slug
from bench.records.writing import layout, write

__all__ = [
    "PACKAGES", "PROBED", "SCHEMA_VERSION", "SETS", "Cost", "DataInfo", "Environment", "ExtractorInfo", "Family",
    "LayerChoice", "RecommenderInfo", "Record", "RowsFile", "SearchInfo", "SplitInfo", "TaskInfo", "Training",
    "TrainingEnd", "Trial", "View", "differences", "environment", "layout", "ranks_path", "read", "read_all",
    "rows_path", "slug", "users_path", "write",
]  # fmt: skip
