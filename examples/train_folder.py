"""Train EfficientFCN on one's own images and masks.

    python examples/train_folder.py --data FOLDER --weights resnet18-f37072fd.pth

FOLDER holds `images/` and `masks/` with files of the same names; a mask is a PNG with a class number at every pixel,
255 where there is none. A file classes.txt names the classes, one a line; without it they are counted. Held-out images
come from folders or lists of that split (images/val, val.txt), or else about every fifth is held out.
"""

from pathlib import Path

from train_common import PAPER, Recipe, run

from minihgd import data
from minihgd.data.folder_layout import has_split, present_split, splits_of
from minihgd.errors import DataError

SMALL = PAPER | dict(backbone="resnet18", form="released", codewords=64, epochs=60, batch=8, crop=256, lr=0.005,
                     compressed=128, codeword_channels=256)


def datasets(args):
    """The images to train on and those held out."""
    train, val = (data.Folder(args.data, split, holdout=args.holdout) for split in splits(args))
    val.remarks = [remark for remark in val.remarks if remark not in train.remarks]  # each is said once
    return train, val


def splits(args):
    """The names of the two splits. Raises DataError where one is there and the other is not."""
    root = Path(args.data)
    train = present_split(root, args.split)
    usual = [name for name in (present_split(root, "val"), present_split(root, "test")) if has_split(root, name)]
    val = present_split(root, args.val_split or (usual or ["val"])[0])
    if has_split(root, train) != has_split(root, val):
        there, other, flag = (train, val, "--val-split") if has_split(root, train) else (val, train, "--split")
        raise DataError(f"{root}: found folders or a list for the split {there!r}, but none for {other!r}; there are "
                        f"{splits_of(root) or there}: name one of them with {flag}, or write a list, {other}.txt")
    return train, val


def flags(add):
    add("--data", "folder with images/ and masks/", required=True)
    add("--split", "folder or list of the images to train on", "train")
    add("--val-split", "folder or list of the held-out images (default: val, valid, validation, dev or test, whichever "
        "is there)")
    add("--holdout", "part of the images that is held out where there are no such folders or lists", 0.2, type=float)


if __name__ == "__main__":
    run(Recipe("folder", __doc__, datasets, SMALL, add_flags=flags))
