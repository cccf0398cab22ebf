"""Train EfficientFCN on ADE20K (sections 4.1 and 4.4 of the paper).

    python examples/train_ade20k.py --data ROOT --weights resnet101-63fe2227.pth --device cuda

Learning rate 0.002, 120 epochs, crop 576, n = 600 codewords, 150 classes; ROOT holds ADEChallengeData2016.
"""

from train_common import PAPER, Recipe, run

from minihgd import data


def datasets(args):
    """The 20,210 training and the 2,000 validation images."""
    return data.ADE20K(args.data, "training"), data.ADE20K(args.data, "validation")


def flags(add):
    add("--data", "folder of ADE20K: ADEChallengeData2016", required=True)


if __name__ == "__main__":
    run(Recipe("ade20k", __doc__, datasets, PAPER | dict(lr=0.002, crop=576, codewords=600), add_flags=flags))
