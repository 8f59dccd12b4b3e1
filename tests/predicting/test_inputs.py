"""What is predicted: files of every format, with or without the label, with other columns."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import feather, parquet

from streamreplay import ConfigError, SourceError
from tests.predicting.conftest import (
    Predict,
    Record,
    Train,
    as_csv,
    as_jsonl,
    numbers,
    table,
    trained_run,
    without,
    write,
)

ROWS = table(40, seed=5)
BARE = without(ROWS, "y")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a CSV of a table, with an id and an experience that are no features."""
    return trained_run(tmp_path_factory.mktemp("trained"), as_csv(table(300)), "source.id=key")


@pytest.fixture(scope="module")
def of_numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("numbers"), as_csv(numbers(300)))


def as_parquet(path: Path, rows: list[Record]) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), path)


def as_feather(path: Path, rows: list[Record]) -> None:
    feather.write_feather(pa.Table.from_pylist(rows), path)


def as_array(path: Path, rows: list[Record]) -> None:
    path.write_text(json.dumps(rows, indent=1))


def as_gzip(path: Path, rows: list[Record]) -> None:
    path.write_bytes(gzip.compress(as_jsonl(rows).encode()))


WRITERS: dict[str, Callable[[Path, list[Record]], object]] = {
    "rows.csv": lambda path, rows: path.write_text(as_csv(rows)),
    "rows.tsv": lambda path, rows: path.write_text(as_csv(rows).replace(",", "\t")),
    "rows.jsonl": lambda path, rows: path.write_text(as_jsonl(rows)),
    "rows.json": as_array,
    "rows.jsonl.gz": as_gzip,
    "rows.parquet": as_parquet,
    "rows.arrow": as_feather,
}


def strings(rows: list[Record]) -> list[Record]:
    """Return rows as a CSV has them: all text."""
    return [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]


@pytest.fixture(scope="module")
def expected(trained: Path) -> list[Record]:
    from streamreplay.predicting.inputs import open_input  # noqa: PLC0415
    from streamreplay.predicting.trained import open_run  # noqa: PLC0415

    path = write(trained.parent / "expected.csv", as_csv(ROWS))
    run = open_run(trained)
    found: list[Record] = []
    for batch, _ in open_input(run.job, run.columns, [str(path)]):
        foreseen = run.foresee(batch).predictions
        names = run.columns.labels
        found += [
            {"prediction": names[i], "probability": p}
            for i, p in zip(foreseen.prediction, foreseen.probability.astype(str), strict=True)
        ]
    assert len({each["prediction"] for each in found}) > 1
    return [{**each, "probability": float(each["probability"])} for each in found]


def said(lines: list[Record]) -> list[Record]:
    assert [line["position"] for line in lines] == [*range(len(lines))]
    return [{key: line[key] for key in ("prediction", "probability")} for line in lines]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("rows", [ROWS, BARE], ids=["labelled", "bare"])
def test_every_format_gives_the_same(
    name: str, rows: list[Record], trained: Path, expected: list[Record], predict: Predict,
    tmp_path: Path,
) -> None:  # fmt: skip
    WRITERS[name](tmp_path / name, rows)
    code, lines, err = predict(trained, tmp_path / name)
    assert said(lines) == expected
    assert code == 0
    assert ("accuracy" in err) == (rows is ROWS)
    assert "40 rows predicted by 300 rows of the stream" in err


def test_the_order_of_columns_and_other_ones_change_nothing(
    trained: Path, expected: list[Record], predict: Predict, tmp_path: Path
) -> None:
    names = ["new", "weight", "size", "when", "colour"]
    rows = [{**row, "new": f"text {i}"} for i, row in enumerate(BARE)]
    for path, text in (("b.csv", as_csv(rows, names)), ("b.jsonl", as_jsonl(rows))):
        _, lines, _ = predict(trained, write(tmp_path / path, text))
        assert said(lines) == expected


def test_a_category_that_is_new_is_as_if_nothing_were_known_of_it(
    trained: Path, predict: Predict, tmp_path: Path
) -> None:
    """Two new ones give the same, before and behind rows with each other and known ones."""
    rows = [{**BARE[0], "colour": "mauve"}, BARE[1], {**BARE[0], "colour": "cyan"}]
    _, lines, _ = predict(trained, write(tmp_path / "b.csv", as_csv(rows)))
    assert said(lines)[0] == said(lines)[2]
    _, alone, _ = predict(trained, write(tmp_path / "c.csv", as_csv(rows[2:])))
    assert alone[0]["prediction"] == lines[2]["prediction"]
    assert alone[0]["probability"] == pytest.approx(lines[2]["probability"], rel=1e-5)


def test_a_missing_column_is_missing_in_all_rows(
    trained: Path, predict: Predict, tmp_path: Path
) -> None:
    fewer = without(BARE, "weight")
    code, lines, err = predict(trained, write(tmp_path / "b.csv", as_csv(fewer)))
    assert code == 0
    assert "warning: column 'weight' is missing from row 1 on" in err
    gaps = [{**row, "weight": None} for row in fewer]
    _, same, _ = predict(trained, write(tmp_path / "c.csv", as_csv(gaps)))
    assert said(lines) == said(same)


def test_columns_without_one_name_of_the_run_are_refused(
    trained: Path, predict: Predict, tmp_path: Path
) -> None:
    path = write(tmp_path / "b.csv", "p,q\n1,2\n")
    with pytest.raises(SourceError, match=r"no feature has its old name; the columns were .*size"):
        predict(trained, path)
    as_parquet(tmp_path / "b.parquet", [{"p": 1, "q": 2}])
    with pytest.raises(ConfigError, match="no feature has its name from before"):
        predict(trained, tmp_path / "b.parquet")


def test_a_csv_without_header_is_refused_where_columns_have_names(
    trained: Path, predict: Predict, tmp_path: Path
) -> None:
    body = as_csv(ROWS).partition("\n")[2]
    with pytest.raises(SourceError, match="the first line is no header, but columns are matched"):
        predict(trained, write(tmp_path / "b.csv", body))


@pytest.mark.parametrize("label", [0, 2, -1])
def test_columns_without_names_go_by_position(
    label: int, train: Train, predict: Predict, tmp_path: Path
) -> None:
    """Where the label's column is missing, the others move up."""
    rows = numbers(260)
    cells = [[str(row["a"]), str(row["b"])] for row in rows]
    for each, row in zip(cells, rows, strict=True):
        each.insert(label % 3, row["y"])
    text = "".join(",".join(each) + "\n" for each in cells)
    path = write(tmp_path / "a.csv", "".join(text.splitlines(keepends=True)[:200]))
    out = train(path, f"source.label={label}")
    whole = "".join(text.splitlines(keepends=True)[200:])
    _, lines, err = predict(out, write(tmp_path / "b.csv", whole))
    assert float(err.split("accuracy ")[1].split()[0]) > 0.9
    bare = "".join(f"{row['a']},{row['b']}\n" for row in rows[200:])
    code, same, err = predict(out, write(tmp_path / "c.csv", bare))
    assert same == lines
    assert code == 0
    assert "accuracy" not in err
    places = {0: "12", 2: "01", -1: "01"}[label]
    named = as_jsonl([{places[0]: row["a"], places[1]: row["b"]} for row in rows[200:]])
    assert predict(out, write(tmp_path / "d.jsonl", named))[1] == lines


def test_several_files_are_one_stream_each_with_its_own_header(
    trained: Path, expected: list[Record], predict: Predict, tmp_path: Path
) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    write(folder / "1.csv", as_csv(BARE[:11]))
    write(folder / "2.csv", as_csv(ROWS[11:25], ["y", "when", "colour", "size", "weight"]))
    write(folder / "3.csv", as_csv(ROWS[25:]))
    code, lines, err = predict(trained, folder)
    assert [line["prediction"] for line in lines] == [each["prediction"] for each in expected]
    assert code == 0
    assert "over 29 with a label" in err


def test_a_label_that_the_run_has_never_met_is_wrong(
    trained: Path, predict: Predict, tmp_path: Path
) -> None:
    rows = [{**row, "y": f"new {i}"} for i, row in enumerate(ROWS)]
    code, lines, err = predict(trained, write(tmp_path / "b.csv", as_csv(rows)), proba=True)
    assert "accuracy 0.0000 over 40 with a label" in err
    assert code == 0
    assert set(lines[0]["probabilities"]) == {"cat", "dog", "emu"}


def test_images_are_bytes_wherever_they_come_from(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 230).astype(np.uint8)
    x = (rng.integers(0, 60, (230, 4, 4)) + 60 * y[:, None, None]).astype(np.uint8)
    for name, rows in (("train", slice(0, 200)), ("test", slice(200, None))):
        images, labels = x[rows], y[rows]
        head = struct.pack(">IIII", 0x803, len(images), 4, 4)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">II", 0x801, len(images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    out = train(tmp_path / "train-images-idx3-ubyte")
    _, lines, err = predict(out, tmp_path / "test-images-idx3-ubyte")
    assert float(err.split("accuracy ")[1].split()[0]) > 0.9
    assert {type(line["prediction"]) for line in lines} == {int}
    (tmp_path / "test-labels-idx1-ubyte").unlink()
    _, bare, err = predict(out, tmp_path / "test-images-idx3-ubyte")
    assert bare == lines
    assert "accuracy" not in err
    np.savez(tmp_path / "b.npz", x=x[200:])
    assert predict(out, tmp_path / "b.npz")[1] == lines
    jsonl = "".join(json.dumps({"x": each.tolist()}) + "\n" for each in x[200:])
    assert predict(out, write(tmp_path / "b.jsonl", jsonl))[1] == lines
    halves = "".join(json.dumps({"x": (each / 2).tolist()}) + "\n" for each in x[200:])
    with pytest.raises(SourceError, match="learned from bytes, whole numbers from 0 to 255"):
        predict(out, write(tmp_path / "c.jsonl", halves))
    np.savez(tmp_path / "c.npz", x=x[200:, :3])
    with pytest.raises(ConfigError, match=r"learned from uint8\[4, 4\], got rows of \[3, 4\]"):
        predict(out, tmp_path / "c.npz")
    with pytest.raises(ConfigError, match="a CSV has columns, and the run has learned from arrays"):
        predict(out, write(tmp_path / "c.csv", "a,b\n1,2\n"))


def test_arrays_with_gaps_and_labels_of_the_file(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    """Columns of an array are called by their positions, as in a CSV without header."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 260)
    x = rng.normal(np.stack([y, -y], 1), 0.3).astype(np.float32)
    x[5, 0] = np.nan
    np.savez(tmp_path / "a.npz", x=x[:200], y=y[:200])
    out = train(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=x[200:], y=y[200:])
    _, lines, err = predict(out, tmp_path / "b.npz")
    assert float(err.split("accuracy ")[1].split()[0]) > 0.9
    text = "".join(json.dumps({"0": a, "1": b}) + "\n" for a, b in x[200:].tolist())
    assert predict(out, write(tmp_path / "b.jsonl", text))[1] == lines
    plain = train(tmp_path / "b.npz", name="plain")
    _, of_plain, _ = predict(plain, tmp_path / "b.npz")
    _, with_gap, _ = predict(plain, tmp_path / "a.npz")
    assert len(of_plain) == 60
    assert len(with_gap) == 200


def test_an_array_is_no_row_of_columns_with_names(
    of_numbers: Path, predict: Predict, tmp_path: Path
) -> None:
    np.savez(tmp_path / "b.npz", x=np.zeros((3, 2)))
    with pytest.raises(ConfigError, match=r"columns of the run have names, .*: a, b"):
        predict(of_numbers, tmp_path / "b.npz")


def test_a_gap_where_the_run_had_none_is_the_mean(
    of_numbers: Path, predict: Predict, tmp_path: Path
) -> None:
    rows = numbers(40, seed=3)
    _, lines, _ = predict(of_numbers, write(tmp_path / "b.csv", as_csv(rows)))
    rows[7]["a"] = None
    code, gapped, _ = predict(of_numbers, write(tmp_path / "c.csv", as_csv(rows)))
    assert code == 0
    others = [i for i in range(40) if i != 7]
    np.testing.assert_allclose(
        [gapped[i]["probability"] for i in others],
        [lines[i]["probability"] for i in others],
        rtol=1e-5,
    )


def test_rows_read_into_memory_first_are_predicted_by_the_same_columns(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    """A held-out share makes a run read its file whole, whose source has no position in it."""
    path = write(tmp_path / "a.csv", as_csv(table(260)))
    out = train(path, "test.share=0.2")
    _, lines, err = predict(out, write(tmp_path / "b.csv", as_csv(ROWS)))
    assert len({line["prediction"] for line in lines}) > 1
    assert float(err.split("accuracy ")[1].split()[0]) > 0.6


def test_the_content_of_a_file_shows_its_format(
    trained: Path, expected: list[Record], predict: Predict, tmp_path: Path
) -> None:
    _, lines, _ = predict(trained, write(tmp_path / "rows", as_csv(BARE)))
    assert said(lines) == expected
    path = write(tmp_path / "other", as_jsonl(BARE))
    _, lines, _ = predict(trained, path)
    assert said(lines) == expected
    with pytest.raises(ConfigError, match=r"--input-format: must be one of jsonl, .*, got 'xml'"):
        predict(trained, path, input_format="xml")


def test_values_that_do_not_fit_are_missing_and_counted(
    trained: Path, predict: Predict, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [{**row, "size": "huge"} for row in BARE[:5]] + BARE[5:]
    code, lines, err = predict(trained, write(tmp_path / "b.csv", as_csv(rows)))
    assert "5 values did not fit their column and count as missing (size 5)" in err
    assert code == 0
    gaps = [{**row, "size": None} for row in BARE[:5]] + BARE[5:]
    assert predict(trained, write(tmp_path / "c.csv", as_csv(gaps)))[1] == lines
