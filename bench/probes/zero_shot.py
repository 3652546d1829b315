"""The zero-shot probe: the cosine between the vector of a track and the vector of a sentence about each label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.norms import l2
from bench.probes.data import Part, ProbeData
from bench.probes.objective import Objective
from bench.probes.search import Best, SearchResult, predict
from bench.protocols import RunContext


@dataclass(frozen=True)
class ZeroShot:
    """Nothing is trained: labels are sentences, for extractors that have vectors of texts.

    prompt : the sentence; the label stands at {}. Extractors with word vectors get the label alone
    """

    version: ClassVar[str] = "1"

    prompt: str = "This is {} music"

    def __post_init__(self) -> None:
        """Check that the label has a place."""
        if "{}" not in self.prompt:
            raise ValueError(f"prompt={self.prompt} must contain {{}}, where the label goes")


def zero_shot(data: ProbeData, settings: ZeroShot, seed: int, run: RunContext) -> SearchResult:
    """Score each label of a track by a cosine (Manco et al. 2022, arXiv:2208.12208; Wu et al. 2023).

    Training labels are not read. Validation is scored, and chooses only how the clips of a track are joined. `seed`
    is not used, because nothing is random.

    Raises
    ------
    BenchError
        When there are no vectors of the labels, or they have another width than those of the tracks.

    """
    if data.texts is None:
        raise BenchError("probe zero-shot: the labels have no vectors.")
    texts, wide = l2(data.texts), data.x["test"].shape[1]
    if texts.shape != (len(data.names), wide):
        raise BenchError(
            f"probe zero-shot: {len(data.names)} labels have vectors of shape {texts.shape}, tracks of {wide} values."
        )
    objective = Objective(data)

    def outputs(part: Part) -> NDArray[np.float32]:
        return np.asarray(l2(data.x[part]) @ texts.T, np.float32)

    value, clips = objective.primary(outputs("valid"))
    tried = {"prompt": settings.prompt, "trained": False, "validation": value}
    return predict(data, objective, Best(value, clips, tried, [tried], lambda: outputs("test")))
