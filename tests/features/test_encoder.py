from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from streamreplay import Mixer, Pipeline, Prequential, ReservoirSamplingBuffer, TorchLearner, mlp
from streamreplay.batch import Batch
from streamreplay.checkpoint.tree import decode, encode
from streamreplay.features.encoder import TableEncoder
from streamreplay.features.schema import Schema
from streamreplay.learners import RiverLearner
from streamreplay.state import load_state, save_state


def _columns(n: int, seed: int, colours: int) -> dict[str, list[str]]:
    rng = np.random.default_rng(seed)
    size = [f"{v:.3f}" for v in rng.normal(size=n)]
    return {
        "size": ["" if i % 7 == 3 else v for i, v in enumerate(size)],
        "colour": [f"c{v}" for v in rng.integers(0, colours, n)],
        "when": [f"2020-01-{1 + i % 28:02}T{i % 24:02}:00" for i in range(n)],
        "note": [f"pump number {v} broke down again" for v in rng.integers(0, 9, n)],
    }


def _stream(n: int = 400, batch_size: int = 10, seed: int = 0, colours: int = 5) -> Iterator[Batch]:
    columns = _columns(n, seed, colours)
    schema = Schema(kinds={"note": "text"})
    schema.begin({k: v[:50] for k, v in columns.items()})
    y = np.array([int(c[1:]) % 2 for c in columns["colour"]])
    for start in range(0, n, batch_size):
        part = {k: v[start : start + batch_size] for k, v in columns.items()}
        x = schema.pack(schema.read(part, len(part["size"])))
        zeros = np.zeros(len(x), np.int64)
        t = np.arange(start, start + len(x))
        yield Batch(x, y[start : start + batch_size], t, zeros, zeros, schema=schema)


def _pipeline(module: Any = None, mixer: Mixer | None = None, **settings: Any) -> Pipeline:
    return Pipeline(
        buffer=ReservoirSamplingBuffer(60, seed=1),
        mixer=mixer or Mixer(10, seed=2),
        learner=TorchLearner(
            module or mlp([16]), lambda p: torch.optim.Adam(p, lr=0.01), seed=3, **settings
        ),
        evaluator=Prequential(report_every=100),
    )


def _encoded(encoder: TableEncoder, x: Any) -> NDArray[np.float32]:
    out = np.full((len(x), encoder.width), np.nan, np.float32)
    encoder.write(x, out)
    return out


def test_numbers_are_scaled_by_the_values_that_are_there() -> None:
    schema = Schema()
    schema.begin({"a": ["1", "3", "NA"]})
    x = schema.pack(schema.read({"a": ["1", "3", "NA"]}, 3))
    encoder = TableEncoder()
    encoder.learn(x)
    assert _encoded(encoder, x)[:, :2].tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_rows_encode_the_same_in_any_company() -> None:
    batch = next(_stream(60, 60))
    encoder = TableEncoder()
    encoder.learn(batch.x)
    whole = _encoded(encoder, batch.x)
    for row in range(60):
        np.testing.assert_array_equal(_encoded(encoder, batch.x[row : row + 1])[0], whole[row])
    assert np.isfinite(whole).all()


def test_a_category_or_gap_that_was_not_learned_changes_nothing() -> None:
    schema = Schema()
    schema.begin({"a": ["1", "2"], "c": ["x", "y"]})
    encoder = TableEncoder()
    encoder.learn(schema.pack(schema.read({"a": ["1", "2"], "c": ["x", "y"]}, 2)))
    new = schema.pack(schema.read({"a": ["1", ""], "c": ["z", ""]}, 2))
    assert not _encoded(encoder, new)[:, 1:].any()
    assert encoder.learn(new)
    after = _encoded(encoder, new)
    assert after[:, 1:].sum(1).tolist() == [1, 2]


@pytest.mark.parametrize("fixed", [False, True])
def test_width_is_bounded_however_many_categories_come(fixed: bool) -> None:
    schema = Schema()
    schema.begin({"c": ["c0", "c0"]})
    encoder = TableEncoder()
    for i in range(0, 5000, 50):
        names = [f"c{i + k}" for k in range(50)]
        x = schema.pack(schema.read({"c": names}, 50))
        encoder.learn(x)
        encoder.fix() if fixed and not encoder.fixed else None
        assert _encoded(encoder, x).sum(1).tolist() == [1.0] * 50
    assert encoder.width == (64 if fixed else 320)


def test_state_is_exact_through_a_checkpoint() -> None:
    batches = list(_stream())
    encoder, other = TableEncoder(), TableEncoder()
    for batch in batches[:20]:
        encoder.learn(batch.x)
    arrays: dict[str, Any] = {}
    load_state(other, decode(encode(save_state(encoder), "", arrays), arrays))
    for batch in batches[20:]:
        np.testing.assert_array_equal(_encoded(encoder, batch.x), _encoded(other, batch.x))
        encoder.learn(batch.x)
        other.learn(batch.x)
    assert encoder.width == other.width


def test_packed_rows_survive_a_checkpoint() -> None:
    x = next(_stream()).x
    arrays: dict[str, Any] = {}
    again = decode(encode(x, "x", arrays), arrays)
    assert again.dtype == x.dtype
    assert again.tobytes() == x.tobytes()
    again["number"] = 0  # it can be written to


@pytest.mark.parametrize("method", ["er", "er-slda", "der", "ncm", "lwf", "mir"])
def test_a_table_is_learned_by_every_kind_of_method(method: str) -> None:
    mixer = Mixer(10, candidates=30, seed=2) if method == "mir" else None
    pipeline = _pipeline(mixer=mixer, method=method)
    for batch in _stream(600):
        pipeline.step(batch)
    assert pipeline.finish().metrics[0]["accuracy"] > 0.8


def _probability(pipeline: Pipeline, batch: Batch) -> NDArray[np.float32]:
    scored = pipeline.step(batch).scored
    assert scored is not None
    return scored.probability


class _Fixed(nn.Module):
    def __init__(self, shape: tuple[int, ...], n: int) -> None:
        super().__init__()
        self.inner = nn.Linear(shape[0], 16)
        self.head = nn.Linear(16, n)

    def forward(self, x: Any) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.relu(self.inner(x)))
        return logits


class _Growing(_Fixed):
    def input_layer(self) -> nn.Linear:
        return self.inner


def _gaps(first: int = 20) -> Iterator[Batch]:
    """Yield arrays of numbers, and packed rows from the first gap on."""
    schema = Schema()
    schema.begin({"a": ["1", "2"], "b": ["3", "4"]})
    rng = np.random.default_rng(0)
    for i in range(60):
        a = rng.normal(size=10)
        columns: dict[str, list[Any]] = {"a": a.tolist(), "b": rng.normal(size=10).tolist()}
        if i >= first:
            columns["b"][0] = None
        if i >= 2 * first:
            columns["c"] = ["late"] * 10
        zeros = np.zeros(10, np.int64)
        x = schema.pack(schema.read(columns, 10))
        t = 10 * i + np.arange(10)
        yield Batch(x, (a > 0).astype(np.int64), t, zeros, zeros, schema=schema)


@pytest.mark.parametrize("method", ["er", "er-slda", "der", "lwf"])
@pytest.mark.parametrize("module", [None, _Fixed])
def test_learning_goes_on_when_arrays_of_numbers_become_a_table(method: str, module: Any) -> None:
    pipeline, arrays = (_pipeline(module, method=method) for _ in range(2))
    for batch, other in zip(_gaps(), _gaps(10**6), strict=True):
        found, expected = _probability(pipeline, batch), _probability(arrays, other)
        if batch.t[0] < 200:
            np.testing.assert_array_equal(found, expected)
    assert pipeline["buffer"].buffer.x.dtype.names
    assert pipeline.finish().metrics[0]["accuracy"] > 0.9
    assert len(pipeline["buffer"].buffer) == 60


@pytest.mark.parametrize("more", [63, 64, 200, 1000])
@pytest.mark.parametrize("method", ["er", "er-slda", "lwf", "gdumb"])
def test_more_new_columns_at_once_than_the_module_has_inputs_left(method: str, more: int) -> None:
    schema = Schema(infer_rows=1)
    schema.begin({"a": ["1", "2"], "c": ["x", "y"]})
    pipeline, zeros = _pipeline(method=method), np.zeros(4, np.int64)
    for i in range(4):
        columns = {"a": ["1", "2", "3", "4"], "c": ["x", "y", "x", "y"]}
        if i > 1:
            columns |= {f"n{place}": ["1", "2", "3", "4"] for place in range(i * more)}
        x = schema.pack(schema.read(columns, 4))
        pipeline.step(Batch(x, np.array([0, 1, 0, 1]), zeros, zeros, zeros, schema=schema))
    assert pipeline["learner"].module[0].in_features >= 2 + 3 * more


def test_what_comes_after_the_width_is_fixed_shares_inputs_by_a_hash() -> None:
    """Against an encoder that grows: each of its inputs is added to one of those shared."""
    schema = Schema(infer_rows=1)
    schema.begin({"a": ["1", "2"], "c": ["x", "y"]})
    fixed, grows = TableEncoder(), TableEncoder()
    rng, spare = np.random.default_rng(0), 0
    for i in range(30):
        columns: dict[str, list[Any]] = {"a": rng.normal(size=8).tolist()}
        columns["c"] = [f"c{k}" for k in rng.integers(0, 2 + 4 * i, 8)]
        if i:
            columns["a"][0] = None
            columns |= {f"n{k}": rng.normal(size=8).tolist() for k in range(3 * i)}
        if i > 10:
            columns["when"] = [f"2024-01-{1 + k:02}T10:00" for k in rng.integers(0, 28, 8)]
            columns["note"] = ["some words of text here, " + "abc"[k % 3] for k in range(8)]
        x = schema.pack(schema.read(columns, 8))
        for encoder in (fixed, grows):
            encoder.learn(x)
        if not i:
            fixed.fix()
        spare = spare or fixed.used
        found, wide = _encoded(fixed, x), _encoded(grows, x)
        at = np.arange(grows.width)
        at[spare:] = spare + at[spare:] % (fixed.width - spare)
        expected = np.zeros_like(found)
        np.add.at(expected.T, at, wide.T)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (fixed.width, fixed.shared) == (64, 64 - spare)
    assert {"when", "note"} < {*schema.names}


def test_a_module_that_cannot_grow_learns_from_new_columns() -> None:
    pipeline = _pipeline(_Fixed)
    schema, zeros = Schema(infer_rows=1), np.zeros(10, np.int64)
    schema.begin({"a": ["1", "2"], "c": ["x", "y"]})
    rng = np.random.default_rng(0)
    for i in range(150):
        y = rng.integers(0, 2, 10)
        columns = {"a": rng.normal(size=10).tolist(), "c": ["x"] * 10}
        columns |= {"new": (2.0 * y + rng.normal(0, 0.1, 10)).tolist()} if i > 20 else {}
        x = schema.pack(schema.read(columns, 10))
        pipeline.step(Batch(x, y, zeros, zeros, zeros, schema=schema))
    assert pipeline.finish().metrics[0]["accuracy_window"] > 0.95
    assert pipeline["learner"].fixed_inputs == (64, 63)


def _growing() -> Iterator[Batch]:
    schema, n = Schema(), 0
    schema.begin({"a": ["1", "2"], "c": ["x", "y"]})
    for i in range(40):
        columns = {"a": ["1", "", "3"], "c": [f"c{i * 3 + k}" for k in range(3)]}
        if i > 20:
            columns["late"] = ["5", "6", "7"]
        x = schema.pack(schema.read(columns, 3))
        zeros = np.zeros(3, np.int64)
        yield Batch(x, np.array([0, 1, 0]), n + np.arange(3), zeros, zeros, schema=schema)
        n += 3


@pytest.mark.parametrize("cut", [1, 7, 23])
def test_resume_is_exact_while_inputs_and_columns_grow(cut: int) -> None:
    whole, first, second = (_pipeline(method="er-slda") for _ in range(3))
    expected = [_probability(whole, batch) for batch in _growing()]
    batches = list(_growing())
    for batch in batches[:cut]:
        first.step(batch)
    arrays: dict[str, Any] = {}
    second.load_state_dict(decode(encode(first.state_dict(), "", arrays), arrays))
    found = [_probability(second, batch) for batch in batches[cut:]]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected[cut:]))


@pytest.mark.parametrize(("module", "grows"), [(_Fixed, False), (_Growing, True)])
def test_modules_of_the_user(module: Any, grows: bool) -> None:
    pipeline = _pipeline(module, method="er")
    widths = set()
    for batch in _growing():
        pipeline.step(batch)
        widths.add(pipeline["learner"].module.inner.in_features)
    assert sorted(widths) == ([64, 128] if grows else [64])


def test_rows_of_a_table_for_a_learner_of_arrays_are_refused() -> None:
    pipeline = _pipeline()
    pipeline.step(Batch.from_arrays([[1.0, 2.0]], [0]))
    with pytest.raises(ValueError, match="rows of a table"):
        pipeline["learner"].predict(next(_stream()).x)


def test_a_river_model_is_given_dicts_with_names_and_strings() -> None:
    from river import dummy  # noqa: PLC0415 - slow

    seen = []

    class Spy(dummy.PriorClassifier):
        def learn_one(self, x: Any, y: Any) -> Any:
            seen.append(x)
            return super().learn_one(x, y)

    for _ in RiverLearner(Spy())(_stream(40)):
        pass
    assert seen[0].keys() == {"size", "colour", "when"}
    assert isinstance(seen[0]["colour"], str)
    assert seen[3].keys() == {"colour", "when"}


@pytest.mark.parametrize("method", ["er", "er-slda"])
def test_a_table_of_categories_alone(method: str) -> None:
    schema = Schema()
    schema.begin({"c": ["a", "b"] * 20})
    pipeline = _pipeline(method=method)
    for start in range(0, 400, 10):
        names = ["a" if i % 3 else "b" for i in range(start, start + 10)]
        y = np.array([int(name == "b") for name in names])
        zeros, t = np.zeros(10, np.int64), np.arange(start, start + 10)
        pipeline.step(
            Batch(schema.pack(schema.read({"c": names}, 10)), y, t, zeros, zeros, schema=schema)
        )
    assert pipeline.finish().metrics[0]["accuracy"] > 0.8
