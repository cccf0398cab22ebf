"""What every data set is: a list of image ids with a photograph and a label map each; and the readers they share."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DataError

VOID = 255  # the label of pixels that neither the loss nor the score counts


class Dataset:
    """A list of images, each with a label per pixel.

    `classes`: tuple of class names, label k is `classes[k]`. `ids`: list of image ids. `len(dataset)` images;
    `dataset[i]` is the pair (image H×W×3 uint8 RGB, label H×W uint8 with 255 = void).

    A subclass sets `classes` and `ids` and says where an image lies and how its label is read.
    """

    classes: tuple
    ids: list

    def image_path(self, name):
        """The photograph's file, for one of `ids`."""
        raise TypeError(f"{type(self).__name__} has no image_path")

    def read_label(self, name):
        """The label H×W uint8, 255 = void, for one of `ids`."""
        raise TypeError(f"{type(self).__name__} has no read_label")

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        """(image H×W×3 uint8, label H×W uint8). Raises DataError for a broken file or sizes that differ."""
        name = self.ids[index]
        image, label = read_image(self.image_path(name)), self.read_label(name)
        if label.shape != image.shape[:2]:
            raise DataError(
                f"{self.image_path(name)}: found a label map of {size_text(label)} for it, expected the image's own "
                f"size, {size_text(image)}"
            )
        return image, label


class Cached(Dataset):
    """A data set that decodes every image once and keeps it in memory: for small ones read over and over.

    The arrays are handed out read-only, since the next reader gets the same ones.
    """

    def __init__(self, dataset):
        self.dataset, self.classes, self.ids = dataset, dataset.classes, dataset.ids
        self._pairs = {}

    def __getitem__(self, index):
        name = self.ids[index]
        if name not in self._pairs:
            image, label = self.dataset[index]
            image.setflags(write=False)
            label.setflags(write=False)
            self._pairs[name] = image, label
        return self._pairs[name]


def size_text(array):
    """A map's size as people write it: width×height."""
    return f"{array.shape[1]}×{array.shape[0]} (width×height)"


def decode(path, to_array):
    """`to_array(picture)` of the picture in a file; whatever is wrong with the file becomes a DataError."""
    try:
        with Image.open(path) as picture:
            picture.load()  # here a truncated file shows
            return to_array(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        raise DataError(f"{path}: expected a complete image file, found: {error}") from error


def read_image(path):
    """A photograph as H×W×3 uint8 RGB, whatever its mode. Raises DataError for a missing, broken or truncated file."""
    # The EXIF orientation is left alone: label maps were drawn on the pixels as they are stored, so turning the
    # photograph would part it from its labels.
    return decode(path, lambda picture: np.array(picture.convert("RGB")))


def read_index_png(path):
    """A label PNG as H×W uint8: palette indices, or grey values. Raises DataError for any other kind of picture."""
    mode, label = decode(path, lambda picture: (picture.mode, np.array(picture)))
    if mode not in ("L", "P"):
        raise DataError(
            f"{path}: found a picture of mode {mode}, expected one label a pixel: 8-bit grey (L) or palette (P)"
        )
    return label


def check_range(label, highest, where):
    """Raise DataError unless `label` is a non-empty H×W map of whole numbers 0..highest; `where` names its file."""
    if label.ndim != 2 or label.size == 0 or label.dtype.kind not in "uif":
        raise DataError(f"{where}: found an array {label.shape} of {label.dtype}, expected H×W numbers")
    if label.dtype.kind == "f":  # MATLAB writes doubles unless told otherwise
        broken = label[label != np.round(label)]  # NaN is among them
        if broken.size:
            raise DataError(f"{where}: found label {broken[0]}, expected whole numbers")
    lowest_found, highest_found = label.min(), label.max()
    if lowest_found < 0 or highest_found > highest:
        found = lowest_found if lowest_found < 0 else highest_found
        raise DataError(f"{where}: found label {found}, expected 0 to {highest}")


def read_lines(path):
    """The lines of a text file without blank ones. Raises DataError if there is no such file, or nothing in it."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors put a byte order mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a text file, found: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path}: found an empty file, expected one entry a line")
    return lines


def read_split(*paths):
    """The image ids in one or more split files, one a line. Raises DataError if one is missing, empty or repeats."""
    ids = [name for path in paths for name in read_lines(path)]
    if len(set(ids)) < len(ids):
        seen = set()
        twice = next(name for name in ids if name in seen or seen.add(name))
        raise DataError(f"{' and '.join(map(str, paths))}: found id {twice} more than once, expected each id once")
    return ids


def stems(folder, suffix):
    """The names of a folder's files that end in `suffix`, without it: one listing, however many are asked for."""
    with os.scandir(folder) as entries:
        return {entry.name[: -len(suffix)] for entry in entries if entry.name.endswith(suffix)}


def require(ids, present, what):
    """Raise one DataError that counts the ids not among `present` and names the first five; `what` they lack."""
    missing = [name for name in ids if name not in present]
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(f"{len(missing)} of {len(ids)} ids have no {what}: {shown}")
