from .driver import PredictOptions, predict_rows
from .export import export_model
from .model import Model, load_model

__all__ = ["Model", "PredictOptions", "export_model", "load_model", "predict_rows"]
