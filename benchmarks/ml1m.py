"""Quality on MovieLens-1M as published, by plain ``bench run``: leave one out, full ranking, seen items removed.

    python benchmarks/ml1m.py --file ml-1m.txt --folder run                       # BERT4Rec, 200 epochs
    python benchmarks/ml1m.py --file ml-1m.txt --folder run --model sasrec
    python benchmarks/ml1m.py --file ml-1m.txt --folder run --model sasrec --set epochs=20 -- --max-time 600

The file (a line "user item" for each rating, in the order of time) is that of the SASRec and BERT4Rec
repositories; its git blob id is checked. It is written as a log, in which a play's time is its place in the file, and
``bench run --split leave_last_out`` does the rest: the last item of each user is for testing, the one before for
validation and part of the history when testing. What follows ``--`` is handed on to ``bench run``. A killed run goes
on from its checkpoint. Published for this file and protocol (Klenitskiy & Vasilev, RecSys 2023): BERT4Rec HR@10
0.2843, NDCG@10 0.1537; SASRec with the full softmax 0.3152, 0.1821.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import polars as pl

from bench.cli import main as bench
from bench.specs import Spec, parse

BLOB = "9ab8e3edb8742f8d8cc4911e3dee25e82a6fcc24"
MODELS = {
    "bert4rec": "bert4rec:lane=published,predict_len=200,width=64,max_len=200,patience=0,plateau=0,judge=ndcg",
    "sasrec": "sasrec:width=64,ffn=64,max_len=200,epochs=100,patience=10",
}
FIRST = 946_684_800
"""Seconds since 1970 of the first line: 2000-01-01."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="log, cache, checkpoints and results")
    parser.add_argument("--model", choices=tuple(MODELS), default="bert4rec")
    parser.add_argument("--set", default="", help="other settings, key=value,...")
    parser.add_argument("more", nargs="*", help="options of bench run, behind --")
    arguments = parser.parse_args()
    log = arguments.folder / "ml-1m.csv"
    log.parent.mkdir(parents=True, exist_ok=True)
    plays(arguments.file).write_csv(log)
    words = ["--listens", log, "--split", "leave_last_out", "--k", "10", "--extractor", "none", "--reference", "none"]
    own, more = parse(MODELS[arguments.model]), parse(":".join(filter(None, [arguments.model, arguments.set])))
    words += ["--model", str(Spec(own.name, {**own.settings, **more.settings})), "--no-controls"]
    words += ["--cache", arguments.folder / "cache", "--results", arguments.folder / "results", *arguments.more]
    sys.exit(bench(["run", *map(str, words)]))


def plays(path: Path) -> pl.DataFrame:
    """Read user, item and time (s), as in the file, once its content is known to be the right one."""
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if blob != BLOB:
        raise SystemExit(f"{path} has git blob id {blob}, not {BLOB}: another file, or another order of ties.")
    pairs = np.array(content.split(), np.int32).reshape(-1, 2)
    return pl.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1], "time": FIRST + np.arange(len(pairs))})


if __name__ == "__main__":
    main()
