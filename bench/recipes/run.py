"""Run a recipe, from the check of its options to its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.errors import BenchError, did_you_mean
from bench.protocols import Lane
from bench.recipes import RECIPES, recsys2024
from bench.recipes.estimates import drawn, estimates
from bench.recipes.requests import Backend, backends, log_backends, requests
from bench.recipes.verdicts import chapter
from bench.report.board import Board
from bench.report.build import Found, boards
from bench.report.report import Report, report
from bench.run.inputs import open_data, open_inputs
from bench.run.options import Data, Environment
from bench.run.probe.experiment import ProbeExperiment
from bench.run.probe.request import OWN, ProbeRequest
from bench.run.progress import Ui
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.record import family
from bench.run.recommend.top_lists import default_cutoff
from bench.text import counted


@dataclass(frozen=True)
class Recipe:
    """Options of a recipe.

    lanes : the lanes to run, each with its own verdicts
    models, embeddings : names in the paper or in `bench`, in capitals or not; empty: all of the paper's
    mir_root : folder with the folders of the tasks in Table 4
    probes : whether MIR tasks are evaluated
    ablations : whether Shallow Net is also trained with other choices, in the corrected lane
    """

    name: str
    data: Data
    lanes: Sequence[Lane] = ("corrected",)
    seeds: int = 1
    models: Sequence[str] = ()
    embeddings: Sequence[str] = ()
    mir_root: str | None = None
    probes: bool = True
    ablations: bool = False

    def __post_init__(self) -> None:
        """Replace names by those that the paper prints; raise an error for unknown ones."""
        if self.name not in RECIPES:
            raise BenchError(f"there is no recipe {self.name!r}.{did_you_mean(self.name, RECIPES)}")
        if self.mir_root and not self.probes:
            raise BenchError("--mir-root is for MIR tasks, and --no-probes leaves them out: give one of them.")
        paper = recsys2024.published()
        embeddings = {name: paper.extractors[name] for name in recsys2024.EMBEDDINGS}
        object.__setattr__(self, "models", _printed("--models", self.models, paper.models))
        object.__setattr__(self, "embeddings", _printed("--embeddings", self.embeddings, embeddings))


def _printed(option: str, names: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """Return the printed names for names in any case, printed or those of `bench`."""
    printed = {other.casefold(): name for name, plugin in known.items() for other in (plugin, name)}
    for name in names:
        if name.casefold() not in printed:
            raise BenchError(f"{option} {name}: the paper has no {name!r}.{did_you_mean(name, known)}")
    return list(dict.fromkeys(printed[name.casefold()] for name in names))


class RecipeRun:
    """A run of one recipe: call `plan()`, then `do()`. All methods raise BenchError for wrong input."""

    def __init__(self, recipe: Recipe, environment: Environment, ui: Ui) -> None:
        self.recipe, self.ui = recipe, ui
        self.paper = recsys2024.published()
        opened = open_data(recipe.data, environment)
        self.builtin = bool(opened.dataset.builtin)
        names = recipe.embeddings or recsys2024.EMBEDDINGS
        self.backends: dict[Lane, list[Backend]] = {}
        for lane in recipe.lanes:
            self.backends[lane] = backends(self.paper, names, opened, lane, environment.cache)
            if len(recipe.lanes) > 1:
                ui.log(f"lane {lane}:")
            log_backends(self.backends[lane], ui.log)
        if all(backend.missing for found in self.backends.values() for backend in found):
            raise BenchError("none of the paper's embeddings is available; the lines above give the reasons.")
        inputs = open_inputs(recipe.data, recsys2024.SPLIT, environment, ui.log, opened)
        hot = int(inputs.split.hot.sum())
        self.k = default_cutoff(min(recsys2024.K, opened.dataset.default_k), hot)
        self.small = "" if self.k == recsys2024.K else f"{inputs.name} has {counted(hot, 'hot track')}"
        if self.small:
            ui.log(f"note: k = {self.k}, not the paper's {recsys2024.K}: {self.small}")
        recommend = [
            request
            for lane, found in self.backends.items()
            for request in requests(
                found,
                data=recipe.data,
                split=recsys2024.SPLIT,
                k=self.k,
                lane=lane,
                seeds=recipe.seeds,
                models=[*self._models(lane), *self._ablations(lane), *recsys2024.BASELINES],
                from_scratch=self._models(lane),
            )
        ]
        asked = [request for lane in recipe.lanes for request in self._probes(lane)] if recipe.probes else []
        probes = [ProbeExperiment(request, environment, ui) for request in asked]
        tables = [RecommendExperiment(request, environment, ui) for request in recommend]
        self.experiments: list[RecommendExperiment | ProbeExperiment] = [*tables, *probes]
        for experiment in self.experiments:
            experiment.opened = opened
            if isinstance(experiment, RecommendExperiment):
                experiment.inputs = inputs
            experiment.open()
        for lane in recipe.lanes:  # rows of all its experiments stand on the same boards
            of_lane = [table for table in tables if table.request.lane == lane]
            rows = [cell for experiment in of_lane for cell in experiment.cells]
            for experiment in of_lane:
                experiment.family = family(rows, [self.k], refit=False)

    def _models(self, lane: Lane) -> list[str]:
        """Return the specs of the paper's recommenders in a lane, and that of the code's reading."""
        names = self.recipe.models or list(self.paper.models)
        more = recsys2024.VARIANTS.values() if lane == "published" and recsys2024.SHALLOW in names else ()
        return [*(self.paper.models[name] for name in names), *more]

    def _ablations(self, lane: Lane) -> list[str]:
        wanted = self.recipe.ablations and self.paper.models[recsys2024.SHALLOW] in self._models(lane)
        return list(recsys2024.ABLATIONS.values()) if wanted and lane == "corrected" else []

    def _probes(self, lane: Lane) -> list[ProbeRequest]:
        specs = tuple(backend.spec for backend in self.backends[lane] if backend.missing is None)
        if not specs:
            return []
        probes = [ProbeRequest(data=self.recipe.data, extractors=specs, tasks=(OWN,), lane=lane)]
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
        """Print the plans of all experiments; what they say of the data and the machine, once."""
        said: set[str] = set()

        def once(line: str) -> None:
            if line not in said:
                self.ui.log(line)
            if line.startswith(("data: ", "parts: ", "note: ", "device: ", "memory: ", "results: ")):
                said.add(line)

        for experiment in self.experiments:
            experiment.ui = replace(self.ui, log=once)
            experiment.plan()
            experiment.ui = self.ui

    def do(self, show: Callable[[list[Board]], None] = lambda _boards: None) -> Report:
        """Run all experiments that have no records yet, and return their report, which ends with the claims.

        `show` is called with the rows so far, without notes, whenever the cells of a recommender have been computed.
        """
        records: list[Found] = []
        for experiment in self.experiments:
            if isinstance(experiment, RecommendExperiment):
                experiment.each = partial(_tell, experiment, show)
            records += experiment.do().records
        made = report(list(dict(records).items()), [self.paper], drawn=drawn(self.k))
        verdicts = [
            chapter(
                self.paper,
                estimates(self.paper, found, made.boards, made.probed, lane, self.k),
                lane,
                k=self.k,
                why=self.small,
                builtin=self.builtin,
            )
            for lane, found in self.backends.items()
        ]
        return replace(made, chapters=[*made.chapters, *verdicts])


def _tell(experiment: RecommendExperiment, show: Callable[[list[Board]], None], done: Sequence[Found]) -> None:
    cell, *left = experiment.cells[len(done) - 1 :]
    more = any(other.model == cell.model for other in left if not other.control)
    if not left or not (more or cell.control):
        show([replace(board, notes=[]) for board in boards(done)])
