"""The format of the logs as models; `streamreplay schema --log` prints them as a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from streamreplay.log.lines import VERSION
from streamreplay.log.schema import other_logs, prequential, retention, stream
from streamreplay.log.schema.base import LogLine

__all__ = ["KINDS", "LOGS", "log_schema"]

KINDS: Mapping[str, tuple[type[LogLine], ...]] = {
    "prequential": (
        prequential.PrequentialClassesRecord,
        prequential.PrequentialNumbersRecord,
        prequential.PrequentialLabelsRecord,
    ),
    "retention": (
        retention.RetentionClassesRecord,
        retention.RetentionNumbersRecord,
        retention.RetentionLabelsRecord,
    ),
    "drift": (stream.DriftRecord,),
    "column": (stream.ColumnRecord,),
    "buffer": (stream.BufferRecord,),
    "rows": (stream.RowsRecord,),
    "labels": (stream.LabelsRecord,),
}
"""The models of lines of metrics.jsonl, by kind."""

LOGS: Mapping[str, tuple[type[LogLine], ...]] = {
    "metrics": tuple(form for forms in KINDS.values() for form in forms),
    "predictions": (
        other_logs.ClassPrediction,
        other_logs.NumberPrediction,
        other_logs.LabelPrediction,
    ),
    "dead_letters": (other_logs.DeadLetter,),
    "timings": (other_logs.Timing,),
}
"""The models of lines of each log, by the log's name."""


class _Generator(GenerateJsonSchema):
    """Leaves out defaults, since fields that may be absent have none."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - what it overrides
        return False


def log_schema() -> dict[str, Any]:
    """Return one JSON schema (draft 2020-12) of all lines of all logs.

    The whole schema accepts a line of any log, ``#/$defs/metrics`` and so on a line of one log, and
    ``#/$defs/prequential`` and so on one kind of line of metrics.jsonl.

    Examples
    --------
    >>> [form["$ref"] for form in log_schema()["$defs"]["predictions"]["anyOf"]]
    ['#/$defs/ClassPrediction', '#/$defs/NumberPrediction', '#/$defs/LabelPrediction']
    """
    forms = [form for forms in LOGS.values() for form in forms]
    _, schema = models_json_schema(
        [(form, "validation") for form in forms], schema_generator=_Generator
    )
    groups = {
        **{name: (f"A line of {name}.jsonl.", _names(forms)) for name, forms in LOGS.items()},
        "metrics": ("A line of metrics.jsonl, by its kind.", [*KINDS]),
        **{kind: (f"One of kind {kind}.", _names(forms)) for kind, forms in KINDS.items()},
    }
    named = {
        name: {"description": said, **_any_of(members)} for name, (said, members) in groups.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"streamreplay logs, version {VERSION}",
        "description": "A line of metrics, predictions, dead_letters or timings.jsonl.",
        **_any_of([*LOGS]),
        "$defs": {**named, **schema["$defs"]},
    }


def _names(forms: tuple[type[LogLine], ...]) -> list[str]:
    return [form.__name__ for form in forms]


def _any_of(names: list[str]) -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
