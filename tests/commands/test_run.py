"""`streamreplay run` in this process: what it takes, what it writes, what it refuses."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

Run: TypeAlias = Callable[..., tuple[int, str, str]]
SMALL = ("--set", "learner.hidden=[8]", "--set", "buffer.max_size=50")


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_source_alone_is_enough(cli: Cli, in_process: Run) -> None:
    code, out, err = in_process("run", "-s", cli.jsonl(2500))
    assert code == 0
    records = lines(out)
    records = [record for record in records if record["kind"] == "prequential"]
    assert [r["position"] for r in records][:2] == [1000, 2000]
    last = records[-1]
    assert last["accuracy"] > 0.6  # type: ignore[operator]
    assert set(last["by_class"]) == {"cat", "dog", "emu"}  # type: ignore[call-overload]
    assert "2,474 rows, " in err
    score = {name: f"{last[name]['accuracy']:.4f}" for name in ("no_change", "majority")}  # type: ignore[index]
    assert err.endswith(
        f"\n  accuracy {last['accuracy']:.4f}, repeating the last label {score['no_change']}, "
        f"the most frequent class {score['majority']}\n"
    )
    assert "2,500 in = 2,474 learned + 26 put aside (1.0 %: not JSON: " in err
    assert "; the first, line 51)" in err
    assert sorted(path.name for path in cli.folder.iterdir()) == ["rows.jsonl"]


def test_predictions_as_documented(cli: Cli, in_process: Run) -> None:
    cli.folder.joinpath("rows.jsonl").write_text(
        '{"id": "p", "x": [1.0], "y": "cat"}\n{"id": 7, "x": [2.0]}\n{"x": [3.0], "y": 1}\n'
    )
    code, out, _ = in_process(
        "run", "-s", "rows.jsonl", "--emit", "predictions", "--batch-size", 1, "--quiet"
    )
    assert code == 0
    first, second, third = lines(out)
    assert first == {
        "position": 0,
        "id": "p",
        "prediction": None,
        "probability": None,
        "label": "cat",
        "correct": False,
    }
    assert second == {
        "position": 1,
        "id": "7",
        "prediction": "cat",
        "probability": 1.0,
        "label": None,
        "correct": None,
    }
    assert (third["id"], third["label"], third["correct"]) == (None, 1, False)


def test_quiet_and_none_say_nothing(cli: Cli, in_process: Run) -> None:
    assert in_process("run", "-s", cli.csv(100), "--emit", "none", "-q", *SMALL) == (0, "", "")


def test_what_a_budget_leaves_out_is_told(cli: Cli, in_process: Run) -> None:
    budget = ("--set", "learner.replay_rows_per_second=1e-6", "--set", "evaluator.report_every=40")
    once = ("--set", "mixer.steps=1")
    code, _, err = in_process("run", "-s", cli.csv(100), "--out", "out", *SMALL, *budget, *once)
    assert code == 0
    timings = lines((cli.folder / "out/timings.jsonl").read_text())
    assert [line["throttled"] for line in timings] == [32, 32, 32]  # all but the first batch's
    assert [line["replayed"] for line in timings] == [0, 0, 0]
    assert "96 memory rows left out to keep to the budget" in err


def test_the_run_folder(cli: Cli, in_process: Run) -> None:
    path = cli.jsonl(1200)
    code, out, _ = in_process(
        "run", "-s", path, "-o", "out", "--emit", "predictions", "--checkpoint-every", 500, *SMALL
    )
    assert code == 0
    folder = cli.folder / "out"
    assert (folder / "predictions.jsonl").read_text() == out
    assert len(lines(out)) == 1188
    job = tomllib.loads((folder / "job.toml").read_text())
    assert (job["source"]["path"], job["buffer"]["max_size"]) == (str(path), 50)
    dead = lines((folder / "dead_letters.jsonl").read_text())
    assert [letter["line"] for letter in dead] == [*range(51, 1201, 97)]
    metrics = lines((folder / "metrics.jsonl").read_text())
    found = [(record["kind"], record["position"]) for record in metrics]
    after = [(1024, "buffer"), (1024, "rows"), (1188, "prequential")]
    assert [(at, kind) for kind, at in found] == [
        *((1000, "prequential"), *after),
        *((1188, "buffer"), (1188, "rows")),
    ]
    timings = lines((folder / "timings.jsonl").read_text())
    assert [record["position"] for record in timings] == [1024, 1188]
    for record in timings:
        stages: Any = record["stages"]
        assert [*stages] == ["source", "buffer", "mixer", "learner", "evaluator", "inventory"]
        assert 0 < sum(stage["share"] for stage in stages.values()) < 1.01
    assert timings[0]["resident_bytes"] > 1e6  # type: ignore[operator]
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    at = ["000000000512", "000000001024", "000000001184", "000000001188.end"]
    assert names == [f"ckpt-{each}" for each in at]
    events = (folder / "events.log").read_text()
    for event in (
        "start",
        "features: 2 numbers (a, b)",
        "checkpoint at row 512",
        "end of the stream",
    ):
        assert event in events
    assert not any("time" in record or "rows_per_s" in record for record in metrics)


def test_a_second_run_needs_another_folder(cli: Cli, in_process: Run) -> None:
    args = ("run", "-s", cli.jsonl(200), "-o", "out", *SMALL)
    assert in_process(*args)[0] == 0
    before = cli.contents(cli.folder / "out")
    code, out, err = in_process(*args)
    assert (code, out) == (1, "")
    assert err.removeprefix("streamreplay: error: out: ") == (
        "holds a run already; go on with --resume, or give another --out\n"
    )
    assert cli.contents(cli.folder / "out") == before


def test_a_run_that_failed_before_its_first_row_leaves_the_folder_free(
    cli: Cli, in_process: Run
) -> None:
    path = cli.csv(100)
    code, _, err = in_process("run", "-s", path, "--label", "klass", "-o", "out")
    assert code == 1
    assert "label 'klass' is not a column" in err
    assert in_process("run", "-s", path, "--label", "y", "-o", "out", *SMALL)[0] == 0


def test_a_folder_of_somebody_else_is_left_alone(cli: Cli, in_process: Run) -> None:
    (cli.folder / "out").mkdir()
    (cli.folder / "out" / "metrics.jsonl").write_text("mine\n")
    code, _, err = in_process("run", "-s", cli.jsonl(100), "-o", "out")
    assert code == 1
    assert "out: is no run folder, but has a file metrics.jsonl" in err
    assert (cli.folder / "out" / "metrics.jsonl").read_text() == "mine\n"
    assert in_process("run", "-s", "rows.jsonl", "-o", "rows.jsonl")[0] == 1


def test_a_finished_run_is_complete(cli: Cli, in_process: Run) -> None:
    in_process("run", "-s", cli.jsonl(300), "-o", "out", *SMALL)
    before = cli.contents(cli.folder / "out")
    code, out, err = in_process("run", "--resume", "-o", "out")
    assert (code, out) == (0, "")
    assert err == "streamreplay: the run is complete: 297 rows, nothing new\n"
    assert cli.contents(cli.folder / "out") == before


def test_a_limit_can_be_raised(cli: Cli, in_process: Run) -> None:
    path = cli.csv(640)
    in_process("run", "-s", path, "-o", "whole", *SMALL, "--limit", 0)
    code, _, err = in_process("run", "-s", path, "-o", "out", *SMALL, "--limit", 320)
    assert code == 0
    assert "320 rows" in err
    assert in_process("run", "--resume", "-o", "out", "--limit", 0)[0] == 0
    predicted = [cli.contents(cli.folder / name) for name in ("whole", "out")]
    last = [lines(each["metrics.jsonl"].decode())[-3]["accuracy"] for each in predicted]
    assert last[0] == last[1]


def test_a_stream_that_grew_is_gone_on_with(cli: Cli, in_process: Run) -> None:
    path = cli.csv(640)
    text = path.read_text()
    path.write_text("".join(text.splitlines(keepends=True)[:321]))
    in_process("run", "-s", path, "-o", "out", *SMALL)
    path.write_text(text)
    code, _, err = in_process("run", "--resume", "-o", "out")
    assert code == 0
    assert "640 rows" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--set", "buffer.max_size=51"],
            "buffer.max_size: out/job.toml was started with 50, got 51",
        ),
        (["--seed", "1"], "seed: out/job.toml was started with 0, got 1"),
        (["-s", "other.csv"], "source.path: out/job.toml was started with"),
    ],
)
def test_a_run_is_resumed_as_it_was_started(
    cli: Cli, in_process: Run, args: list[str], message: str
) -> None:
    in_process("run", "-s", cli.csv(64), "-o", "out", *SMALL)
    code, out, err = in_process("run", "--resume", "-o", "out", *args)
    assert (code, out) == (1, "")
    assert err.startswith(f"streamreplay: error: {message}")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--resume", "-o", "nothing"], "nothing: there is no run to resume here"),
        (["--resume", "-s", "rows.csv"], "--resume needs --out"),
        (["-s", "rows.csv", "--continue"], "--continue goes with --resume"),
        (["-s", "none.csv"], "none.csv: cannot be opened: No such file or directory"),
        (["-s", "/dev/null"], "source.format: null holds nothing that shows its format: give "),
        (["-s", "rows.csv", "--set", "learner.module=rnn"], "learner.module: must be linear, mlp"),
        (["-s", "rows.csv", "--set", "learner.module=no.such:f"], "learner.module: 'no.such:f'"),
        (["-s", "rows.csv", "--set", "learner.device=tpu"], "learner.device: 'tpu' cannot be used"),
        (["-s", "rows.csv", "--format", "xml"], "command line: source.format: must be 'auto', "),
        (["job.toml"], "job.toml: cannot be read: No such file or directory"),
        (["a.toml", "b.toml"], "b.toml: a job file is the first argument, and there is at most"),
    ],
)
def test_mistakes_are_one_line_and_exit_1(
    cli: Cli, in_process: Run, args: list[str], message: str
) -> None:
    cli.csv(10)
    code, out, err = in_process("run", *args)
    assert (code, out) == (1, "")
    assert message in err
    assert err.startswith("streamreplay: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("args", [[], ["--emit", "all"], ["--bogus"]])
def test_usage_errors_exit_2(in_process: Run, args: list[str]) -> None:
    code, out, err = in_process("run", *args)
    assert (code, out) == (2, "")
    assert "Usage" in err


def test_strict_stops_at_the_first_bad_record(cli: Cli, in_process: Run) -> None:
    path = cli.jsonl(300)
    code, _, err = in_process("run", "-s", path, "-o", "out", "--strict", *SMALL)
    assert code == 1
    assert "streamreplay: error: rows.jsonl:51: not JSON" in err
    assert list((cli.folder / "out").glob("checkpoints/*")) == []


def test_divergence_keeps_the_last_checkpoint(cli: Cli, in_process: Run) -> None:
    rows = [json.dumps({"x": [float(i % 2)], "y": i % 2}) for i in range(200)]
    rows[150] = json.dumps({"x": [1e38], "y": 1})
    (cli.folder / "rows.jsonl").write_text("\n".join(rows))
    args = ["--set", "learner.optimizer=sgd", "--set", "learner.lr=1e30"]
    args += ["--set", "learner.normalize=none", "--checkpoint-every", "1", "--set", "mixer.steps=1"]
    code, _, err = in_process("run", "-s", "rows.jsonl", "-o", "out", *args)
    assert code == 1
    assert "loss is nan at batch 1" in err
    assert err.count("\n") == 1
    found = [path.name for path in (cli.folder / "out" / "checkpoints").iterdir()]
    assert found == ["ckpt-000000000032"]
    events = (cli.folder / "out" / "events.log").read_text()
    assert "failed: DivergenceError" in events


def test_a_job_file_with_every_kind_of_model(cli: Cli, in_process: Run) -> None:
    (cli.folder / "mine.py").write_text(
        "from torch import nn\ndef net(shape, classes):\n    return nn.Linear(shape[0], classes)\n"
    )
    cli.csv(100)
    job = cli.folder / "job.toml"
    for module in ("linear", "mlp", "mine:net"):
        job.write_text(f"[source]\npath = 'rows.csv'\n[learner]\nmodule = '{module}'\n")
        assert in_process("run", "job.toml", "-q")[0] == 0, module


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def net(shape, classes): raise RuntimeError('boom')",
         "cannot be built: RuntimeError: boom (theirs.py:3)"),
        ("def net(shape): return nn.Linear(2, 3)",
         "cannot be built: TypeError: net() takes 1 positional argument but 2 were given"),
        ("def net(shape, classes): return 3", "must return a torch.nn.Module, got 3"),
        ("def net(shape, classes): return nn.ReLU()", "has no parameters to learn"),
        ("def net(shape, classes): return nn.Linear(9, classes)",
         "failed: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("def net(:", "cannot be imported: SyntaxError: invalid syntax (theirs.py, line 3)"),
        ("raise OSError('no')", "cannot be imported: OSError: no (theirs.py:3)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_module_is_one_line(
    cli: Cli, in_process: Run, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    monkeypatch.syspath_prepend(cli.folder)
    (cli.folder / "theirs.py").write_text(f"from torch import nn\n\n{body}\n")
    code, out, err = in_process(
        "run", "-s", cli.csv(64), "--set", "learner.module=theirs:net", "-o", "out", "-q"
    )
    assert (code, out) == (1, "")
    assert err.startswith(f"streamreplay: error: learner.module: 'theirs:net' {message}")
    assert err.count("\n") == 1


def test_out_of_memory_is_one_line(cli: Cli, in_process: Run) -> None:
    code, _, err = in_process(
        "run", "-s", cli.csv(64), "--set", "evaluator.window=1000000000000000"
    )
    assert code == 1
    assert err.startswith("streamreplay: error: out of memory: Unable to allocate")
    assert err.count("\n") == 1


def test_a_stream_without_any_label_is_told(cli: Cli, in_process: Run) -> None:
    path = cli.jsonl(100)
    code, _, err = in_process("run", "-s", path, "-l", "klass", "-q", "-o", "out")
    assert code == 3
    message = "no row had a label in 'klass': nothing was learned; set it with --label"
    put_aside, last = err.splitlines()
    assert put_aside.startswith("streamreplay: warning: 1 of 100 rows put aside (1.0 %: not JSON: ")
    assert last == f"streamreplay: exit code 3: {message}"
    assert f"exit code 3: {message}" in (cli.folder / "out" / "events.log").read_text()
    assert in_process("run", "-s", path, "-l", "", "-q")[::2] == (0, f"{put_aside}\n")  # as asked
    path.write_text(path.read_text().replace('"y"', '"z"'))
    code, _, err = in_process("run", "-s", path, "-q")  # no label is named: a warning
    assert (code, err.splitlines()[0]) == (
        0,
        "streamreplay: warning: no row had a label: nothing was learned; set it with --label",
    )


def test_a_folder_where_a_log_should_be_is_named(cli: Cli, in_process: Run) -> None:
    args = ("run", "-s", cli.csv(64), "-o", "out", "-q", *SMALL)
    in_process(*args)
    (cli.folder / "out" / "dead_letters.jsonl").unlink()
    (cli.folder / "out" / "dead_letters.jsonl").mkdir()
    code, _, err = in_process(*args, "--resume")
    said = "out/dead_letters.jsonl: cannot be written: it is a folder, not a regular file"
    assert (code, err) == (1, f"streamreplay: error: {said}\n")


def test_labels_do_not_talk_to_the_terminal(cli: Cli, in_process: Run) -> None:
    rows = [json.dumps({"x": [i], "y": "\x1b[2J\n" if i % 2 else "b"}) for i in range(8)]
    (cli.folder / "rows.jsonl").write_text("\n".join(rows))
    in_process("run", "-s", "rows.jsonl", "-o", "out", "-q", *SMALL)
    out = in_process("inspect", "out")[1]
    assert 'labels       0: b, 1: "\\u001b[2J\\n"\n' in out
    assert "\x1b" not in out


def test_without_a_buffer(cli: Cli, in_process: Run) -> None:
    args = ("-o", "out", "--set", "buffer.kind=none", *SMALL)
    assert in_process("run", "-s", cli.csv(300), *args)[0] == 0
    code, out, _ = in_process("inspect", "out", "--json")
    assert code == 0
    assert json.loads(out)["buffer"]["max_size"] == 0


def test_another_batch_or_seed_is_another_run_and_the_same_is_the_same(
    cli: Cli, in_process: Run
) -> None:
    cli.csv(500)
    args = ("run", "-s", "rows.csv", "--emit", "predictions", "-q", *SMALL)
    first = in_process(*args)[1]
    assert in_process(*args)[1] == first
    assert in_process(*args, "--seed", 1)[1] != first
    assert in_process(*args, "--batch-size", 7)[1] != first


def test_inspect(cli: Cli, in_process: Run) -> None:
    in_process("run", "-s", cli.jsonl(1500), "-o", "out", *SMALL)
    code, out, _ = in_process("inspect", "out")
    assert code == 0
    for text in (
        "1,485 rows, finished",
        "0: ",
        "cat",
        "buffer",
        "50 of 50 rows",
        "total",
        "accuracy",
    ):
        assert text in out
    code, out, _ = in_process("inspect", "out", "--json")
    found = json.loads(out)
    assert found["position"] == 1485
    assert sorted(found["labels"]) == ["cat", "dog", "emu"]
    assert sum(part["rows"] for part in found["buffer"]["by_class"].values()) == 50
    assert sum(found["parameters"]["0.weight"]) == 8 + 2
    assert found["scores"]["prequential"]["position"] == 1485
    code, out, _ = in_process("inspect", cli.folder / "out/checkpoints/ckpt-000000001485.end")
    assert code == 0
    assert "1,485 rows, finished" in out
    code, _, err = in_process("inspect", cli.folder)
    assert code == 1
    assert "is neither a run folder nor a checkpoint" in err


def test_init_and_schema(cli: Cli, in_process: Run) -> None:
    assert in_process("init")[0] == 0
    code, _, err = in_process("init")
    assert code == 1
    assert err == "streamreplay: error: job.toml: is there already; --force overwrites it\n"
    assert in_process("init", "--force")[0] == 0
    short = (cli.folder / "job.toml").read_text()
    assert in_process("init", "-")[1] == short
    full = in_process("init", "-", "--full")[1]
    assert len(full) > 5 * len(short)
    cli.csv(64)
    assert in_process("run", "job.toml", "-s", "rows.csv", "-q")[0] == 0
    schema = json.loads(in_process("schema")[1])
    assert "buffer" in schema["properties"]


def test_help_and_version_do_not_wait_for_torch(cli: Cli) -> None:
    script = (
        "import sys; sys.argv = ['streamreplay', sys.argv[1]]\n"
        "from streamreplay.commands import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules), list(sys.modules)"
    )
    for flag in ("--help", "--version"):
        command = [cli.command()[0], "-c", script, flag]
        process = cli.spawn(command)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert b"streamreplay" in out


def test_a_job_in_a_folder_and_a_source_beside_it(cli: Cli, in_process: Run) -> None:
    path = cli.csv(64)
    (cli.folder / "jobs").mkdir()
    path.rename(cli.folder / "jobs" / "rows.csv")
    (cli.folder / "jobs" / "job.toml").write_text("[source]\npath = 'rows.csv'\n")
    assert in_process("run", "jobs/job.toml", "-q", "-o", "out", *SMALL)[0] == 0
    assert Path(tomllib.loads((cli.folder / "out/job.toml").read_text())["source"]["path"]).exists()


def test_export(cli: Cli, in_process: Run) -> None:
    in_process("run", "-s", cli.csv(100), "-o", "out", *SMALL, "--quiet")
    code, out, err = in_process("export", "out")
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == "out/export/prequential.parquet: 1 row"
    names = sorted(path.name for path in (cli.folder / "out" / "export").iterdir())
    kinds = ["buffer", "groups", "prequential", "rows", "timings"]
    assert names == [f"{kind}.parquet" for kind in kinds]
    assert in_process("export", "out", "--to", "tables", "--format", "csv")[0] == 0
    assert (cli.folder / "tables" / "groups.csv").read_text().startswith("kind,position,learner,by")
    code, _, err = in_process("export", "nowhere")
    assert code == 1
    assert err == "streamreplay: error: nowhere: is no run folder: there are no logs here\n"
    assert in_process("run", "--resume", "-o", "out", "-q")[0] == 0  # a folder more is no matter


def test_the_schema_of_the_logs(in_process: Run) -> None:
    code, out, _ = in_process("schema", "--log")
    assert code == 0
    schema = json.loads(out)
    assert {"metrics", "predictions", "dead_letters", "timings", "drift"} < set(schema["$defs"])
    assert "metrics" not in json.loads(in_process("schema")[1])["$defs"]
