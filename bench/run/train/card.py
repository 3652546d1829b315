"""The card beside trained weights: what they are, what they have heard, and how to make them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.files.atomic import write_text
from bench.run.options import Data

if TYPE_CHECKING:
    from bench.run.train.experiment import Training


def write_card(training: Training, told: Mapping[str, Any]) -> None:
    """Write the card of a training as Markdown to NAME.md beside the weights NAME.safetensors."""
    path, dataset = training.path, training.chosen.inputs.opened.dataset
    held = training.chosen.hold_out
    music = "synthesised music alone" if told["builtin"] else f"the recordings of {told['data']}"
    lines = [
        f"# {path.stem}",
        "",
        f"Weights of `{training.plugins.spec.without('weights')}`, trained by `bench train`. "
        f"The network has heard {music}.",
        "",
        "| | |",
        "|---|---|",
        *_rows(
            {
                "Load with": f"`--extractor {training.plugins.extractor.spec_of(path.name)}`",
                "Data": f"{told['data']}; plays before {told['cutoff'] or 'no date (all times)'}",
                "Recordings": (
                    f"{told['train_recordings']:,} trained on, {told['valid_recordings']:,} to choose the best epoch; "
                    f"all listed in `{training.tracks_path.name}` (sha256 of the ids {told['tracks_sha256']})"
                ),
                "Held out": f"{len(held.held):,} recordings that training did not read (sha256 {held.sha256})",
                "Learned from": ", ".join(["audio", *told["signals"]]),
                "Objective": f"`{training.plugins.objective_spec}`",
                "Settings": _settings(told),
                "Result": (
                    f"epoch {told['best_epoch']} of {told['epochs_trained']}: average precision of links between "
                    f"validation recordings {told['validation_ap']:.4f} (by chance {told['chance_ap']:.4f})"
                ),
                "Data's licence": dataset.license or "not stated",
            }
        ),
        "",
        "The result is the best of all epochs on the recordings that chose it: measure on held-out recordings with "
        "`bench probe` instead.",
        "",
        "Made by:",
        "",
        f"    {command(training)}",
        "",
    ]
    write_text(path.with_suffix(".md"), "\n".join(lines))


def command(training: Training) -> str:
    """Return the command line of a training; files have no folders, so that the card tells nothing of the machine."""
    request = training.request
    words = ["bench", "train", request.spec, *_data(request.data)]
    if request.split:
        words += ["--split", request.split]
    for name in ("epochs", "rate", "batch", "patience", "seed"):
        words += [f"--{name}", f"{getattr(request, name):g}"]
    words += ["--out", training.path.name]
    return shlex.join(words)


def _data(data: Data) -> list[str]:
    given = {name: value for name, value in vars(data).items() if value}
    files = ("root", "listens", "audio", "meta")
    named = {name: value.rpartition("/")[2] if name in files else value for name, value in given.items()}
    return [word for name, value in named.items() for word in (f"--{name}", value)]


def _settings(told: Mapping[str, Any]) -> str:
    both = {**told["extractor"], **{f"objective {name}": value for name, value in told["objective"].items()}}
    chosen = {name: told[name] for name in ("rate", "batch", "patience", "seed")}
    return ", ".join(f"{name} {value}" for name, value in {**both, **chosen}.items())


def _rows(values: Mapping[str, str]) -> list[str]:
    return [f"| {name} | {value} |" for name, value in values.items()]
