"""Two of the forms of PASCAL Context's labels on disk, MATLAB files and one JSON file. (The third: `PngLabels`.)

Each is a source (see sources.py), whose `read(name)` gives a map H×W of uint16 with the ids of the full annotation:
1..459, and 0 where nothing is labelled. What becomes of that 0 in a score: docs/14-evaluation.md.
"""

import json
from pathlib import Path

import numpy as np

from ..errors import DataError
from .coco_masks import decode_mask
from .dataset import check_range
from .sources import Files, read_mat

NUM_IDS = 459


class MatLabels(Files):
    """MATLAB files, one an image, with the 459 ids as they are."""

    def __init__(self, path):
        super().__init__(path, suffixes=(".mat",))

    def read(self, name):
        """The ids H×W uint16. Raises DataError for a file that is broken, or an id beyond 459."""
        ids = read_mat(self.file(name), "LabelMap")
        check_range(ids, NUM_IDS, self.file(name))
        return ids.astype(np.uint16)


class JsonLabels:
    """One JSON file with a list of masks (COCO run lengths) per image, painted in the order of the list.

    Raises DataError for a file that cannot be read, and for one with other contents.
    """

    def __init__(self, path):
        self.path, self.where = path, f"in {path}"
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
        """Of all images in the file, in its order."""
        return self.entries.keys()

    def in_phases(self, *phases):
        """The names of the images whose `phase` is one of these, in the file's order."""
        return [name for name, image in self.entries.items() if image.get("phase") in phases]

    def read(self, name):
        """The ids H×W uint16. Raises DataError for a mask that is broken, of another size or of an unknown id."""
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
