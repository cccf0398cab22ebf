"""Scores and prediction: docs/14-evaluation.md."""

from .counted import Count, evaluate_resumably
from .prediction import Views, evaluate, holistic, predict, predict_labels
from .score import Score

__all__ = ["Count", "Score", "Views", "evaluate", "evaluate_resumably", "holistic", "predict", "predict_labels"]
