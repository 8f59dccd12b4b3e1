"""Where log records go in addition to the run folder: TensorBoard, MLflow."""

from streamreplay.run.sinks.group import Sinks, open_sinks

__all__ = ["Sinks", "open_sinks"]
