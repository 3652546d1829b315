"""How often 95 % intervals hold the truth, and how often tests find a difference between two equally good models.

    python benchmarks/coverage.py [--quick] [--draws N] [--seed N]

Each draw makes listeners, items of artists with Zipf-distributed popularity, and the values of two models with so many
training seeds. The first table gives coverage of the intervals of a mean and of a difference by `bench.stats.two_way`,
and at 5 seeds that of intervals over listeners alone, of the two-level bootstrap over seeds and listeners, and of the
pigeonhole bootstrap over listeners, artists and seeds. The second gives the size of the tests where there is no
difference. One seed stands for models that draw no random numbers.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from bench.stats import (
    Components,
    Interval,
    PairScores,
    difference,
    equivalence,
    interval,
    pair_weights,
    two_level,
    two_way,
    two_way_tests,
)

LISTENERS, ITEMS, SEEDS = (20, 100, 1000, 5000), (100, 1000, 10_000), (1, 3, 5, 10)
SIMILAR = 0.7
"""Correlation of the effects of two models."""

RESAMPLES = 300
GAINS = 1 / np.log2(np.arange(2, 12))
EFFECTS = {"listener": 0.5, "artist": 0.6, "item": 0.4, "both": 0.4, "pair": 0.8}
BY_SEED = {"seed": 0.12, "artist": 0.1, "pair": 0.5}
NONE = dict.fromkeys(EFFECTS, 0.0)


@dataclass(frozen=True)
class World:
    """What is planted: numbers, the kind of outcome, and standard deviations of the effects on a latent quality.

    outcome : "real" is the quality itself. The others come from ranks, which are uniform over the candidates: "ndcg"
        is NDCG@10 with 40 candidates, "sparse" recall@10 with 500 (about 90 % of the listeners have 0)
    """

    outcome: str
    listeners: int
    items: int
    effects: dict[str, float]
    by_seed: dict[str, float]


def drawn(world: World, rng: np.random.Generator) -> tuple[dict[int, tuple[PairScores, PairScores]], float]:
    """Return the scores of two equally good models by number of seeds, and the true mean."""
    artists = max(2, world.items // 4)
    weights = np.arange(1, artists + 1) ** -0.5
    artist = rng.choice(artists, world.items, p=weights / weights.sum())
    popularity = rng.permutation(np.arange(1, world.items + 1) ** -0.8).cumsum()
    wanted = np.repeat(np.arange(world.listeners), 1 + rng.exponential(4, world.listeners).astype(int))
    item = np.minimum(popularity.searchsorted(rng.random(len(wanted)) * popularity[-1]), world.items - 1)
    listener, item = np.divmod(np.unique(wanted * world.items + item), world.items)
    artist = artist[item]
    both = np.unique(listener * artists + artist, return_inverse=True)[1]
    codes = {"listener": listener, "artist": artist, "item": item, "both": both, "pair": np.arange(len(item))}

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, np.float32)

    quality = np.zeros((2, 1, len(item)), np.float32)
    for name, deviation in world.effects.items():
        first, own = deviation * normal(2, int(codes[name].max()) + 1)
        quality += np.stack([first, SIMILAR * first + math.sqrt(1 - SIMILAR**2) * own])[:, None, codes[name]]
    seeds = world.by_seed["seed"] * normal(2, max(SEEDS), 1)
    seeds = seeds + world.by_seed["artist"] * normal(2, max(SEEDS), artists)[:, :, artist]
    seeds += world.by_seed["pair"] * normal(2, max(SEEDS), len(item))
    weight, found = pair_weights(listener), {}
    variance = sum(each**2 for each in world.effects.values())
    trained = math.sqrt(variance + sum(each**2 for each in world.by_seed.values()))
    for one in (quality / math.sqrt(variance), (quality + seeds) / trained):
        values, truth = _outcome(world.outcome, one, listener)
        for n in SEEDS:
            if n == 1 or n <= values.shape[1]:
                first, second = (PairScores(each[:n], weight, listener, artist) for each in values.astype(np.float64))
                found.setdefault(n, (first, second))
    return found, float(truth @ weight)


def _outcome(
    kind: str, quality: NDArray[np.float32], listener: NDArray[np.int64]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Return the values of qualities (2, S, P) of standard normal distribution, and their expectations (P,)."""
    n = np.bincount(listener)[listener]
    if kind == "real":
        return quality, np.zeros(len(n))
    candidates, gains = (40, GAINS) if kind == "ndcg" else (500, np.ones(10))
    scale = n / gains.cumsum()[np.minimum(n, 10) - 1]
    rank = (candidates * ndtr(-quality)).astype(np.int64)
    return np.append(gains, 0)[np.minimum(rank, 10)] * scale, gains.sum() / candidates * scale


def by_listener(scores: PairScores) -> NDArray[np.float64]:
    """Return the values (S, U) of which the mean over listeners is the metric."""
    found = np.stack([np.bincount(scores.listener, scores.weight * each) for each in scores.values])
    return found * found.shape[1]


def over_listeners(scores: PairScores) -> Interval:
    """Return the t interval over listeners of the mean over seeds: items and seeds are taken as given."""
    values = by_listener(scores).mean(axis=0)
    half = float(stdtrit(len(values) - 1, 0.975)) * values.std(ddof=1) / math.sqrt(len(values))
    return Interval(values.mean() - half, values.mean() + half)


def over_two_levels(scores: PairScores) -> Interval:
    """Return the bootstrap interval over seeds and listeners that `bench report` prints for hot tracks."""
    return interval(two_level([by_listener(scores)[:, :, None]], [1], resamples=RESAMPLES)[0][:, 0])


def pigeonhole(scores: PairScores) -> Interval:
    """Return the percentile interval of the pigeonhole bootstrap over listeners, artists and seeds (Owen 2007)."""
    rng = np.random.default_rng(0)
    seeds, means = len(scores.values), []
    listeners, artists = int(scores.listener.max()) + 1, int(scores.cluster.max()) + 1
    present = np.flatnonzero(np.bincount(scores.cluster, minlength=artists))
    for _ in range(RESAMPLES):
        one = np.bincount(rng.integers(0, listeners, listeners), minlength=listeners)
        other = np.bincount(rng.choice(present, len(present)), minlength=artists)
        weight = scores.weight * one[scores.listener] * other[scores.cluster]
        if total := weight.sum():
            means.append((scores.values @ weight)[rng.integers(0, seeds, seeds)].mean() / total)
    return interval(np.array(means))


BASELINES: dict[str, Callable[[PairScores], Interval]] = {
    "listeners": over_listeners,
    "two-level": over_two_levels,
    "pigeonhole": pigeonhole,
}


def holds(found: Interval | None, truth: float) -> bool:
    """Return whether an interval holds the truth; without one, it does not."""
    return found is not None and found.low <= truth <= found.high


def holds_no_difference(found: Components) -> bool:
    """Return whether the interval of a difference holds 0, as an absent one of equal values does."""
    return found.interval() is None or holds(found.interval(), 0.0)


def coverage(world: World, draws: int, baselines: int, seed: int) -> dict[str, float]:
    """Return coverage by what is measured; `baselines` of the draws also measure these."""
    rng = np.random.default_rng([seed, world.listeners, world.items, *world.outcome.encode()])
    counts: dict[str, list[bool]] = {}
    for draw in range(draws):
        found, truth = drawn(world, rng)
        for n, (a, b) in found.items():
            counts.setdefault(f"mean {n}", []).append(holds(two_way(a).interval(), truth))
            counts.setdefault(f"difference {n}", []).append(holds_no_difference(difference(a, b)))
        if draw < baselines:
            for name, baseline in BASELINES.items():
                counts.setdefault(name, []).append(holds(baseline(found[5][0]), truth))
    return {name: float(np.mean(each)) for name, each in counts.items()}


NULLS: dict[str, tuple[str, dict[str, float], dict[str, float]]] = {
    "real values": ("real", EFFECTS, BY_SEED),
    "NDCG": ("ndcg", EFFECTS, BY_SEED),
    "sparse recall": ("sparse", EFFECTS, BY_SEED),
    "sparse recall, no effects": ("sparse", NONE | {"pair": 1.0}, dict.fromkeys(BY_SEED, 0.0)),
    "real values, only seeds": ("real", NONE | {"pair": 0.1}, {"seed": 1.0, "artist": 0.0, "pair": 0.1}),
    "real values, only artists": ("real", NONE | {"artist": 1.0, "pair": 0.1}, dict.fromkeys(BY_SEED, 0.01)),
}


def sizes(world: World, draws: int, seed: int) -> dict[str, float]:
    """Return the share of draws in which a test at .05 is significant: of a difference, and of equivalence.

    For equivalence, the true difference is the margin, which is large.
    """
    rng = np.random.default_rng([seed, 1, world.listeners, world.items, *world.outcome.encode()])
    counts: dict[str, list[bool]] = {}
    for _ in range(draws):
        for n, pair in drawn(world, rng)[0].items():
            test, apart = two_way_tests([pair])[0]
            counts.setdefault(f"different {n}", []).append(test.p <= 0.05)
            margin = 100 * math.sqrt(apart.variance) + 1
            shifted = replace(apart, mean=apart.mean + margin)
            counts.setdefault(f"equivalent {n}", []).append(equivalence(shifted, margin).equivalent)
    return {name: float(np.mean(each)) for name, each in counts.items()}


def tables(listeners: tuple[int, ...], items: tuple[int, ...], draws: int, seed: int) -> Iterator[str]:
    """Yield the lines of both tables; worlds of 1,000 and more listeners take fewer draws."""
    measured = [f"{name} {n}" for name in ("mean", "difference") for n in SEEDS] + list(BASELINES)
    yield "| outcome | listeners | items | " + " | ".join(measured) + " |"
    yield "|---" * (len(measured) + 3) + "|"
    for outcome in ("real", "ndcg", "sparse"):
        for users in listeners:
            for n in items:
                some = draws if users < 1000 else draws // 2 if users < 5000 else draws // 4
                found = coverage(World(outcome, users, n, EFFECTS, BY_SEED), some, -(-some // 5), seed)
                yield (
                    f"| {outcome} | {users:,} | {n:,} | " + " | ".join(_share(found[name]) for name in measured) + " |"
                )
    measured = [f"{name} {n}" for name in ("different", "equivalent") for n in SEEDS]
    yield ""
    yield "| null | listeners | " + " | ".join(measured) + " |"
    yield "|---" * (len(measured) + 2) + "|"
    for name, (outcome, effects, by_seed) in NULLS.items():
        for users in (8, *(each for each in listeners if each <= 1000)):
            size = sizes(World(outcome, users, 1000, effects, by_seed), draws if users < 1000 else draws // 4, seed)
            yield f"| {name} | {users:,} | " + " | ".join(_share(size[each]) for each in measured) + " |"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if value < 1 else "1"


def main() -> None:
    """Print both tables and the time that they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="draws of each world below 1,000 listeners")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller worlds, 200 draws")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.process_time()
    sizes_of = ((20, 100), (100, 1000)) if given.quick else (LISTENERS, ITEMS)
    for line in tables(*sizes_of, 200 if given.quick else given.draws, given.seed):
        print(line, flush=True)
    print(f"\n{time.process_time() - began:.0f} CPU s")


if __name__ == "__main__":
    main()
