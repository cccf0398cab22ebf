"""SGD, the schedule, the loop, checkpoints."""

from .checkpoint import Checkpoint, load, restore, save
from .loop import Run, Settings
from .schedule import poly
from .sgd import SGD

__all__ = ["SGD", "Checkpoint", "Run", "Settings", "load", "poly", "restore", "save"]
