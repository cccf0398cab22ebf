"""PASCAL Context: photographs of PASCAL VOC 2010 with a label on every pixel, read from any of its three forms on disk.

Mottaghi et al. 2014, "The Role of Context for Object Detection and Semantic Segmentation in the Wild". The full
annotation has 459 ids; scores are reported on the 59 frequent ones. Whatever the form, a label is first read as a map
of the 459 ids, and then one table turns ids into labels: so all forms give the same labels.
The two scores, on 59 classes and on 60: docs/14-evaluation.md.
"""

import warnings
from pathlib import Path

import numpy as np

from ..errors import DataError
from .context_classes import CLASSES
from .context_labels import NUM_IDS, JsonLabels, MatLabels
from .dataset import VOID, Dataset, read_lines, read_split
from .layout import check_choice, find, find_lists, halves, search_folders
from .sources import Files, PngLabels

LABEL_FORMS = {"mat": "trainval", "json": "trainval_merged.json", "png": "SegmentationClassContext"}  # by preference
SPLITS = ("train", "val", "trainval")
SPLIT_FOLDERS = ("ImageSets/SegmentationContext", "ImageSets/Main")  # the first, where there is one, is the closer fit
ALIASES = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}  # 59_labels.txt: labels.txt


class PascalContext(Dataset):
    """PASCAL Context with 59 classes, or 60 with the background.

    root: the folder that holds `VOCdevkit/` (and `trainval/`), or VOCdevkit itself, or VOC2010.
    split: "train", "val", or "trainval" (both, if it has no file of its own).
    classes: 59 leaves the background out (its pixels are void, 255); 60 makes it class 0, "background".
        Scores on 59 and on 60 classes are not comparable.
    labels: which form of the labels to read; None takes the first that is found of
        "mat"   `trainval/<id>.mat`, LabelMap H×W of the 459 ids: the original annotation,
        "json"  `trainval_merged.json`, a list of COCO run lengths per image; images of the split that the file does
                not list (a few of the official ones) are left out with a warning,
        "png"   `SegmentationClassContext/<id>.png`, 0 = background, 1..59 = classes.
    order: the order of `.classes`, and with it what label k means: "59_labels" (that of 59_labels.txt, PASCAL VOC's
        twenty first) or "sorted" (by id among the 459). The same for every form of the labels.
    png_order: the order in which the PNGs were *stored*, "59_labels" or "sorted". Both are in use and the files do
        not tell, so there is no default: a person is 15 in "59_labels", 37 in "sorted". Most PNGs that are passed
        around come from the JSON and are "sorted".

    Raises DataError for a setting or a file that is missing, broken or out of range. For Table 5 of the paper:
    docs/01-what-the-network-computes.md.
    """

    official = {"train": 4998, "val": 5105, "trainval": 10103}

    def __init__(self, root, split, classes=59, labels=None, order="59_labels", png_order=None):
        check_choice("split", split, SPLITS)
        check_choice("classes", classes, (59, 60))
        check_choice("labels", labels, (None, *LABEL_FORMS))
        check_choice("order", order, ("59_labels", "sorted"))
        check_choice("png_order", png_order, (None, "59_labels", "sorted"))
        self.root, self.split = Path(root), split
        folders = search_folders(self.root, "PASCAL Context", "VOCdevkit", "VOC2010", "VOCdevkit/VOC2010")
        named_ids = read_named_ids(folders)
        self.photos = Files(find(folders, "JPEGImages"), suffixes=(".jpg",))
        self.labels = find_labels(folders, labels, named_ids, png_order)
        self.ids, self.lists = find_ids(folders, split, self.labels)
        self.unlisted = set()
        if isinstance(self.labels, JsonLabels):
            self.leave_out_unlisted()
        self.classes, self.table = class_table(in_order(named_ids, order), classes)
        self.check()

    def leave_out_unlisted(self):
        """Drop the ids that have a photograph but no entry in the JSON, which lists a few less than VOC does."""
        unlisted = {name for name in self.ids if name in self.photos.names() and name not in self.labels.names()}
        if 0 < len(unlisted) < len(self.ids):
            self.unlisted = unlisted
            self.ids = [name for name in self.ids if name not in unlisted]
            warnings.warn(self.unlisted_note(), stacklevel=3)

    def unlisted_note(self):
        """How many images were left out, and one of them, in a sentence."""
        return (f"{self.labels.path} does not list {len(self.unlisted)} of the split's "
                f"{len(self.ids) + len(self.unlisted)} images, such as {min(self.unlisted)}: they are left out")

    def notes(self):
        """Those of every data set, and the images that were left out."""
        return super().notes() + ([self.unlisted_note()] if self.unlisted else [])

    def read_label(self, name):
        """The label H×W uint8: 0 to classes - 1, or 255 = void."""
        return self.table[self.labels.read(name)]  # H×W of the 459 ids -> H×W of labels


# --- finding the parts -----------------------------------------------------------------------------------------


def find_labels(folders, form, named_ids, png_order):
    """The labels in the form asked for, or in the first found. Raises DataError for none, or PNGs without an order."""
    forms = LABEL_FORMS if form is None else {form: LABEL_FORMS[form]}
    path = find(folders, *forms.values())
    if path.name == LABEL_FORMS["mat"]:
        return MatLabels(path)
    if path.name == LABEL_FORMS["json"]:
        return JsonLabels(path)
    if png_order is None:
        raise DataError(
            f"{path}: png_order is needed to read these PNGs: '59_labels' if their classes are in the order of "
            "59_labels.txt (a person is 15), 'sorted' if by id among the 459 (a person is 37, as in most PNGs made "
            "from the JSON annotation)"
        )
    ids = [number for _, number in in_order(named_ids, png_order)]
    return PngLabels(path, meaning=dict(enumerate([0, *ids])))


def find_ids(folders, split, labels):
    """(image ids of a split, the files they are from): from lists, or from the JSON's `phase`."""
    lists = find_lists(folders, SPLIT_FOLDERS, split)
    if lists:
        return read_split(*lists), lists
    if isinstance(labels, JsonLabels):
        ids = labels.in_phases(*halves(split))
        if ids:
            return ids, [labels.path]
    return find(folders, *(f"{place}/{split}.txt" for place in SPLIT_FOLDERS))  # raises: says what was looked for


# --- the classes -----------------------------------------------------------------------------------------------


def read_named_ids(folders):
    """[(class name, id among the 459), ...] in the order of 59_labels.txt; built in, where the name files are not."""
    short, full = (find(folders, name, required=False) for name in ("59_labels.txt", "labels.txt"))
    names = read_names(short).values() if short else [name for name, _ in CLASSES]
    id_of = {name: number for number, name in read_names(full).items()} if full else dict(CLASSES)
    named_ids = [(name, id_of.get(name, id_of.get(ALIASES.get(name)))) for name in names]
    unknown = [name for name, number in named_ids if number is None]
    if unknown or len({number for _, number in named_ids}) != 59:
        raise DataError(f"{short or full}: expected 59 classes that labels.txt has too, found {len(named_ids)}; "
                        f"unknown to it: {', '.join(unknown) or 'none'}")
    return named_ids


def read_names(path):
    """{number: name} of a file of lines `number: name`, by number."""
    names = {}
    for line in read_lines(path):
        number, _, name = line.partition(":")
        if not name or not number.isdecimal() or not 1 <= int(number) <= NUM_IDS:
            raise DataError(f"{path}: found the line {line!r}, expected 'number: name' with a number 1 to {NUM_IDS}")
        names[int(number)] = name.strip()
    return dict(sorted(names.items()))


def in_order(named_ids, order):
    """The (name, id) pairs in the order asked for."""
    return named_ids if order == "59_labels" else sorted(named_ids, key=lambda pair: pair[1])


def class_table(named_ids, classes):
    """The class names, and the table of 460 that turns an id among the 459 (0: none) into a label."""
    background = ("background",) if classes == 60 else ()
    table = np.full(NUM_IDS + 1, 0 if background else VOID, np.uint8)
    table[[number for _, number in named_ids]] = len(background) + np.arange(59)
    return background + tuple(name for name, _ in named_ids), table
