"""Code of the user's own: its errors name its key, and nothing else about it changes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from streamreplay.config import build, load_job
from streamreplay.config.building.user_code import UserCode
from streamreplay.config.job import LearnerSection
from streamreplay.errors import ConfigError
from streamreplay.learners import Step, TorchLearner
from streamreplay.learners.methods.catalogue import made_here
from streamreplay.pipeline import Pipeline
from streamreplay.records import Report

OWN = """
import numpy as np
import torch
from river import naive_bayes
from torch import nn
from streamreplay.buffers.selection import OnlineSelectionStrategy

BROKEN = set()

def check(key):
    if key in BROKEN:
        raise KeyError(key)

class Net(nn.Module):
    def __init__(self, key, width, outputs):
        super().__init__()
        self.key, self.layer = key, nn.Linear(width, outputs)
    def forward(self, x):
        check(self.key)
        return self.layer(x)

def module(shape, classes):
    return Net("module", shape[0], classes)

def backbone(shape):
    return Net("backbone", shape[0], 4)

def loss(step):
    check("loss")
    log_p = torch.log_softmax(step.masked, 1)
    return nn.NLLLoss(ignore_index=-1)(log_p, step.y)

def retrieval(learner, incoming, candidates, k):
    check("retrieval")
    return np.argsort(-learner.losses(candidates))[:k]

def notes(step):
    check("notes")
    return {"half": step.logits[: step.n, 0] / 2}

def augment(x, y):
    check("augment")
    return x + 0

def schedule(step):
    check("schedule")
    return 1.0

class Strategy(OnlineSelectionStrategy):
    def __init__(self, learner):
        self.learner = learner
    def make_keys(self, rows, uniform):
        check("selection")
        return self.learner.losses(rows)

class river(naive_bayes.GaussianNB):
    def learn_one(self, x, y):
        check("river")
        super().learn_one(x, y)
    def learn_many(self, X, y):
        check("river")
        super().learn_many(X, y)

def texts(step):
    return "fast"

def ragged(*_):
    return [[1], [1, 2]]

class Ragged(Strategy):
    make_keys = ragged

class Classifier:
    name, reads_memory, needs_features = "mine", True, False
    rows = 0
    def build(self, feature_shape):
        check("build")
    def observe(self, memory, features):
        check("observe")
    def predict(self, outputs):
        check("predict")
        return outputs.logits, None
    def learn(self, incoming, opinion, recent):
        check("learn")
        self.rows += len(incoming)
    def refreshed(self, memory, features):
        check("refreshed")
        return self
    def state_dict(self):
        return {"rows": self.rows}
    def load_state_dict(self, state):
        self.rows = state["rows"]

def with_classifier():
    from streamreplay.learners import Method
    return Method(classifiers=(Classifier,))
"""
KEYS = {
    "module": "learner.module",
    "loss": "learner.loss",
    "retrieval": "learner.retrieval",
    "notes": "learner.notes",
    "augment": "learner.augment",
    "schedule": "learner.schedule",
    "selection": "buffer.selection",
    "backbone": "backbone.module",
    "river": "learner.river",
}
TOGETHER = [
    pair
    for pair in permutations(KEYS, 2)
    if "river" not in pair or {"selection", "backbone"} & {*pair}
]


class Own:
    """A module of the user's, of which chosen parts raise an error."""

    def __init__(self, folder: Path) -> None:
        self.name = f"own_{abs(hash(str(folder)))}"
        self.folder = folder
        (folder / f"{self.name}.py").write_text(OWN)

    def settings(self, *parts: str) -> list[str]:
        found = []
        for part in parts:
            name = f"{self.name}:{'Strategy' if part == 'selection' else part}"
            found.append(f"{KEYS[part]}={[name] if part == 'augment' else name}")
        return [*found, *(["buffer.kind=parametric"] if "selection" in parts else [])]

    def break_parts(self, *parts: str) -> None:
        imported: Any = __import__(self.name)
        imported.BROKEN.clear()
        imported.BROKEN.update(parts)

    def pipeline(self, *settings: str) -> Pipeline:
        rng = np.random.default_rng(0)
        x, y = rng.random((40, 3)).astype(np.float32), np.arange(40) % 2
        np.savez(self.folder / "rows.npz", x=x, y=y)
        source = [f"source.path={self.folder / 'rows.npz'}", "source.batch_size=8"]
        return build(load_job(None, [*source, *settings]))

    def error(self, *settings: str) -> str:
        with pytest.raises(ConfigError) as raised:
            list(self.pipeline(*settings))
        return str(raised.value)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Own:
    monkeypatch.syspath_prepend(tmp_path)
    return Own(tmp_path)


def message(own: Own, part: str) -> str:
    name = "Strategy" if part == "selection" else part
    return f"{KEYS[part]}: '{own.name}:{name}' failed: KeyError: '{part}' ({own.name}.py:12)"


def run(pipeline: Pipeline) -> list[Report]:
    return list(pipeline)


@pytest.mark.parametrize("part", KEYS)
def test_an_error_is_reported_under_its_key(own: Own, part: str) -> None:
    own.break_parts()
    run(own.pipeline(*own.settings(part)))
    own.break_parts(part)
    assert own.error(*own.settings(part)) == message(own, part)


@pytest.mark.parametrize("call", ["build", "observe", "predict", "learn", "refreshed"])
def test_a_classifier_of_the_user_is_reported_under_its_method(own: Own, call: str) -> None:
    settings = [f"learner.method={own.name}:with_classifier", "probe.share=0.3", "probe.every=8"]
    own.break_parts()
    before, after = own.pipeline(*settings), own.pipeline(*settings)
    run(before)
    after.load_state_dict(before.state_dict())
    (saved,) = after["learner"].state_dict()["predictor"]["classifiers"].values()
    assert saved["rows"] > 0
    own.break_parts(call)
    where = f"'{own.name}:with_classifier' failed: KeyError: '{call}' ({own.name}.py:12)"
    assert own.error(*settings) == f"learner.method: {where}"


@pytest.mark.parametrize(("part", "other"), TOGETHER)
def test_an_error_is_not_reported_under_another_key(own: Own, part: str, other: str) -> None:
    """Both parts are the user's; one is wrong, then both."""
    own.break_parts(part)
    assert own.error(*own.settings(part, other)) == message(own, part)
    own.break_parts(part, other)
    assert own.error(*own.settings(other, part)) in (message(own, part), message(own, other))


@pytest.mark.parametrize("part", [part for part in KEYS if part != "backbone"])
def test_the_message_names_the_learner(own: Own, part: str) -> None:
    own.break_parts(part)
    settings = own.settings(part)
    bad = [setting.replace("learner.", "learner.1.", 1) for setting in settings]
    bad = [setting.replace("buffer.", "learner.1.buffer.", 1) for setting in bad]
    error = own.error("learner.0.hidden=[4]", "learner.1.name=bad", *bad)
    assert error == f"bad: {message(own, part)}"


def test_the_error_of_the_user_is_the_cause(own: Own) -> None:
    own.break_parts("loss")
    for settings in (own.settings("loss"), [f"learner.0.loss={own.name}:loss"]):
        with pytest.raises(ConfigError) as raised:
            list(own.pipeline(*settings))
        assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        (["learner.schedule={own}:texts"], "schedule: '{own}:texts' failed: ValueError: could not"),
        (
            ["learner.schedule={own}:texts", "learner.warmup=9"],
            "schedule: '{own}:texts' failed: TypeError: can't multiply",
        ),
        (["learner.retrieval={own}:ragged"], "retrieval: '{own}:ragged' failed: ValueError: set"),
        (
            ["buffer.kind=parametric", "buffer.selection={own}:Ragged"],
            "selection: '{own}:Ragged' failed: ValueError: setting an array",
        ),
    ],
)
def test_a_result_that_cannot_be_read_is_reported(
    own: Own, settings: Sequence[str], want: str
) -> None:
    own.break_parts()
    error = own.error(*(setting.format(own=own.name) for setting in settings))
    assert error.partition(".")[2].startswith(want.format(own=own.name))


def user_module(module: nn.Module, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Return a module as a job that names it would give it to its learner."""
    from streamreplay.config.building.learners import make_module  # noqa: PLC0415

    monkeypatch.setattr(UserCode, "load", lambda *_: lambda *_: module)
    made: nn.Module = make_module(LearnerSection(module="mine:module"))((3,), 2)
    return made


class Halved(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.out_features > 2:
            raise KeyError("three")
        return super().forward(input) / 2


def test_a_module_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, x = Halved(3, 2), torch.ones(1, 3)
    want = plain(x)
    module = user_module(plain, monkeypatch)
    assert module is plain
    assert type(module) is Halved
    assert list(module.state_dict()) == ["weight", "bias"]
    assert torch.equal(module(x), want)
    again = user_module(module, monkeypatch)  # the same object in a second job
    assert torch.equal(again(x), want)
    copied: Any = copy.deepcopy(again)
    with torch.no_grad():
        copied.weight.zero_()
        copied.bias.zero_()
    assert not copied(x).any()
    assert torch.equal(again(x), want)
    copied.out_features = 3
    with pytest.raises(
        ConfigError, match=r"learner.module: 'mine:module' failed: KeyError: 'three'"
    ):
        copied(x)


def test_a_forward_pass_that_was_set_on_the_object_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = nn.Linear(3, 2), torch.ones(1, 3)
    module.forward = lambda input: input[:, :2] / input[0, 0]  # type: ignore[method-assign]  # noqa: A006
    for _ in range(2):
        module = user_module(module, monkeypatch)  # type: ignore[assignment]
        assert torch.equal(module(x), torch.ones(1, 2))
    with pytest.raises(ConfigError, match=r"learner.module: 'mine:module' failed: IndexError"):
        module(x[0])


@pytest.mark.parametrize("replaced", [False, True])
def test_a_perceptron_of_the_user_keeps_the_fast_path(
    monkeypatch: pytest.MonkeyPatch, *, replaced: bool
) -> None:
    from streamreplay.learners.neural.fastpath import FastPath  # noqa: PLC0415

    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    if replaced:
        plain.forward = plain.forward  # type: ignore[method-assign]
    module = user_module(plain, monkeypatch)
    fast = FastPath(module, SGD(module.parameters(), lr=0.1))
    assert fast.ready(torch.ones(1, 3)) != replaced


def test_functions_keep_their_names() -> None:
    code = UserCode("learner.loss", "mine:loss")
    wrapped = code.wrap(_loss)
    assert (wrapped.__name__, wrapped.__module__) == ("_loss", __name__)
    method = partial(SGD, lr=0.1)
    assert code.wrap(method)(nn.Linear(1, 1).parameters()).defaults["lr"] == 0.1


def _loss(step: Step) -> torch.Tensor:
    return step.logits.sum()


def test_our_own_functions_by_their_path_are_still_known_as_ours(own: Own) -> None:
    """So that a learner that surely draws nothing is not run under random states of its own."""
    catalogue = "streamreplay.learners.methods.catalogue"
    for setting in (
        "learner.loss=streamreplay.learners.methods.losses:both",
        f"learner.retrieval={catalogue}:hardest",
        f"learner.notes={catalogue}:logits",
        f"learner.method={catalogue}:derpp",
    ):
        learner: TorchLearner = own.pipeline(setting)["learner"]
        assert made_here(learner.method), setting
    assert not made_here(own.pipeline(*own.settings("loss"))["learner"].method)
