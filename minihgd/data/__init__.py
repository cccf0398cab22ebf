"""Data sets, augmentation and batches: from files on disk to uint8 arrays, and from those to what a model takes."""

from .augmentation import augment
from .batches import Batches, one_by_one, read_all
from .dataset import VOID, Cached, Dataset, read_lines
from .inputs import as_input, normalise
from .pascal_context import PascalContext
from .photos import read_photo
from .sample_scenes import SampleScenes

__all__ = ["VOID", "Batches", "Cached", "Dataset", "PascalContext", "SampleScenes", "as_input", "augment", "normalise",
           "one_by_one", "read_all", "read_lines", "read_photo"]
