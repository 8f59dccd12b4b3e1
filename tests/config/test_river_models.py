"""Models as text: what is understood, and that nothing else is."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from river import base, forest, optim

from streamreplay.config.building.river_models import construct_river
from streamreplay.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("naive_bayes.GaussianNB()", "GaussianNB"),
        ("river.naive_bayes.GaussianNB()", "GaussianNB"),
        (" (preprocessing.StandardScaler() |\n naive_bayes.GaussianNB()) ", None),
        ("(compose.Select('a') | preprocessing.MinMaxScaler()) + compose.Select('b')", None),
        ("compose.Pipeline(('s', preprocessing.MinMaxScaler()), dummy.NoChangeClassifier())", None),
        ("neighbors.KNNClassifier(engine=neighbors.LazySearch(window_size=50))", None),
        ("tree.HoeffdingTreeClassifier(splitter=tree.splitter.GaussianSplitter(5))", None),
    ],
)
def test_what_is_understood(text: str, want: str | None) -> None:
    made = construct_river(text, 0)
    assert isinstance(made, base.Base)
    assert want in (None, type(made).__name__)


def test_values_arrive_as_they_are() -> None:
    model = construct_river(
        "linear_model.LogisticRegression(optim.SGD(0.5), l2=1e-3, loss=optim.losses.Hinge(), "
        "intercept_init=-0.25)",
        0,
    )
    assert (model.optimizer.lr.learning_rate, model.l2, model.intercept_init) == (0.5, 1e-3, -0.25)
    assert isinstance(model.loss, optim.losses.Hinge)


def test_a_seed_that_is_not_given_comes_from_the_job() -> None:
    text = "ensemble.SRPClassifier(forest.ARFClassifier(){}, n_models=2)"
    one, same, other = (construct_river(text.format(""), seed) for seed in (1, 1, 2))
    assert one.seed == same.seed != other.seed
    assert one.model.seed == same.model.seed != one.seed
    assert construct_river("forest.ARFClassifier(seed=7)", 1).seed == 7
    assert isinstance(construct_river("forest.ARFClassifier(seed=None)", 1).seed, int)
    assert forest.ARFClassifier().seed is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "character 1: invalid syntax"),
        ("tree.HoeffdingTreeClassifier(", "character 29: '(' was never closed"),
        ("open('x')", "character 1: River has no class 'open'"),
        (
            "forest.ARFClassifier(n_models=__import__('os'))",
            "character 31: River has no class '__i",
        ),
        (
            "forest.ARFClassifier().learn_one",
            "character 1: 'forest.ARFClassifier()' is no name of a",
        ),
        (
            "forest.ARFClassifier.mro()",
            "character 1: River has no class 'forest.ARFClassifier.mro'",
        ),
        ("forest.__builtins__", "character 1: River has no class 'forest.__builtins__'"),
        ("utils.math.np.load('x')", "character 1: River has no class 'utils.math.np.load'"),
        ("datasets.Phishing()", "character 1: River has no class 'datasets.Phishing'"),
        ("stream.iter_csv('x')", "character 1: River has no class 'stream.iter_csv'"),
        ("forest", "character 1: River has no class 'forest'"),
        ("river", "character 1: River has no class 'river'"),
        ("(lambda: 1)()", "character 2: 'lambda: 1' is no name of a class; allowed are const"),
        ("[x for x in ()]", "character 1: '[x for x in ()]' cannot be used; allowed are"),
        ("f'{1}'", "character 1: \"f'{1}'\" cannot be used"),
        ("1 | 2", "character 1: '1' is not an object of River"),
        ("naive_bayes.GaussianNB() * 2", "character 1: 'naive_bayes.GaussianNB() * 2' cannot be"),
        ("forest.ARFClassifier(*[1])", "character 22: '*[1]' cannot be used"),
        ("forest.ARFClassifier(**{'a': 1})", "character 24: ** cannot be used"),
        ("compose.Renamer({**{}})", "character 20: the keys of a dict must be"),
        (
            "forest.ARFClassifier(models=1)",
            "character 1: 'forest.ARFClassifier(models=1)' cannot b",
        ),
        ("'ä' | forest.ARFClassifier(x := 1)", "character 28: 'x := 1' cannot be used"),
        ("[1,\n open]", "character 6: River has no class 'open'"),
        ("a" + "(" * 500 + ")" * 500, "too many nested parentheses"),
        ("-" * 9000 + "1", ""),
        ("[" * 150 + "]" * 150 + "()", ""),
        ("\0", ""),
        ("1" * 9000, ""),
        ("x" * 20_000, "must have at most 10,000 characters, got 20,000"),
    ],
)
def test_what_is_not(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        construct_river(text, 0)
    assert str(error.value).startswith("learner.river")
    assert message in str(error.value)


FRAGMENTS = (
    "open('touched', 'w')", "__import__('os').system('touch touched')", "eval('1')", "exec('1')",
    "forest", "ARFClassifier", "forest.ARFClassifier", "forest.ARFClassifier()", "tree.splitter",
    "().__class__.__base__.__subclasses__()", "naive_bayes.GaussianNB()", "utils.math", "globals()",
    "(lambda: open('touched', 'w'))()", "base.Base.__init__.__globals__", "[*'ab']", "1", "'a'",
    "preprocessing.StandardScaler()", "datasets.Phishing().download()", "{}", "breakpoint()",
)  # fmt: skip
JOINTS = ("{} | {}", "{} + {}", "{}({})", "{}.{}", "[{}, {}]", "{}[{}]", "{{{}: {}}}",
          "{} if {} else 1",
          "compose.Pipeline({}, {})", "forest.ARFClassifier(seed={}, delta={})")  # fmt: skip
TEXTS = st.recursive(
    st.sampled_from(FRAGMENTS),
    lambda parts: st.tuples(st.sampled_from(JOINTS), parts, parts).map(
        lambda drawn: drawn[0].format(drawn[1], drawn[2])
    ),
    max_leaves=6,
)


@given(TEXTS)
@example("forest.ARFClassifier(n_models=open('touched', 'w'))")
def test_nothing_else_is_run(text: str) -> None:
    """Whatever is made is River's or a plain value; no builtin is ever called."""

    def trap(*_: Any, **__: Any) -> Any:
        pytest.fail(f"{text} has called a builtin")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "eval", "exec", "globals", "breakpoint"):
            patch.setattr(builtins, name, trap)
        try:
            made = construct_river(text, 0)
        except ConfigError:
            made = None
    assert _harmless(made)
    assert not Path("touched").exists()


def _harmless(made: Any) -> bool:
    if isinstance(made, list | tuple):
        return all(map(_harmless, made))
    if isinstance(made, dict):
        return all(map(_harmless, made.values()))
    if isinstance(made, type):
        return issubclass(made, base.Base)
    return made is None or isinstance(made, base.Base | int | float | str)


@given(st.text(max_size=30))
def test_any_text_is_a_model_or_a_mistake_of_the_job(text: str) -> None:
    try:
        made = construct_river(text, 0)
    except ConfigError:
        return
    assert ast.literal_eval(text.strip()) == made or made != made  # noqa: PLR0124 - a NaN
