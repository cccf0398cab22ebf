"""COCO's instances with the classes of PASCAL VOC: what the paper trains on before VOC itself (Table 6).

The labels are made from `instances_*.json` when they are asked for: every instance of one of VOC's 20 classes is
painted, the earlier over the later, and all other pixels are background. Regions marked `iscrowd` (one outline around
a group of people, say) are painted with their class like any other, and nothing is void: a label says what a pixel
shows, not which of several people, and the conversion that published models were trained on does the same. COCO's
files list these regions last, so they only get pixels that no single instance has.

Images with few labelled pixels are left out, and to know them every label must be made once. The list that results is
kept in a small file beside the annotations for the next time. How classes are scored: docs/14-evaluation.md.
"""

import hashlib
import json
import sys
import time
import warnings
from array import array
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image

from ..errors import DataError
from ..files import written_aside
from .coco_masks import paint
from .dataset import Dataset, composed, read_lines
from .layout import check_choice, find, search_folders
from .sources import Files
from .voc_classes import VOC_CLASSES

CATEGORIES = (5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)  # COCO's ids of VOC's 1 to 20
UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # COCO's 80 ids are 1 to 90 without these
LABELS = {category: 0 for category in range(1, 91) if category not in UNUSED}
LABELS.update({category: label for label, category in enumerate(CATEGORIES, 1)})
ENOUGH = 1000  # an image is kept if it has more labelled pixels than this


class CocoAsVOC(Dataset):
    """The images of COCO that have more than 1,000 pixels of VOC's classes, labelled 0 (background) to 20.

    root: the folder that holds `annotations/`, `train2017/` and `val2017/`, or the one that holds it as `coco/`.
    split: "train" or "val". year: 2017, or 2014 for its other division into the two.
    cache: folder for the list of the images kept; by default the one of the annotations. Where it cannot be written,
        the images are selected anew every time.

    `ids` are the names of the image files without their ending, in the order of the annotations. Raises DataError for a
    setting or a file that is missing, broken or out of range. For Table 6: docs/01-what-the-network-computes.md.
    """

    classes = VOC_CLASSES

    def __init__(self, root, split, year=2017, cache=None):
        check_choice("split", split, ("train", "val"))
        check_choice("year", year, (2017, 2014))
        self.root, self.split = Path(root), split
        folders = search_folders(self.root, "COCO", "coco")
        annotations = find(folders, f"annotations/instances_{split}{year}.json")
        self.photos = Files(find(folders, f"{split}{year}"), suffixes=(".jpg",))
        self.labels, self.lists = Instances(annotations), [annotations]
        self.ids = kept(self.labels, Path(cache or annotations.parent) / f"{annotations.stem}.voc-ids.txt")
        self.check()

    def problems(self):
        """Those of every data set; of one without images, that this is why."""
        if not self.ids:
            return [f"{self.labels.path}: found no image with more than {ENOUGH:,} pixels of VOC's classes"]
        return super().problems()


# --- the annotations -------------------------------------------------------------------------------------------


class Instances:
    """The annotations in one file `instances_*.json`: a source of labels (see sources.py) for all its images."""

    def __init__(self, path):
        self.path, self.where = path, f"in {path}"
        self.entries = read_entries(path)

    def names(self):
        """Of all images in the file, kept or not, in its order."""
        return self.entries.keys()

    def read(self, name):
        """The label H×W uint8, 0 to 20. Raises DataError for a segmentation that is broken, or of another size."""
        entry = self.entries[name]
        picture = Image.new("L", entry.shape[::-1])  # all background
        for instance in reversed(entry.instances):  # so that the earlier comes on top of the later
            where = f"{self.path}: image {entry.number}, annotation {instance.number}"
            paint(picture, instance.segmentation, instance.label, where)
        return np.array(picture)  # H×W

    def has_enough(self, name):
        """Whether an image has enough labelled pixels to be kept."""
        return bool(self.entries[name].instances) and np.count_nonzero(self.read(name)) > ENOUGH


class Entry(NamedTuple):
    """What is known of an image."""

    number: int  # COCO's id of it
    name: str
    shape: tuple  # height, width
    instances: list  # those of VOC's classes, in the file's order


class Instance(NamedTuple):
    """What is kept of an annotation."""

    number: int  # COCO's id of it
    image: int  # the image's id
    label: int  # 1 to 20, or 0 for a class that VOC does not have
    segmentation: object  # its numbers packed; None for label 0


def read_entries(path):
    """{image's name: Entry} of a file `instances_*.json`. Raises DataError for anything else."""
    images, annotations = read_lists(path)
    entries = [read_entry(image, path) for image in images]
    by_number = {entry.number: entry for entry in entries}
    by_name = {entry.name: entry for entry in entries}
    if not len(entries) == len(by_number) == len(by_name):
        raise DataError(f"{path}: found {len(entries)} images with {len(by_number)} ids and {len(by_name)} names, "
                        "expected each id and each name once")
    for instance in annotations:
        if not isinstance(instance, Instance):  # not made one, since it has no category
            raise DataError(f"{path}: expected annotations of id, image_id, category_id, segmentation, "
                            f"found {str(instance)[:80]}")
        if instance.image not in by_number:
            raise DataError(f"{path}: annotation {instance.number} is of image {instance.image}, expected one of the "
                            f"{len(entries)} in images")
        if instance.label:
            by_number[instance.image].instances.append(instance)
    return by_name


def read_entry(image, path):
    """The `Entry` of one of `images`, with no instances yet."""
    values = [image.get(key) for key in ("id", "file_name", "height", "width")] if isinstance(image, dict) else []
    if [type(value) for value in values] != [int, str, int, int] or min(values[2:]) < 1:
        raise DataError(f"{path}: expected images of id, file_name, height, width, found {str(image)[:120]}")
    number, file_name, height, width = values
    return Entry(number, composed(Path(file_name).stem), (height, width), [])


def read_lists(path):
    """The lists `images` and `annotations`, the second of `Instance`s. DataError for a file without them."""
    # As Python's lists, the numbers of train2017 would take 2 GB. So an annotation is packed as soon as it is read.
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file, object_hook=partial(pack_annotation, path))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected a JSON file, found: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with images and annotations, found a {type(content).__name__}")
    lists = content.get("images"), content.get("annotations")
    if not all(isinstance(part, list) for part in lists):
        raise DataError(f"{path}: expected the lists images and annotations, found the keys {list(content)}")
    return lists


def pack_annotation(path, content):
    """The `Instance` of an annotation; any other JSON object as it is.

    Raises DataError for an id of an image or a class that is none.
    """
    if "category_id" not in content:
        return content
    number, image, category = content.get("id"), content.get("image_id"), content["category_id"]
    if not isinstance(image, int):
        raise DataError(f"{path}: annotation {number}: found image_id {image!r}, expected a whole number")
    if not isinstance(category, int) or category not in LABELS:
        raise DataError(f"{path}: annotation {number}: found category_id {category!r}, expected one of COCO's 80: "
                        f"1 to 90 without {', '.join(map(str, sorted(UNUSED)))}")
    label = LABELS[category]
    return Instance(number, image, label, packed(content.get("segmentation")) if label else None)


def packed(segmentation):
    """A segmentation with its lists of numbers as arrays: 8 bytes a number, which as an object takes 32."""
    # Whatever is no such list stays as it is, and is refused, by name, when it is painted.
    if isinstance(segmentation, list):
        return [packed_numbers("d", polygon) for polygon in segmentation]
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), list):
        return {**segmentation, "counts": packed_numbers("q", segmentation["counts"])}
    return segmentation


def packed_numbers(kind, numbers):
    """A list of numbers as an array of doubles ("d") or of whole numbers ("q"); anything else as it is."""
    try:
        return array(kind, numbers) if isinstance(numbers, list) else numbers
    except (TypeError, OverflowError):
        return numbers


# --- the list of the images kept -------------------------------------------------------------------------------


def kept(labels, path):
    """The names of the images to keep: from the list at `path`, or found out now and listed there."""
    key = fingerprint(labels.path)
    names = read_list(path, key)
    if names is None:
        names = [name for name in reporting(labels.names(), labels.path.name) if labels.has_enough(name)]
        write_list(path, key, names)
    return names


def fingerprint(path):
    """A text that changes with whatever the list depends on: the annotations, the settings, Pillow's filling."""
    digest = hashlib.sha256(repr((CATEGORIES, ENOUGH, PIL.__version__)).encode())
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_list(path, key):
    """The names in the file at `path`, or None if there is no such file or it belongs to another fingerprint."""
    try:
        found, *names = read_lines(path)
    except DataError:
        return None
    return names if found == key else None


def write_list(path, key, names):
    """Write the file that `read_list` reads; a warning, and no more, where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as file:
            file.write("\n".join([key, *names]).encode())
    except OSError as error:
        warnings.warn(f"{path}: the list of images is not kept, they are selected anew every time ({error})",
                      stacklevel=4)


def reporting(names, what, every=5):
    """Yield the names; after every few seconds, a line to stderr says how far this has come."""
    started = said = time.monotonic()
    for done, name in enumerate(names):
        if time.monotonic() - said > every:
            said = time.monotonic()
            print(f"{what}: selected from {done:,} of {len(names):,} images in {said - started:.0f} s",
                  file=sys.stderr, flush=True)
        yield name
