"""Scores and prediction."""

from .counted import Count, evaluate_resumably
from .prediction import Views, evaluate, predict, predict_labels, weighting_maps
from .score import Score

__all__ = ["Count", "Score", "Views", "evaluate", "evaluate_resumably", "predict", "predict_labels", "weighting_maps"]
