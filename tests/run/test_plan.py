"""What the plan and the progress of a run say about sizes and time."""

import re

from bench.records import read
from bench.run import plan


def test_the_time_left_is_that_of_the_mean_cell():
    assert plan.progress(0, 26, 0.0) == "cell 1 of 26"
    assert plan.progress(6, 26, 72.0) == "cell 7 of 26, about 4 min left"
    assert plan.progress(1, 2, 30.0) == "cell 2 of 2, about 30 s left"


def test_the_plan_shows_the_sizes_of_the_parts(base):
    (line,) = [line for line in base.said.err.splitlines() if line.startswith("parts: ")]
    (record,) = base.results.rglob("mfcc-*/knn-*/seed0.json")
    counts = read(record).split.counts
    parts = [counts["train"], *(counts[part][which] for part in ("valid", "test") for which in ("hot", "cold"))]
    expected = [[part["pairs"], part["users"], part["items"]] for part in parts if part["pairs"]]
    found = re.findall(r"(\d+) pairs of (\d+) listeners and (\d+) tracks", line)
    assert [list(map(int, numbers)) for numbers in found] == expected
    assert len(expected) >= 3


def test_progress_counts_the_cells_to_compute(base):
    said = [line.partition(",")[0] for line in base.said.err.splitlines() if line.startswith("cell ")]
    assert said == [f"cell {number} of 5" for number in range(1, 6)]
