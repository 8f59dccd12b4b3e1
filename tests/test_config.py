import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streamreplay.config import Job, job_schema, load_job, template, to_toml, write_template
from streamreplay.config.parsing.load import known_keys
from streamreplay.config.write import MOST_SET
from streamreplay.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "job.toml"
    path.write_text(text)
    return path


def complaint(path: Path | None, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_job(path, overrides)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[buffer]\nmax_sise = 3", "buffer.max_sise: unknown key, did you mean max_size?"),
        ("batch_sise = 3", "batch_sise: unknown key, did you mean source.batch_size?"),
        ("[sorce]\npath = 'a'", "sorce: unknown key, did you mean source?"),
        ("[buffer]\nqqq = 3", "buffer.qqq: unknown key"),
        (
            "[source]\nallow_nan = true",
            (
                "source.allow_nan: is no key any more: in a table NaN and infinity are missing "
                "values; remove the key"
            ),
        ),
        ("[buffer]\nmax_size = -3", "buffer.max_size: must be greater than or equal to 0, got -3"),
        ("[buffer]\nmax_size = 1.5", "buffer.max_size: must be an integer, got 1.5"),
        ("[buffer]\nmax_size = true", "buffer.max_size: must be an integer, got True"),
        (
            "[buffer]\nkind = 'fifo'",
            (
                "buffer.kind: must be 'class_balanced', 'task_balanced', 'experience_balanced', "
                "'reservoir', 'parametric', 'window', 'decayed' or 'none', got 'fifo'"
            ),
        ),
        ("buffer = 3", "buffer: must be a section, got 3"),
        ("learner = 3", "learner: must be a section, got 3"),
        ("learner = [3]", "learner[0]: must be a section, got 3"),
        ("learner = []", "learner: must have at least 1 item after validation, not 0, got []"),
        (
            "[[learner]]\nhidden = [-1]",
            "learner[0].hidden[0]: must be greater than or equal to 1, got -1",
        ),
        (
            "[[learner]]\n[learner.mixer]\nstep = 1",
            "learner[0].mixer.step: unknown key, did you mean steps?",
        ),
        ("[learner]\nname = 'a'", "learner.name: unknown key"),
        ("[source.split]", "source.split.n_experiences: is missing"),
        (
            "[source.split]\nn_experience = 3",
            "source.split.n_experience: unknown key, did you mean n_experiences? (and 1 more)",
        ),
        (
            "[learner]\nhidden = [64, 0]",
            "learner.hidden[1]: must be greater than or equal to 1, got 0",
        ),
        ("[learner]\nlr = nan", "learner.lr: must be a finite number, got nan"),
        (
            "seed = -1\n[run]\nlimit = -1\nstrict = 1",
            "seed: must be greater than or equal to 0, got -1 (and 2 more)",
        ),
        (
            "[source]\nfeatures = [true]",
            "source.features[0]: must be a string or an integer, got True",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    assert complaint(path) == f"{path}: {message}"


@pytest.mark.parametrize(
    "setting",
    ["buffer.max_size=99999999999999999999", "learner.threads=100000", "learner.lr=1e38"],
)
def test_numbers_that_the_machine_cannot_hold_are_refused(setting: str) -> None:
    assert ": must be less than or equal to 1" in complaint(None, setting) or (
        ": must be less than or equal to 9007199254740992, got " in complaint(None, setting)
    )
    assert load_job(None, ["seed=99999999999999999999"]).seed == 99999999999999999999


def test_rows_are_no_job_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"x": [1]}\n')
    assert complaint(path).startswith(f"{path}:1: not TOML: ")
    assert complaint(path).endswith("rows are given with --source")


def test_toml_errors_name_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, "seed = 1\n[buffer\n")
    assert complaint(path).startswith(f"{path}:2: not TOML: ")
    assert "--source" not in complaint(path)
    path.write_bytes(b"\xff\xfe")
    assert complaint(path) == f"{path}: is not UTF-8 text"
    assert complaint(tmp_path / "no.toml").endswith(
        "no.toml: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("buffer.max_size=500", "buffer.max_size", 500),
        ("learner.hidden=[64, 32]", "learner.hidden", [64, 32]),
        ("learner.module=linear", "learner.module", "linear"),
        ("source.label=Cover Type", "source.label", "Cover Type"),
        ("source.label=54", "source.label", 54),
        ('source.label="54"', "source.label", "54"),
        ("source.label=a=b", "source.label", "a=b"),
        ("source.label=1\nx = 2", "source.label", "1\nx = 2"),
        ("learner.lr=1", "learner.lr", 1.0),
        ("run.strict=true", "run.strict", True),
        ("source.split.n_experiences=5", "source.split.n_experiences", 5),
        ("source.path=-", "source.path", "-"),
    ],
)
def test_every_key_can_be_set(override: str, key: str, value: object) -> None:
    found: Any = load_job(None, ["buffer.max_size=1", override])
    for name in key.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_settings_win_over_the_file_and_are_blamed_for_their_own_mistakes(tmp_path: Path) -> None:
    path = write(tmp_path, "[buffer]\nmax_size = 5\n[mixer]\nsteps = 2\n")
    job = load_job(path, ["buffer.max_size=7"])
    assert (job.buffer.max_size, job.mixer.steps) == (7, 2)
    assert complaint(path, "buffer.max_size=x") == (
        "command line: buffer.max_size: must be an integer, got 'x'"
    )
    assert complaint(None, "steps") == ("command line: a setting is section.key=value, got 'steps'")
    assert complaint(path, "mixer.steps.x=1") == (
        "command line: mixer.steps.x: steps is not a section"
    )
    path = write(tmp_path, "learner = [3, {}]")
    assert complaint(path, "learner.0.lr=1") == (
        "command line: learner.0.lr: learner[0] is not a section"
    )


def test_paths_are_relative_to_who_wrote_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").mkdir()
    path = write(tmp_path / "jobs", "[source]\npath = 'a.csv'\n[test]\npath = '../b.csv'\n")
    monkeypatch.chdir(tmp_path)
    job = load_job(path)
    assert job.source.path == str(tmp_path / "jobs" / "a.csv")
    assert job.test is not None
    assert job.test.path == str(tmp_path / "b.csv")
    assert load_job(path, ["source.path=c.csv"]).source.path == str(tmp_path / "c.csv")


def test_the_resolved_job_is_the_same_job(tmp_path: Path) -> None:
    overrides = ["source.split.n_experiences=5", "test.path=t.npz", "source.class=1"][:2]
    job = load_job(None, [*overrides, "source.label=3", "learner.hidden=[]"])
    assert load_job(write(tmp_path, to_toml(job))) == job
    assert to_toml(job) == to_toml(load_job(write(tmp_path, to_toml(job))))


SEVERAL = """
[buffer]
max_bytes = 1000
groups = 10
storage = "rows"
[mixer]
steps = 2
[[learner]]
name = "a"
[[learner]]
[learner.buffer]
kind = "window"
storage = "other"
[learner.mixer]
by = "class"
[[learner]]
[learner.buffer]
max_size = 5
"""


def test_several_learners_take_after_the_sections_of_the_job(tmp_path: Path) -> None:
    path = write(tmp_path, SEVERAL)
    job = load_job(path, ["buffer.ttl=9", "learner.a.buffer.ttl_seconds=1.5"])
    a, b, c = job.several.values()
    assert list(job.several) == ["a", "learner2", "learner3"]
    assert a.buffer is not None
    assert b.buffer is not None
    assert c.buffer is not None
    assert (a.buffer.ttl, a.buffer.ttl_seconds, a.buffer.groups) == (None, 1.5, 10)
    assert (b.buffer.ttl, b.buffer.groups, b.buffer.max_bytes) == (9, None, 1000)
    assert (c.buffer.max_size, c.buffer.max_bytes, c.buffer.groups) == (5, None, 10)
    assert a.mixer is None
    assert b.mixer is not None
    assert (b.mixer.steps, b.mixer.by) == (2, "class")
    assert b.buffer.storage == str(tmp_path / "other")
    assert c.buffer.storage == str(tmp_path / "rows")
    (tmp_path / "elsewhere").mkdir()
    again = write(tmp_path / "elsewhere", to_toml(job))
    assert load_job(again) == job
    assert to_toml(load_job(again)) == to_toml(job)


def test_learners_are_set_by_place_and_by_name(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path.parent)
    path = write(tmp_path, SEVERAL)
    settings = ["learner.a.lr=1", "learner.learner2.lr=2", "learner.2.lr=3"]
    job = load_job(path, [*settings, "learner.2.buffer.storage=here"])
    assert [learner.lr for learner in job.learners] == [1.0, 2.0, 3.0]
    buffer = job.several["learner3"].buffer
    assert buffer is not None
    assert buffer.storage == str(tmp_path.parent / "here")
    assert [learner.lr for learner in load_job(None, ["learner.lr=4"]).learners] == [4.0]
    made = load_job(
        None, ["learner.0.lr=5", "learner.1.lr=6", "learner.1.name=x", "learner.x.lr=7"]
    )
    assert {name: learner.lr for name, learner in made.several.items()} == {"learner1": 5, "x": 7}


def test_the_short_template_has_the_keys_that_most_people_set(tmp_path: Path) -> None:
    text = template()
    assert load_job(write(tmp_path, text)) == Job()
    on = re.findall(r"^(?:# )?(\w+) = |^(?:# )?\[(\w+)\]$", text, re.MULTILINE)
    section, found = "", []
    for key, header in on:
        section = header or section
        found += [f"{section}.{key}"] if key else []
    assert sorted(found) == sorted(MOST_SET)
    assert len(found) == 8


LISTS = [
    ("source.features=a, b", ["a", "b"]),
    ("source.features=a", ["a"]),
    ("source.features=0,1", [0, 1]),
    ("source.features='a,b',c", ["a,b", "c"]),
    ('source.features=["a,b"]', ["a,b"]),
    ("source.target=a,b", ["a", "b"]),
    ("source.target=a", "a"),
    ('source.target="a,b"', "a,b"),
    ("features.exclude=1,d*", ["1", "d*"]),
    ("source.multilabel=sport,7", ["sport", 7]),
    ("learner.hidden=64,32", [64, 32]),
    ("learner.hidden=64", [64]),
    ("learner.augment=jitter(0.2, 0.2),flip()", ["jitter(0.2, 0.2)", "flip()"]),
    ("evaluator.metrics=FBeta(beta=0.5),F1", ["FBeta(beta=0.5)", "F1"]),
]


@pytest.mark.parametrize(("setting", "value"), LISTS, ids=[text for text, _ in LISTS])
def test_lists_on_the_command_line(setting: str, value: object) -> None:
    section, key = setting.partition("=")[0].split(".")
    assert getattr(getattr(load_job(None, [setting]), section), key) == value


def test_lists_of_entries_and_what_is_no_list() -> None:
    job = load_job(None, ["drift.0.actions=lr(0.5, rows=9),checkpoint", "learner.0.hidden=8,8"])
    assert job.drift[0].actions == ["lr(0.5, rows=9)", "checkpoint"]
    assert job.learners[0].hidden == [8, 8]
    assert load_job(None, ["source.path=/a,b.csv"]).source.path == "/a,b.csv"
    assert load_job(None, ["source.label=a,b"]).source.label == "a,b"
    with pytest.raises(ConfigError, match=r"learner.hidden.*must be an integer, got 'x'"):
        load_job(None, ["learner.hidden=8,x"])


def test_the_template_is_all_defaults_and_names_every_key(tmp_path: Path) -> None:
    text = template(full=True)
    assert load_job(write(tmp_path, text)) == Job()
    for key in known_keys():
        assert text.count(f"{key.rpartition('.')[2]} = ") >= 1, key
    lines = text.splitlines()
    for above, line in pairwise(lines):
        assert len(line) <= 130
        if " = " in line:
            assert "  # " in line or (above.startswith("# ") and " = " not in above), line


def test_the_template_loads_with_everything_switched_on(tmp_path: Path) -> None:
    lines = [
        line.removeprefix("# ") if " = " in line or "# [" in line else line
        for line in template(full=True).splitlines()
    ]
    job = load_job(write(tmp_path, "\n".join(lines)))
    assert job.source.split is not None
    assert job.test is not None
    assert job.source.split.n_experiences == 5


def test_a_template_overwrites_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    write_template(path)
    assert path.read_text() == template("my.toml")
    assert "streamreplay run my.toml" in path.read_text()
    with pytest.raises(ConfigError, match=r"my.toml: is there already; --force overwrites it"):
        write_template(path)
    path.write_text("")
    write_template(path, full=True, force=True)
    assert path.read_text() == template("my.toml", full=True)
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        write_template(tmp_path / "no" / "job.toml")


def test_the_schema_describes_every_key() -> None:
    schema = json.loads(json.dumps(job_schema()))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["additionalProperties"] is False
    for definition in [schema, *schema["$defs"].values()]:
        for name, field in definition["properties"].items():
            assert "description" in field or "$ref" in str(field), name


def test_the_schema_knows_both_forms_of_learner() -> None:
    schema = job_schema()
    one, several = schema["properties"]["learner"]["oneOf"]
    assert one == {"$ref": "#/$defs/LearnerSection"}
    assert several["items"] == {"$ref": "#/$defs/NamedLearnerSection"}
    named, learner = (
        schema["$defs"][name]["properties"] for name in ("NamedLearnerSection", "LearnerSection")
    )
    assert set(named) - set(learner) == {"name", "buffer", "mixer"}
