"""One's own images and masks, in the plainest layouts that people have them in.

What training makes of them: docs/13-training.md.
"""

import os
import re
from hashlib import sha256
from pathlib import Path, PureWindowsPath

import numpy as np

from ..errors import DataError
from .batches import prefetch
from .dataset import VOID, Dataset, read_all_lines, read_split, repeated, some
from .folder_layout import (
    BEGINNINGS,
    ENDINGS,
    LISTS,
    find_pair,
    image_of,
    present_split,
    same_splits,
    split_folders,
    splits_of,
)
from .layout import find_lists, search_folders
from .sources import Files, PngLabels, spans

JPEG = (".jpg", ".jpeg")
SUFFIXES = (*JPEG, ".png", ".bmp", ".webp", ".tif", ".tiff")  # of images
UNCLASSED = ("void", "ignore")  # names of classes that are none
BINARY = "255 is void, and no number for an object: write 1 in place of 255 in masks of 0 and 255"


class Folder(Dataset):
    """A folder of images, and one of masks: a PNG for each image, whose pixels are the numbers of their classes.

    root: the folder that holds `images/` (or imgs, photos, ...) and `masks/` (or labels, annotations, ...; for all of
        them see folder_layout.py). A mask has the name of its image, or that with "_mask", "_label" and the like.
    split: None for all images. Else the name of one of the folders that images and masks are divided into
        (`images/train` and `masks/train`, or `train/images` and `train/masks`), or of a list of names in root
        (`train.txt`, one a line); training is found for train, valid, validation or dev for val, testing for test, and
        the other way round. Where there are no such folders and no lists, "train" and "val" part the images.
    classes: the names of the classes, those of the numbers 0, 1, 2, ... in turn. By default the lines of `classes.txt`
        in root, which may all begin with their numbers ("0: sky"); without it as many as occur in the masks of all
        splits, which are all read for that: "class 0" and on.
    holdout: the part of the images that is "val" where neither folders nor lists say so. An image is in the one or the
        other by its name alone, and stays there when others are added; but for folders of a few images, where one of
        the two would be empty.

    255 is void in every mask. A class named void or ignore is void too and not among `.classes`: labels of the classes
    after it are one less than their numbers in the masks.

    Raises DataError for a setting or a file that is missing, broken or out of range. Training: docs/13-training.md.
    """

    def __init__(self, root, split=None, classes=None, holdout=0.2):
        if not isinstance(split, (str, type(None))):
            raise DataError(f"split={split!r}, expected the name of one, or None")
        if not isinstance(holdout, (int, float)) or not 0 < holdout < 1:
            raise DataError(f"holdout={holdout!r}, expected a part of the images, between 0 and 1")
        self.root, self.remarks = Path(root), []
        search_folders(self.root, "images and masks")
        self.split = None if split is None else present_split(self.root, split)
        images, masks, own = find_pair(self.root, self.split)
        self.photos = Files(images, suffixes=SUFFIXES)
        self.labels = PngLabels(masks, name_of=image_of(self.photos.names()))
        self.ids = sorted(self.photos.names() | self.labels.names())  # so that one of a pair alone is found out
        if split is not None and not own:
            self.select(holdout)
        self.check()
        masks_of = map(PngLabels, split_folders(self.root).values() if own else [masks])
        self.name_classes(classes, [(labels, name) for labels in masks_of for name in labels.names()])

    def select(self, holdout):
        """Keep the ids of the split: those in its list or, without lists, those that fall to it. holdout: 0 to 1."""
        self.lists = find_lists([self.root], LISTS, self.split)
        if self.lists:
            self.ids = [without_suffix(line) for line in read_split(*self.lists)]
            return
        splits, part = splits_of(self.root), same_splits(self.split)[0]
        if splits or part not in ("train", "val"):
            raise DataError(f"{self.root}: split={self.split!r}, found neither folders nor a list for it, expected "
                            f"one of {splits or ['train', 'val']}")
        if len(self.ids) == 1:
            raise DataError(f"{self.root}: found one image, expected two or more, to hold out some as 'val'")
        held_out = held_out_of(self.ids, holdout)
        self.remarks.append(f"{self.root}: no folders or lists for the splits, so {len(held_out)} of {len(self.ids)} "
                            "images are held out as 'val', by their names")
        self.ids = [name for name in self.ids if (name in held_out) == (part == "val")]

    def name_classes(self, names, masks):
        """Set `classes` and what the numbers in the masks mean: from the argument, from classes.txt, or by counting.

        masks: (labels, name) of those of all splits.
        """
        path, where = self.root / "classes.txt", "classes"
        if names is None and not path.exists():
            self.classes, meaning = numbered(self.count_classes(masks), "masks")
        else:
            names, where = (listed_classes(path), path) if names is None else (names, where)
            self.classes, meaning = numbered(names, where)
            self.check_classes(meaning, masks)
        self.labels.take(meaning)

    def check_classes(self, meaning, masks):
        """Raise DataError where the masks, which are read until two classes are seen, hold one and 255, or none."""
        numbers = set()
        for found in each_numbers(sorted(masks, key=lambda mask: share(mask[1]))):
            numbers |= found or set()
            classes = {meaning.get(number, number) for number in numbers} - {VOID}
            if len(classes) > 1:
                return
        if numbers and (VOID in numbers or not classes):
            raise DataError(f"{self.labels.path}: found only {spans(numbers)} in {len(masks)} masks, expected the "
                            f"numbers of two classes or more; {BINARY}")

    def count_classes(self, masks):
        """Names for as many classes as the highest number in any mask asks for."""
        folder, numbers = self.labels.path, numbers_in(masks)
        highest = max((k for k in numbers if k != VOID), default=0)
        if highest == 0:
            raise DataError(f"{folder}: found {spans(numbers)} in {len(masks)} masks, expected the numbers of two "
                            f"classes or more, from 0 on; {BINARY}")
        absent = sorted({*range(highest)} - numbers)
        self.remarks.append(f"{folder}: no classes.txt in {self.root}, so the classes are the numbers 0 to "
                            f"{highest}, up to the highest in {len(masks)} masks"
                            + (f"; none has {spans(absent)}" if absent else ""))
        return [f"class {k}" for k in range(highest + 1)]

    def problems(self):
        """Those of every data set, names that have more than one file, and masks that are JPEG files."""
        found = super().problems()
        if not self.ids and splits_of(self.root):
            found.append(f"split={self.split!r}, expected one of {splits_of(self.root)}")
        if any(name not in source.names() for source in (self.photos, self.labels) for name in self.ids):
            found += unlike_names(self.photos, self.labels)
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
        """Those of every data set, and what was taken for granted: held-out images, classes that were counted."""
        return super().notes() + self.remarks


def unlike_names(photos, labels):
    """[] or a sentence with an example, where images have no masks and masks have no images."""
    images, masks = (sorted(one.names() - other.names()) for one, other in ((photos, labels), (labels, photos)))
    if not images or not masks:
        return []
    return [f"{labels.path}: the names of images and masks do not match, such as the image "
            f"{photos.file(images[0]).name} and the mask {labels.file(masks[0]).name}; expected the same name, but for "
            f"the suffix and {', '.join(ENDINGS)} behind or {', '.join(BEGINNINGS)} before that of the mask"]


def listed_classes(path):
    """The names in classes.txt: one a line, the first for number 0, with their numbers before them or without.

    Raises DataError for a blank line between them, or numbers that are not 0, 1, 2, ... in turn.
    """
    lines = read_all_lines(path)
    if "" in lines:
        raise DataError(f"{path}: found nothing in line {lines.index('') + 1}, expected the name of class "
                        f"{lines.index('')}: line by line the classes 0, 1, 2, ... (void where a number is none)")
    parts = [re.fullmatch(r"(\d+)\s*:\s*(\S.*)", line) for line in lines]
    if not all(parts):
        return lines
    for k, part in enumerate(parts):
        if int(part[1]) != k:
            raise DataError(f"{path}: found {lines[k]!r} in line {k + 1}, expected number {k}: all from 0 on in turn")
    return [part[2] for part in parts]


def held_out_of(names, holdout):
    """The set of names held out: those whose share is below `holdout`; of a few names, at least one and not all."""
    ordered = sorted(names, key=share)
    count = sum(share(name) < holdout for name in names)
    return {*ordered[:min(max(count, 1), len(names) - 1)]}


def without_suffix(line):
    """The name in a line of a list, which may be a file's, with suffix and folder."""
    name = PureWindowsPath(line).name  # either kind of slash parts a path on Windows
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def share(name):
    """A number 0 to 1 that a name always has: as good as random, and the same on every machine."""
    return int.from_bytes(sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64


def numbers_in(masks):
    """The set of numbers that occur in any of the masks, (labels, name) pairs. Raises DataError for a broken one."""
    return set().union(*each_numbers(masks, broken=()))


def each_numbers(masks, broken=DataError):
    """Yield the set of numbers in each of the masks, read by threads; None for one that raises an error of `broken`."""

    def numbers_of(mask):
        labels, name = mask
        try:
            return {*np.flatnonzero(np.bincount(labels.read(name).ravel(), minlength=256)).tolist()}
        except broken:
            return None

    return prefetch(numbers_of, masks, min(8, os.cpu_count() or 1), 32)


def numbered(names, where):
    """(class names, {number in the masks: label}) of the names of the numbers 0, 1, 2, ...; `where` they are from.

    Raises DataError for names that are none, occur twice, are all void or are more than 255.
    """
    if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: found {names!r}, expected a tuple of class names")
    twice = repeated(names)
    classed = [k for k, name in enumerate(names) if name.lower() not in UNCLASSED]
    if twice or not classed or len(names) > VOID:
        raise DataError(f"{where}: found {len(names)} names{', more than once: ' if twice else ''}{some(twice)}, "
                        f"expected 1 to {VOID}, all different, and not only void")
    void = dict.fromkeys({*range(len(names))} - {*classed} | {VOID}, VOID)
    return tuple(names[k] for k in classed), void | {k: label for label, k in enumerate(classed)}
