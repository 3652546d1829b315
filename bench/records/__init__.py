"""Result records: their types, reading, which trusts nothing, and writing.

A record is one JSON file that reports read and nothing else, with the values of every user (of a probe:
its answer on every test item) in a Parquet file beside it. Its schema is published as
``bench/records/record.schema.json``; old versions are read, never edited.
"""

from bench.records.environment import PACKAGES, environment
from bench.records.parts import (
    Cost,
    DataInfo,
    Environment,
    ExtractorInfo,
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
from bench.records.reading import read, read_all
from bench.records.record import PROBED, SCHEMA_VERSION, SETS, Record, differences, slug
from bench.records.writing import layout, rows_path, users_path, write

__all__ = [
    "PACKAGES", "PROBED", "SCHEMA_VERSION", "SETS", "Cost", "DataInfo", "Environment", "ExtractorInfo",
    "RecommenderInfo", "Record", "RowsFile", "SearchInfo", "SplitInfo", "TaskInfo", "Training", "TrainingEnd",
    "Trial", "View", "differences", "environment", "layout", "read", "read_all", "rows_path", "slug",
    "users_path", "write",
]  # fmt: skip
