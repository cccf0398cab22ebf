"""Data sets, augmentation and batches: from files on disk to uint8 arrays, and from those to what a model takes.

The way from an image to a training sample: docs/13-training.md.
"""

from .ade20k import ADE20K
from .augmentation import augment
from .batches import Batches, one_by_one, read_all
from .coco import CocoAsVOC
from .dataset import VOID, Cached, Dataset, read_image, read_lines
from .folder import Folder
from .inputs import as_input, normalise
from .pascal_context import PascalContext
from .pascal_voc import PascalVOC
from .photos import read_photo
from .sample_scenes import SampleScenes
from .share import Share
from .voc_classes import VOC_CLASSES, voc_palette

__all__ = ["ADE20K", "VOC_CLASSES", "VOID", "Batches", "Cached", "CocoAsVOC", "Dataset", "Folder", "PascalContext",
           "PascalVOC", "SampleScenes", "Share", "as_input", "augment", "normalise", "one_by_one", "read_all",
           "read_image", "read_lines", "read_photo", "voc_palette"]
