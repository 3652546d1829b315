"""``bench tune``: the pairs of ``bench run``, each with the best settings of a search of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean

from bench import records
from bench.entries import RecommenderEntry
from bench.errors import BenchError
from bench.records import Record
from bench.run.experiment import Experiment, Finished
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.request import Cell, RecommendRequest
from bench.run.recommend.validation import absent
from bench.run.tune.search import Budget, Search
from bench.run.tune.space import Parameter, space_of
from bench.text import counted, duration


@dataclass(frozen=True, kw_only=True)
class TuneRequest(RecommendRequest):
    """A comparison of recommenders in which every model is tuned for every extractor.

    budget : the limits of each search, the same for all
    space : search space of the only model; None for the models' own
    """

    budget: Budget
    space: str | None = None

    def of_cell(self, cell: Cell) -> RecommendRequest:
        """Return the request of ``bench run`` that repeats one cell."""
        one = super().of_cell(cell)
        return RecommendRequest(**{field.name: getattr(one, field.name) for field in fields(RecommendRequest)})


class TuneExperiment(RecommendExperiment):
    """Every pair of ``bench run``, controls included, with a search of equal budget for each.

    A cell's model has the settings that are fixed; its record is that of the best settings. All searches use the same
    seed, so that with random search all extractors of a model are tried with the same settings. Popularity and random
    recommendations have no settings; they are computed as by ``bench run``.
    """

    request: TuneRequest
    spaces: Mapping[RecommenderEntry, Sequence[Parameter]]

    def check(self) -> None:
        """Resolve the request and check the search spaces.

        Raises
        ------
        BenchError
            As `RecommendExperiment.check` and `space_of`, and if a space is given for several models.

        """
        super().check()
        for extractor in self.resolved.extractors:
            if extractor.auto:
                raise BenchError(f"{extractor}: `bench tune` needs fixed vectors. Name a layer, or layer=all.")
        models = self.resolved.models
        tuned = [model for model in models if not model.control] or models[:1]
        if self.request.space is not None and len(tuned) > 1:
            raise BenchError("--space is the space of one model: give one --model, or leave it out.")
        self.spaces = {model: space_of(model.spec, self.request.space, self.request.lane) for model in tuned}

    def read(self) -> None:
        """Read the data; raise BenchError if the split leaves no validation pairs."""
        super().read()
        if reason := absent(self.split, next(iter(self.spaces)).spec.name):
            raise BenchError(reason)

    # -- plan ---------------------------------------------------------------------------------------------

    def describe(self) -> Iterable[str]:
        """Return the sizes of the data, the budget of all searches, and their spaces."""
        yield from super().describe()
        cells, budget = self.searched(self.cells), self.request.budget
        controls = sum(cell.control for cell in cells)
        limits = [counted(budget.trials, "trial")] if budget.trials else []
        limits += [f"at most {duration(budget.max_time)}"] if budget.max_time else []
        total = f", {len(cells) * budget.trials} trials in all" if budget.trials else ""
        yield (
            f"budget: {' and '.join(limits)} for each of {counted(len(cells), 'pair')} ({controls} of them controls)"
            f"{total}; sampler {budget.sampler}, seed {self.request.seeds[0]}"
        )
        for model, space in self.spaces.items():
            yield f"space of {model}: {','.join(map(str, space))}"

    def forecast(self, todo: Sequence[Cell]) -> Iterable[str]:
        """Return the lines about computing cells, and the time of the remaining trials if it can be known."""
        yield from super().forecast(todo)
        if searched := self.searched(todo):
            yield self._time(searched)

    def _time(self, todo: Sequence[Cell]) -> str:
        """Estimate the time of searches from finished trials and from records of the models' fixed settings."""
        seconds: dict[RecommenderEntry, list[float]] = {model: [] for model in self.spaces}
        limit = self.request.budget.max_time
        for cell in self.searched(self.cells) if not self.extraction.lacking else ():
            seconds[cell.model] += [one.seconds for one in self.search(cell).trials if one.same_as is None]
            if found := self.stored(self.draft(cell)):
                cost = found[1].cost
                seconds[cell.model].append((cost.fit_s or 0.0) + (cost.score_s or 0.0))
        total, unknown = 0.0, dict[str, None]()
        for cell in todo:
            known, trials = seconds[cell.model], self.request.budget.trials
            if known and trials:
                done = 0 if self.extraction.lacking else len(self.search(cell).trials)
                time = fmean(known) * (trials - done)
                total += time if limit is None else min(time, limit)
            elif limit is not None:
                total += limit
            else:
                unknown[str(cell.model)] = None
        if unknown:
            first = f"time: not known before the first trial of {', '.join(unknown)}"
            return f"{first}; the others need about {duration(total)}" if total else first
        return f"time: {'about' if limit is None else 'at most'} {duration(total)}, one trial after another"

    # -- records ------------------------------------------------------------------------------------------

    def searched(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return the cells that are tuned."""
        return [cell for cell in cells if cell.model in self.spaces]

    def search(self, cell: Cell) -> Search:
        """Return the search of a cell with its finished trials; the store must be filled."""
        return Search(self, cell, self.spaces[cell.model], self.request.budget)

    def existing(self, cell: Cell) -> tuple[Path, Record] | None:
        """Return the record of a cell's best settings; None if trials are left or it must be computed."""
        if cell.model not in self.spaces:
            return super().existing(cell)
        search = self.search(cell)
        if not search.complete or not search.succeeded:
            return None
        found = super().existing(search.best_cell)
        return found if found and found[1].recommender.search == search.info else None

    def do(self) -> Finished:
        """Search, compute and record; rows without --refit have other settings, so that none are added."""
        return Experiment.do(self)

    def compute(self, cell: Cell, record: Record) -> tuple[Path, Record]:
        """Search the settings of one cell, evaluate the best ones on the test set, and store the search with them."""
        if cell.model not in self.spaces:
            return super().compute(cell, record)
        search = self.search(cell)
        search.go()
        best = search.best_cell
        found = super().existing(best)
        if found is None:
            self.ui.log(f"computing {best}")
            found = super().compute(best, self.draft(best))
        noted = replace(found[1], recommender=replace(found[1].recommender, search=search.info))
        return records.write(noted, self.environment.results)
