"""PASCAL VOC 2012: photographs with 20 kinds of objects, and everything else as background.

Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge". Most who report on it train on `trainaug`: VOC's
own training images and the many more that the Semantic Boundaries Dataset labels (sbd.py). Test labels
and handing in: docs/14-evaluation.md.
"""

from pathlib import Path, PurePosixPath

from ..errors import DataError
from .dataset import VOID, Dataset, read_split, some
from .layout import check_choice, find, find_lists, search_folders
from .sbd import MergedLabels, SbdLabels, find_sbd
from .sources import Files, PngLabels
from .voc_classes import VOC_CLASSES

LISTS = "ImageSets/Segmentation"
MEANING = {**{k: k for k in range(len(VOC_CLASSES))}, VOID: VOID}  # of the numbers in the PNG files


class PascalVOC(Dataset):
    """PASCAL VOC 2012 with 21 classes, the background first; the borders of objects are void, 255.

    root: the folder that holds `VOCdevkit/`, or VOCdevkit itself, or VOC2012.
    split: "train", "val", "trainval" (both, if it has no list of its own), "test" or "trainaug".
        The labels of "test" are not public: all its pixels are void.
        "trainaug" is `SegmentationClassAug/` with its list in ImageSets/Segmentation (trainaug.txt or train_aug.txt);
        or, without these, what VOC's train and SBD's train and val have together, less VOC's val. In this case an image
        of VOC's train has VOC's own label, and the others SBD's.
    sbd: the folder of SBD, if "trainaug" is to be put together although it is there ready-made, or if SBD is neither in
        root nor beside it: `benchmark_RELEASE/dataset`, or benchmark_RELEASE, or the folder that holds it.

    Raises DataError for a setting or a file that is missing, broken or out of range. For Table 6 of the paper:
    docs/01-what-the-network-computes.md.
    """

    classes = VOC_CLASSES
    official = {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456, "trainaug": 10582}

    def __init__(self, root, split, sbd=None):
        check_choice("split", split, tuple(self.official))
        self.root, self.split = Path(root), split
        self.folders = search_folders(self.root, "PASCAL VOC 2012", "VOCdevkit", "VOC2012", "VOCdevkit/VOC2012")
        self.photos = Files(find(self.folders, "JPEGImages"), suffixes=(".jpg",))
        self.labelled = split != "test"
        if split == "trainaug":
            self.open_trainaug(sbd)
        else:
            self.lists = self.find_lists(split)
            self.ids = read_ids(*self.lists)
            self.labels = self.masks("SegmentationClass") if self.labelled else None
        self.check()

    def find_lists(self, split):
        """The text files with the ids of one of VOC's own splits. Raises DataError if there are none."""
        lists = find_lists(self.folders, [LISTS], split)
        return lists or [find(self.folders, f"{LISTS}/{split}.txt")]  # which raises: says what was looked for

    def masks(self, folder):
        """The PNG labels in one of VOC's folders."""
        return PngLabels(find(self.folders, folder), meaning=MEANING)

    def open_trainaug(self, sbd):
        """Ready-made, where it is there and SBD is not asked for; else put together. DataError without either."""
        parts = "SegmentationClassAug", f"{LISTS}/trainaug.txt", f"{LISTS}/train_aug.txt"
        ready = find(self.folders, parts[0], required=False)
        ready_list = find(self.folders, *parts[1:], required=False)
        if ready and ready_list and sbd is None:
            self.lists, self.ids, self.labels = [ready_list], read_ids(ready_list), self.masks(parts[0])
            return
        dataset = find_sbd(self.folders, sbd)
        if dataset is None:
            found = " and ".join(str(path) for path in (ready, ready_list) if path)
            raise DataError(f"{self.root}: split 'trainaug' needs {parts[0]} and {parts[1]} (or train_aug.txt), or "
                            f"SBD's benchmark_RELEASE/dataset in root or beside it; found {found or 'none of these'}")
        self.merge(dataset)

    def merge(self, dataset):
        """trainaug from VOC and the folder of SBD."""
        sbd_lists = [find([dataset], name) for name in ("train.txt", "val.txt")]
        self.lists = [*self.find_lists("train"), *sbd_lists]
        own, val = read_ids(self.lists[0]), read_ids(*self.find_lists("val"))
        self.ids = sorted({*own, *read_ids(*sbd_lists)} - {*val})
        self.labels = MergedLabels(own, self.masks("SegmentationClass"), SbdLabels(dataset / "cls"))
        if (dataset / "img").is_dir():  # VOC 2012 has all of SBD's images: so for those who have VOC without them
            self.photos = Files(self.photos.path, dataset / "img", suffixes=(".jpg",))

    def notes(self):
        """Those of every data set, and whether images of val are among those to train on."""
        notes = super().notes()
        if self.split == "trainaug":
            val = {*read_ids(*find_lists(self.folders, [LISTS], "val"))}
            shared = [name for name in self.ids if name in val]
            if shared:
                notes.append(f"{self.lists[0]}: {len(shared)} of its images are in split val too: {some(shared)}")
        return notes


def read_ids(*lists):
    """The ids in split files: a line is an id, or the paths of its image and label, as in some lists of trainaug."""
    return [PurePosixPath(line.split()[0]).stem for line in read_split(*lists)]
