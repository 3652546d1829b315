"""Make tables and figures from records, always with controls and chance levels, separately for each lane.

bench report results/                              on the screen
bench report results/ --out tables/                Markdown, HTML, CSV, LaTeX and figures
bench report results/ --k 5,20                     metrics at other cut-offs, from the recorded ranks
bench report results/ --heard musicnn=TRAIN.txt    metrics on the tracks that it was trained on, and on others
bench report results/ --published recsys2024       results next to a paper's numbers, in its tables
bench report --published recsys2024                only the paper's numbers
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.options import cutoffs
from bench.errors import BenchError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("results", type=Path, nargs="?", metavar="RESULTS", help="a folder with records")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="also write report.md, report.html, *.csv, *.tex to DIR"
    )
    parser.add_argument(
        "--published", action="append", default=[], metavar="NAME", help="recsys2024, journal2026: a paper's tables"
    )
    parser.add_argument(
        "--metric", default="ndcg", help="recommendation metric to correlate with MIR tasks (default %(default)s)"
    )
    parser.add_argument(
        "--k", type=cutoffs, default=(), help="cut-offs, main one first, computed without training (default: recorded)"
    )
    parser.add_argument(
        "--heard",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a list of the track ids that it was trained on",
    )
    parser.add_argument("--no-plots", action="store_true", help="write no figures")


def run(args: argparse.Namespace) -> int:
    """Read the records, show the report, and write it if requested."""
    from bench.published import paper
    from bench.records import read_all
    from bench.report import show, write
    from bench.report.cutoffs import at_cutoffs
    from bench.report.format import checked
    from bench.report.heard import chapter
    from bench.report.plots import absent
    from bench.report.report import report
    from bench.terminal import note, say

    papers = [paper(name) for name in args.published]
    (metric,) = checked((args.metric,))
    if args.results is None and not papers:
        raise BenchError("nothing to report: name a folder with records, or --published NAME.")
    found = list(read_all(args.results)) if args.results else []
    if args.results and not any(not isinstance(record, BenchError) for _, record in found):
        told = "".join(f"\n  {record}" for _, record in found[:5])
        raise BenchError(f"{args.results} holds no result record.{told}")
    lost: list[str] = []
    made = report(at_cutoffs(found, args.k, lost) if args.k else found, papers, metric)
    for text in args.heard:
        made.chapters.append(chapter(text, made.boards))
    problems = [*lost, *made.problems]
    show(made.boards, chapters=made.chapters)
    for problem in problems:
        note(f"left out: {problem}")
    if args.out:
        if (why := None if args.no_plots else absent()) is not None:
            note(why)
        plots = [] if args.no_plots or why else made.plots()
        for path in write(made.boards, args.out, problems=problems, chapters=made.chapters, plots=plots):
            say(path)
    return 0
