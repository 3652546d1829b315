"""Results in the formats of others: Hugging Face, Every Eval Ever, Croissant, and a citation of a release.

Sources: huggingface.co/docs/hub/eval-results, github.com/evaleval/every_eval_ever (eval.schema.json 0.3.0),
docs.mlcommons.org/croissant (version 1.0), citation-file-format.github.io.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import __version__
from bench.files.atomic import write_text
from bench.metrics import range_of
from bench.records import Record, slug
from bench.report.eligible import Found
from bench.report.writers.csv import escape
from bench.submit.publish import published

NAME = "music-embedding-bench"
DOI = "10.5281/zenodo.XXXXXXX"
"""Stands in for the DOI of a release of results until the release has one."""
RESULT_COLUMNS = ("data", "split", "extractor", "model", "lane", "seed", "candidates", "metric", "value", "low", "high")
SPLIT_COLUMNS = ("data", "split", "settings", "fingerprint", "counts")


def write(found: Sequence[Found], folder: Path, *, benchmark: str, url: str) -> list[Path]:
    """Write every format below a folder, and return the paths of the files.

    Parameters
    ----------
    found
        Runs and probes; published numbers of others are left out, because they have sources of their own.
    folder
        Gets ``eval_results``, ``every_eval_ever``, ``croissant.json`` with its tables, and ``CITATION.cff``.
    benchmark
        Id of the benchmark's data set on the Hugging Face Hub.
    url
        Where the records can be read.

    Paths of the machine are removed from every text; see `bench.submit.publish.published`.

    """
    records = [published(record) for _, record in found if record.kind != "imported"]
    texts: dict[str, str] = {}
    for record in records:
        if not record.control:
            name = f"eval_results/{slug(record.extractor.spec)}.yaml"
            texts[name] = texts.get(name, "") + eval_results(record, benchmark, url)
        name = "-".join((*record.path.parent.parts, record.path.stem))
        texts[f"every_eval_ever/{name}.json"] = json.dumps(every_eval_ever(record), indent=1) + "\n"
    texts["results.csv"] = _csv(RESULT_COLUMNS, (row for record in records for row in _results(record)))
    texts["splits.csv"] = _csv(SPLIT_COLUMNS, sorted({_split(record) for record in records}))
    texts["croissant.json"] = json.dumps(croissant(texts, url), indent=1) + "\n"
    texts["CITATION.cff"] = citation()
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def eval_results(record: Record, benchmark: str, url: str) -> str:
    """Return entries for a model repository's ``.eval_results/*.yaml``: the main metric on each candidate set."""
    lines = []
    for where, metric, value in _main(record):
        treat = record.extractor.view.treat or "none"
        note = f"{record.recommender.spec}, seed {record.seed}, lane {record.lane}, treatment {treat}"
        if record.data.builtin:
            note = f"preview on simulated listening; {note}"
        task = f"{slug(record.data.name)}_{slug(record.split.name)}_{where}_{slug(metric)}"
        lines += [
            "- dataset:",
            f"    id: {json.dumps(benchmark)}",
            f"    task_id: {json.dumps(task)}",
            f"    revision: {json.dumps(record.split.fingerprint)}",
            f"  value: {value!r}",
            "  source:",
            f"    url: {json.dumps(url)}",
            f"    name: {json.dumps(NAME)}",
            f"  notes: {json.dumps(note)}",
        ]
    return "".join(f"{line}\n" for line in lines)


def every_eval_ever(record: Record) -> dict[str, Any]:
    """Return a record as an aggregate log of Every Eval Ever."""
    now = os.environ.get("SOURCE_DATE_EPOCH") or str(int(time.time()))
    model = f"{record.extractor.spec} x {record.recommender.spec}"
    results = []
    for where, means in record.metrics.items():
        for metric, value in means.items():
            low, high = range_of(metric)
            interval = record.intervals.get(where, {}).get(metric)
            details: dict[str, Any] = {"score": value}
            if interval:
                span = {"lower": interval[0], "upper": interval[1], "confidence_level": 0.95}
                details["uncertainty"] = {"confidence_interval": span, "num_samples": record.users.get(where, 0)}
            about = {"split": record.split.name, "fingerprint": record.split.fingerprint, "candidates": where}
            results.append(
                {
                    "evaluation_name": f"{record.data.name} {record.split.name} {where} {metric}",
                    "source_data": {
                        "dataset_name": record.data.name,
                        "source_type": "other",
                        "additional_details": about,
                    },
                    "metric_config": {
                        "lower_is_better": False,
                        "score_type": "continuous",
                        "min_score": low,
                        "max_score": high,
                    },
                    "score_details": details,
                }
            )
    return {
        "schema_version": "0.3.0",
        "evaluation_id": f"{record.data.name}/{model}/{(record.content_sha256 or record.inputs_sha256)[:12]}/{now}",
        "retrieved_timestamp": now,
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": NAME,
            "evaluator_relationship": "third_party",
        },
        "eval_library": {"name": NAME, "version": __version__},
        "model_info": {
            "name": model,
            "id": f"{NAME}/{slug(model)}",
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "lane": record.lane,
                "seed": str(record.seed),
                "kind": record.kind,
            },
        },
        "evaluation_results": results,
    }


def croissant(texts: dict[str, str], url: str) -> dict[str, Any]:
    """Return the Croissant description of the tables of results and splits."""
    tables = {"results": RESULT_COLUMNS, "splits": SPLIT_COLUMNS}
    context: dict[str, Any] = {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "dct": "http://purl.org/dc/terms/",
        **{
            name: f"cr:{name}" for name in ("citeAs", "column", "extract", "field", "fileObject", "recordSet", "source")
        },
        "conformsTo": "dct:conformsTo",
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    }
    return {
        "@context": context,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{NAME}-results",
        "description": "Results of recommenders with pretrained audio embeddings, and their splits.",
        "license": "https://spdx.org/licenses/Apache-2.0",
        "url": url,
        "version": __version__,
        "citeAs": f"https://doi.org/{DOI}",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": f"{name}.csv",
                "name": f"{name}.csv",
                "contentUrl": f"{name}.csv",
                "encodingFormat": "text/csv",
                "sha256": hashlib.sha256(texts[f"{name}.csv"].encode()).hexdigest(),
            }
            for name in tables
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": name,
                "name": name,
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"{name}/{column}",
                        "name": column,
                        "dataType": "sc:Float" if column in ("value", "low", "high") else "sc:Text",
                        "source": {"fileObject": {"@id": f"{name}.csv"}, "extract": {"column": column}},
                    }
                    for column in columns
                ],
            }
            for name, columns in tables.items()
        ],
    }


def citation() -> str:
    """Return ``CITATION.cff`` of a release of results, with a placeholder for its DOI."""
    return "\n".join(
        (
            "cff-version: 1.2.0",
            'message: "If you use these results, please cite this release."',
            f'title: "{NAME}: results"',
            "type: dataset",
            f"version: {__version__}",
            f"doi: {DOI}",
            "authors:",
            f'  - name: "The {NAME} developers"',
            "",
        )
    )


def _main(record: Record) -> Iterator[tuple[str, str, float]]:
    """Return candidate set, name and value of the main metric wherever it is known."""
    task = record.data.task
    metric = task.primary if record.is_probe and task else f"ndcg@{record.k[0]}" if record.k else ""
    for where, means in record.metrics.items():
        if metric in means:
            yield where, metric, means[metric]


def _results(record: Record) -> Iterator[tuple[str, ...]]:
    about = (record.data.name, record.split.name, record.extractor.spec, record.recommender.spec, record.lane)
    for where, means in record.metrics.items():
        for metric, value in means.items():
            span = record.intervals.get(where, {}).get(metric, (None, None))
            numbers = ("" if each is None else repr(each) for each in (value, *span))
            yield *map(escape, about), str(record.seed), where, metric, *numbers


def _split(record: Record) -> tuple[str, ...]:
    split = record.split
    settings, counts = (json.dumps(each, sort_keys=True) for each in (split.settings, split.counts))
    return escape(record.data.name), escape(split.name), settings, split.fingerprint, counts


def _csv(columns: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
