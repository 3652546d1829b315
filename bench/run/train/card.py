"""The card beside trained weights: what they are, what they have heard, and how to make them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.files.atomic import write_text
from bench.protocols import HoldOut
from bench.run.options import Data
from bench.run.train.request import Plugins, TrainRequest


def write_card(
    path: Path, told: Mapping[str, Any], request: TrainRequest, plugins: Plugins, held: HoldOut, licence: str
) -> None:
    """Write the card of the weights `path` as Markdown to NAME.md beside NAME.safetensors.

    Parameters
    ----------
    told : what the weights say of their training
    licence : that of the data

    """
    names = dict.fromkeys([told["data"], *(one["data"] for one in told.get("before", ()))])
    music = "synthesised music alone" if told["builtin"] else f"recordings of {' and '.join(names)}"
    lines = [
        f"# {path.stem}",
        "",
        f"Weights of `{plugins.spec.without('weights')}`, trained by `bench train`. The network has heard {music}.",
        "",
        "| | |",
        "|---|---|",
        *_rows(
            {
                "Load with": f"`--extractor {plugins.extractor.spec_of(path.name)}`",
                **({"On the frozen vectors of": f"`{told['of']}`"} if "of" in told else {}),
                "Data": f"{told['data']}; plays before {told['cutoff'] or 'no date (all times)'}",
                "Recordings": (
                    f"{told['train_recordings']:,} trained on, {told['valid_recordings']:,} to choose the best epoch; "
                    f"all listed in `{path.stem}.tracks.parquet` (sha256 of the ids {told['tracks_sha256']})"
                ),
                **_before(told),
                "Held out": f"{len(held.held):,} recordings that training did not read (sha256 {held.sha256})",
                "Learned from": ", ".join(["audio", *told["signals"]]),
                "Objective": f"`{plugins.objective_spec}`",
                "Settings": _settings(told),
                "Result": (
                    f"epoch {told['best_epoch']} of {told['epochs_trained']}: average precision of links between "
                    f"validation recordings {told['validation_ap']:.4f} (by chance {told['chance_ap']:.4f})"
                ),
                "Data's licence": licence or "not stated",
            }
        ),
        "",
        "The result is the best of all epochs on the recordings that chose it: measure on held-out recordings with "
        "`bench probe` instead.",
        "",
        "Made by:",
        "",
        f"    {command(request, path.name)}",
        "",
    ]
    write_text(path.with_suffix(".md"), "\n".join(lines))


def command(request: TrainRequest, out: str) -> str:
    """Return the command line of a training; files have no folders, so that the card tells nothing of the machine."""
    words = ["bench", "train", request.spec, *_data(request.data)]
    if request.split:
        words += ["--split", request.split]
    for name in ("epochs", "rate", "batch", "patience", "seed"):
        words += [f"--{name}", f"{getattr(request, name):g}"]
    words += ["--out", out]
    return shlex.join(words)


def _data(data: Data) -> list[str]:
    given = {name: value for name, value in vars(data).items() if value}
    files = ("root", "listens", "audio", "meta")
    named = {name: value.rpartition("/")[2] if name in files else value for name, value in given.items()}
    return [word for name, value in named.items() for word in (f"--{name}", value)]


def _before(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the row about weights that training started from; none after random weights."""
    lists = [f"those of {one['data']} in `{one['tracks']}`" for one in told.get("before", ())]
    return {"Heard before this training": "; ".join(lists)} if lists else {}


def _settings(told: Mapping[str, Any]) -> str:
    both = {**told["extractor"], **{f"objective {name}": value for name, value in told["objective"].items()}}
    chosen = {name: told[name] for name in ("rate", "batch", "patience", "seed")}
    return ", ".join(f"{name} {value}" for name, value in {**both, **chosen}.items())


def _rows(values: Mapping[str, str]) -> list[str]:
    return [f"| {name} | {value} |" for name, value in values.items()]
