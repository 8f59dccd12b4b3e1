from .driver import PredictOptions, predict_rows

__all__ = ["PredictOptions", "predict_rows"]
