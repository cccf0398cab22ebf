"""Scores and prediction."""

from .counted import evaluate_resumably
from .prediction import Views, evaluate, predict, predict_labels, weighting_maps
from .score import Score

__all__ = ["Score", "Views", "evaluate", "evaluate_resumably", "predict", "predict_labels", "weighting_maps"]
