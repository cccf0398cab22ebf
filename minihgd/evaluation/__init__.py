"""Scores and prediction."""

from .predict import evaluate, predict, weighting_maps
from .score import Score

__all__ = ["Score", "evaluate", "predict", "weighting_maps"]
