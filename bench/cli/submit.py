"""Check records, and write the files of a pull request that adds them to results/.

bench submit results-of-mine/ --out results/ --trained-on "MSD"
bench submit --check results/                 check what is published already, and write nothing
bench submit --paper recsys2024               write the printed numbers of a paper as imported records
bench submit results/ --export release/       .eval_results, Every Eval Ever, Croissant, CSV, CITATION

A refused record is named with the reason and what would make it acceptable; the exit code is then 1. Published
records hold no paths of your machine. Ranks name who heard what: they are published only with free data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.errors import BenchError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("records", nargs="*", type=Path, metavar="RECORD", help="records, or folders with records")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("results"), help="(default results)")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--paper", action="append", default=[], metavar="NAME", help="a paper whose numbers bench has")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write the records in the formats of others")
    parser.add_argument("--benchmark", default="OWNER/NAME", metavar="ID", help="on the Hugging Face Hub, of --export")
    parser.add_argument("--url", default="https://example.org/results", help="of the records, for --export")
    parser.add_argument("--trained-on", default="", metavar="TEXT", help="training data of vectors from a file")


def run(args: argparse.Namespace) -> int:
    """Check the records; write them unless one is refused."""
    from bench.published import imported, paper
    from bench.records import Record, read, read_all
    from bench.report.eligible import remarks
    from bench.submit import exports
    from bench.submit.check import problems
    from bench.submit.publish import write
    from bench.terminal import note, say

    for name in args.paper:
        paths = write([(Path(name), record) for record in imported(paper(name))], args.out / "papers" / name)
        say(f"{len(paths)} records in {args.out / 'papers' / name}")
    if args.paper and not args.records:
        return 0
    found: list[tuple[Path, Record | BenchError]] = []
    for path in args.records:
        if path.is_dir():
            found += read_all(path)
            continue
        try:
            found.append((path, read(path)))
        except BenchError as error:
            found.append((path, error))
    if not found:
        raise BenchError(f"{args.records[0]} holds no result record." if args.records else "name a record or folder.")
    good = [(path, record) for path, record in found if isinstance(record, Record)]
    there = [] if args.check or not args.out.is_dir() else read_all(args.out)
    others = [*good, *((path, record) for path, record in there if isinstance(record, Record))]
    refused = 0
    for path, record in found:
        # A published card says what vectors from a file were trained on.
        declared = (
            args.trained_on
            or ((args.check or args.export) and (path.parent.parent / "README.md").is_file() and "its card")
            or ""
        )
        reasons = problems(path, record, others, trained_on=declared)
        refused += bool(reasons)
        for reason in reasons:
            note(f"refused: {path}: {reason.why}. {reason.remedy}")
        for remark in remarks(record) if isinstance(record, Record) and not (args.check or args.export) else []:
            note(f"note: {path}: {remark}")
    if refused:
        note(f"{refused} of {len(found)} records are refused; nothing is written.")
        return 1
    if args.check:
        say(f"{len(found)} records are as they were published.")
        return 0
    if args.export:
        paths = exports.write(good, args.export, benchmark=args.benchmark, url=args.url)
        say(f"{len(paths)} files in {args.export}")
        return 0
    for path in write(good, args.out, args.trained_on):
        say(path)
    return 0
