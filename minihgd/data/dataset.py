"""What every data set is: a list of image ids with a photograph and a label map each; and the readers they share.

One written by hand, and the samples drawn from it: docs/13-training.md.
"""

import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DataError

VOID = 255  # the label of pixels that neither the loss nor the score counts


class Dataset:
    """A list of images, each with a label per pixel.

    `classes`: tuple of class names, label k is `classes[k]`. `ids`: list of image ids. `len(dataset)` images;
    `dataset[i]` is the pair (image H×W×3 uint8 RGB, label H×W uint8 with 255 = void). `labelled` is False for a test
    split, whose labels are not public: all its pixels are void.

    A subclass sets `classes` and `ids`, and the two sources its files come from (see sources.py), `photos` and
    `labels`; or it says itself where an image lies and how its label is read. At the end of its constructor stands
    `self.check()`. Raises DataError for lists or files that are missing, broken or do not fit together. A small one:
    docs/13-training.md.
    """

    classes: tuple
    ids: list
    split = None  # its name
    lists = ()  # the text files that the ids are from, if they are from any
    photos = labels = None
    labelled = True
    official = {}  # {split: number of images} as published

    def image_path(self, name):
        """The photograph's file, for one of `ids`."""
        return self.photos.file(name)

    def read_label(self, name):
        """The label H×W uint8, 255 = void, for one of `ids`."""
        return self.labels.read(name)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        """(image H×W×3 uint8, label H×W uint8). Raises DataError for a broken file or sizes that differ."""
        name = self.ids[index]
        image = read_image(self.image_path(name))
        if not self.labelled:
            return image, np.full(image.shape[:2], VOID, np.uint8)
        label = self.read_label(name)
        if label.shape != image.shape[:2]:
            raise DataError(
                f"{self.image_path(name)}: found a label map of {size_text(label)} for it, expected the image's own "
                f"size, {size_text(image)}{turned_text(image, label)}"
            )
        return image, label

    def problems(self):
        """All that is wrong with the lists, a sentence each. Looks at names only: seconds, however many images."""
        lists = " and ".join(map(str, self.lists))
        found, twice = [], repeated(self.ids)
        if not self.ids and self.photos is not None:
            found.append(f"found no images {self.photos.where}")
        if twice:
            found.append(f"{lists}: found {len(twice)} of {len(set(self.ids))} ids more than once: {some(twice)}")
        for what, source in (("image", self.photos), ("label", self.labels)):
            if source is not None:
                expected_by = f", expected by {lists}" if lists else ""
                found += lacking(self.ids, source.names(), f"{what} {source.where}{expected_by}")
        return found

    def check(self):
        """Raise one DataError with all the `problems()`, a line each, if there are any."""
        found = self.problems()
        if found:
            raise DataError("\n".join(found))

    def notes(self):
        """What is unusual without being wrong, a sentence each: such as another number of images than published."""
        published = self.official.get(self.split, len(self))
        if len(self) == published:
            return []
        return [f"{type(self).__name__}: split {self.split} has {len(self):,} images, the published one {published:,}"]


class Cached(Dataset):
    """A data set that reads each image of `dataset` once and keeps it, 4 bytes a pixel: for small ones read often.

    The arrays are handed out read-only, since the next reader gets the same ones. For training (docs/13-training.md),
    which goes through the images once an epoch.
    """

    def __init__(self, dataset):
        self.dataset, self.classes, self.ids = dataset, dataset.classes, dataset.ids
        self.split, self.labelled = dataset.split, dataset.labelled
        self._pairs = {}

    def problems(self):
        return self.dataset.problems()

    def notes(self):
        return self.dataset.notes()

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


def turned_text(image, label):
    """A hint, where a label has its image's size turned by a quarter."""
    if label.shape != image.shape[1::-1]:
        return ""
    return "; was it drawn on the photograph as its EXIF orientation shows it? Then store that turned"


def decode(path, to_array):
    """`to_array(picture)` of the Pillow picture in a file; whatever is wrong with the file becomes a DataError."""
    try:
        with Image.open(path) as picture:
            return to_array(picture)
    except Image.DecompressionBombError as error:
        pixels, most = (round(int(number) / 1e6) for number in re.findall(r"\d+", str(error)))
        raise DataError(f"{path}: found a picture of {pixels} million pixels, expected at most {most} million; make it "
                        "smaller, or cut it into parts") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise
        raise DataError(f"{path}: expected a complete image file, found: {error}") from error


def read_image(path):
    """The photograph in the file `path` as H×W×3 uint8 RGB, whatever its mode, with its pixels where they are stored.

    Raises DataError for a missing, broken or truncated file, or one of too many pixels. The first step to a training
    sample: docs/13-training.md.
    """
    # The EXIF orientation is left alone: label maps were drawn on the pixels as they are stored, so turning the
    # photograph would part it from its labels.
    return decode(path, to_rgb)


def to_rgb(picture):
    """A Pillow picture of any mode -> H×W×3 uint8 RGB. What is transparent shows white; for grey see `white_of`."""
    picture.load()  # here a truncated file shows
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):  # more than 8 bits of grey
        values = np.array(picture, np.float64)  # H×W
        values[np.isnan(values)] = 0
        white = white_of(values[np.isfinite(values)].max(initial=0), picture.mode == "F")
        picture = Image.fromarray(np.clip(values * (255 / white) + 0.5, 0, 255).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))


def white_of(highest, floats):
    """The value that means white in a grey picture of more than 8 bits, which its file does not say.

    Floats up to 1 go from 0 to 1. Else it is the least of 255 and the ends of 12 and 16 bits, 4095 and 65535, that is
    not below the highest value; or that value.
    """
    ends = (1, 255, 4095, 65535) if floats else (255, 4095, 65535)
    return next((end for end in ends if highest <= end), highest)


def index_values(picture):
    """(format, mode, H×W numbers as they are stored) of a Pillow picture that has not been read yet."""
    kind, stored = picture.format, [tile[3] for tile in picture.tile]  # known only before the pixels are read
    picture.load()  # here a truncated file shows
    numbers = np.array(picture)
    if kind == "PNG" and stored in (["L;2"], ["L;4"]):  # grey of 2 or 4 bits, which Pillow stretches to 0..255
        numbers //= 255 // (2 ** int(stored[0][2:]) - 1)
    return kind, picture.mode, numbers


def read_index_png(path):
    """A label PNG as H×W uint8: palette indices, or grey values. Raises DataError for any other kind of picture."""
    kind, mode, label = decode(path, index_values)
    if kind != "PNG":
        raise DataError(f"{path}: found a file of the kind {kind}, expected PNG, which keeps every label as it is")
    if mode not in ("1", "L", "P"):
        hint = "; it shows colours, not labels: turn each colour into the number of its class" if "RGB" in mode else ""
        raise DataError(f"{path}: found a picture of mode {mode}, expected one label a pixel: 8-bit grey (L) or "
                        f"palette (P){hint}")
    return label.astype(np.uint8)


def check_range(label, highest, where, void=False):
    """Raise DataError unless `label` is a non-empty H×W map of whole numbers 0..highest; `where` names its file.

    void: whether 255 is allowed too.
    """
    if label.ndim != 2 or label.size == 0 or label.dtype.kind not in "uif":
        raise DataError(f"{where}: found an array {label.shape} of {label.dtype}, expected H×W numbers")
    if label.dtype.kind == "f":  # MATLAB writes doubles unless told otherwise
        broken = label[label != np.round(label)]  # NaN is among them
        if broken.size:
            raise DataError(f"{where}: found label {broken[0]}, expected whole numbers")
    outside = (label < 0) | (label > highest)
    if void:
        outside &= label != VOID
    if outside.any():
        raise DataError(f"{where}: found label {label[outside][0]}, expected 0 to {highest}{' or 255' if void else ''}")


def read_lines(path):
    """The lines of the text file `path`, stripped and without blank ones: a list of strings.

    Raises DataError if there is no such file, or nothing in it. So are the lists of ids read that training draws from
    (docs/13-training.md).
    """
    return [line for line in read_all_lines(path) if line]


def read_all_lines(path):
    """The lines of a text file, with blank ones as "" but for those at its end. Raises DataError as `read_lines`."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors put a byte order mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a text file, found: {error}") from error
    if not text.strip():
        raise DataError(f"{path}: found an empty file, expected one entry a line")
    return [line.strip() for line in text.rstrip().splitlines()]


def read_split(*paths):
    """The image ids in one or more split files, one a line. Raises DataError if one is missing or empty."""
    return [composed(line) for path in paths for line in read_lines(path)]


def composed(name):
    """A name with each accented letter as one character: some systems store it as two, letter and accent."""
    return unicodedata.normalize("NFC", name)


def repeated(ids):
    """The ids that occur more than once."""
    return [name for name, times in Counter(ids).items() if times > 1]


def lacking(ids, present, what):
    """[] if all ids are among `present`; else one sentence that counts those that are not; `what` they have none of."""
    missing = [name for name in ids if name not in present]
    return [f"{len(missing)} of {len(ids)} ids have no {what}: {some(missing)}"] if missing else []


def some(names):
    """The first five names."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
