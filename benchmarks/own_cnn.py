"""Our own network on the sparse synthetic world: which objective, and what is the network's and what the labels'.

Trains `cnn` by three objectives, and linear and MLP heads on frozen MFCC and MusiCNN by the first of them, with several
seeds; all have the same number of steps and see the same number of recordings. Then it compares

* the average precision of links between held-out recordings, by a bootstrap over recordings (nodes), which all rows
  share, with the variance over seeds added;
* NDCG@10 of kNN on cold tracks, over listeners, artists and seeds, as reports do,

and prints for each difference its 95 % interval and the smallest true difference that would be found with a
probability of .8. Trainings and vectors that are there are not computed again: a killed run continues.

    OMP_NUM_THREADS=1 python benchmarks/own_cnn.py FOLDER [--seeds 5] [--arch small]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from demo_power import run
from numpy.typing import NDArray

from bench import records
from bench.files.atomic import cache_root, digest
from bench.items.item_table import Tables
from bench.metrics.from_ranks import pair_values
from bench.metrics.link_prediction import RankedPairs
from bench.records.ranks import read_ranks
from bench.registry import create
from bench.resolver import resolve
from bench.run.extraction_task import Audio
from bench.run.inputs import held_out, open_data
from bench.run.options import Data, Environment
from bench.stats import PairScores, item_clusters, pair_weights, two_way_tests
from bench.stats.components import Components, Part
from bench.stats.power import smallest_detectable

DATA = "demo-sparse"
OBJECTIVES = ("hybrid", "text", "triplets")
HEADS = tuple((of, kind) for of in ("mfcc", "musicnn") for kind in ("linear", "mlp"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="where weights and records go")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arch", default="small")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=32, help="steps of an epoch")
    parser.add_argument("--batch", type=int, default=33)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--patience", type=int, default=1, help="epochs without gain before hybrid takes up the words")
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--cache", type=Path, default=cache_root())
    given = parser.parse_args()
    settings = {name: getattr(given, name) for name in ("arch", "epochs", "steps", "batch", "rate", "patience")}
    folder = given.folder.absolute() / digest(settings)[:8]
    folder.mkdir(parents=True, exist_ok=True)
    print(", ".join(f"{name} {value}" for name, value in settings.items()), f"-> {folder}", flush=True)
    rows: dict[str, list[str]] = {}
    for seed in range(given.seeds):
        for name, spec in specs(given, folder, seed):
            rows.setdefault(name, []).append(spec)
    compare(rows, given, folder)


def specs(given: argparse.Namespace, folder: Path, seed: int) -> Iterator[tuple[str, str]]:
    """Train what is missing of a seed, and yield the name of each row with the spec of its vectors."""
    waits = {"hybrid": f",patience={given.patience}"}
    objective = {one: f"objective=({one}:steps={given.steps}{waits.get(one, '')})" for one in OBJECTIVES}
    for one in OBJECTIVES:
        yield (
            f"cnn, {one}",
            trained(f"cnn:arch={given.arch},{objective[one]}", given, folder, f"cnn-{one}-{seed}", seed),
        )
    yield "cnn, random weights", f"cnn:arch={given.arch},weights=random,seed={seed}"
    for of, kind in HEADS:
        spec = f"head:of={of},kind={kind}"
        out = f"{of}-{kind}-{seed}"
        yield f"{kind} head on {of}", trained(f"{spec},{objective['hybrid']}", given, folder, out, seed)
        yield f"{kind} head on {of}, random weights", f"{spec},seed={seed}"


def trained(spec: str, given: argparse.Namespace, folder: Path, name: str, seed: int) -> str:
    """Train a spec unless it is done, and return the spec of its weights."""
    out = folder / f"{name}.safetensors"
    if not out.exists():
        words = ["--epochs", str(given.epochs), "--batch", str(given.batch), "--rate", str(given.rate)]
        words += ["--patience", str(given.epochs), "--seed", str(seed), "--out", str(out), "--device", "cpu"]
        run("train", spec, *words, "--data", DATA, "--cache", str(given.cache))
    loader = f"{spec.partition(':')[0]}:weights={out}"
    told = create("extractors", loader).trained(out)
    print(f"{name}: validation AP {told['validation_ap']:.4f}, epoch {told['best_epoch']}", flush=True)
    return loader


def compare(rows: dict[str, list[str]], given: argparse.Namespace, folder: Path) -> None:
    """Measure links and cold recommendation of the rows, and print two tables."""
    hybrid = rows["cnn, hybrid"]
    every = {**rows, "mfcc": ["mfcc"], "musicnn": ["musicnn"]}
    ranked = {name: row for name, row in every.items() if name not in ("cnn, text", "cnn, triplets")}
    ranked["shuffled rows of cnn, hybrid"] = [f"shuffled:of=({spec})" for spec in hybrid]
    place = ["--data", DATA, "--cache", str(given.cache), "--device", "cpu", "--results", str(folder / "results")]
    words = ",".join(spec for row in ranked.values() for spec in row)
    run("run", "--extractor", words, "--model", "knn", "--k", "10", "--no-controls", "--jobs", "1", *place)
    words = ",".join(spec for row in every.values() for spec in row)
    run("probe", "--extractor", words, "--task", "links", "--no-controls", "--jobs", "1", *place)
    links(every, given)
    cold(ranked, folder / "results")


def links(rows: dict[str, list[str]], given: argparse.Namespace) -> None:
    """Print the average precision of links of each row, and the difference between it and the first one."""
    environment = Environment(given.cache)
    opened = open_data(Data(DATA), environment)
    task = create("tasks", "links")
    task.hold_out = held_out(opened, environment)
    data = task.read(opened.root, opened.dataset)
    truth = np.asarray(data.truth)
    assert set(truth[:, 2]) == {0}, "the held-out recordings are in one set"
    ids = data.items["track_id"].to_list()
    assert opened.catalog is not None
    tables = Tables(given.cache, Audio.of(opened.catalog, given.cache).row_of)
    n = len(ids)
    rng = np.random.default_rng(0)
    times = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(given.resamples)]
    nodes, seeds, links = {}, {}, 0
    for name, row in rows.items():
        found = []
        for spec in row:
            vectors, present = tables.joined(resolve(spec), ids)
            assert present.all()
            pairs = RankedPairs(vectors, truth[:, :2])
            links = pairs.links
            found.append([pairs.scores(each).average_precision for each in (None, *times)])
        seeds[name], nodes[name] = np.array(found)[:, 0], np.array(found)[:, 1:].mean(axis=0)
    chance = links / (n * (n - 1) / 2)
    print(f"\nLink AP of {n:,} held-out recordings, {links:,} links, by chance {chance:.4f}", flush=True)
    table("link AP", seeds, {name: difference(nodes, seeds, name) for name in list(rows)[1:]})


def difference(nodes: dict[str, NDArray[np.float64]], seeds: dict[str, NDArray[np.float64]], name: str) -> Components:
    """Return the first row's AP minus another's, with its variance over recordings and over seeds."""
    first = next(iter(seeds))
    apart = nodes[first] - nodes[name]
    over = Part(float(apart.var(ddof=1)), len(apart) - 1, len(apart))
    each = [seeds[one] for one in (first, name)]
    parts = [Part(float(one.var(ddof=1)) / len(one), len(one) - 1, len(one)) for one in each if len(one) > 1]
    variance = sum(part.variance for part in parts)
    df = variance**2 / sum(part.variance**2 / part.df for part in parts) if variance else math.inf
    none = Part(0.0, math.inf, 1)
    return Components(float(each[0].mean() - each[1].mean()), over, none, none, Part(variance, df, len(each[0])))


def cold(rows: dict[str, list[str]], folder: Path) -> None:
    """Print cold NDCG@10 of each row, and the difference between it and the first one."""
    of = {resolve(spec).text: (name, at) for name, row in rows.items() for at, spec in enumerate(row)}
    values: dict[str, dict[int, NDArray[np.float64]]] = {}
    shape = None
    for path in sorted(folder.rglob("seed0.json")):
        record = records.read(path)
        if record.kind != "run" or record.extractor.spec not in of:
            continue
        found = read_ranks(path, record)
        assert not isinstance(found, str), found
        held = found["cold"]
        order = np.lexsort((held.item, held.listener))
        shape = held.listener[order], item_clusters(held.artist, held.item)[order]
        name, at = of[record.extractor.spec]
        values.setdefault(name, {})[at] = pair_values("ndcg", 10, held)[order]
    assert shape is not None
    listener, cluster = shape
    weight = pair_weights(listener)
    scores = {
        name: PairScores(np.array([values[name][at] for at in sorted(values[name])]), weight, listener, cluster)
        for name in rows
    }
    first = scores["cnn, hybrid"]
    others = [name for name in rows if name != "cnn, hybrid"]
    tests = two_way_tests([(first, scores[name]) for name in others])
    print(f"\nCold NDCG@10 of kNN: {len(np.unique(listener)):,} listeners, {len(listener):,} pairs", flush=True)
    seeds = {name: one.by_seed for name, one in scores.items()}
    table("cold NDCG@10", seeds, {name: each for name, (_, each) in zip(others, tests, strict=True)})


def table(metric: str, seeds: dict[str, NDArray[np.float64]], differences: dict[str, Components]) -> None:
    """Print a row for each name: mean and deviation over seeds, and the first row's lead over it."""
    names = ("", metric, "sd over seeds", "cnn, hybrid leads by", "95 % interval", "detectable")
    print(f"\n| {' | '.join(names)} |\n{'|---' * len(names)}|")
    for name, values in seeds.items():
        spread = f"{values.std(ddof=1):.4f}" if len(values) > 1 else "–"
        line = f"| {name} | {values.mean():.4f} | {spread} |"
        if (each := differences.get(name)) is None:
            print(f"{line} – | – | – |")
            continue
        span, least = each.interval(), smallest_detectable(each)
        shown = "–" if span is None else f"{span.low:+.4f} to {span.high:+.4f}"
        print(f"{line} {each.mean:+.4f} | {shown} | {'–' if least is None else f'{least:.4f}'} |", flush=True)


if __name__ == "__main__":
    main()
