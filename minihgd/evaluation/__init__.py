"""Scores and prediction."""

from .predict import at_least, evaluate, predict, weighting_maps
from .score import Score

__all__ = ["Score", "at_least", "evaluate", "predict", "weighting_maps"]
