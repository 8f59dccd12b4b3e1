"""The schema of the logs: real logs fit it, and it describes every field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel

from streamreplay.log.schema import KINDS, LOGS, log_schema
from streamreplay.log.schema.base import LogLine
from tests.log.log_lines import log_lines
from tests.run.jobs import JOBS

SCHEMA = log_schema()


def check(lines: list[Any], name: str) -> None:
    definition = {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
    validator = jsonschema.Draft202012Validator(definition)
    for line in lines:
        errors = [error.message for error in validator.iter_errors(line)]
        assert not errors, (name, line, errors)


def form_of(line: dict[str, Any], forms: tuple[type[LogLine], ...]) -> type[LogLine]:
    """Return the one form that a line is of."""
    found = []
    for form in forms:
        definition = {"$ref": f"#/$defs/{form.__name__}", "$defs": SCHEMA["$defs"]}
        if jsonschema.Draft202012Validator(definition).is_valid(line):
            found.append(form)
    assert len(found) == 1, (line, found)
    return found[0]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "default" not in json.dumps(SCHEMA)


@pytest.mark.parametrize("job", JOBS)
def test_real_logs_fit(runs: dict[str, Path], job: str) -> None:
    for name in LOGS:
        lines = [json.loads(line) for line in log_lines(runs[job], name)]
        assert lines or name in ("dead_letters",), name
        check(lines, name)
        if name == "metrics":
            assert all(line["v"] == 1 for line in lines)
            for kind in {line["kind"] for line in lines}:
                check([line for line in lines if line["kind"] == kind], kind)


def test_all_forms_occur(runs: dict[str, Path]) -> None:
    """And each line is of one form only."""
    forms = tuple(form for forms in LOGS.values() for form in forms)
    found = {
        form_of(json.loads(line), forms)
        for folder in runs.values()
        for name in LOGS
        for line in [*log_lines(folder, name)][::3]
    }
    assert {form.__name__ for form in set(forms) - found} == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surplus": 1}, "surplus"),
        ({"v": 2}, "1 was expected"),
        ({"position": "7"}, "not of type 'integer'"),
        ({"accuracy": 1.5}, "greater than the maximum"),
        ({"rows": None}, "not of type 'integer'"),
        ({"loss": "high"}, "not of type 'number'"),
    ],
)
def test_what_does_not_fit_is_found(
    runs: dict[str, Path], change: dict[str, Any], message: str
) -> None:
    line = json.loads(next(log_lines(runs["classes"], "metrics")))
    form = {"$ref": "#/$defs/PrequentialClassesRecord", "$defs": SCHEMA["$defs"]}
    validator = jsonschema.Draft202012Validator(form)
    assert validator.is_valid(line)
    errors = list(validator.iter_errors({**line, **change}))
    assert errors
    told = [error.message for error in errors] + [
        part.message for error in errors for part in error.context or ()
    ]
    assert any(message in text for text in told), told
    del line["kappa"]
    assert not validator.is_valid(line)


# -- what the page of the log in the documentation is made of ------------------------------------


def models() -> dict[str, type[BaseModel]]:
    """Return every model of the schema by its name."""
    found: dict[str, type[BaseModel]] = {}

    def visit(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found[annotation.__name__] = annotation
            for field in annotation.model_fields.values():
                visit(field.annotation)
        for part in get_args(annotation):
            visit(part)

    for forms in LOGS.values():
        for form in forms:
            visit(form)
    return found


@pytest.mark.parametrize("name", sorted(models()))
def test_every_field_is_described(name: str) -> None:
    model = models()[name]
    assert model.__doc__
    for field, info in model.model_fields.items():
        assert info.description or field == "kind", field


def test_kinds_are_those_that_lines_say() -> None:
    for kind, forms in KINDS.items():
        for form in forms:
            assert get_args(form.model_fields["kind"].annotation) == (kind,)
