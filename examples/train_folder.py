"""Train EfficientFCN on one's own images and masks.

    python examples/train_folder.py --data FOLDER --weights resnet18-f37072fd.pth

FOLDER holds `images/` and `masks/` with files of the same names; a mask is a PNG with a class number at every pixel,
255 where there is none. A file classes.txt names the classes, one a line; without it they are counted. Held-out images
come from folders or lists of that split (images/val, val.txt), or else about every fifth is held out.
"""

from train_common import PAPER, Recipe, run

from minihgd import data

SMALL = PAPER | dict(backbone="resnet18", form="released", codewords=64, epochs=60, batch=8, crop=256, lr=0.005,
                     compressed=128, codeword_channels=256)


def datasets(args):
    """The images to train on and those held out."""
    return data.Folder(args.data, "train"), data.Folder(args.data, "val")


def flags(add):
    add("--data", "folder with images/ and masks/", required=True)


if __name__ == "__main__":
    run(Recipe("folder", __doc__, datasets, SMALL, add_flags=flags))
