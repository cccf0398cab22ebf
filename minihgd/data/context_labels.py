"""The three forms of PASCAL Context's labels on disk: MATLAB files, one JSON file, PNG files.

Each is a class that knows the `names()` of the images it has labels for, and how to `read(name)` one as a map H×W of
uint16 with the ids of the full annotation: 1..459, and 0 where nothing is labelled.
"""

import json
from pathlib import Path

import numpy as np
import scipy.io

from ..errors import DataError
from .coco_masks import decode_mask
from .dataset import check_range, read_index_png, stems

NUM_IDS = 459


class MatLabels:
    """MATLAB files, one an image, with the 459 ids as they are."""

    def __init__(self, path):
        self.path = path

    def names(self):
        return stems(self.path, ".mat")

    def read(self, name):
        path = self.path / f"{name}.mat"
        try:
            content = scipy.io.loadmat(path, appendmat=False, variable_names=["LabelMap"])
        except Exception as error:  # SciPy raises errors of many kinds on files that are not MATLAB's, or cut short
            raise DataError(f"{path}: expected a MATLAB file with LabelMap, found: {error}") from error
        if "LabelMap" not in content:
            keys = [name for name, _, _ in scipy.io.whosmat(path, appendmat=False)]
            raise DataError(f"{path}: expected the key LabelMap, found {keys}")
        ids = content["LabelMap"]
        check_range(ids, NUM_IDS, path)
        return ids.astype(np.uint16)


class JsonLabels:
    """One JSON file with a list of masks (COCO run lengths) per image, painted in the order of the list."""

    def __init__(self, path):
        self.path = path
        try:
            content = json.loads(path.read_bytes())
            self.entries = {Path(image["file_name"]).stem: image for image in content["images"]}
            self.masks = {image["image_id"]: [] for image in content["images"]}
            for mask in content["annos_segmentation"]:
                self.masks[mask["image_id"]].append((mask.get("id"), mask["category_id"], mask["segmentation"]))
        except (OSError, ValueError) as error:  # bad JSON and bad UTF-8 are ValueErrors
            raise DataError(f"{path}: expected a JSON file, found: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: expected images[] of image_id, file_name, height, width and annos_segmentation[] of "
                f"image_id (one of those of images[]), category_id, segmentation; found {error!r}"
            ) from error

    def names(self):
        return self.entries.keys()

    def in_phases(self, *phases):
        """The names of the images whose `phase` is one of these, in the file's order."""
        return [name for name, image in self.entries.items() if image.get("phase") in phases]

    def read(self, name):
        image = self.entries[name]
        shape = image.get("height"), image.get("width")
        where = f"{self.path}: image {image['image_id']}"
        if not all(isinstance(side, int) and side > 0 for side in shape):
            raise DataError(f"{where}: expected height and width, found {shape}")
        ids = np.zeros(shape, np.uint16)
        for number, category, segmentation in self.masks[image["image_id"]]:
            if not isinstance(category, int) or not 0 <= category <= NUM_IDS:
                raise DataError(f"{where}, mask {number}: found category_id {category!r}, expected 0 to {NUM_IDS}")
            mask = decode_mask(segmentation, f"{where}, mask {number}")
            if mask.shape != ids.shape:
                raise DataError(f"{where}, mask {number}: found size {mask.shape}, expected the image's {ids.shape}")
            ids[mask] = category
        return ids


class PngLabels:
    """PNG files, one an image: 0 = background, 1..59 = the classes in the order of `class_ids`."""

    def __init__(self, path, class_ids):
        self.path = path
        self.ids = np.array([0, *class_ids], np.uint16)  # PNG value -> id among the 459

    def names(self):
        return stems(self.path, ".png")

    def read(self, name):
        path = self.path / f"{name}.png"
        label = read_index_png(path)
        check_range(label, len(self.ids) - 1, path)
        return self.ids[label]
