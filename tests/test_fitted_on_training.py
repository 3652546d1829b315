"""Whatever is fitted is fitted on training items: what cold items look like changes nothing for the others."""

import numpy as np
import pytest

from bench import treatments
from bench.items.item_table import Tables
from bench.resolver import resolve

N, WIDTH = 120, 12
IDS = [f"t{row:03d}" for row in range(N)]
HOT = np.arange(N) % 3 != 0
STEPS = [*treatments.KNOWN, *(f"{name}+l2" for name in treatments.KNOWN), "l2+standardize+pca"]


def typed(text: str) -> str:
    """Give a width to the steps that want one."""
    return "+".join(f"{step}:5" if step in treatments._SIZED else step for step in text.split("+"))


def write(folder, name: str, vectors: np.ndarray) -> str:
    np.save(folder / f"{name}.npy", vectors.astype(np.float32))
    (folder / f"{name}.ids.txt").write_text("\n".join(IDS) + "\n")
    return f"precomputed:path=({folder / name}.npy)"


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("text", STEPS)
def test_cold_vectors_do_not_reach_the_treatment_of_others(tmp_path, text, joined):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((N, WIDTH)) * rng.uniform(0.1, 9, WIDTH) + 3
    changed = vectors.copy()
    changed[~HOT] = 100 * rng.standard_normal((int((~HOT).sum()), WIDTH)) - 50
    built = []
    for name, table in (("a", vectors), ("b", changed)):
        spec = write(tmp_path, name, table)
        spec = f"{spec}+{spec}" if joined else spec
        built.append(Tables(tmp_path / "cache", {}).build(resolve(spec, treat=typed(text)), IDS, hot=HOT).vectors)
    before, after = built
    np.testing.assert_array_equal(before[HOT], after[HOT])
    assert not np.array_equal(before[~HOT], after[~HOT])


@pytest.mark.parametrize("text", STEPS)
def test_a_cold_track_is_treated_alone(tmp_path, text):
    """Its row depends on itself and on training items, not on which other cold tracks there are."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((N, WIDTH)) + 1
    changed = vectors.copy()
    cold = np.flatnonzero(~HOT)
    changed[cold[1:]] *= -7
    before, after = (
        Tables(tmp_path / "cache", {}).build(resolve(write(tmp_path, n, v), treat=typed(text)), IDS, hot=HOT).vectors
        for n, v in (("a", vectors), ("b", changed))
    )
    np.testing.assert_allclose(before[cold[0]], after[cold[0]], rtol=1e-6)
