"""RecBole: the files it gets, errors, and, where RecBole is installed, whole runs.

A run needs RecBole 1.2.1 here, or in another environment whose interpreter RECBOLE_PYTHON names.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.items.item_table import ItemTable
from bench.protocols import Interactions, Plays, RunContext
from bench.registry import create, get, install_line
from bench.run.recommend.evaluate import measure
from bench.splits.make import GlobalTemporal, make
from bench.synthetic import planted
from bench.testing import RecommenderContract
from bench_recommenders.recbole import files, process, worker_model

HERE = importlib.util.find_spec("recbole") is not None
PYTHON = sys.executable if HERE else os.environ.get("RECBOLE_PYTHON", "")
WHERE = "" if HERE else f",python={PYTHON}"
SMALL = "epochs=2,batch=512,max_len=8"
needs_recbole = pytest.mark.skipif(not PYTHON, reason="no RecBole 1.2.1 here, and RECBOLE_PYTHON names no interpreter")


def real(test):
    """Mark a test, or a class of tests, that trains with RecBole."""
    return pytest.mark.slow(needs_recbole(test))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def log(plays=None):
    """Three listeners; the times of the second are out of the order of items, and some are equal."""
    user = np.array([0, 0, 1, 1, 1, 2], np.int32)
    item = np.array([3, 1, 4, 0, 3, 1], np.int32)
    first = np.array([5, 9, 2, 2, 1_600_000_001, 7], np.int64)
    return Interactions(user, item, first, first, np.ones(6, np.int32), 4, 6, plays)


# -- what is handed over --------------------------------------------------------------------------------


def test_training_rows_become_an_atomic_file(tmp_path):
    rows = files.training_rows(log(), None, sequential=True)
    files.write(tmp_path, rows, {"model": "SASRec"}, None, np.ones(6, bool))
    text = (tmp_path / "bench" / "bench.train.inter").read_text().splitlines()
    assert text[0] == "user_id:token\titem_id:token\ttimestamp:float"
    assert text[1:] == ["0\t3\t5", "0\t1\t9", "1\t4\t2", "1\t0\t2", "1\t3\t1600000001", "2\t1\t7"]
    assert np.load(tmp_path / "item.npy").tolist() == [3, 1, 4, 0, 3, 1]
    assert json.loads((tmp_path / "request.json").read_text()) == {"model": "SASRec"}
    assert not (tmp_path / "vectors.npy").exists()


def test_general_models_need_no_times_and_items_without_vectors_are_left_out(tmp_path):
    known = np.array([True, True, True, False, True, True])
    rows = files.training_rows(log(), known, sequential=False)
    vectors = np.eye(6, 2, dtype=np.float32)
    files.write(tmp_path, rows, {}, vectors, known)
    frame = pl.read_csv(tmp_path / "bench" / "bench.train.inter", separator="\t")
    assert frame.columns == ["user_id:token", "item_id:token"]
    assert frame["item_id:token"].to_list() == [1, 4, 0, 1]
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), vectors)


def test_sequential_models_read_every_play_where_the_split_keeps_them():
    plays = Plays(np.array([0, 0, 0], np.int32), np.array([3, 3, 1], np.int32), np.array([1, 2, 3], np.int64))
    assert files.training_rows(log(plays), None, sequential=True).item.tolist() == [3, 3, 1]
    assert len(files.training_rows(log(plays), None, sequential=False).item) == 6


def test_the_last_items_of_each_user_are_padded_behind():
    histories = np.array([0, 2, 5, 6, 6]), np.array([4, 2, 5, 1, 4, 2])
    found = worker_model.latest(histories, np.array([1, 0, 3]), 2)
    assert found["item_id_list"].tolist() == [[1, 4], [4, 2], [0, 0]]
    assert found["item_length"].tolist() == [2, 2, 0]
    assert worker_model.inverse(np.array([4, 0, 2]), 6).tolist() == [2, 0, 3, 0, 1, 0]


def test_a_table_projects_lookups_and_competitors_alike():
    import torch

    torch.manual_seed(0)
    rows = torch.randn(5, 3)
    table = worker_model.ItemEmbedding(rows.clone(), 2, 0, trainable=False)
    few, many = torch.tensor([[1, 4]]), torch.tensor([[1, 4, 2], [3, 3, 1]])
    assert torch.allclose(table(few), table.weight[few])
    assert torch.allclose(table(many), table.weight[many])
    table(many).sum().backward()
    assert table.rows.grad is None
    assert table.project.weight.grad.abs().sum() > 0
    table.candidates = torch.zeros(9, 2)
    assert table.weight.shape == (9, 2)
    assert table(few).abs().sum() > 0


# -- settings -------------------------------------------------------------------------------------------

SASREC = {"hidden_size": "64", "n_heads": "2", "n_layers": "2", "loss_type": "CE"}


def test_parameters_are_read_as_json_or_words():
    text = 'n_layers=1,loss_type=BPR,weight_decay=1e-4,clip_grad_norm={"max_norm": 5, "norm_type": 2}'
    assert files.parameters(text, "SASRec", SASREC, "hidden_size") == {
        "n_layers": 1,
        "loss_type": "BPR",
        "weight_decay": 1e-4,
        "clip_grad_norm": {"max_norm": 5, "norm_type": 2},
    }
    assert files.parameters("", "SASRec", SASREC, "hidden_size") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n_layer=1", "SASRec .*'n_layer'.*'n_layers'"),
        ("benchmark_filename=x", "SASRec .*'benchmark_filename'"),
        ("hidden_size=32", "hidden_size: .*width="),
        ("loss_type=exit()", r"loss_type=exit\(\)"),
    ],
)
def test_parameters_that_cannot_be(text, said):
    with pytest.raises(BenchError, match=said):
        files.parameters(text, "SASRec", SASREC, "hidden_size")


def test_a_model_is_as_wide_as_the_vectors_where_it_can_be():
    assert files.width_of(104, None, "SASRec", SASREC, "hidden_size") == (104, "")
    assert files.width_of(104, 32, "SASRec", SASREC, "hidden_size") == (32, "")
    assert files.width_of(0, None, "SASRec", SASREC, "hidden_size") == (None, "")
    width, note = files.width_of(753, None, "SASRec", SASREC, "hidden_size")
    assert width is None
    assert "2 heads do not divide" in note
    with pytest.raises(BenchError, match="n_heads=2 of SASRec does not divide width=33"):
        files.width_of(0, 33, "SASRec", SASREC, "hidden_size")
    assert files.width_key({"embedding_size": "64", "hidden_size": "128"}) == "embedding_size"


def test_it_needs_a_model():
    with pytest.raises(BenchError, match="recbole needs model="):
        create("recommenders", "recbole")


def test_devices_are_named_for_the_process(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [process.gpu(d) for d in ("cpu", "cuda", "cuda:2")] == ["", "0", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert process.gpu("cuda:1") == "7"


# -- failures -------------------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path):
    """An interpreter without any package."""
    path = tmp_path / "bare-python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    path.chmod(0o755)
    return path


def test_the_install_commands_are_given_when_recbole_is_absent(bare):
    said = f"{bare} -m pip install --no-deps recbole==1.2.1"
    with pytest.raises(BenchError, match=r"recbole needs .*recbole.*which .*bare-python does not have") as raised:
        create("recommenders", f"recbole:SASRec,python={bare}")
    assert said in str(raised.value)
    assert "[recbole]' && pip install --no-deps recbole==1.2.1" in install_line(get("recommenders", "recbole"))


@pytest.mark.skipif(HERE, reason="RecBole is installed here")
def test_the_registry_gives_them_for_this_interpreter():
    with pytest.raises(BenchError, match=r"recbole needs recbole: pip install .* --no-deps recbole==1\.2\.1"):
        create("recommenders", "recbole:SASRec")


def test_a_missing_interpreter_is_an_error():
    with pytest.raises(BenchError, match="python=/nowhere/python cannot be used"):
        create("recommenders", "recbole:SASRec,python=/nowhere/python")


def test_a_process_that_fails_says_why_and_leaves_nothing(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "request.json").write_text("{}")
    started = process.Process(sys.executable, folder, "cpu", "recbole:SASRec")
    started.start()
    with pytest.raises(BenchError, match=r"recbole:SASRec .* KeyError: 'seconds'") as raised:
        started.receive()
    assert "Traceback" in str(raised.value)
    assert not folder.exists()


def test_a_process_that_is_killed_says_so(bare, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    bare.write_text("#!/bin/sh\necho out of luck >&2\nkill -9 $$\n")
    started = process.Process(str(bare), folder, "cpu", "recbole:BPR")
    started.start()
    with pytest.raises(BenchError, match=r"killed by signal 9\n  out of luck"):
        started.receive()


# -- with RecBole ---------------------------------------------------------------------------------------

MODELS = ["BPR", "LightGCN", "SASRec", "BERT4Rec", "GRU4Rec"]


@real
@pytest.mark.parametrize("spec", ["BPR", "LightGCN,vectors=trainable", "SASRec,width=8", "GRU4Rec,vectors=none"])
def test_it_keeps_the_contract(spec):
    contract = type("Contract", (RecommenderContract,), {"spec": f"recbole:{spec},{SMALL}{WHERE}"})()
    for check in [name for name in dir(contract) if name.startswith("test_")]:
        getattr(contract, check)()


@real
def test_five_models_run_end_to_end(tmp_path, capsys):
    """On the demo, with vectors and without; a model without them runs once."""
    models = ",".join(f"recbole:{name},epochs=1,max_len=5{WHERE}" for name in MODELS)
    models += f",recbole:BPR,epochs=1,vectors=none{WHERE}"
    place = ["--results", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert main(["run", "--extractor", "mfcc", "--model", models, *place]) == 0
    said = capsys.readouterr().out
    records = [json.loads(path.read_text()) for path in tmp_path.glob("demo/*/*/recbole-*/seed*.json")]
    found = {(r["recommender"]["spec"].split(",")[0], r["extractor"]["spec"].partition(":")[0]) for r in records}
    assert found >= {(f"recbole:{name}", extractor) for name in MODELS for extractor in ("mfcc", "random", "shuffled")}
    assert ("recbole:BPR", "none") in found
    assert all("ndcg@10" in record["metrics"]["hot"] for record in records), said


def small_world():
    """Listeners whose taste the vectors hold, some tracks cold."""
    made = planted(150, 200, 16, seed=2, plays=12_000, cold_share=0.3)
    return made, make(made.listens.lazy(), GlobalTemporal(cut=made.cut.isoformat()))


@pytest.fixture(scope="module")
def world():
    return small_world()


def table(world, name, width=16):
    made, split = world
    rows = np.searchsorted(np.array(made.ids), np.array(split.items))
    vectors = np.asarray(made.tables["aligned"][rows], np.float32)[:, :width]
    if name == "shuffled":
        vectors = vectors[np.random.default_rng(0).permutation(len(vectors))]
    return ItemTable(list(split.items), vectors, np.ones(len(rows), bool), split.hot.copy(), {})


def fitted(world, spec, *, vectors="aligned", valid=lambda _: 0.5, **run):
    model = create("recommenders", spec + WHERE)
    model.fit(world[1].train, table(world, vectors), valid=valid, run=RunContext(**run))
    return model


@real
@pytest.mark.parametrize("spec", ["recbole:SASRec,epochs=3,batch=256,max_len=10", "recbole:LightGCN,epochs=4"])
def test_vectors_belong_to_their_tracks(world, spec):
    """Planted truth: vectors of other tracks are no use, least of all for tracks that nobody heard."""
    found = {}
    for name in ("aligned", "shuffled"):
        found[name] = measure(
            create("recommenders", spec + WHERE), table(world, name), world[1],
            ks=(10,), seed=0, device="cpu", reference=None, folder=None, log=print,
        )  # fmt: skip
    for which in ("hot", "cold"):
        values = {name: each.metrics[which]["ndcg@10"] for name, each in found.items()}
        assert values["aligned"] > 1.3 * values["shuffled"], (which, values)


@real
@pytest.mark.parametrize(("name", "reads"), [("SASRec", True), ("BPR", False)])
def test_a_sequential_model_reads_a_new_history(world, name, reads):
    model = fitted(world, f"recbole:{name},{SMALL}")
    split, users = world[1], np.arange(40, dtype=np.int32)
    before = model.score(users)
    train = split.train
    last = np.diff(train.user, append=-1) != 0  # what comes after it is another listener's
    shorter = {name: getattr(train, name)[~last].copy() for name in ("user", "item", "first", "last", "count")}
    model.update_history(replace(train, **shorter))
    assert np.array_equal(before, model.score(users)) != reads
    model.update_history(train)
    assert np.array_equal(before, model.score(users))


EQUAL = """
import json, sys
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from worker import Worker

class Silent:
    def send(self, *_, **__): pass
    def receive(self): return {"do": "continue", "value": 0.5}, b""

worker = Worker(Silent(), json.load(open("request.json")))
worker.train()
work = worker.model
user, item, users = np.load("user.npy"), np.load("item.npy"), np.arange(0, 40, dtype=np.int32)
from recbole.data.interaction import Interaction
dataset, longest, rows = work.dataset, work.config["MAX_ITEM_LIST_LENGTH"], []
for u in users:
    batch = {"user_id": torch.tensor([dataset.token2id("user_id", str(u))])}
    last = [dataset.token2id("item_id", str(i)) for i in item[user == u]][-longest:]
    batch["item_id_list"] = torch.tensor([last + [0] * (longest - len(last))])
    batch["item_length"] = torch.tensor([len(last)])
    with torch.no_grad():
        own = work.network.eval().full_sort_predict(Interaction(batch)).view(-1).numpy()
    rows.append([own[dataset.token2id("item_id", str(i))] for i in range(work.request["n_items"]) if i in item])
heard = np.unique(item)
with work.widened():
    wide = work.scores(users)
np.testing.assert_allclose(wide[:, heard], rows, rtol=1e-4, atol=1e-5)
given, table = np.load("vectors.npy"), work.embedding.rows.numpy()
assert all(table[dataset.token2id("item_id", str(i))].tobytes() == given[i].tobytes() for i in heard), "table"
cold = np.setdiff1d(np.arange(work.request["n_items"]), heard)
assert len(cold) and np.isfinite(wide[:, cold]).all() and np.ptp(wide[:, cold]) > 0, "cold"
"""


@real
@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_recbole_itself(world, name, tmp_path):
    """Item by item, from sequences written out by hand; frozen vectors byte by byte; cold tracks too."""
    model = create("recommenders", f"recbole:{name},{SMALL}{WHERE}")
    train, items = world[1].train, table(world, "aligned")
    vectors = model._vectors(items)
    rows = files.training_rows(train, items.present, sequential=model._sequential)
    files.write(tmp_path, rows, model._request(train, vectors, RunContext()), vectors, items.present)
    command = [PYTHON, "-c", EQUAL, str(Path(process.__file__).parent)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@real
def test_frozen_vectors_that_changed_are_an_error(world):
    model = create("recommenders", f"recbole:BPR,{SMALL}{WHERE}")
    honest = model._request
    model._request = lambda *args: honest(*args) | {"vectors": "trainable"}
    with pytest.raises(BenchError, match="BPR changed the frozen item vectors"):
        model.fit(world[1].train, table(world, "aligned"), valid=lambda _: 0.5, run=RunContext())


@real
def test_training_stops_early_and_keeps_the_best_state(world):
    values = iter([0.1, 0.4, 0.3, 0.2, 0.9])
    users, seen = np.arange(20, dtype=np.int32), []

    def valid(model):
        seen.append(model.score(users))
        return next(values)

    lines = []
    model = fitted(world, "recbole:BPR,epochs=9,patience=2", valid=valid, log=lines.append)
    assert (model.history.stopped, model.history.best_epoch, len(model.history.loss)) == ("patience", 1, 4)
    assert np.array_equal(model.score(users), seen[1])
    assert lines[-1].startswith("epoch 4: loss 0.")
    assert lines[-1].endswith("validation 0.2000")


@real
def test_a_deadline_ends_training(world):
    model = fitted(world, "recbole:SASRec,epochs=10000,max_len=8", deadline=time.monotonic() + 20)
    assert model.history.stopped == "deadline"
    assert 1 <= len(model.history.loss) < 10000


@real
def test_cold_tracks_without_vectors_have_no_score(world):
    model = fitted(world, "recbole:BPR,epochs=1,vectors=none")
    scores = model.score(np.arange(5, dtype=np.int32))
    assert np.array_equal(np.isfinite(scores), np.broadcast_to(world[1].hot, scores.shape))


@real
def test_a_model_that_cannot_take_vectors_says_so(world):
    with pytest.raises(BenchError, match="NeuMF has no item_embedding to put vectors in: give vectors=none"):
        fitted(world, "recbole:NeuMF,epochs=1")
    assert np.isfinite(fitted(world, "recbole:NeuMF,epochs=1,vectors=none").score(np.arange(2, dtype=np.int32))).any()


@real
def test_vectors_of_an_odd_width_are_projected(world):
    lines = []
    model = create("recommenders", f"recbole:SASRec,{SMALL}{WHERE}")
    odd = table(world, "aligned", width=15)
    model.fit(world[1].train, odd, valid=lambda _: 0.5, run=RunContext(log=lines.append))
    assert "2 heads do not divide them" in lines[0]
    assert "vectors of width 15 go through a learned projection to 64" in lines[1]


@real
def test_the_process_ends_with_its_parent(world, tmp_path):
    """Killed outright, a harness leaves no process behind that trains on."""
    script = tmp_path / "harness.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_recbole as t\n"
        "world = t.small_world()\n"
        "def log(line):\n    print(line, flush=True)\n"
        "m = t.create('recommenders', 'recbole:SASRec,epochs=100000,max_len=8' + t.WHERE)\n"
        "real = t.process.Process.start\n"
        "def start(self):\n    real(self); print('pid', self._process.pid, flush=True)\n"
        "t.process.Process.start = start\n"
        "m.fit(world[1].train, t.table(world, 'aligned'), valid=lambda _: 0.5, run=t.RunContext(log=log))\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as harness:
        lines = iter(harness.stdout)
        pid = int(next(line for line in lines if line.startswith("pid")).split()[1])
        assert next(line for line in lines if line.startswith("epoch 1"))
        os.kill(harness.pid, signal.SIGKILL)
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the process trained on without its parent")


@real
def test_every_play_is_a_step_of_a_sequence(world):
    """Repeated plays reach RecBole, which checks in its process that it trains on all of them."""
    train = world[1].train
    twice = np.repeat(np.arange(len(train)), 2)
    plays = Plays(train.user[twice], train.item[twice], train.first[twice])
    model = create("recommenders", f"recbole:GRU4Rec,{SMALL}{WHERE}")
    model.fit(replace(train, plays=plays), table(world, "aligned"), valid=lambda _: 0.5, run=RunContext())
    assert len(model.history.loss) == 2


def test_a_listener_who_has_heard_everything_is_named():
    user = np.array([0, 0, 1, 1, 1, 1, 3, 3, 3])
    item = np.array([5, 7, 5, 7, 9, 9, 9, 7, 5])
    with pytest.raises(worker_model.RefusedError, match=r"2 of 3 listeners have all 3 .*listener 2 in"):
        worker_model.check_listeners(user, item)
    worker_model.check_listeners(np.array([0, 0, 0, 1, 1]), np.array([5, 7, 7, 5, 9]))
