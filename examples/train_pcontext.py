"""Train EfficientFCN on PASCAL Context, or, with no arguments, on the built-in sample scenes in a few minutes.

    python examples/train_pcontext.py
    python examples/train_pcontext.py --data ROOT --backbone resnet101 --weights FILE --device cuda

The first runs on any CPU. The second is the paper's setting: batch 16, crop 512, 120 epochs, learning rate 0.001,
n = 256 codewords (section 4.1). The output folder gets checkpoint.npz, steps.csv, evaluation.csv, predictions.png
and codewords.png. Ctrl-C stops after the step and saves; --resume goes on.
"""

import os

from train_common import PAPER, Recipe, run

from minihgd import data
from minihgd.errors import SettingError

SAMPLE = dict(backbone="resnet18", form="released", codewords=32, epochs=22, batch=8, crop=128, lr=0.05,
              decoder_factor=1, scales=[0.9, 1.2], channels=32, compressed=64, codeword_channels=128)


def datasets(args):
    """The training and the held-out data set: sample scenes, or the PASCAL Context in --data."""
    if not args.data:
        check_sample_flags(args)
        root = os.path.join(args.cache, f"scenes-{args.seed}")
        return tuple(data.Cached(data.SampleScenes(root, split, args.seed)) for split in ("train", "val"))
    options = dict(classes=args.classes, labels=args.labels, png_order=args.png_order)
    return tuple(data.PascalContext(args.data, split, **options) for split in (args.split, args.val_split))


def check_sample_flags(args):
    """Raise SettingError for a flag that says something of PASCAL Context, which is not read."""
    for name, usual in dict(split="train", val_split="val", labels=None, png_order=None, classes=59).items():
        if getattr(args, name) != usual:
            raise SettingError(f"--{name.replace('_', '-')}: found {getattr(args, name)} without --data; the sample "
                               "scenes have no choice of it")


def flags(add):
    add("--data", "folder of PASCAL Context: VOCdevkit/VOC2010 and the labels beside it (default: sample scenes)")
    add("--classes", "59, or 60 with background as a class", 59, type=int, choices=(59, 60))
    add("--labels", "which labels to read (default: the first found)", choices=("mat", "json", "png"))
    add("--png-order", "class order of ready-made PNG labels; needed with them, as two are in use (default: none)",
        choices=("59_labels", "sorted"))
    add("--split", "images to train on", "train")
    add("--val-split", "images to score", "val")
    add("--cache", "where the sample scenes are painted", "runs")


if __name__ == "__main__":
    run(Recipe("pcontext", __doc__, datasets, PAPER, SAMPLE, flags))
