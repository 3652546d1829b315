"""The command line: one module per verb, imported only when the verb is used."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from bench import __version__
from bench.errors import BenchError, did_you_mean
from bench.terminal import note

VERBS = {
    "run": "embed what is missing, fit, rank, and write records: the comparison itself",
    "probe": "train probes on MIR tasks (tags, genres, keys, emotion), and write records",
    "tune": "search a model's settings on validation, evaluate the best on test once",
    "extract": "compute and store an extractor's vectors for a catalogue",
    "train": "train an extractor of this project on a data set, and store its weights",
    "similar": "list the tracks nearest to a track or to words, by an extractor's vectors",
    "export": "write stored vectors to a file (.npy with ids, .parquet, .tsv)",
    "report": "tables and figures from records: on the screen, Markdown, HTML, CSV, LaTeX",
    "power": "what comparisons can detect, and the listeners, artists and seeds a difference needs",
    "diff": "compare two records listener by listener: interval, p, who gains and who loses",
    "leaderboard": "static pages of the records that may be published",
    "submit": "check records, and write the files of a pull request to results/",
    "recipe": "reproduce a paper: its tables next to the published ones, and tests of its claims",
    "ls": "list the installed extractors, recommenders, tasks and datasets",
    "new": "write a package with a plugin of your own, whose tests pass at once",
    "weights": "list, fetch, add and verify pretrained weights",
    "check": "run the contract of a plugin, in under a minute",
    "doctor": "describe this machine and installation, for a bug report",
}

FINE, WRONG_INPUT, TOO_MANY_FAILURES = 0, 1, 2
INTERRUPTED, CLOSED_PIPE = 130, 141  # as the shell counts SIGINT and SIGPIPE


class Parser(argparse.ArgumentParser):
    """An argument parser with the exit code and hints of this project."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # So that the value in `--max-time -3m` is judged as a time; otherwise only -3 counts as a value.
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def error(self, message: str) -> NoReturn:
        """Print the message and a hint to ``--help``; exit with 1 (wrong input)."""
        _, _, choices = message.partition("unrecognized arguments: ")
        hint = ""
        if choices.startswith("--"):
            known = [option for action in self._actions for option in action.option_strings]
            hint = did_you_mean(choices.split()[0].partition("=")[0], known)
        self.exit(WRONG_INPUT, f"bench: {message}.{hint} See `{self.prog} --help`.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``bench ARGV`` and return its exit code: 0 fine, 1 wrong input, 2 too many failures, 141 a closed pipe."""
    try:
        try:
            return _main(list(sys.argv[1:] if argv is None else argv))
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # `bench ls | head`; what is still to be written would fail again at the end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return CLOSED_PIPE


def _main(words: list[str]) -> int:
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(_help())
            return FINE if words else WRONG_INPUT
        if words[0] in ("-V", "--version"):
            print(f"bench {__version__}")
            return FINE
        if words[0] not in VERBS:
            raise BenchError(f"there is no verb {words[0]!r}.{did_you_mean(words[0], VERBS)} See `bench --help`.")
        module = import_module(f"bench.cli.{words[0]}")
        parser = Parser(
            prog=f"bench {words[0]}",
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # otherwise --seed 3 means --seeds 3
        )
        module.add(parser)
        args = parser.parse_args(words[1:])
        return _run(module, args)
    except BenchError as error:
        note(f"bench: {error}")
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("\nbench: interrupted. Finished work is stored; the same command continues from there.", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:  # a file that cannot be read, a full disk; others are a closed pipe, or a bug
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"bench: {where}{error.strerror or error}.", file=sys.stderr)
        return WRONG_INPUT


def _run(module: Any, args: argparse.Namespace) -> int:
    """Run a verb with --cache and --offline as environment variables, which plugins read."""
    given = {"BENCH_CACHE": getattr(args, "cache", None), "BENCH_OFFLINE": "1" if getattr(args, "offline", 0) else None}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update({name: value for name, value in given.items() if value})
    try:
        return int(module.run(args))
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _help() -> str:
    verbs = "\n".join(f"  {name:<11} {text}" for name, text in VERBS.items())
    return (
        "usage: bench VERB [options]      (the same as python -m bench, music-embedding-bench)\n\n"
        "Which pretrained audio embedding should a music recommender use?\n\n"
        f"verbs:\n{verbs}\n\n"
        "  bench run --extractor mfcc --model knn        the main job, on the built-in data\n"
        "  bench VERB --help                             the options of a verb\n"
        "  bench --version"
    )
