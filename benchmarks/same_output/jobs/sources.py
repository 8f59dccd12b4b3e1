"""Jobs with every source: formats, compression, pipes, rows that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.same_output.job import Call, Job
from benchmarks.same_output.jobs.parts import FEATURES, LABEL, READS, REPORT, ROWS, settings, whole


def sources() -> Iterator[Job]:
    """Yield a job for each format of a file, for pipes, and for files with broken rows."""
    lines = ("source.batch_size=16", "learner.hidden=[16]", "evaluator.report_every=200")
    kept = (*lines, "run.save_predictions=true")
    table = ("source.label=y", "source.id=id")
    yield whole("source-csv", *table, source="rows.csv", common=kept, flags=("--emit", "none"))
    for suffix in ("gz", "zst"):
        yield whole(f"source-csv-{suffix}", *table, source=f"rows.csv.{suffix}", common=kept)
        yield whole(f"source-jsonl-{suffix}", LABEL, source=f"rows.jsonl.{suffix}")
    bare = ("source.header=false", "source.delimiter=;", "source.label=5", "source.id=0")
    yield whole("source-csv-bare", *bare, source="bare.csv", common=kept)
    yield whole("source-tsv", *table, "source.features=['b','a']", source="rows.tsv", common=kept)
    yield whole("source-jsonl-x", source="plain.jsonl", common=kept)
    yield whole("source-npz", source="digits.npz", common=kept, flags=("--limit", "500"))
    renamed = ("source.features=['f']", "source.label=c", "source.weight=w", "source.task=t")
    yield whole("source-npz-renamed", *renamed, source="arrays.npz", common=kept)
    yield whole("source-idx", source="images-idx3-ubyte.gz", common=kept)
    covtype = ("source.label=Cover_Type", "source.batch_size=32")
    flags = ("--limit", "1500", "--probe", "0.05")
    reads = (*READS, REPORT)
    yield whole("covtype", *covtype, source="covtype.csv.gz", common=(), flags=flags, reads=reads)
    yield from pipes()
    aside = ("source.max_line_bytes=400", "run.checkpoint_every=150")
    yield whole("dead-letters-jsonl", LABEL, *aside, source="dirty.jsonl")
    yield whole("dead-letters-csv", *table, source="dirty.csv", common=kept)
    early = (*table, "test.share=0.2")
    yield whole("dead-letters-early", *early, source="dirty.csv", common=kept)
    strict = ("--strict",)
    yield whole("strict", LABEL, source="dirty.jsonl", flags=strict, reads=(), code=1)
    yield whole("unlabelled", "source.label=''")
    yield whole("label-missing", "source.label=nothing")


def pipes() -> Iterator[Job]:
    """Yield jobs that read standard input."""
    common = settings(*ROWS, "source.max_wait=60.0")
    jsonl = ("run", "--source", "-", "--format", "jsonl", *common, *settings(LABEL))
    emit = ("--emit", "predictions")
    call = Call((*jsonl, *emit, "--out", "out"), stdin="rows.jsonl")
    yield Job("pipe-jsonl", (call,), READS)
    csv = ("run", "--source", "-", "--format", "csv", "--label", "y", "--batch-size", "16")
    more = settings("source.id=id", "learner.hidden=[8]", "source.max_wait=60.0")
    yield Job("pipe-csv-no-folder", (Call((*csv, *more, *emit), stdin="rows.csv"),))
    first = Call((*jsonl, "--out", "out"), stdin="first.jsonl")
    again = Call(("run", "--resume", "--continue", "--out", "out"), stdin="second.jsonl")
    yield Job("pipe-continued", (first, again), READS)
    closed = ("run", "--source", "-", "--format", "jsonl", *settings(LABEL, FEATURES), "--quiet")
    yield Job("pipe-empty", (Call(closed, stdin="empty.jsonl"),))
