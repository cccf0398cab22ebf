"""ADE20K's scene parsing benchmark: scenes of all kinds with a label of 150 classes on nearly every pixel.

Zhou et al. 2017, "Scene Parsing through ADE20K Dataset". Section 4.4 of the paper; how its numbers are handed in:
docs/14-evaluation.md.
"""

from pathlib import Path

from .ade_classes import ADE_CLASSES
from .dataset import VOID, Dataset
from .layout import check_choice, find, search_folders
from .sources import Files, PngLabels

SPLITS = {"training": "training", "validation": "validation", "test": "test", "train": "training", "val": "validation"}
TEST_FOLDERS = ("release_test/testing", "images/test", "images/testing")
MEANING = {0: VOID, **{k + 1: k for k in range(len(ADE_CLASSES))}}  # of the numbers in the PNG files; 0 is "other"


class ADE20K(Dataset):
    """ADE20K with its 150 classes; what is none of them is void, 255.

    root: the folder that holds `ADEChallengeData2016/`, or that folder itself.
    split: "training" or "train", "validation" or "val"; or "test", which has no labels, so that all its pixels are
        void: its images are in `release_test/testing`, beside ADEChallengeData2016 or in it.

    The ids are all that the folders of the split hold. The files' 1 to 150 become labels 0 to 149. Raises DataError for
    a setting or a file that is missing, broken or out of range. Handing predictions in: docs/14-evaluation.md.
    """

    classes = ADE_CLASSES
    official = {"training": 20210, "validation": 2000, "test": 3352}

    def __init__(self, root, split):
        check_choice("split", split, tuple(SPLITS))
        self.root, self.split = Path(root), SPLITS[split]
        folders = search_folders(self.root, "ADE20K", "ADEChallengeData2016")
        if self.split == "test":
            self.labelled = False
            self.photos = Files(find([*folders, self.root.resolve().parent], *TEST_FOLDERS), suffixes=(".jpg",))
            self.ids = sorted(self.photos.names())
        else:
            self.photos = Files(find(folders, f"images/{self.split}"), suffixes=(".jpg",))
            self.labels = PngLabels(find(folders, f"annotations/{self.split}"), meaning=MEANING)
            self.ids = sorted(self.photos.names() | self.labels.names())  # no list: one of a pair alone is found out
        self.check()
