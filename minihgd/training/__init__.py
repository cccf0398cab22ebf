"""SGD, the schedule, the loop, checkpoints: docs/13-training.md."""

from .checkpoint import Checkpoint, load, model_of, restore, save
from .loop import Run, Settings
from .progress import Progress
from .schedule import poly
from .sgd import SGD

__all__ = ["SGD", "Checkpoint", "Progress", "Run", "Settings", "load", "model_of", "poly", "restore", "save"]
