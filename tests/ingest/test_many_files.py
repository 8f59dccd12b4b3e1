"""A stream in several files, one after the other."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.errors import RecordError, SourceError
from streamreplay.ingest import CsvSource, JsonlSource
from streamreplay.ingest.connect.files import files_of
from tests.ingest.tables import rows_of

Exact = Callable[[Any], Any]
NewPipe = Callable[[], Any]


def csv_rows(numbers: range, order: str = "a,b,y") -> str:
    lines = [order]
    for i in numbers:
        cells = {"a": f"{i}", "b": f"{i % 5}.5", "y": "cat" if i % 3 else "dog"}
        lines.append(",".join(cells[name] for name in order.split(",")))
    return "\n".join(lines)


def json_rows(numbers: range) -> list[dict[str, Any]]:
    return [{"x": [i, i % 5], "y": f"c{i % 3}"} for i in numbers]


def write_days(folder: Path) -> list[Path]:
    """Write 60 rows into files of different sizes, orders and compressions, some of them empty."""
    data = {
        "a.csv": csv_rows(range(3)).encode(),
        "b.csv": (csv_rows(range(3, 40), "y,b,a") + "\n\n").encode(),
        "c.csv": b"\n",
        "d.csv": b"",
        "e.csv": gzip.compress(csv_rows(range(40, 41), "b,a,y").encode()),
        "f.csv": "\ufeff".encode() + csv_rows(range(41, 59), "b,y,a").encode(),
        "g.csv": bz2.compress(b"\r\n".join(csv_rows(range(59, 60)).encode().split(b"\n"))),
    }
    for name, content in data.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in data]


def rows(source: Any) -> list[float]:
    return [row[0] for batch in source for row in batch.x.tolist()]


def test_files_folders_and_patterns_in_the_order_of_names(tmp_path: Path) -> None:
    days = write_days(tmp_path)
    (tmp_path / ".hidden").touch()
    (tmp_path / "more").mkdir()
    names = list(map(str, days))
    assert files_of(tmp_path) == names
    assert files_of(str(tmp_path / "[a-c].csv")) == names[:3]
    assert files_of([days[2], str(tmp_path / "a*"), "-"]) == [names[2], names[0], "-"]
    with pytest.raises(SourceError, match="more: is a folder without files"):
        files_of(tmp_path / "more")
    with pytest.raises(SourceError, match=r"z\*: matches no file"):
        files_of(str(tmp_path / "z*"))


def test_columns_are_matched_by_name_and_batches_cross_files(tmp_path: Path, exact: Exact) -> None:
    write_days(tmp_path)
    one = tmp_path.parent / "one.csv"
    one.write_text(csv_rows(range(60)))
    source, whole = (CsvSource(path, batch_size=7) for path in (tmp_path, one))
    assert [exact(batch) for batch in source] == [exact(batch) for batch in whole]
    assert source.dead == 0


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_every_yield_is_a_safe_point(tmp_path: Path, exact: Exact, size: int) -> None:
    write_days(tmp_path)
    source = CsvSource(tmp_path, batch_size=size)
    states, batches = [source.state_dict()], []
    for batch in source:
        batches.append(exact(batch))
        states.append(source.state_dict())
    for cut, state in enumerate(states):
        fresh = CsvSource(tmp_path, batch_size=size)
        fresh.load_state_dict(state)
        assert exact(fresh.state_dict()) == exact(state)
        for n, batch in enumerate(fresh):
            assert exact(batch) == batches[cut + n]
            assert exact(fresh.state_dict()) == exact(states[cut + n + 1])
        assert exact(fresh.state_dict()) == exact(source.state_dict())


LINE = st.sampled_from(['{"x": [1, 2], "y": "a"}', "bad", "", "o" * 70, '{"x": [3, 4]}'])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(LINE, max_size=4), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_files_are_as_one_file(
    tmp_path_factory: pytest.TempPathFactory,
    exact: Exact,
    files: list[list[str]],
    size: int,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for i, lines in enumerate(files):
        (folder / f"{i}").write_text("\n".join(lines) + data.draw(st.sampled_from(["", "\n"])))
    whole = folder.parent / f"{folder.name}.jsonl"
    whole.write_text("".join(f"{line}\n" for lines in files for line in lines))
    letters: list[Any] = []
    source = JsonlSource(folder, batch_size=size, max_line_bytes=64, on_dead=letters.append)
    expected = JsonlSource(whole, batch_size=size, max_line_bytes=64)
    assert [exact(b) for b in source] == [exact(b) for b in expected]
    assert source.dead == expected.dead == len(letters)
    for letter in letters:
        text = (folder / letter["source"]).read_text()
        assert text[letter["byte"] :].startswith(letter["raw"][:64])
        assert (
            text.split("\n")[letter["line"] - 1] == letter["raw"] or "more than" in letter["reason"]
        )


def stopped(folder: Path, batches: int) -> Any:
    source = CsvSource(folder, batch_size=7)
    for _, _ in zip(range(batches), source, strict=False):
        pass
    return source.state_dict()


def resumed(folder: Path, state: Any) -> list[float]:
    source = CsvSource(folder, batch_size=7)
    source.load_state_dict(state)
    return rows(source)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", csv_rows(range(3)).replace("1.5", "9.5"), "a.csv: line 4 differs|a.csv: not the"),
        ("a.csv", csv_rows(range(4)), "a.csv: has grown since it was learned from to its end"),
        ("a.csv", "a,b,y\n", r"a.csv: \d+ bytes of it were learned from, but it has only 6"),
        ("a.csv", None, "a.csv: was learned from as file 1, but that is b.csv now"),
        ("aa.csv", "a,b,y\n", "b.csv: was learned from as file 2, but that is aa.csv now"),
        ("b.csv", None, "b.csv: was learned from as file 2, but that is c.csv now"),
    ],
)
def test_a_change_of_an_earlier_file_is_noticed(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    write_days(tmp_path)
    state = stopped(tmp_path, 7)
    assert state["file"] > 1
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=message):
        resumed(tmp_path, state)


def test_a_new_file_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    write_days(tmp_path)
    state = stopped(tmp_path, 99)
    (tmp_path / "h.csv").write_text(csv_rows(range(60, 64), "y,a,b"))
    assert resumed(tmp_path, state) == [60.0, 61.0, 62.0, 63.0]


def test_a_file_with_other_columns_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_rows(range(3)))
    for header, message in [
        ("a,b,class", "the column 'y', to be predicted, is missing"),
        ("p,q,y", "no feature has its old name"),
    ]:
        (tmp_path / "b.csv").write_text(f"{header}\n1,2,cat\n")
        with pytest.raises(SourceError, match=f"^b.csv: {message}"):
            rows(CsvSource(tmp_path, batch_size=2))


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_file_may_have_new_columns_and_lack_some(
    tmp_path: Path, exact: Exact, batch_size: int
) -> None:
    (tmp_path / "a.csv").write_text("a,b,y\n1,2,cat\n3,4,dog")
    (tmp_path / "b.csv").write_text('c,y,a,d\nred,cat,5,x\n"bl\nue",dog,6,x\n,cat,7,x\n')
    (tmp_path / "c.csv").write_text("y,a\ncat,8\n")
    source = CsvSource(tmp_path, batch_size=batch_size)
    found: list[dict[str, Any]] = []
    batches, states = [], [source.state_dict()]
    for batch in source:
        found += rows_of(batch)
        batches.append(exact(batch))
        states.append(source.state_dict())
    assert found == [
        {"a": 1, "b": 2},
        {"a": 3, "b": 4},
        {"a": 5, "c": "red", "d": "x"},
        {"a": 6, "c": "bl\nue", "d": "x"},
        {"a": 7, "d": "x"},
        {"a": 8},
    ]
    assert (source.labels.names, source.dead) == (["cat", "dog"], 0)
    for cut, state in enumerate(states):
        again = CsvSource(tmp_path, batch_size=batch_size)
        again.load_state_dict(state)
        assert [exact(batch) for batch in again] == batches[cut:]
        assert exact(again.state_dict()) == exact(source.state_dict())


def test_messages_name_the_file_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b,y\n1,"2\n",cat\n2,3,dog')
    (tmp_path / "b.csv").write_text('a,b,y\n1,2,"c\nat"\n2,oops')
    letters: list[Any] = []
    list(CsvSource(tmp_path, on_dead=letters.append, features=["a", "b"]))
    assert [(each["source"], each["line"]) for each in letters] == [("b.csv", 4)]
    with pytest.raises(RecordError, match=r"^b.csv:4: "):
        list(CsvSource(tmp_path, strict=True, features=["a", "b"]))


def test_a_missing_file_comes_after_the_rows_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_rows(range(5)))
    source = CsvSource([tmp_path / "a.csv", tmp_path / "b.csv"], batch_size=3)
    batches = iter(source)
    assert [len(next(batches)), len(next(batches))] == [3, 2]
    with pytest.raises(SourceError, match=r"b.csv: cannot be opened"):
        next(batches)


def test_json_arrays_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(json_rows(range(5)), indent=1))
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, json_rows(range(5, 9)))))
    (tmp_path / "c.json").write_text(json.dumps(json_rows(range(9, 12))))
    state = None
    for n in range(13):
        source = JsonlSource(tmp_path, limit=n, batch_size=1)
        assert rows(source) == list(range(min(n, 12)))
        state = source.state_dict()
        rest = JsonlSource(tmp_path)
        rest.load_state_dict(state)
        assert rows(rest) == list(range(n, 12))


def test_from_a_file_to_a_pipe_and_back(tmp_path: Path, new_pipe: NewPipe) -> None:
    first, last = tmp_path / "a.csv", tmp_path / "c.csv"
    first.write_text(csv_rows(range(5)))
    last.write_text(csv_rows(range(20, 23)))
    source = CsvSource(first, batch_size=2)
    source.whole_batches = True
    assert rows(source) == [0, 1, 2, 3]
    pipe = new_pipe()
    pipe.write(csv_rows(range(5, 20), "y,b,a").encode() + b"\n")
    answers = iter([False] * 2)
    second = CsvSource(
        [first, pipe.path], batch_size=3, max_wait=None, stop=lambda: next(answers, True)
    )
    second.load_state_dict(source.state_dict())
    second.continue_from_here = True
    before = rows(second)
    assert before[:3] == [4, 5, 6]
    third = CsvSource([first, "-", last], batch_size=2)
    third.load_state_dict(second.state_dict())
    third.continue_from_here = True
    assert before + rows(third) == list(range(4, 23))


def test_each_file_may_begin_with_a_line_for_excel(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("sep=;\na;y\n1;k\n")
    (tmp_path / "2.csv").write_text('\n"SEP=;"\r\ny;a\r\nl;2\r\n')
    (tmp_path / "3.csv").write_text("sep=;\nk;3\n")
    source = CsvSource(tmp_path, batch_size=2)
    rows = [x for batch in source for x in batch.x[:, 0].tolist()]
    assert (rows, source.dead, source.labels.names) == ([1, 2, 3], 0, ["k", "l"])
