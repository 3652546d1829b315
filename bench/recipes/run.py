"""Run a recipe, from the check of its options to its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import BenchError, did_you_mean
from bench.protocols import Lane
from bench.recipes import RECIPES, recsys2024
from bench.recipes.requests import Backend, backends, log_backends, requests
from bench.recipes.verdicts import chapter, estimates
from bench.records import Record
from bench.report.report import Report, report
from bench.run.inputs import open_data
from bench.run.options import Data, Environment
from bench.run.probe.experiment import ProbeExperiment
from bench.run.probe.request import OWN, ProbeRequest
from bench.run.progress import Ui
from bench.run.recommend.experiment import RecommendExperiment


@dataclass(frozen=True)
class Recipe:
    """Options of a recipe.

    models, embeddings : names in the paper; empty: all of the paper's
    mir_root : folder with the folders of the tasks in Table 4
    """

    name: str
    data: Data
    lane: Lane = "corrected"
    seeds: int = 1
    models: Sequence[str] = ()
    embeddings: Sequence[str] = ()
    mir_root: str | None = None

    def __post_init__(self) -> None:
        """Raise an error for unknown names."""
        if self.name not in RECIPES:
            raise BenchError(f"there is no recipe {self.name!r}.{did_you_mean(self.name, RECIPES)}")
        paper = recsys2024.published()
        for option, names, known in (
            ("--models", self.models, list(paper.models)),
            ("--embeddings", self.embeddings, list(recsys2024.EMBEDDINGS)),
        ):
            for name in names:
                if name not in known:
                    raise BenchError(f"{option} {name}: the paper has no {name!r}.{did_you_mean(name, known)}")


class RecipeRun:
    """A run of one recipe: call `plan()`, then `do()`. All methods raise BenchError for wrong input."""

    def __init__(self, recipe: Recipe, environment: Environment, ui: Ui) -> None:
        self.recipe, self.ui = recipe, ui
        self.paper = recsys2024.published()
        opened = open_data(recipe.data, environment)
        self.builtin = bool(opened.dataset.builtin)
        names = recipe.embeddings or recsys2024.EMBEDDINGS
        self.backends: list[Backend] = backends(self.paper, names, opened, recipe.lane, environment.cache)
        log_backends(self.backends, ui.log)
        if all(backend.missing for backend in self.backends):
            raise BenchError("none of the paper's embeddings is available; the lines above give the reasons.")
        recommend = requests(
            self.paper,
            self.backends,
            data=recipe.data,
            split=recsys2024.SPLIT,
            k=recsys2024.K,
            lane=recipe.lane,
            seeds=recipe.seeds,
            models=recipe.models or list(self.paper.models),
            more=recsys2024.BASELINES,
        )
        first, *others = (RecommendExperiment(request, environment, ui) for request in recommend)
        probes = [ProbeExperiment(request, environment, ui) for request in self._probes()]
        self.experiments: list[RecommendExperiment | ProbeExperiment] = [first, *others, *probes]
        for experiment in self.experiments:
            experiment.opened = opened
            if experiment in others:
                experiment.inputs = first.inputs
            experiment.open()

    def _probes(self) -> list[ProbeRequest]:
        specs = tuple(backend.spec for backend in self.backends if backend.missing is None)
        probes = [ProbeRequest(data=self.recipe.data, extractors=specs, tasks=(OWN,), lane=self.recipe.lane)]
        if self.recipe.mir_root:
            audio = tuple(spec for spec in specs if not spec.startswith("precomputed"))
            tasks = tuple(task for task in recsys2024.TASKS if (Path(self.recipe.mir_root) / task).is_dir())
            if not tasks:
                raise BenchError(
                    f"--mir-root {self.recipe.mir_root} has no folder {' or '.join(recsys2024.TASKS)}. "
                    "`bench ls tasks` shows what each must contain."
                )
            if absent := [task for task in recsys2024.TASKS if task not in tasks]:
                self.ui.log(f"left out: --mir-root {self.recipe.mir_root} has no folder {' and no '.join(absent)}")
            if not audio:
                self.ui.log(f"left out: {', '.join(tasks)}: all embeddings are files of vectors, without an extractor")
                return probes
            probes.append(replace(probes[0], extractors=audio, tasks=tasks, root=self.recipe.mir_root))
        return probes

    def plan(self) -> None:
        """Print the plans of all experiments."""
        for experiment in self.experiments:
            experiment.plan()

    def do(self) -> Report:
        """Run all experiments that have no records yet, and return their report, which ends with the claims."""
        records: list[tuple[Path, Record | BenchError]] = []
        for experiment in self.experiments:
            records += experiment.do().records
        made = report(list(dict(records).items()), [self.paper], drawn=[recsys2024.METRIC])
        found = estimates(self.paper, self.backends, made.boards, made.probed, self.recipe.lane)
        verdicts = chapter(self.paper, found, self.recipe.lane, self.builtin)
        return replace(made, chapters=[*made.chapters, verdicts])
