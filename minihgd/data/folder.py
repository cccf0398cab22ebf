"""One's own images and masks, in the plainest layouts that people have them in."""

import os
from hashlib import sha256
from pathlib import Path, PureWindowsPath

import numpy as np

from ..errors import DataError
from .batches import prefetch
from .dataset import VOID, Dataset, read_lines, read_split, repeated, some
from .folder_layout import LISTS, find_pair, image_of, split_folders, splits_of
from .layout import find_lists, search_folders
from .sources import Files, PngLabels, spans

JPEG = (".jpg", ".jpeg")
SUFFIXES = (*JPEG, ".png", ".bmp", ".webp", ".tif", ".tiff")  # of images
UNCLASSED = ("void", "ignore")  # names of classes that are none


class Folder(Dataset):
    """A folder of images, and one of masks: a PNG for each image, whose pixels are the numbers of their classes.

    root: the folder that holds `images/` (or imgs, JPEGImages) and `masks/` (or labels, annotations,
        SegmentationClass). A mask has the name of its image, or that and "_mask" or "_label".
    split: None for all images. Else the name of one of the folders that images and masks are divided into
        (`images/train` and `masks/train`, or `train/images` and `train/masks`), or of a list of names in root
        (`train.txt`, one a line). Where there is no such folder and no list, "train" and "val" part the images.
    classes: the names of the classes, those of the numbers 0, 1, 2, ... in turn. By default the lines of `classes.txt`
        in root; without it as many as occur in the masks of all splits, which are all read for that: "class 0" and on.
    holdout: the part of the images that is "val" where neither folders nor lists say so. An image is in the one or the
        other by its name alone, and stays there when others are added.

    255 is void in every mask. A class named void or ignore is void too and not among `.classes`: labels of the classes
    after it are one less than their numbers in the masks.

    Raises DataError for a setting or a file that is missing, broken or out of range.
    """

    def __init__(self, root, split=None, classes=None, holdout=0.2):
        if not isinstance(split, (str, type(None))):
            raise DataError(f"split={split!r}, expected the name of one, or None")
        if not isinstance(holdout, (int, float)) or not 0 < holdout < 1:
            raise DataError(f"holdout={holdout!r}, expected a part of the images, between 0 and 1")
        self.root, self.split, self.remarks = Path(root), split, []
        search_folders(self.root, "images and masks")
        images, masks, own = find_pair(self.root, split)
        self.photos = Files(images, suffixes=SUFFIXES)
        self.labels = PngLabels(masks, name_of=image_of(self.photos.names()))
        self.ids = sorted(self.photos.names() | self.labels.names())  # so that one of a pair alone is found out
        if split is not None and not own:
            self.select(holdout)
        self.check()
        self.name_classes(classes, [*split_folders(self.root).values()] if own else [masks])

    def select(self, holdout):
        """Keep the ids of the split: those in its list or, where there are no lists, those that fall to it."""
        self.lists = find_lists([self.root], LISTS, self.split)
        if self.lists:
            self.ids = [without_suffix(line) for line in read_split(*self.lists)]
            return
        splits = splits_of(self.root)
        if splits or self.split not in ("train", "val"):
            raise DataError(f"{self.root}: split={self.split!r}, found neither folders nor a list for it, expected "
                            f"one of {splits or ['train', 'val']}")
        held_out = {name for name in self.ids if share(name) < holdout}
        if self.ids and not 0 < len(held_out) < len(self.ids):
            raise DataError(f"{self.root}: holdout={holdout} puts {len(held_out)} of {len(self.ids)} images into split "
                            "'val', expected some in both splits: try another, or write lists, train.txt and val.txt")
        self.remarks.append(f"{self.root}: no folders or lists for the splits, so {len(held_out)} of {len(self.ids)} "
                            "images are held out as 'val', by their names")
        self.ids = [name for name in self.ids if (name in held_out) == (self.split == "val")]

    def name_classes(self, names, mask_folders):
        """Set `classes` and what the numbers in the masks mean: from the argument, from classes.txt, or by counting."""
        path, where = self.root / "classes.txt", "classes"
        if names is None:
            names, where = (read_lines(path), path) if path.exists() else (self.count_classes(mask_folders), "masks")
        self.classes, meaning = numbered(names, where)
        self.labels.take(meaning)

    def count_classes(self, folders):
        """Names for as many classes as the highest number in any mask asks for."""
        masks = [(labels, name) for labels in map(PngLabels, folders) for name in labels.names()]
        numbers = numbers_in(masks)
        highest = max((k for k in numbers if k != VOID), default=0)
        if highest == 0:
            raise DataError(f"{folders[0]}: found {spans(numbers)} in {len(masks)} masks, expected the numbers of two "
                            "classes or more, from 0 on; 255 is void, and no number for an object")
        absent = sorted({*range(highest)} - numbers)
        self.remarks.append(f"{folders[0]}: no classes.txt in {self.root}, so the classes are the numbers 0 to "
                            f"{highest}, up to the highest in {len(masks)} masks"
                            + (f"; none has {spans(absent)}" if absent else ""))
        return [f"class {k}" for k in range(highest + 1)]

    def problems(self):
        """Those of every data set, names that have more than one file, and masks that are JPEG files."""
        found = super().problems()
        if not self.ids and splits_of(self.root):
            found.append(f"split={self.split!r}, expected one of {splits_of(self.root)}")
        for source in (self.photos, self.labels):
            several = [f"{name} ({' and '.join(source.several[name])})" for name in self.ids if name in source.several]
            if several:
                found.append(f"{source.path}: found several files for {len(several)} names: {some(several)}")
        jpegs = [path.name for path in Files(self.labels.path, suffixes=JPEG).files.values()]
        if jpegs:
            found.append(f"{self.labels.path}: found {len(jpegs)} JPEG files, expected PNG, as JPEG does not keep the "
                         f"numbers of classes exactly: {some(jpegs)}")
        return found

    def notes(self):
        return super().notes() + self.remarks


def without_suffix(line):
    """The name in a line of a list, which may be a file's, with suffix and folder."""
    name = PureWindowsPath(line).name  # either kind of slash parts a path on Windows
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def share(name):
    """A number 0 to 1 that a name always has: as good as random, and the same on every machine."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") / 2**64


def numbers_in(masks):
    """The set of numbers that occur in any of the masks, (labels, name) pairs: read once, by threads."""
    occurring = np.zeros(256, bool)
    workers = min(8, os.cpu_count() or 1)
    for counts in prefetch(lambda mask: np.bincount(mask[0].read(mask[1]).ravel(), minlength=256), masks, workers, 32):
        occurring |= counts > 0
    return set(np.flatnonzero(occurring).tolist())


def numbered(names, where):
    """(class names, {number in the masks: label}) of the names of the numbers 0, 1, 2, ...; `where` they are from."""
    if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: found {names!r}, expected a tuple of class names")
    twice = repeated(names)
    classed = [k for k, name in enumerate(names) if name.lower() not in UNCLASSED]
    if twice or not classed or len(names) > VOID:
        raise DataError(f"{where}: found {len(names)} names{', more than once: ' if twice else ''}{some(twice)}, "
                        f"expected 1 to {VOID}, all different, and not only void")
    void = dict.fromkeys({*range(len(names))} - {*classed} | {VOID}, VOID)
    return tuple(names[k] for k in classed), void | {k: label for label, k in enumerate(classed)}
