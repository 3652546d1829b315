"""Contract tests for MIR tasks, on the real data or on a fixture with the same layout."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.atomic import canonical_json
from bench.holdout import hold_out
from bench.protocols import PARTS, Dataset, Task, TaskData
from bench.registry import create, get
from bench.specs import parse
from bench.testing import task_fixtures

KINDS = {"tags", "classes", "keys", "values", "links"}


class TaskContract:
    """Contract tests of a task: inherit, set `spec`, and override `folder` (or `dataset` if `of` is ``data``)."""

    spec: str = ""
    lane: str = "corrected"

    def make(self) -> Task:
        """Return the task."""
        return create("tasks", self.spec)  # type: ignore[no-any-return]

    def note(self) -> str:
        """Return which data was used."""
        return "on the demo data" if self.make().of == "data" else "on a generated fixture"

    def folder(self) -> Path:
        """Return a folder with the task's own example or, for built-in tasks, the generated fixture."""
        folder = Path(self._temporary.name) / "data"
        return self.make().example(folder) or task_fixtures.write(parse(self.spec).name, folder)

    def dataset(self) -> Dataset:
        """Return the dataset for a task whose `of` is ``data``."""
        return get("datasets", "demo")()  # type: ignore[no-any-return]

    @cached_property
    def _temporary(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="bench-task-")

    @cached_property
    def _place(self) -> tuple[Path, Dataset | None]:
        if self.make().of == "data":
            from bench.files.atomic import cache_root

            dataset = self.dataset()
            return dataset.prepare(None, cache_root()), dataset
        return self.make().prepare(self.folder()), None

    @cached_property
    def _data(self) -> TaskData:
        return self._read()

    def _read(self) -> TaskData:
        root, dataset = self._place
        task = self.make()
        if dataset is not None:
            task.hold_out = hold_out(dataset, root, Path(self._temporary.name))
        return task.read(root, dataset)

    def test_it_declares_what_it_is(self) -> None:
        """Name, kind, primary metric, convention, licence, source and layout are declared."""
        task = self.make()
        assert task.kind in KINDS, f"kind {task.kind!r}"
        for name in ("name", "primary", "convention", "license", "source", "layout"):
            assert getattr(task, name), f"{name} is empty"

    def test_a_missing_folder_is_refused_with_the_layout(self) -> None:
        """Without a folder, or with an empty one, the error message contains the layout."""
        task = self.make()
        if task.of == "data":
            return
        with tempfile.TemporaryDirectory() as empty:
            for root in (None, Path(empty)):
                message = ""
                try:
                    task.prepare(root)
                except BenchError as error:
                    message = str(error)
                assert task.layout in message, f"the error of prepare({root}) is {message!r}, without the layout"

    def test_items_have_parts_and_files(self) -> None:
        """Ids are unique; items have parts or folds, and paths if `of` is ``folder``; no part is empty."""
        task, items = self.make(), self._data.items
        assert items.height, "no items"
        assert not items["track_id"].is_duplicated().any(), "an item is repeated"
        if task.of == "folder":
            assert items["path"].null_count() == 0, "an item has no path"
            assert items.schema["offset"] == items.schema["duration"] == pl.Float64, "offset and duration in float64"
        if "part" in items.columns:
            found = set(items["part"].to_list())
            assert found == ({"test"} if task.kind == "links" else set(PARTS)), f"parts {found}"
        else:
            assert items["fold"].n_unique() >= 3, "fewer than three folds"

    def test_truth_fits_the_items(self) -> None:
        """The labels have the shapes and types of `TaskData`, and no NaN."""
        kind, data = self.make().kind, self._data
        truth = np.asarray(data.truth)
        if kind == "links":
            assert truth.shape[1:] == (3,), f"shape {truth.shape}"
            assert truth[:, :2].max() < data.items.height, "a pair names a row that does not exist"
            return
        assert len(truth) == data.items.height, f"{len(truth)} rows of labels for {data.items.height} items"
        if kind in ("tags", "values"):
            assert truth.shape[1:] == (len(data.names),), f"shape {truth.shape} for {len(data.names)} names"
        if kind == "tags":
            assert truth.dtype == np.bool_, f"type {truth.dtype}"
        elif kind == "values":
            assert np.isfinite(truth).all(), "a value is not finite"
        else:
            assert 0 <= truth.min() <= truth.max() < len(data.names), "a class without a name"

    def test_reading_again_gives_the_same(self) -> None:
        """Two instances read the same items, parts and labels; the settings are JSON."""
        again = self._read()
        assert again.items.equals(self._data.items), "the items differ"
        assert np.array_equal(again.truth, self._data.truth), "the labels differ"
        assert list(again.names) == list(self._data.names), "the names differ"
        canonical_json(vars(self.make().settings))

    def test_disjoint_columns_are_disjoint(self) -> None:
        """No value of a column in `disjoint` is in two parts."""
        items = self._data.items
        for column in self._data.disjoint:
            several = items.drop_nulls(column).group_by(column).agg(pl.col("part").n_unique().alias("n"))
            shared = several.filter(pl.col("n") > 1)[column].to_list()
            assert not shared, f"{column} {shared[:3]} in two parts"

    def test_the_true_labels_score_best(self) -> None:
        """The primary metric of the true labels is 1, and that of a constant prediction is lower."""
        task, data = self.make(), self._data
        if task.kind == "links":
            return
        truth = self._tested()
        best = task.evaluate(truth, _perfect(task.kind, truth, len(data.names)), data.names)
        flat = task.evaluate(truth, _perfect(task.kind, truth, len(data.names))[:1].repeat(len(truth), axis=0))
        assert task.primary in best, f"no {task.primary} in {sorted(best)[:5]}"
        assert abs(best[task.primary] - 1) < 1e-9, f"{task.primary} of the true labels is {best[task.primary]}"
        assert flat[task.primary] < best[task.primary], "a constant prediction is as good"
        assert all(np.isfinite(value) for value in best.values()), "a metric is not finite"

    def test_invalid_predictions_are_refused(self) -> None:
        """A prediction with too few rows or with NaN raises `BenchError`."""
        task, data = self.make(), self._data
        if task.kind == "links":
            truth: NDArray[Any] = data.truth
            good = np.ones((data.items.height, 4))
        else:
            truth = self._tested()
            good = _perfect(task.kind, truth, len(data.names))
        broken = good.copy()
        broken[0, 0] = np.nan
        for what, prediction in (("too few rows", good[:1]), ("NaN", broken)):
            try:
                task.evaluate(truth, prediction, data.names)
            except BenchError:
                continue
            raise AssertionError(f"a prediction with {what} is scored")

    def _tested(self) -> NDArray[Any]:
        items = self._data.items
        rows = items["part"] == "test" if "part" in items.columns else items["fold"] >= 0
        truth: NDArray[Any] = self._data.truth[rows.to_numpy()]
        return truth


def _perfect(kind: str, truth: NDArray[Any], labels: int) -> NDArray[np.float64]:
    if kind in ("tags", "values"):
        return np.asarray(truth, np.float64)
    return np.eye(labels)[np.asarray(truth, np.int64)]
