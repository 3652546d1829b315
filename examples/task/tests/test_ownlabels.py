import pytest

from bench.errors import BenchError
from bench.registry import create
from bench.testing import TaskContract


class TestOwnLabels(TaskContract):
    spec = "own-labels"


def test_a_clip_without_a_label_is_named_with_its_line(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label,artist\na.wav,rock,x\nb.wav,,y\n")
    with pytest.raises(BenchError, match=r"labels\.csv, line 3"):
        create("tasks", "own-labels").read(tmp_path)


def test_shares_decide_how_many_clips_are_tested(tmp_path):
    task = create("tasks", "own-labels:valid=0.25,test=0.5")
    parts = task.read(task.example(tmp_path)).items["part"]
    assert [(parts == part).sum() for part in ("train", "valid", "test")] == [9, 9, 18]
