"""Keys whose values are names from a table of the package."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from streamreplay.buffers import BUFFER_KINDS
from streamreplay.config import Job, job_schema, template
from streamreplay.config.choices import describe_key
from streamreplay.config.job import BufferSection, SourceSection
from streamreplay.ingest import FORMATS


def test_a_job_without_the_keys_imports_none_of_the_parts() -> None:
    code = "import sys; from streamreplay.config import load_job; load_job(); print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    parts = ("buffers", "evaluation", "ingest", "learners")
    assert "streamreplay.config.job" in modules
    assert not {f"streamreplay.{part}" for part in parts} & {*modules}


def test_a_job_that_does_not_name_river_does_not_import_it() -> None:
    code = (
        "import sys; from streamreplay import build, data_path, load_job\n"
        "job = load_job(overrides=[f'source.path={data_path(\"digits.npz\")}', 'run.limit=64'])\n"
        "print(len([*build(job)]), 'river' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]


@pytest.mark.parametrize(
    ("section", "key", "names"),
    [
        (SourceSection, "format", ["auto", *FORMATS]),
        (BufferSection, "kind", [*BUFFER_KINDS, "none"]),
    ],
)
def test_the_names_are_listed(section: Any, key: str, names: list[str]) -> None:
    schema = job_schema()["$defs"][section.__name__]["properties"][key]
    text = describe_key(section.model_fields[key])
    assert schema["enum"] == names
    assert schema["description"] == text
    assert all(name in text for name in names)
    shown = " ".join(template(full=True).replace("\n# ", " ").split())
    assert text in shown


def test_other_names_are_refused() -> None:
    names = ", ".join(map(repr, BUFFER_KINDS))
    for kind in ("heap", ["window"]):
        with pytest.raises(ValueError, match=f"{names} or 'none'"):
            Job.model_validate({"buffer": {"kind": kind}})
