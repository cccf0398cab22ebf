"""Train EfficientFCN on PASCAL VOC 2012 (sections 4.1 and 4.3 of the paper).

    python examples/train_voc.py --data ROOT --weights resnet101-63fe2227.pth --device cuda
    python examples/train_voc.py --coco COCO --data ROOT --weights resnet101-63fe2227.pth --device cuda
    python examples/train_voc.py --data ROOT --init runs/voc-1/checkpoint.npz --device cuda

The first trains on the 10,582 images of trainaug: VOC's own, and SBD's where VOC has no masks. The second and the third
are the row with COCO pretraining: first COCO's images with VOC's classes, then VOC from there. Learning rate 0.002,
80 epochs, crop 512, n = 256. ROOT holds VOCdevkit/VOC2012, and SBD's benchmark_RELEASE or a ready SegmentationClassAug.
"""

from train_common import PAPER, Recipe, run

from minihgd import data
from minihgd.errors import SettingError


def datasets(args):
    """trainaug or COCO to train on, VOC's val to score."""
    if args.coco and args.split != "trainaug":
        raise SettingError(f"--split: found {args.split} beside --coco, whose images are trained on in place of VOC's")
    train = data.CocoAsVOC(args.coco, "train") if args.coco else data.PascalVOC(args.data, args.split)
    return train, data.PascalVOC(args.data, args.val_split)


def flags(add):
    add("--data", "folder of PASCAL VOC: VOCdevkit/VOC2012", required=True)
    add("--coco", "folder of COCO: annotations, train2017; train on its images in place of VOC's")
    add("--split", "images to train on: train, trainval or trainaug", "trainaug")
    add("--val-split", "images to score", "val")


if __name__ == "__main__":
    run(Recipe("voc", __doc__, datasets, PAPER | dict(lr=0.002, epochs=80), add_flags=flags))
