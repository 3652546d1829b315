"""Find and compute the missing vectors of all sets that a command needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from bench.extract import check_length, frames_sha256, set_sha256
from bench.protocols import Extractor
from bench.run.extraction_pass import ExtractionPass
from bench.run.extraction_task import Audio, ExtractionTask
from bench.run.options import Environment
from bench.run.progress import Ui
from bench.text import counted, duration, one_line, size


class ExtractionPlan:
    """One `ExtractionTask` per set of vectors, which extractor specs with equal settings share.

    Sets that differ by their pooling alone are filled in one `ExtractionPass`.
    """

    def __init__(self, plugins: Iterable[Extractor], audio: Audio, environment: Environment):
        self._parts: dict[str, ExtractionTask] = {}
        self._set_of: dict[int, str] = {}
        self._environment = environment
        for plugin in plugins:
            sha256 = self._set_of[id(plugin)] = set_sha256(plugin)
            if sha256 not in self._parts:
                self._parts[sha256] = ExtractionTask(plugin, audio, environment)
        self._pass()

    def _pass(self) -> None:
        """Group the sets by their frames."""
        found: dict[str, list[ExtractionTask]] = {}
        for part in self:
            found.setdefault(frames_sha256(part.extractor), []).append(part)
        self._passes = [ExtractionPass(parts, self._environment) for parts in found.values()]

    def __iter__(self) -> Iterator[ExtractionTask]:
        """Iterate over the sets."""
        return iter(self._parts.values())

    def __len__(self) -> int:
        """Return the number of sets."""
        return len(self._parts)

    @property
    def lacking(self) -> bool:
        """Whether any set lacks vectors that this command needs."""
        return any(part.sources for part in self)

    def of(self, plugins: Iterable[Extractor]) -> list[ExtractionTask]:
        """Return the sets of some of the extractors."""
        wanted = {self._set_of[id(plugin)] for plugin in plugins}
        return [part for sha256, part in self._parts.items() if sha256 in wanted]

    def renew(self) -> None:
        """Check again which vectors are missing."""
        self._parts = {key: replace(part) for key, part in self._parts.items()}
        self._pass()

    def plan(self, device: str) -> list[str]:
        """Return a line for each pass, and for each set that lacks nothing.

        The speed was measured earlier on this device, or is measured now on a few missing tracks.

        Raises
        ------
        BenchError
            When all recordings are too short for a model, a GPU has no memory for it, or the disk none for the vectors.

        """
        lacking = [each for each in self._passes if each.sources]
        for each in lacking:
            if each.lacks_all:
                check_length(each.extractor, each.sources)
        memory = {each: each.memory(device) for each in lacking}  # before any model is loaded
        lines = []
        for part in self._passes:
            if not part.sources:
                lines += [task.settled() for task in part.tasks]
                continue
            disk, wanted = part.check_disk(), len(part.tasks[0].audio.rows)
            seconds = part.seconds_per_track(device) * len(part.sources) / self._environment.engine.workers
            lines.append(
                f"{part.name}: {counted(len(part.sources), 'recording')} of {wanted} tracks to embed on "
                f"{device}, about {duration(seconds)}, {size(disk)} of disk{memory[part]}"
            )
            if device != "cpu" and getattr(part.extractor.settings, "precision", None) == "float32":
                lines.append(
                    f"note: {part.extractor.name}: precision=bfloat16 or tf32 takes the fast products of a GPU, and "
                    "gives vectors of its own."
                )
            if len(lacking) > 1 and memory[part]:
                part.work(device).unload()  # the next model needs the GPU's memory
        return lines

    def fill(self, device: Callable[[], str], ui: Ui, *, examples: int = 0) -> int:
        """Compute what is missing; return the largest number of tracks that an extractor could not embed.

        `device` is called only if vectors are missing, because it imports torch. With `examples`, a line gives the
        number of failures and names at most that many of them.
        """
        worst = 0
        for each in self._passes:
            if each.sources:
                with ui.bar(each.name, len(each.sources)) as progress:
                    each.fill(device(), progress, ui.log)
        for part in self:
            failed = part.failures()
            worst = max(worst, len(failed))
            if len(failed) and examples:
                count = counted(len(failed), "track")
                ui.log(f"{part.extractor.name}: {count} without a vector: {part.failures_path}")
                for row in failed.head(examples).iter_rows():
                    ui.log(f"  {one_line(row[0])}: {one_line(row[2])}")
        return worst
