"""Data sets, augmentation and batches: from files on disk to uint8 arrays that a model's step can take."""

from .augmentation import augment, normalise
from .batches import Batches, one_by_one, read_all
from .dataset import VOID, Cached, Dataset
from .pascal_context import PascalContext
from .sample_scenes import SampleScenes

__all__ = ["VOID", "Batches", "Cached", "Dataset", "PascalContext", "SampleScenes", "augment", "normalise",
           "one_by_one", "read_all"]
