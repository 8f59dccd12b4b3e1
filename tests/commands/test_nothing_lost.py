"""What is not learned is shown: the sum of rows, exit code 3, dead letters without end."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from streamreplay.run import driver
from streamreplay.run.rejected import RejectedRecords
from tests.commands.conftest import Cli, records

Run: TypeAlias = Callable[..., tuple[int, str, str]]
SMALL = ("--set", "learner.module=linear", "--set", "buffer.max_size=50", "--emit", "none")
FATES = ("learned", "predicted_only", "withheld", "pending", "put_aside", "skipped")


def noise() -> bytes:
    return np.random.default_rng(0).integers(128, 256, 3000).astype(np.uint8).tobytes()


UNUSABLE = {
    "quoted.jsonl": b'"{"\n' * 5,
    "scalars.jsonl": b'5\n"a"\nnull\n',
    "one.jsonl": b"[1, 2]",
    "noise.jsonl": noise().replace(b"\n", b"") + b"\n",
    "wide.csv": b"u,v,y\n" + b"1,2,3,4,5,6\n" * 30,
}


def last_rows(folder: Path) -> dict[str, Any]:
    log = (folder / "metrics.jsonl").read_text().splitlines()
    found: dict[str, Any] = [each for each in map(json.loads, log) if each["kind"] == "rows"][-1]
    assert sum(found[fate] for fate in FATES) == found["rows_in"]
    return found


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_run_without_a_usable_row_exits_with_3(
    tmp_path: Path, in_process: Run, name: str, quiet: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(UNUSABLE[name])
    code, out, err = in_process("run", "-s", name, *SMALL, *quiet)
    assert (code, out) == (3, "")
    assert f"exit code 3: {name}: " in err.splitlines()[-1]
    assert "cannot be used (" in err or "records can be used (" in err
    code, _, again = in_process("run", "-s", name, "-o", "out", *SMALL, *quiet)
    assert (code, again.splitlines()[-1]) == (3, err.splitlines()[-1])
    rows = last_rows(tmp_path / "out")
    letters = (tmp_path / "out" / "dead_letters.jsonl").read_text().splitlines()
    assert rows["put_aside"] == rows["rows_in"] == len(letters) > 0
    assert sum(rows["put_aside_by_reason"].values()) == len(letters)
    shown = f"{len(letters)} in"
    assert shown in in_process("tail", "out", "--once")[1]
    assert f"{shown} = {len(letters)} put aside (100.0 %: " in in_process("inspect", "out")[1]
    assert in_process("run", "-o", "out", "--resume", "-q")[0] == 3  # as long as it is so


def test_only_at_its_beginning_a_run_stops_early(tmp_path: Path, in_process: Run) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("5\n" * 1500 + '{"x": [1], "y": "a"}\n')
    message = (
        "streamreplay: error: rows.jsonl: none of the first 1,000 records can be used (not a JSON "
        "object; the first, line 1): each line must be one JSON object; see --format\n"
    )
    assert in_process("run", "-s", path, "-o", "out", "-q", *SMALL) == (3, "", message)
    assert (tmp_path / "out" / "dead_letters.jsonl").read_text().count("\n") == 1000
    assert last_rows(tmp_path / "out")["put_aside"] == 1000
    memory = ("--set", "test.share=0.2")
    assert in_process("run", "-s", path, "-q", *memory) == (3, "", message)
    path.write_text('{"x": [1], "y": "a"}\n' + "5\n" * 1500)
    code, _, err = in_process("run", "-s", path, *SMALL)
    assert code == 3
    assert "1,501 in = 1 learned + 1,500 put aside (99.9 %: " in err
    assert "exit code 3: 1,500 of 1,501 rows were put aside (99.9 %), more than " in err


def test_a_source_read_into_memory_counts_too(cli: Cli, in_process: Run) -> None:
    path = cli.jsonl(400)
    code, _, err = in_process("run", "-s", path, "-o", "out", *SMALL, "--set", "test.share=0.2")
    assert code == 0
    rows = last_rows(cli.folder / "out")
    assert (rows["put_aside"], rows["learned"]) == (4, 317)
    assert "321 in = 317 learned + 4 put aside (1.2 %: not JSON" in err
    assert "321 in = 317 learned + 4 put aside" in in_process("inspect", "out")[1]


@pytest.mark.parametrize("quiet", [(), ("-q",)])
@pytest.mark.parametrize("memory", [(), ("--set", "test.share=0.1")])
def test_values_that_do_not_fit_are_shown(
    tmp_path: Path, in_process: Run, quiet: tuple[str, ...], memory: tuple[str, ...]
) -> None:
    cells = ["large" if i % 40 == 7 else i for i in range(200)]
    lines = [f"{cell},{i % 5},{'pq'[i % 2]}" for i, cell in enumerate(cells)]
    (tmp_path / "rows.csv").write_text("\n".join(["size,b,y", *lines]))
    code, _, err = in_process("run", "-s", "rows.csv", "-o", "out", *SMALL, *memory, *quiet)
    assert code == 0
    assert "5 values did not fit their column and count as missing (size 5)" in err
    assert last_rows(tmp_path / "out")["misfits"] == {"size": 5}


def test_the_share_may_be_changed_on_resume(cli: Cli, in_process: Run) -> None:
    path = cli.jsonl(400)
    share = "source.max_bad_share"
    code, _, err = in_process("run", "-s", path, "-o", "out", *SMALL, "--set", f"{share}=0.009")
    assert code == 3
    message = err.splitlines()[-1]
    assert "4 of 400 rows were put aside (1.0 %), more than source.max_bad_share = 0.009" in message
    before = cli.contents(cli.folder / "out")
    assert in_process("run", "-o", "out", "--resume", "-q")[0] == 3
    assert in_process("run", "-o", "out", "--resume", "-q", "--set", f"{share}=0.01")[0] == 0
    after = cli.contents(cli.folder / "out")
    assert after.pop("job.toml") != before.pop("job.toml")
    assert after == before
    assert in_process("run", "-o", "out", "--resume", "--set", f"{share}=1.5")[0] == 1


def test_too_many_in_a_row_are_warned_about(tmp_path: Path, in_process: Run) -> None:
    good = ['{"a": 1, "y": "k"}'] * 7000
    lines = [*good, *["5"] * 1001, *good]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    fast = ("--batch-size", 1000, "--set", "mixer.steps=1", "--set", "learner.method=er")
    code, _, err = in_process("run", "-s", "rows.jsonl", "-q", *SMALL, *fast)
    warning, summary, last = err.splitlines()
    message = "1,001 of 10,000 rows in a row were put aside, more than source.max_bad_share = 0.1"
    assert (code, message in warning, message in last) == (3, True, True)
    assert warning.startswith("streamreplay: warning: ")
    assert "1,001 of 15,001 rows put aside (6.7 %: not a JSON object; the first" in summary
    del lines[7000]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    code, _, err = in_process("run", "-s", "rows.jsonl", "-q", *SMALL, *fast)
    assert (code, len(err.splitlines())) == (0, 1)


def test_rows_without_a_training_step_are_skipped(tmp_path: Path, in_process: Run) -> None:
    big = 3e38  # its products with weights are more than float32 holds
    rows = [{"x": [big * (i >= 32)] * 50, "y": "ab"[i % 2]} for i in range(64)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    diverging = [
        *("learner.optimizer=sgd", "learner.lr=1000.0", "learner.normalize=none"),
        *("learner.on_divergence=skip", "learner.method=er"),
    ]
    settings = [part for each in diverging for part in ("--set", each)]
    code, _, err = in_process("run", "-s", "rows.jsonl", "-o", "out", "-q", *SMALL, *settings)
    skipped = last_rows(tmp_path / "out")["skipped"]
    assert (code, skipped) == (0, 32)
    assert err == f"streamreplay: warning: {skipped} rows skipped: the loss was not finite\n"


@pytest.mark.parametrize("limit", [60, 100, 250])
def test_dead_letters_lose_their_text_at_a_size(
    cli: Cli, in_process: Run, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    lines = [json.dumps(record) for record in records(300)]
    lines = [line[:-5] if i % 10 == 5 else line for i, line in enumerate(lines)]
    (cli.folder / "rows.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr(driver, "RejectedRecords", partial(RejectedRecords, most_bytes=2000))
    run = partial(in_process, "run", "-s", "rows.jsonl", *SMALL)
    _, _, whole = run("-o", "whole")
    run("-o", "out", "--limit", limit)
    _, _, err = run("-o", "out", "--resume", "--limit", 0)
    letters = [
        (cli.folder / name / "dead_letters.jsonl").read_text().splitlines()
        for name in ("whole", "out")
    ]
    assert letters[0] == letters[1]
    found = [json.loads(letter) for letter in letters[0]]
    full = [letter for letter in found if "raw" in letter]
    assert len(found) == 30
    assert found[: len(full)] == full
    assert all([*letter] == ["line", "byte", "source", "reason"] for letter in found[len(full) :])
    size = sum(len(letter) + 1 for letter in letters[0][: len(full)])
    assert size >= 2000 > size - len(letters[0][len(full) - 1]) - 1
    told = f"{30 - len(full)} of those put aside are in dead_letters.jsonl without their text"
    assert told in whole
    assert told in err
    states = [cli.contents(cli.folder / name) for name in ("whole", "out")]
    last = [json.loads(state["metrics.jsonl"].splitlines()[-1]) for state in states]
    assert last[0] == last[1]
