"""Exported models: equal to the run, loaded without it, and safe to load from anybody."""

from __future__ import annotations

import copy
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from torch import nn

from streamreplay import CheckpointError, ConfigError, load_job, load_model
from streamreplay.predicting import export_model
from streamreplay.run import RunOptions, run_job
from tests.predicting.conftest import Predict, Record, Train, as_csv, numbers, table, without, write

ROWS = without(table(40, seed=5), "y")
NUMBERS = without(numbers(40, seed=5), "id", "y")

METHODS: dict[str, list[str]] = {
    "er-slda": [],
    "er": ["learner.method=er"],
    "ncm": ["learner.method=ncm"],
    "ncm and slda": ["learner.method=ncm", "learner.slda_features=50"],
    "averages": ["learner.method=er", "learner.ema=0.9"],
    "linear": ["learner.module=linear", "learner.slda_weight=0.5"],
    "cosine head": ["learner.head=cosine", "learner.method=ncm"],
    "unscaled": ["learner.normalize=none"],
    "gdumb": ["learner.method=gdumb", "learner.retrain_every=100", "learner.retrain_passes=8"],
}


class UserNet(nn.Module):
    """A module of the user's, whose inputs cannot grow."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(shape[0], 8)
        self.head = nn.Linear(8, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(torch.tanh(self.hidden(x)))
        return found


def lines_of(run: Path, path: Path, predict: Predict) -> tuple[list[Any], list[dict[str, float]]]:
    _, lines, _ = predict(run, path, proba=True)
    return [line["prediction"] for line in lines], [line["probabilities"] for line in lines]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["table", "numbers"])
def test_a_model_predicts_as_its_run_and_without_it(
    method: str, kind: str, train: Train, predict: Predict, tmp_path: Path
) -> None:
    rows, more = (table, ROWS) if kind == "table" else (numbers, NUMBERS)
    run = train(write(tmp_path / "a.csv", as_csv(rows(200))), *METHODS[method])
    said, shares = lines_of(run, write(tmp_path / "b.csv", as_csv(more)), predict)
    files, reason = export_model(run, tmp_path / "model")
    shutil.rmtree(run)
    assert len(set(said)) > 1
    model = load_model(tmp_path / "model")
    assert model.predict(more) == said
    assert model.names == list(shares[0])
    expected = [list(each.values()) for each in shares]
    # in batches as the run's: SLDA rounds otherwise in others
    found = np.concatenate([model.predict_proba(more[:32]), model.predict_proba(more[32:])])
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert bool(reason) == (kind == "table")
    assert (tmp_path / "model/program.pt2" in files) == (kind == "numbers")
    if kind == "numbers":
        program = torch.export.load(tmp_path / "model/program.pt2").module()
        for n in (1, 8, 40):  # with 7 rows, the products of SLDA round as memory lies
            x = torch.tensor([[row["a"], row["b"]] for row in more[:n]])
            np.testing.assert_allclose(program(x).numpy(), model.predict_proba(more[:n]), atol=1e-5)


@pytest.mark.parametrize("module", ["cnn", "mlp", "slim_resnet18"])
@pytest.mark.parametrize("method", ["er-slda", "ncm"])
def test_the_program_of_images_scales_bytes(
    module: str, method: str, train: Train, predict: Predict, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    x = (rng.integers(0, 60, (120, 9, 9)) + 60 * y[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=x[:90], y=y[:90])
    np.savez(tmp_path / "b.npz", x=x[90:])
    extra = ["learner.channels=[4]"] if module != "mlp" else []
    run = train(tmp_path / "a.npz", f"learner.module={module}", f"learner.method={method}", *extra)
    said, shares = lines_of(run, tmp_path / "b.npz", predict)
    export_model(run, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.predict(x[90:]) == said
    assert {type(name) for name in model.names} == {int}
    found = model.predict_proba(x[90:].astype(np.float64))
    np.testing.assert_allclose(found, [list(each.values()) for each in shares], atol=2e-5)
    program = torch.export.load(tmp_path / "model/program.pt2").module()
    np.testing.assert_allclose(program(torch.from_numpy(x[90:])).numpy(), found, atol=1e-5)
    one = {"x": x[90].tolist()}
    np.testing.assert_allclose(model.predict_proba(one), found[:1], atol=1e-6)
    np.testing.assert_allclose(model.predict_proba([one, one])[1:], found[:1], atol=1e-6)
    with pytest.raises(ValueError, match=r"rows must be \[n, 9, 9\]"):
        model.predict(x[:, :5])
    with pytest.raises(ValueError, match="bytes, whole numbers from 0 to 255"):
        model.predict(x[:2] / 2)


def test_numbers_and_labels(train: Train, predict: Predict, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"a": a, "price": 100 + 20 * a, "hot": int(a > 0), "cold": int(a < 0.5)}
        for a in rng.normal(size=300).round(4).tolist()
    ]
    path = write(tmp_path / "a.csv", as_csv(without(rows, "hot", "cold")))
    run = train(path, "source.target=price", "learner.huber=1.0", name="price")
    export_model(run, tmp_path / "model")
    model = load_model(tmp_path / "model")
    bare = [{"a": row["a"]} for row in rows[:20]]
    said, _ = [line["prediction"] for line in predict(run, path)[1][:20]], None
    np.testing.assert_allclose(model.predict(bare), said, rtol=1e-6)
    with pytest.raises(ValueError, match="numbers have no probabilities"):
        model.predict_proba(bare)
    program = torch.export.load(tmp_path / "model/program.pt2").module()
    x = torch.tensor([[row["a"]] for row in bare])
    np.testing.assert_allclose(program(x).numpy()[:, 0], said, rtol=1e-5)
    path = write(tmp_path / "b.csv", as_csv(without(rows, "price")))
    run = train(path, 'source.multilabel=["hot", "cold"]', name="labels")
    export_model(run, tmp_path / "labels")
    model = load_model(tmp_path / "labels")
    lines = predict(run, path)[1][:20]
    assert model.predict(bare) == [line["prediction"] for line in lines]
    found = model.predict_proba(bare)
    np.testing.assert_allclose(
        found, [[*line["probability"].values()] for line in lines], atol=1e-6
    )
    program = torch.export.load(tmp_path / "labels/program.pt2").module()
    np.testing.assert_allclose(program(x).numpy(), found, atol=1e-5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    path = write(folder / "a.csv", as_csv(table(200)))
    options = ["run.emit=none", "learner.hidden=[8]", "learner.slda_features=20"]
    run_job(
        load_job(None, [*options, f"source.path={path}"]),
        RunOptions(out=folder / "run", quiet=True),
    )
    export_model(folder / "run", folder / "model")
    return folder / "model"


def test_rows_come_in_any_form(exported: Path) -> None:
    model = load_model(exported)
    expected = model.predict_proba(ROWS)
    frame = pd.DataFrame(ROWS)
    shuffled = frame[frame.columns[::-1]].assign(new="text", when=pd.to_datetime(frame["when"]))
    forms: list[Any] = [
        shuffled,
        pl.from_dicts(ROWS),
        pa.Table.from_pylist(ROWS),
        {name: [row[name] for row in ROWS] for name in ROWS[0]},
    ]
    for form in forms:
        np.testing.assert_allclose(model.predict_proba(form), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(ROWS[3]), expected[3:4], atol=1e-5)
    assert model.predict(ROWS[3]) == model.predict(ROWS)[3:4]
    fewer = model.predict_proba([{"colour": "red"}])
    gaps = [{**dict.fromkeys(ROWS[0]), "colour": "red"}]
    np.testing.assert_array_equal(fewer, model.predict_proba(gaps))
    new = model.predict_proba([{**ROWS[0], "colour": c} for c in ("mauve", "cyan", "mauve")])
    np.testing.assert_array_equal(new[0], new[1])
    assert model.predict_proba([]).shape == (0, 3)
    for wrong in ("text", 5, [1, 2]):
        with pytest.raises(TypeError, match="rows must be"):
            model.predict(wrong)
    with pytest.raises(ValueError, match="rows have none of the columns"):
        model.predict([{"colr": "red"}])
    with pytest.raises(ValueError, match=r"rows must be \[n, 4\], columns colour, size, weight"):
        model.predict(np.zeros((2, 3)))


def test_a_gap_in_numbers_is_the_mean_and_leaves_no_trace(train: Train, tmp_path: Path) -> None:
    run = train(write(tmp_path / "a.csv", as_csv(numbers(200))))
    export_model(run, tmp_path / "model")
    model = load_model(tmp_path / "model")
    before = model.predict_proba(NUMBERS)
    gaps = [{**row, "a": None} for row in NUMBERS]
    found = model.predict_proba(gaps)
    mean = float(np.mean([row["a"] for row in numbers(200)]))
    means = model.predict_proba([{**row, "a": mean} for row in NUMBERS])
    np.testing.assert_allclose(found, means, atol=2e-2)  # SLDA has a mean of its own
    assert not np.allclose(found, before, atol=2e-2)
    np.testing.assert_array_equal(model.predict_proba(NUMBERS), before)


def test_many_rows_are_predicted_in_parts(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(exported)
    expected = model.predict_proba(ROWS)
    monkeypatch.setattr("streamreplay.predicting.model._BLOCK", 7)
    np.testing.assert_allclose(model.predict_proba(ROWS), expected, atol=1e-5)
    assert model.predict(ROWS) == [model.names[i] for i in expected.argmax(1)]


def test_what_cannot_be_exported_is_refused_with_the_reason(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.csv", as_csv(numbers(100)))
    river = train(
        path, "learner.river=tree.HoeffdingTreeClassifier()", "learner.allow_pickle=true",
        name="river",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"learner.river: .* pickles, which run code"):
        export_model(river, tmp_path / "m", trust=True)
    unmet = train(path, "learner.method=gdumb", name="unmet")
    with pytest.raises(ConfigError, match="'gdumb' has met no class yet"):
        export_model(unmet, tmp_path / "m")
    write(
        tmp_path / "my_parts.py",
        "from torch import nn\n"
        "from streamreplay.learners.methods.catalogue import Method\n"
        "from streamreplay.learners.methods.classifiers import NearestMean\n"
        "class Mine:\n"
        "    name, reads_memory, needs_features = 'mine', False, False\n"
        "    def build(self, feature_shape): pass\n"
        "    def observe(self, memory, features): pass\n"
        "    def predict(self, outputs): return outputs.logits, None\n"
        "    def learn(self, incoming, opinion, recent): pass\n"
        "    def refreshed(self, memory, features): return self\n"
        "    def state_dict(self): return {}\n"
        "    def load_state_dict(self, state): pass\n"
        "def method(): return Method(classifiers=(Mine,))\n"
        "def backbone(shape): return nn.Identity()\n",
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"learner.method imports .*--trust"):
        export_model(train(path, "learner.method=my_parts:method", name="m0"), tmp_path / "m")
    mine = train(path, "learner.method=my_parts:method", name="mine")
    with pytest.raises(ConfigError, match="its classifier 'mine' is code of your own"):
        export_model(mine, tmp_path / "m", trust=True)
    frozen = train(path, "backbone.module=my_parts:backbone", name="frozen")
    with pytest.raises(ConfigError, match=r"backbone.module: .* code of your own"):
        export_model(frozen, tmp_path / "m", trust=True)
    assert not (tmp_path / "m").exists()


def test_a_module_of_the_users_is_passed_by_the_user(
    train: Train, predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "my_net.py", f"from {__name__} import UserNet as net\n")
    monkeypatch.chdir(tmp_path)
    run = train(write(tmp_path / "a.csv", as_csv(numbers(150))), "learner.module=my_net:net")
    said, _ = lines_of_trusted(run, write(tmp_path / "b.csv", as_csv(NUMBERS)), predict)
    export_model(run, tmp_path / "model", trust=True)
    with pytest.raises(
        ConfigError, match=r"a module of its own, 'my_net:net': import it, and pass"
    ):
        load_model(tmp_path / "model")
    assert load_model(tmp_path / "model", module=UserNet).predict(NUMBERS) == said
    assert load_model(tmp_path / "model", module=UserNet((2,), 2)).predict(NUMBERS) == said
    with pytest.raises(CheckpointError, match="module: saved"):
        load_model(tmp_path / "model", module=nn.Linear(2, 2))
    program = torch.export.load(tmp_path / "model/program.pt2").module()
    x = torch.tensor([[row["a"], row["b"]] for row in NUMBERS])
    names = load_model(tmp_path / "model", module=UserNet).names
    assert [names[i] for i in program(x).argmax(1)] == said


def lines_of_trusted(run: Path, path: Path, predict: Predict) -> tuple[list[Any], list[Record]]:
    _, lines, _ = predict(run, path, trust=True)
    return [line["prediction"] for line in lines], lines


def test_a_module_that_the_run_did_not_have_is_refused(exported: Path) -> None:
    with pytest.raises(ConfigError, match="none of its own, got Linear"):
        load_model(exported, module=nn.Linear(2, 2))


@pytest.fixture
def crafted(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "crafted"))


def edit(path: Path, *keys: str | int, value: Any) -> None:
    tree = json.loads(path.read_text())
    node = tree
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("file", "keys", "value", "said"),
    [
        ("model.json", ["version"], 2, "version: Input should be 1"),
        ("model.json", ["learner", "module"], "os:system", "a module of its own, 'os:system'"),
        ("model.json", ["learner", "method"], "os:getcwd", "learner: must have keys of"),
        ("model.json", ["learner", "loss"], "os:system", "learner: must have keys of"),
        ("model.json", ["learner", "hidden"], [10**9], "weights: .* must be"),
        ("model.json", ["state", "network", "feature_shape"], [10**12], "feature_shape"),
        ("model.json", ["names"], ["a"], "names: must be of 3 classes"),
        ("model.json", ["objective"], "all", "objective"),
        ("features.json", ["columns", 0, "place"], 40, "places: must be of one column each"),
        ("features.json", ["categories"], [], "categories: must be of"),
        ("features.json", ["places"], {}, "columns: must be different"),
        ("features.json", ["text_width"], 10**9, "text_width"),
        ("features.json", ["extra"], 1, "extra: Extra inputs are not permitted"),
    ],
)
def test_a_crafted_folder_is_refused(
    file: str, keys: list[Any], value: Any, said: str, crafted: Path
) -> None:
    edit(crafted / file, *keys, value=value)
    with pytest.raises((CheckpointError, ConfigError), match=said):
        load_model(crafted)


def test_damaged_and_missing_files(crafted: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model.json: must be a file"):
        load_model(tmp_path)
    weights = load_file(crafted / "weights.safetensors")
    name = "network.module.0.weight"
    save_file({**weights, name: weights[name][:, :-1]}, crafted / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"weights: .* must be"):
        load_model(crafted)
    (crafted / "weights.safetensors").write_bytes(b"\x80\x04junk")
    with pytest.raises(CheckpointError, match=r"weights.safetensors: cannot be decoded"):
        load_model(crafted)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [path, *(p for key in node for p in leaves(node[key], (*path, key)))]
    if isinstance(node, list):
        return [path, *(p for i in range(min(len(node), 3)) for p in leaves(node[i], (*path, i)))]
    return [path]


ODD: list[Any] = [None, -1, 0, 3, 10**30, 0.5, "", "x", [], {}, [1], {"a": 1}, True]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_value_of_any_kind_makes_a_traceback(
    data: st.DataObject, exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "fuzzed"
    shutil.copytree(exported, folder, dirs_exist_ok=True)
    path = folder / data.draw(st.sampled_from(["model.json", "features.json"]))
    tree = copy.deepcopy(json.loads(path.read_text()))
    place = data.draw(st.sampled_from(leaves(tree)[1:]))
    edit(path, *place, value=data.draw(st.sampled_from(ODD)))
    with suppress(CheckpointError, ConfigError):
        load_model(folder).predict(ROWS[:3])
