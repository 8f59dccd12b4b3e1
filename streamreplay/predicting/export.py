"""Export what a run has learned: weights, the schema of the features, what rebuilds the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamreplay import __version__
from streamreplay.config.building.learners import torch_learner
from streamreplay.errors import ConfigError
from streamreplay.predicting.columns import RunColumns
from streamreplay.predicting.model import KEYS
from streamreplay.predicting.model_files import (
    PROGRAM,
    FeaturesDescription,
    describe_features,
    write_model,
)
from streamreplay.predicting.trained import TrainedRun, open_run

if TYPE_CHECKING:
    from streamreplay.learners import TorchLearner

_OURS = ("ncm", "slda")


def export_model(
    run: Path, to: Path, *, learner: str | None = None, trust: bool = False
) -> tuple[list[Path], str]:
    """Write what a run predicts with into a folder, from which `load_model` rebuilds it.

    Parameters
    ----------
    run : Path
        A run folder; it is only read.
    to : Path
        A folder, made if it is not there.
    learner : str, optional
        Which of several learners.
    trust : bool
        Whether the run's job may import code.

    Returns
    -------
    files : list of Path
    reason : str
        Why there is no program of torch.export; "" if there is.

    Raises
    ------
    ConfigError
        What predicts cannot be exported; the message says why.
    """
    trained = open_run(run, learner, trust=trust)
    torch = _exportable(trained)
    settings = trained.settings.model_dump(include=set(KEYS), exclude_none=True)
    slda = torch.method.slda
    settings["method"] = "ncm" if "ncm" in torch.inference.predictor.classifiers else "er"
    if slda is not None:
        settings |= {
            "slda_features": slda.features,
            "slda_weight": slda.weight,
            "slda_margin": slda.margin,
        }
    model = {
        "format": "streamreplay model",
        "version": 1,
        "library": __version__,
        "objective": trained.objective,
        "names": trained.columns.labels,
        "learner": settings,
    }
    features = _features(trained.columns, trained.job.source.decimal or ".")
    write_model(to, model, features, torch.inference.state_dict())
    files = [to / name for name in ("model.json", "features.json", "weights.safetensors")]
    from streamreplay.predicting.program import export_program, why_no_program  # noqa: PLC0415

    reason = why_no_program(torch, trained.columns)
    if not reason:
        export_program(torch, trained.columns, to / PROGRAM)
        files.append(to / PROGRAM)
    return files, reason


def _exportable(trained: TrainedRun) -> TorchLearner:
    """Return the learner if all that it predicts with can be exported.

    Raises
    ------
    ConfigError
        It cannot.
    """
    torch = torch_learner(trained.learner)
    if torch is None:
        raise ConfigError(
            f"learner.river: {trained.settings.river!r} cannot be exported: River's models can be "
            "saved only as pickles, which run code when they are loaded"
        )
    if trained.job.backbone is not None:
        raise ConfigError(
            f"backbone.module: {trained.job.backbone.module!r} cannot be exported: it is code of "
            "your own, and its weights are not part of the run"
        )
    predictor = torch.inference.predictor
    for name, each in predictor.classifiers.items():
        if name not in _OURS or not type(each).__module__.startswith("streamreplay.learners."):
            raise ConfigError(
                f"learner.method: {trained.settings.method!r} cannot be exported: its classifier "
                f"{name!r} is code of your own"
            )
    if not torch.inference.network.known.any():
        raise ConfigError(
            f"learner.method: {trained.settings.method!r} has met no class yet: there is nothing "
            "to export"
        )
    return torch


def _features(columns: RunColumns, decimal: str) -> FeaturesDescription:
    schema = columns.schema
    if schema is None:
        return FeaturesDescription.model_validate(
            {
                "rows": "array",
                "shape": list(columns.shape or ()),
                "dtype": columns.dtype,
                "field": columns.array,
            }
        )
    return describe_features(schema, decimal)
