"""Replay methods in job files: which parts a job of each is made of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.buffers.sampling.ranked_slots import RankedSlots
from streamreplay.config import build, load_job
from streamreplay.config.building.methods import make_method, method_parameters
from streamreplay.config.job import LearnerSection
from streamreplay.errors import ConfigError
from streamreplay.learners import METHODS, Step
from streamreplay.pipeline import Pipeline
from streamreplay.stage import Source
from tests.learners.formulas import Case

DOCS = Path(__file__).parents[2] / "docs" / "guides"


def taken_by(name: str) -> dict[str, Any]:
    """Return a value other than the default for each key that is a parameter of a method."""
    parameters = inspect.signature(METHODS[name]).parameters
    examples = {
        key: (LearnerSection.model_fields[key].examples or [None])[0]
        for key in method_parameters()
        if key in parameters
    }
    return {
        key: max(1, example // 250) if isinstance(example, int) else example / 4
        for key, example in examples.items()
    }


TAKEN = {**{name: taken_by(name) for name in METHODS}, "gss": {}}
EVERY = {key: value for taken in TAKEN.values() for key, value in taken.items()}


def rows(folder: Path, n: int = 90) -> Path:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.normal(y[:, None], 0.5, (n, 2))
    lines = [
        "a,b,y",
        *(f"{a},{b},{['ham', 'spam', 'eggs'][c]}" for (a, b), c in zip(x, y, strict=True)),
    ]
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def made(folder: Path, *settings: str) -> Pipeline:
    path = rows(folder)
    return build(load_job(None, [f"source.path={path}", "source.batch_size=8", *settings]))


def run(folder: Path, *settings: str) -> Pipeline:
    pipeline = made(folder, "learner.hidden=[6]", *settings)
    reports = list(pipeline)
    assert sum(len(report) for report in reports) == 90
    return pipeline


def to_settings(options: dict[str, Any]) -> Sequence[str]:
    return [f"learner.{key}={value}" for key, value in options.items()]


def case() -> Step:
    import torch  # noqa: PLC0415 - for this alone

    z = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    told = torch.flip(z, [1])
    stored = [[0.5, -0.5, 2.0]] * 2
    return Case(z, [0, 1, 2, 0], 2, [0, 1, 2], [0, 1], stored=stored, told=told,
                taught=[0, 1]).step(z)  # fmt: skip


def test_the_parameters_of_methods_are_keys_of_a_job() -> None:
    wanted = {name for make in METHODS.values() for name in inspect.signature(make).parameters}
    assert wanted <= LearnerSection.model_fields.keys()
    assert EVERY.keys() == set(method_parameters())
    assert {"alpha", "look_back", "retrain_every"} <= EVERY.keys()


@pytest.mark.parametrize("name", TAKEN)
def test_a_method_is_described_with_its_parameters(name: str) -> None:
    fields, page = LearnerSection.model_fields, (DOCS / "methods.md").read_text()
    listed = re.split(r"[\s,:]+", fields["method"].description or "")
    assert name in listed
    (row,) = re.findall(rf"^\| `{re.escape(name)}` \|.*$", page, re.MULTILINE)
    for key in TAKEN[name]:
        assert name in re.split(r"[\s,:]+", fields[key].description or ""), key
        assert f"`{key}`" in row, key


@pytest.mark.parametrize("name", TAKEN)
def test_a_job_of_each_method_learns(tmp_path: Path, name: str) -> None:
    pipeline = run(tmp_path, f"learner.method={name}", *to_settings(TAKEN[name]))
    stored = pipeline["buffer"].buffer
    method = pipeline["learner"].method
    assert (stored.notes is not None) == (method.notes is not None)
    counts = pipeline["buffer"].state_dict()["rows"]["beside"]["replayed"]
    assert counts.any()
    assert pipeline["mixer"].candidates == (None if method.retrieve is None else 40)
    ranked = isinstance(pipeline["buffer"]._reservoir, RankedSlots)
    assert ranked == (name == "gss")


@pytest.mark.parametrize("name", TAKEN)
def test_parameters_reach_the_method_and_others_are_refused(name: str) -> None:
    settings = [f"learner.method={name}", *to_settings(TAKEN[name])]
    found = make_method(load_job(None, settings).only_learner)
    plain = make_method(load_job(None, settings[:1]).only_learner)
    want = METHODS["er" if name == "gss" else name](**TAKEN[name])
    for field in ("teacher", "classifiers", "look_back", "ema", "retrain", "retrain_every"):
        assert getattr(found, field) == getattr(want, field)
    assert float(found.loss(case())) == float(want.loss(case()))
    if TAKEN[name].keys() & {"alpha", "distillation"}:
        assert float(found.loss(case())) != float(plain.loss(case()))
    for key in EVERY.keys() - TAKEN[name].keys():
        job = load_job(None, [settings[0], f"learner.{key}={EVERY[key]}"])
        message = f"^learner.{key}: is not a parameter of {name.replace('+', '[+]')}, got "
        with pytest.raises(ConfigError, match=message):
            make_method(job.only_learner)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["learner.method=icarl"],
            "learner.method: must be auto, er, ",
        ),
        (["learner.method=no.such:thing"], "learner.method: 'no.such:thing' cannot be imported"),
        (["learner.method=json:dumps"], "learner.method: 'json:dumps' cannot be built: TypeError"),
        (["learner.method=builtins:dict"], "learner.method: 'builtins:dict' must return a Method"),
        (["learner.method=builtins:dict", "learner.alpha=1.0"], "learner.alpha: is not a param"),
        (["learner.alpha=-1.0"], "learner.alpha: must be greater than or equal to 0, got -1.0"),
        (["learner.temperature=0.0"], "learner.temperature: must be greater than 0, got 0.0"),
        (["learner.ema=1.0"], "learner.ema: must be less than 1, got 1.0"),
        (["learner.label_smoothing=1.0"], "learner.label_smoothing: must be less than 1, got 1.0"),
        (["learner.clip_grad_norm=0.0"], "learner.clip_grad_norm: must be greater than 0, got 0"),
        (["learner.class_weight={ham = -1.0}"], "learner.class_weight: must be greater than or"),
        (["learner.loss=focal"], "learner.loss: must be left out or package.module:factory, got "),
        (["learner.notes=all"], "learner.notes: must be left out or package.module:factory, got"),
        (["learner.retrieval=easiest"], "learner.retrieval: must be mir, hardest or package.mod"),
        (
            ["mixer.candidates=20"],
            "mixer.candidates: method er-slda does not choose among them, got",
        ),
        (
            ["mixer.candidates=20", "learner.river='naive_bayes.GaussianNB()'"],
            "mixer.candidates: learner.river does not choose among them, got 20",
        ),
        (
            ["learner.method=mir", "mixer.candidates=7"],
            "mixer.candidates: must be at least batch_size_mem = 8, got 7",
        ),
        (
            ["learner.method=gss", "buffer.kind=reservoir"],
            "buffer.kind: method gss has a buffer of its own, parametric with selection gss_greedy",
        ),
        (
            ["learner.method=gss", "buffer.kind=parametric", "buffer.selection=herding"],
            "buffer.kind: method gss has a buffer of its own",
        ),
        (
            ["learner.method=er-ace", "learner.river='naive_bayes.GaussianNB()'"],
            "learner.method: is of torch modules and goes without learner.river, got 'er-ace'",
        ),
        (
            ["learner.method=gdumb", "learner.module=tests.config.test_methods:MODULE"],
            "learner.module: 'tests.config.test_methods:MODULE' is a module, and method gdumb",
        ),
    ],
)
def test_mistakes(tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, *settings)
    assert str(caught.value).removeprefix("command line: ").startswith(message)


def __getattr__(name: str) -> Any:
    """Make the module only for the test that asks for it."""
    if name != "MODULE":
        raise AttributeError(name)
    from torch import nn  # noqa: PLC0415 - as above

    return nn.Linear(2, 3)


@pytest.mark.parametrize(
    ("settings", "candidates"),
    [
        (["learner.method=mir", "mixer.batch_size_mem=3"], 15),
        (["learner.retrieval=hardest", "mixer.candidates=9"], 9),
        (["learner.retrieval=mir", "source.batch_size=4"], 20),
    ],
)
def test_candidates(tmp_path: Path, settings: list[str], candidates: int) -> None:
    assert made(tmp_path, *settings)["mixer"].candidates == candidates


@pytest.mark.parametrize("module", ["mlp", "tests.config.test_methods:ten_outputs"])
def test_class_weights_go_by_name(tmp_path: Path, module: str) -> None:
    """Also where a module has outputs for classes that nobody has named yet."""
    weighted = run(
        tmp_path,
        f"learner.module={module}",
        "learner.class_weight={spam = 4.0, 'no such' = 9.0}",
    )
    assert isinstance(weighted.source, Source)
    names = weighted.source.labels.names
    weights = weighted["learner"]._trainer._weights._of_class.tolist()
    assert dict(zip(names, weights, strict=True)) == {"ham": 1, "spam": 4, "eggs": 1}
    plain = run(tmp_path, f"learner.module={module}")
    a, b = ({k: v.tolist() for k, v in p["learner"].module.state_dict().items()}
            for p in (weighted, plain))  # fmt: skip
    assert a != b


def ten_outputs(shape: tuple[int, ...], _classes: int) -> Any:
    from torch import nn  # noqa: PLC0415 - as above

    return nn.Linear(shape[0], 10)
