"""Several learners in one run: each as alone, byte for byte, and told apart."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamreplay import latest_checkpoint, load_job
from streamreplay.config import to_toml
from tests.commands.test_kill import kill_and_resume
from tests.contract.digest import plain

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

Run = Callable[..., tuple[int, str, str]]

COMMON = """
seed = 5
[source]
path = "rows.jsonl"
batch_size = 16
[test]
share = 0.2
every = 300
[evaluator]
report_every = 100
[run]
save_predictions = true
checkpoint_every = 300
"""
BUFFER = "[buffer]\nmax_size = 60\n"
SMALL = 'module = "mlp"\nhidden = [8]\n'
LINES = 'module = "linear"\noptimizer = "sgd"\nlr = 0.1\n'
RIVER = "river = 'preprocessing.StandardScaler() | linear_model.SoftmaxRegression()'\n"
RIVER += "allow_pickle = true\n"

SEVERAL = f"""{COMMON}{BUFFER}[mixer]\nbatch_size_mem = 8
[[learner]]
name = "small"
{SMALL}method = "der++"
[[learner]]
{LINES}
[learner.buffer]
kind = "reservoir"
[learner.mixer]
steps = 2
[[learner]]
name = "été"
{RIVER}
[learner.buffer]
kind = "none"
"""
ALONE = {
    "small": f"{COMMON}{BUFFER}[mixer]\nbatch_size_mem = 8\n[learner]\n{SMALL}method = 'der++'\n",
    "learner2": f"{COMMON}{BUFFER}kind = 'reservoir'\n[mixer]\nbatch_size_mem = 8\nsteps = 2\n"
    f"[learner]\n{LINES}",
    "été": f"{COMMON}{BUFFER}kind = 'none'\n[mixer]\nbatch_size_mem = 8\n[learner]\n{RIVER}",
}

SHARED = f"""{COMMON}[buffer]\nmax_size = 60\nshared = true
[[learner]]
{SMALL}
[[learner]]
{LINES}method = "mir"
[learner.mixer]
by = "class"
"""
ALONE_OF_SHARED = {
    "learner1": f"{COMMON}{BUFFER}[learner]\n{SMALL}",
    "learner2": f"{COMMON}{BUFFER}[mixer]\nby = 'class'\n[learner]\n{LINES}method = 'mir'\n",
}

JOBS = {"own": (SEVERAL, ALONE), "shared": (SHARED, ALONE_OF_SHARED)}


def run(in_process: Run, cli: Cli, name: str, job: str, *args: object) -> tuple[str, str]:
    (cli.folder / f"{name}.toml").write_text(job)
    code, out, err = in_process("run", f"{name}.toml", "-o", name, *args)
    assert code == 0, err
    return out, err


def of(learner: str, log: Path) -> bytes:
    """Return the lines of one learner as they would be without its name."""
    field = f'{{"learner":"{learner}",'.encode()
    lines = log.read_bytes().splitlines(keepends=True)
    return b"".join(b"{" + line.removeprefix(field) for line in lines if line.startswith(field))


def state(folder: Path) -> Any:
    checkpoint = latest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    return checkpoint.state["pipeline"]


@pytest.mark.parametrize("kind", JOBS)
def test_each_learner_does_what_it_does_alone(in_process: Run, cli: Cli, kind: str) -> None:
    cli.jsonl(700)
    several, alone = JOBS[kind]
    run(in_process, cli, "several", several, "--quiet")
    together = state(cli.folder / "several")
    assert list(together["learners"]["branches"]) == list(alone)
    for name, job in alone.items():
        run(in_process, cli, "alone-" + name, job, "--quiet")
        folder = cli.folder / f"alone-{name}"
        for log in ("metrics.jsonl", "predictions.jsonl"):
            mine = of(name, cli.folder / "several" / log)
            assert mine.count(b"\n") > 7
            lone = (folder / log).read_bytes().splitlines(keepends=True)
            nobodys = (b'{"kind":"rows"', *([b'{"kind":"buffer"'] if kind == "shared" else []))
            lone = [line for line in lone if not line.startswith(nobodys)]
            assert mine == b"".join(lone)
        end = state(folder)
        for stage, found in together["learners"]["branches"][name].items():
            assert plain(found) == plain(end[stage]), (name, stage)
        for stage in ("source", "holdout"):
            assert plain(together[stage]) == plain(end[stage])
        if kind == "shared":
            assert "buffer" not in together["learners"]["branches"][name]
            a, b = together["buffer"], end["buffer"]
            a["rows"]["beside"]["replayed"] = b["rows"]["beside"]["replayed"]  # of all, of one
            assert plain(a) == plain(b)


def test_logs_are_in_order_and_name_each_learner(in_process: Run, cli: Cli) -> None:
    cli.jsonl(300)
    out, _ = run(in_process, cli, "out", SEVERAL, "--emit", "predictions")
    assert (cli.folder / "out" / "predictions.jsonl").read_text() == out
    lines = [json.loads(line) for line in out.splitlines()]
    rows = len(lines) // 3
    assert [line["position"] for line in lines] == np.repeat(np.arange(rows), 3).tolist()
    assert [line["learner"] for line in lines] == list(ALONE) * rows
    log = (cli.folder / "out" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in log]
    positions = [record["position"] for record in records]
    assert positions == sorted(positions)
    assert [r["learner"] for r in records if r["position"] == 100] == list(ALONE)
    timings = (cli.folder / "out" / "timings.jsonl").read_text().splitlines()
    assert len(timings) == len({record["position"] for record in records if "accuracy" in record})
    stages = set(json.loads(timings[0])["stages"])
    assert {"source", "holdout", "learners", "small.learner", "learner2.inventory"} <= stages
    assert "été.inventory" not in stages


def test_one_learner_in_an_array_has_a_name_too(in_process: Run, cli: Cli) -> None:
    cli.jsonl(150)
    _, err = run(in_process, cli, "out", f"{COMMON}[[learner]]\n{SMALL}")
    log = (cli.folder / "out" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in log]
    assert {record.get("learner", record["kind"]) for record in records} == {"learner1", "rows"}
    assert "1 learners" not in err


def test_the_end_is_a_table(in_process: Run, cli: Cli) -> None:
    cli.jsonl(400)
    _, err = run(in_process, cli, "out", SEVERAL, "--emit", "none")
    first, header, *rows, baselines = err.splitlines()
    assert re.fullmatch(
        r"streamreplay: 317 rows, 3 learners, \d+\.\d s \([\d,]+ rows/s\), "
        r"321 in = 317 learned \+ 4 put aside \(1\.2 %.*",
        first,
    )
    columns = ["learner", "accuracy", "in window", "kappa", "loss", "retained", "replayed"]
    assert re.split(r"\s{2,}", header.strip()) == columns
    found = {row.split()[0]: row.split() for row in rows}
    assert list(found) == list(ALONE)
    log = [json.loads(x) for x in (cli.folder / "out" / "metrics.jsonl").read_text().splitlines()]
    for name, row in found.items():
        last = {record["kind"]: record for record in log if record.get("learner") == name}
        assert row[1] == f"{last['prequential']['accuracy']:.4f}"
        assert row[5] == f"{last['retention']['accuracy']:.4f}"
        assert int(row[6].replace(",", "")) == last["prequential"]["replayed"]
    assert len({row[1] for row in found.values()}) == 3
    assert baselines.startswith("  accuracy without a model: repeating the last label 0.")


def test_inspect_shows_each(in_process: Run, cli: Cli) -> None:
    cli.jsonl(400)
    run(in_process, cli, "own", SEVERAL, "-q")
    run(in_process, cli, "shared", SHARED, "-q")
    run(in_process, cli, "alone", ALONE["small"], "-q")
    own, shared, alone = (
        json.loads(in_process("inspect", name, "--json")[1]) for name in ("own", "shared", "alone")
    )
    assert (own["buffer"], own["parameters"], own["scores"]) == (None, {}, {})
    assert list(own["learners"]) == list(ALONE)
    for part in ("buffer", "parameters", "scores"):
        found = own["learners"]["small"][part]
        if part == "scores":
            assert found.pop("retention").pop("learner") == "small"
            assert found["prequential"].pop("learner") == "small"
            alone[part].pop("retention")
        assert found == alone[part]
    assert alone["learners"] == {}
    assert own["learners"]["été"]["buffer"]["rows"] == 0
    assert shared["buffer"]["rows"] == 60
    assert [each["buffer"] for each in shared["learners"].values()] == [None, None]
    text = in_process("inspect", "own")[1]
    assert re.search(r"^small: buffer +ClassBalancedBuffer, 60 of 60 rows", text, re.MULTILINE)
    assert re.search(r"^learner2: buffer +ReservoirSamplingBuffer, 60", text, re.MULTILINE)
    assert re.search(r"^Learners\nlearner +accuracy", text, re.MULTILINE)
    assert "small: last prequential record" in text
    assert "learner2: parameters" in text
    assert "\nbuffer  " in in_process("inspect", "shared")[1]


MISTAKES = [
    (["learner.2.lr=0.1"], "command line: learner.2.lr: there are several learners, name one"),
    (["learner.lr=0.1"], "command line: learner.lr: there are several learners, name one"),
    (["learner.0=3"], "command line: learner.0: there are several learners, name one"),
    (["learner.0.lrr=1"], "command line: learner[0].lrr: unknown key, did you mean lr?"),
    (["learner.0.buffer.kind=x"], "command line: learner[0].buffer.kind: must be 'class_balanced'"),
    (["learner.b.nam=x"], "command line: learner[1].nam: unknown key, did you mean name?"),
    (["learner.1.name=1x"], "command line: learner[1].name: must begin with a letter and be of "),
    (["learner.1.name=a"], "job.toml: learner[1].name: must be its own, got 'a' twice"),
    (
        ["buffer.shared=true", "learner.1.buffer.max_size=3"],
        "job.toml: learner[1].buffer: goes without buffer.shared, got both",
    ),
    (
        ["learner.1.buffer.shared=true"],
        "job.toml: learner[1].buffer.shared: is a key of [buffer] alone",
    ),
    (
        ["buffer.shared=true", "buffer.kind=parametric", "buffer.selection=herding"],
        "buffer.selection: herding asks the learner, and goes without buffer.shared",
    ),
    (
        ["buffer.shared=true", "buffer.kind=parametric", "buffer.selection=mine:pick"],
        "buffer.selection: mine:pick asks the learner, and goes without buffer.shared",
    ),
    (
        ["buffer.shared=true", "learner.b.method=gss"],
        "b: learner.method: gss has a buffer of its own, and goes without buffer.shared",
    ),
    (
        ["buffer.shared=true", "learner.a.method=der", "learner.b.method=der++"],
        "b: note 'logits' is on these rows already: two learners that note the same need a buffer",
    ),
    (["learner.b.river='forest.ARF()'"], "b: learner.river, character 1: River has no class 'for"),
    (["learner.a.allow_pickle=true"], "a: learner.allow_pickle: goes with learner.river, got no "),
    (
        ["learner.a.buffer.kind=reservoir", "learner.a.buffer.groups=3"],
        "a: buffer.groups: goes with kind class_balanced or",
    ),
]


@pytest.mark.parametrize(("settings", "message"), MISTAKES)
def test_mistakes(in_process: Run, cli: Cli, settings: list[str], message: str) -> None:
    cli.jsonl(100)
    job = f"{COMMON}[[learner]]\nname = 'a'\n{SMALL}[[learner]]\nname = 'b'\n"
    (cli.folder / "job.toml").write_text(job)
    args = [part for setting in settings for part in ("--set", setting)]
    code, _, err = in_process("run", "job.toml", *args)
    assert (code, err.count("\n")) == (1, 1), err
    assert err.removeprefix("streamreplay: error: ").startswith(message), err


def test_several_from_the_command_line_alone(in_process: Run, cli: Cli) -> None:
    path = cli.jsonl(200)
    small = ("--set", "learner.0.hidden=[8]", "--set", "learner.1.module=linear")
    code, out, _ = in_process("run", "-s", path, *small, "--set", "learner.learner2.name=line")
    assert code == 0
    found = [json.loads(line).get("learner") for line in out.splitlines()]
    assert found == ["learner1", "learner1", "line", "line", None]
    one = ("--set", "learner.hidden=[8]", "--set", "learner.0.lr=0.1")
    code, _, err = in_process("run", "-s", path, *one)
    assert (code, "learner.0.lr: there is one [learner], not several" in err) == (1, True)
    code, _, err = in_process("run", "-s", path, "--set", "buffer.shared=true")
    assert (code, "buffer.shared: goes with several learners, got one" in err) == (1, True)


def test_a_learner_that_diverges_is_named(in_process: Run, cli: Cli) -> None:
    cli.jsonl(300)
    bad = "[[learner]]\nname = 'bad'\nhidden = [8]\noptimizer = 'sgd'\nlr = 1e30\n"
    (cli.folder / "job.toml").write_text(f"{COMMON}[[learner]]\n{SMALL}{bad}")
    code, _, err = in_process("run", "job.toml", "-o", "out", "-q")
    assert code == 1
    assert re.fullmatch(r"streamreplay: error: bad: loss is (nan|inf) at batch \d+ .*\n", err), err
    assert "failed: DivergenceError('bad: loss is" in (cli.folder / "out/events.log").read_text()


def test_the_job_of_each_alone(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(SEVERAL)
    job = load_job(tmp_path / "job.toml")
    for name, text in ALONE.items():
        (tmp_path / "alone.toml").write_text(text)
        assert to_toml(job.alone(name)) == to_toml(load_job(tmp_path / "alone.toml"))
    with pytest.raises(KeyError):
        job.alone("large")
    with pytest.raises(ValueError, match="there are several learners: small, learner2, été"):
        _ = job.only_learner


BROKEN = """
from river import naive_bayes

class Broken(naive_bayes.GaussianNB):
    def learn_one(self, x, y):
        raise KeyError("a")
    learn_many = learn_one
"""


def test_whose_code_failed_is_said(in_process: Run, cli: Cli) -> None:
    (cli.folder / "broken7.py").write_text(BROKEN)
    cli.jsonl(30)
    bad = "[[learner]]\nname = 'bad'\nriver = 'broken7:Broken'\n"
    (cli.folder / "job.toml").write_text(f"{COMMON}[[learner]]\n{SMALL}{bad}")
    code, _, err = in_process("run", "job.toml", "-q")
    message = "bad: learner.river: 'broken7:Broken' failed: KeyError: 'a' (broken7.py:6)"
    assert (code, err) == (1, f"streamreplay: error: {message}\n")


def test_resume_asks_for_trust_and_for_the_same_learners(in_process: Run, cli: Cli) -> None:
    cli.jsonl(700)
    run(in_process, cli, "whole", SEVERAL, "-q")
    expected = cli.contents(cli.folder / "whole")
    (cli.folder / "job.toml").write_text(SEVERAL)
    pickles = ("--set", "learner.été.allow_pickle=false")
    code, _, err = in_process("run", "job.toml", "-o", "out", *pickles)
    assert (code, "learner.2.river: its checkpoints are pickles" in err) == (1, True)
    assert in_process("run", "job.toml", "-o", "out", "-q", "--limit", 320)[0] == 0
    code, _, err = in_process("run", "--resume", "-o", "out", "--limit", 0)
    assert (code, "--trust" in err) == (1, True)
    resume = ("run", "--resume", "--trust", "-o", "out", "--limit", 0, "-q")
    code, _, err = in_process(*resume, "--set", "learner.learner2.lr=0.2")
    assert (code, "learner[1].lr: " in err, "with 0.1, got 0.2" in err) == (1, True, True)
    assert in_process(*resume)[0] == 0
    found = cli.contents(cli.folder / "out")
    for log in ("predictions.jsonl", "dead_letters.jsonl"):  # a limit is an end, with its metrics
        assert found[log] == expected[log]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "trust"), [("own", "--trust "), ("shared", "")])
def test_a_signal_says_how_to_resume(cli: Cli, kind: str, trust: str) -> None:
    cli.jsonl(4000)
    (cli.folder / "job.toml").write_text(JOBS[kind][0])
    process = cli.start("run", "job.toml", "-o", "out", "--emit", "predictions")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    last = err.decode().splitlines()[-1]
    assert process.returncode == 130
    assert last.endswith(f"resume with: streamreplay run --resume {trust}--out out")


@pytest.mark.slow
@pytest.mark.parametrize("kind", JOBS)
def test_kill_and_resume(cli: Cli, kind: str) -> None:
    """Kill -9 once the log has grown to some size, again and again: nothing shows."""
    cli.jsonl(2500)
    (cli.folder / "job.toml").write_text(JOBS[kind][0])
    trust = ("--trust",) if kind == "own" else ()
    assert kill_and_resume(cli, ("job.toml",), 3, seed=6, resume=("--resume", *trust)) >= 2
