"""Code that the job of a folder imports runs only for who trusts the folder, or gives the job."""

import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from streamreplay.config import job, load_job
from streamreplay.config.parsing.outside import marked_keys, reaches_out
from tests.trust.drive import Done, command

MODULE = """
from pathlib import Path
Path("ran").write_text("")

def focal(step):
    return step.logits.pow(2).mean()
"""


@pytest.fixture
def folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run folder with a module in it and a job that names it, as the working directory."""
    (run / "not_installed.py").write_text(MODULE)
    text = (run / "job.toml").read_text()
    head = "[learner]\n"
    assert head in text
    (run / "job.toml").write_text(text.replace(head, f'{head}loss = "not_installed:focal"\n'))
    monkeypatch.chdir(run)
    monkeypatch.delitem(sys.modules, "not_installed", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return run


def resume(*more: object) -> Done:
    return command("run", "--resume", "--out", ".", "--quiet", *more)


def test_a_module_in_the_folder_does_not_run(folder: Path) -> None:
    done = resume()
    assert done.refused
    assert "learner.loss imports 'not_installed:focal'" in done.err
    assert "add --trust, or give the job file" in done.err
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "more", [("--trust",), ("job.toml",), ("--set", "learner.loss=not_installed:focal")]
)
def test_it_runs_for_who_says_so(more: tuple[str, ...], folder: Path) -> None:
    done = resume(*more)
    assert "learner.loss imports" not in done.err
    assert (folder / "ran").exists()


def test_reading_commands_import_nothing(folder: Path) -> None:
    for each in (("tail", ".", "--once"), ("inspect", "."), ("compare", ".", ".")):
        assert command(*each).code == 0
    assert command("export", ".", "--format", "csv").code == 0
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "setting",
    [
        *(f"learner.{key}=a.b:c" for key in ("module", "method", "retrieval", "notes", "schedule")),
        *("learner.module=a:c(1)", "learner.river=a:c", "learner.augment=['noise(0.1)', 'a:c']"),
        *("backbone.module=a:c", "buffer.selection=a:c", "run.mlflow=http://a"),
        *("run.tensorboard=/tmp/tb", "buffer.storage=/tmp/rows"),
    ],
)
def test_everything_that_reaches_out_is_named(setting: str) -> None:
    (found,) = reaches_out(load_job(None, [setting]))
    assert found.startswith(setting.partition("=")[0])
    assert not reaches_out(load_job(None, [setting]), [setting])


def test_no_command_that_reads_a_checkpoint_imports_without_trust(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "b": 2}\n')
    for given in (("predict", ".", tmp_path / "rows.jsonl"), ("export-model", ".", tmp_path / "m")):
        done = command(*given)
        assert done.refused
        assert "learner.loss imports 'not_installed:focal'" in done.err
        assert "add --trust" in done.err
        assert not (folder / "ran").exists()
    assert not command(*given, "--trust").fault
    assert (folder / "ran").exists()


def test_what_stays_inside_is_not() -> None:
    river = "learner.river=compose.Select('a', 'b') | tree.HoeffdingTreeClassifier()"
    assert not reaches_out(load_job(None, [river, "run.tensorboard=true"]))
    assert not reaches_out(load_job(None, ["learner.schedule=cosine(10_000)"]))


def test_each_of_several_learners_is_looked_at() -> None:
    several = ["learner=[{}, {}]", "learner.1.module=a:b", "buffer.selection=c:d"]
    found = reaches_out(load_job(None, several))
    assert "learner[1].module imports 'a:b'" in found
    assert "buffer.selection imports 'c:d'" in found


def test_the_keys_that_import_are_those_that_say_so() -> None:
    sections = [each for each in vars(job).values() if isinstance(each, type)]
    models = [each for each in sections if issubclass(each, BaseModel)]
    fields = {name: field for each in models for name, field in each.model_fields.items()}
    said = {n for n, field in fields.items() if "package.module:" in (field.description or "")}
    marked = {key.rpartition(".")[2] for key, verbs in marked_keys().items() if "imports" in verbs}
    assert said == marked
