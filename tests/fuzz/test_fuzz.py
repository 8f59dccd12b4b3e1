"""Some inputs of the fuzzer: ``make fuzz`` reads more of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import check as checks
from tests.fuzz.binary_inputs import arrow_input, idx_input, npz_input
from tests.fuzz.folders import check_folder, folder_input
from tests.fuzz.fuzzer import Fuzzer, main
from tests.fuzz.inputs import damaged, dice_of, make_input
from tests.fuzz.rows import Input
from tests.fuzz.text_inputs import csv_input, json_input


@pytest.mark.parametrize(
    ("make", "examples"),
    [(csv_input, 120), (json_input, 120), (arrow_input, 40), (npz_input, 30), (idx_input, 20)],
)
def test_whatever_comes_each_record_is_counted_once(
    make: Callable[[Random], Input], examples: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=examples)
    @given(seed=st.integers(0, 1 << 40), damage=st.booleans())
    def read(seed: int, damage: bool) -> None:
        dice = Random(seed)  # noqa: S311 - hypothesis draws it
        made = make(dice)
        checks.check(damaged(dice, made) if damage else made, dice, tmp_path_factory.mktemp("in"))

    read()


def test_a_run_over_an_input(tmp_path: Path) -> None:
    for seed, make in enumerate((csv_input, json_input, arrow_input)):
        dice = Random(seed)  # noqa: S311
        made, folder = make(dice), tmp_path / str(seed)
        folder.mkdir()
        path = checks.write(made, folder)
        whole = checks.read(made, path, 4)
        assert whole.rows
        checks.learn(made, path, 4, whole)
        checks.run(made, path, folder / "out", whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_a_changed_run_folder_is_read_or_refused(number: int, tmp_path: Path) -> None:
    dice = dice_of(3, number)
    check_folder(folder_input(dice), dice, tmp_path)


def test_a_lost_record_is_a_failure(tmp_path: Path) -> None:
    made = Input("csv", "csv", {"rows.csv": b"id,a,y\nr0,1,k\nr1,2\n"}, {}, [("r0", "k")], 1)
    assert checks.check(made, Random(0), tmp_path) == 2  # noqa: S311
    made.rows = [("r0", "k"), ("r1", "k")]
    with pytest.raises(AssertionError, match=r"rows \[\('r0', 'k'\)\], expected"):
        checks.check(made, Random(0), tmp_path)  # noqa: S311


@pytest.mark.slow
def test_workers_check_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr("sys.argv", ["fuzz", "3", "--seed", "5", "--workers", "1"])
    assert main() == 0
    assert ": 3 inputs (" in capsys.readouterr().out


def test_an_input_that_fails_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Fuzzer(seed=5, first=0, inputs=9, workers=2).fail(7, "Traceback ...\nAssertionError: lost")
    out, made = capsys.readouterr().out, make_input(dice_of(5, 7))
    assert out.startswith(f"{made.form} fails: AssertionError: lost\n")
    assert out.endswith("python -m tests.fuzz 1 --seed 5 --first 7\n")
    for name, data in made.files.items():
        assert (tmp_path / "fuzz-failures" / "5-7" / name).read_bytes() == data
