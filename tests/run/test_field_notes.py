"""What a run says about the fields of its stream."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from streamreplay.evaluation import Prequential
from streamreplay.features import Schema
from streamreplay.ingest import ArraySource, CsvSource, JsonlSource, open_npz
from streamreplay.ingest.connect.line_source import LineSource
from streamreplay.learners import TorchLearner
from streamreplay.pipeline import Pipeline
from streamreplay.run.field_notes import FieldNotes


def csv(folder: Path, columns: dict[str, Any], n: int = 200, **options: Any) -> CsvSource:
    """Open rows of which a function gives each cell."""
    path = folder / "rows.csv"
    rows = [",".join(str(cell(i)) for cell in columns.values()) for i in range(n)]
    path.write_text("\n".join([",".join(columns), *rows]))
    return CsvSource(path, **options)


def said(source: LineSource | ArraySource) -> list[str]:
    notes = FieldNotes(source)
    return [message for batch in source for message in notes.messages(batch)]


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        (
            {"a": float, "b": float, "y": lambda i: i % 2},
            {},
            "features: 2 numbers (a, b); label: y",
        ),
        (
            {"a": float, "note": lambda _: "text", "gone": lambda _: "1", "y": lambda i: i % 2},
            {"id": "a", "features": ["y"], "label": "note"},
            "features: 1 number (y); label: note; id: a; left out: gone (not asked for)",
        ),
        (
            {
                "id": int,
                "a": float,
                "note": lambda _: "text",
                "code": lambda i: f"c{i}",
                "gone": lambda _: "",
                "y": lambda _: 1,
            },
            {},
            (
                "features: 1 number (a), 1 category (note); label: y; id: id; "
                "left out: code (every value is new), gone (no value yet)"
            ),
        ),
        (
            {"a": float, "b": float, "c": float, "d": lambda _: "", "y": lambda i: i % 2},
            {"features": ["a"]},
            "features: 1 number (a); label: y; left out: b, c, d (not asked for)",
        ),
        (
            {"a": float, "experience": float, "date": lambda _: "2024-05-01", "y": lambda _: 1},
            {"label": False},
            (
                "features: 3 numbers (a, experience, y), 1 time (date); no label. "
                '"experience" is learned like any other column: if it is the experience of each '
                'row, set source.experience = "experience". "date" is learned like any other '
                'column: if it is the time of each row, set source.time = "date"'
            ),
        ),
        (
            {"a": float, "b": float, "c": float},
            {"target": ["b", "c"]},
            "features: 1 number (a); target: b, c",
        ),
    ],
)  # fmt: skip
def test_the_line_about_fields(
    tmp_path: Path, columns: dict[str, Any], options: Any, expected: str
) -> None:
    assert said(csv(tmp_path, columns, **options)) == [expected]


def test_the_line_about_arrays(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    x: Any = np.zeros((4, 8, 8), np.uint8)
    np.savez(path, x=x, y=[0, 1, 0, 1], task=[0, 0, 1, 1], more=x)
    (line,) = said(open_npz(path))
    assert line == (
        "features: x, an array of 8 x 8 numbers; label: y; task: task; "
        "left out: more (not asked for)"
    )
    assert said(ArraySource(x, ["a"] * 4)) == ["features: x, an array of 8 x 8 numbers; label: y"]


def test_the_line_names_only_fields_that_records_have(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    records = [{"x": [i, 1], "y": i % 2, **({"task": 1} if i == 2 else {})} for i in range(6)]
    path.write_text("\n".join(map(json.dumps, records)))
    assert said(JsonlSource(path)) == ["features: x, an array of 2 numbers; label: y; task: task"]
    (line,) = said(JsonlSource(path, time="when"))
    assert line.endswith("label: y; time: when; task: task")
    source = JsonlSource(path, batch_size=2)
    assert next(iter(source)).x.shape == (2, 2)
    other = JsonlSource(path, batch_size=2)
    other.load_state_dict(source.state_dict())
    assert said(other)[0].endswith("label: y; task: task")
    path.write_text("\n".join(json.dumps(record) for record in records[:2]))
    assert said(JsonlSource(path)) == ["features: x, an array of 2 numbers; label: y"]


def test_the_line_is_short_whatever_the_columns_are(tmp_path: Path) -> None:
    columns: dict[str, Any] = {f"{'n' * 300}{i}": float for i in range(2000)}
    columns |= {f"{'t' * 300}{i}": lambda _: "text" for i in range(2000)}
    (line,) = said(csv(tmp_path, {**columns, "y": lambda i: i % 2}, 3))
    assert "2,000 numbers (" in line
    assert "and 1990 more" in line
    assert len(line) < 2000
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"a\x1b[2J\nb": 1, "y": 0}))
    (line,) = said(JsonlSource(path))
    assert line.isprintable()


@pytest.mark.parametrize("size", [1, 32, 1000])
@pytest.mark.parametrize(
    ("label", "warning"),
    [
        (lambda i: f"u{i}", "each of the first [0-9]+ labels in 'y' is a new class"),
        (lambda i: i, "each of the first [0-9]+ labels in 'y' is a new class"),
        (lambda i: i * 7 % 60 if i > 2 else 0, "the label 'y' has [0-9]+ values, all numbers"),
        (lambda i: i * 7 % 60 / 10 if i > 2 else 0, "the label 'y' has [0-9]+ values, all numbers"),
        (lambda i: i % 50, None),
        (lambda i: f"w{i * 7 % 60}" if i > 2 else "w0", None),
        (
            lambda i: f"u{i}" if i > 40 else "",
            "each of the first [0-9]+ labels in 'y' is a new class",
        ),
        (lambda i: f"u{i}" if i != 20 else "u1", None),
    ],
)
def test_labels_that_look_wrong(tmp_path: Path, size: int, label: Any, warning: str | None) -> None:
    source = csv(tmp_path, {"a": float, "y": label}, batch_size=size)
    notes = FieldNotes(source)
    found: list[tuple[int, str]] = []
    for batch in source:
        found += [(int(batch.t[0]), message) for message in notes.messages(batch)]
    assert len(found) == 1 + (warning is not None)
    for position, message in found[1:]:
        assert re.search(warning or "", message)
        assert "source.target" in message
        assert position <= 110


def test_numbers_to_predict_and_several_labels_are_no_classes(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"a": float, "y": float}
    assert len(said(csv(tmp_path, columns, label=False, target="y"))) == 1
    assert len(said(csv(tmp_path, columns, label=False))) == 1


def test_a_resumed_run_does_not_warn_again_of_new_labels(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"a": float, "y": lambda i: f"u{i}"}
    source = csv(tmp_path, columns)
    assert len(said(source)) == 2
    state = source.state_dict()
    path = tmp_path / "rows.csv"
    path.write_text(path.read_text() + "".join(f"\n1,v{i}" for i in range(100)))
    other = CsvSource(path)
    other.load_state_dict(state)
    assert len(said(other)) == 1


def test_what_columns_are_used_for_is_noted_whole(tmp_path: Path) -> None:
    columns: dict[str, Any] = {f"c{i:02}": float for i in range(30)}
    noted: list[str] = []
    source = csv(tmp_path, {**columns, "y": lambda i: i % 2}, label="y")
    notes = FieldNotes(source, noted.append)
    for batch in source:
        list(notes.messages(batch))
    (line,) = noted
    used = json.loads(line.removeprefix("columns "))
    assert used["features"] == {"number": list(columns)}
    assert used["goal"] == {"label": "y"}
    assert used["roles"] == used["left_out"] == {}


def test_columns_to_leave_out_that_are_not_there_are_told(tmp_path: Path) -> None:
    schema = Schema(exclude=["known_t", "b*", "c*"], kinds={"code": "category", "a": "number"})
    columns = {"a": float, "known_at": lambda i: i / 2, "bee": float, "y": lambda i: i % 2}
    _, *warnings = said(csv(tmp_path, columns, schema=schema))
    near = "(nearest: 'known_at')"
    assert warnings == [
        f"warning: features.exclude: 'known_t' is no column so far {near}; set it with --exclude",
        "warning: features.exclude: 'c*' is no column so far; set it with --exclude",
        "warning: features.kinds: 'code' is no column so far",
    ]


class Fixed(nn.Module):
    def __init__(self, shape: tuple[int, ...], n: int) -> None:
        super().__init__()
        (width,) = shape
        self.wide, self.head = nn.Linear(width, 4), nn.Linear(4, n)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(torch.relu(self.wide(x)))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (lambda i: "rgb"[i % 3], "64 inputs; .* share the last 63 of them. A method input_layer"),
        (lambda i: i % 3 if i < 150 else "", "2 inputs; .* are not learned, as none is left"),
    ],
)
def test_a_module_that_cannot_grow_is_named_once(tmp_path: Path, cell: Any, said: str) -> None:
    schema = Schema(infer_rows=50)
    source = csv(tmp_path, {"a": float, "b": cell, "y": lambda i: i % 2}, schema=schema)
    learner = TorchLearner(Fixed, partial(torch.optim.SGD, lr=0.1))
    pipeline = Pipeline(source, learner=learner, evaluator=Prequential())
    notes = FieldNotes(source, learners={"learner": learner, "other": None})
    found: list[str] = []
    for batch in source:
        found += notes.messages(batch)
        pipeline.step(batch)
    (message,) = [each for each in found if "fixed" in each]
    assert re.search(rf"^warning: learner\.module: its width is fixed at {said}", message)
