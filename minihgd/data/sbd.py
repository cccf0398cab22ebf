"""The Semantic Boundaries Dataset: labels for many more of PASCAL VOC's images, with the same 21 classes.

Hariharan et al. 2011, "Semantic Contours from Inverse Detectors". It has no void borders. What void
means in a score: docs/14-evaluation.md.
"""

from pathlib import Path

import numpy as np

from ..errors import DataError
from .dataset import check_range
from .layout import find, search_folders
from .sources import Files, read_mat
from .voc_classes import VOC_CLASSES


def find_sbd(folders, given=None):
    """SBD's folder `dataset`, which holds `cls`; None if it is not given and neither in `folders` nor beside them.

    Raises DataError if it is given and not there.
    """
    if given is not None:
        inner = search_folders(Path(given), "SBD", "benchmark_RELEASE/dataset", "dataset")
        return find(inner, "cls").parent
    outside = list(folders[0].resolve().parents)[:2]  # beside VOCdevkit, where root is VOCdevkit/VOC2012
    path = find([*folders, *outside], "benchmark_RELEASE/dataset/cls", required=False)
    return path and path.parent


class SbdLabels(Files):
    """MATLAB files, one an image: a record GTcls whose field Segmentation is the map of the 21 classes."""

    def __init__(self, path):
        super().__init__(path, suffixes=(".mat",))

    def read(self, name):
        """The label H×W uint8, 0 to 20 or 255. Raises DataError for a file that is broken, or has other numbers."""
        path = self.file(name)
        record = read_mat(path, "GTcls")
        fields = record.dtype.names or ()
        if "Segmentation" not in fields or record.size != 1:
            raise DataError(f"{path}: expected GTcls with a field Segmentation, found {record.size} of {fields}")
        label = np.asarray(record["Segmentation"].item())
        check_range(label, len(VOC_CLASSES) - 1, path, void=True)
        return label.astype(np.uint8)


class MergedLabels:
    """The labels of one source for the names that are its own, and of another for all others."""

    def __init__(self, own, labels, other):
        self.own, self.labels, self.other = set(own), labels, other
        self.where = f"{labels.where} for those of VOC's own train, or {other.where} for the others"

    def names(self):
        """Of the images that have a label, each in the source it is to be from."""
        return (self.own & self.labels.names()) | (self.other.names() - self.own)

    def read(self, name):
        """The label H×W uint8 from the one source or the other, with its errors."""
        return (self.labels if name in self.own else self.other).read(name)
