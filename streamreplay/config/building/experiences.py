"""Build the stage of a job's ``[experiences]``."""

from __future__ import annotations

from collections.abc import Sequence

from streamreplay.config.job import DriftSection, ExperiencesSection, SourceSection
from streamreplay.errors import ConfigError
from streamreplay.ingest.experiences import Experiences

_NEEDED = {"count": "rows", "time": "seconds"}


def make_experiences(
    settings: ExperiencesSection, source: SourceSection, drift: Sequence[DriftSection]
) -> Experiences:
    """Return the stage that begins new experiences.

    Raises
    ------
    ConfigError
        Keys do not go together, or the stream itself says where experiences begin.
    """
    for key in ("experience", "split"):
        if getattr(source, key) is not None:
            raise ConfigError(
                f"experiences: goes without source.{key}, which says where they begin"
            )
    _check_length(settings)
    if settings.by == "time" and source.time is None:
        raise ConfigError("experiences.by: time needs source.time, the column with event times")
    if settings.by == "drift" and not any(map(_begins_experiences, drift)):
        raise ConfigError(
            'experiences.by: drift needs a [[drift]] with actions = ["new_experience"], got none'
        )
    return Experiences(rows=settings.rows, seconds=settings.seconds)


def _check_length(settings: ExperiencesSection) -> None:
    needed = _NEEDED.get(settings.by)
    for key in _NEEDED.values():
        given = getattr(settings, key) is not None
        if given and key != needed:
            raise ConfigError(f"experiences.{key}: does not go with by = {settings.by!r}")
        if not given and key == needed:
            raise ConfigError(f"experiences.{key}: is missing, by = {settings.by!r} needs it")


def _begins_experiences(settings: DriftSection) -> bool:
    actions = (*settings.actions, *settings.warning_actions)
    return any("new_experience" in text for text in actions)
