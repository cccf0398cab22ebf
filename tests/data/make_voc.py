"""Writes tiny copies of PASCAL VOC 2012 and of SBD in their official layouts."""

import numpy as np
import scipy.io
from PIL import Image

from .make_context import photograph

VOC = "VOCdevkit/VOC2012"
SBD = "benchmark_RELEASE/dataset"
SPLITS = {
    "train": ["2007_000032", "2007_000039", "2007_000063"],
    "val": ["2007_000033", "2007_000042"],
    "test": ["2008_000006", "2008_000011"],
}
SBD_SPLITS = {
    "train": ["2008_000008", "2007_000039", "2007_000033"],  # new; of VOC's train; of VOC's val
    "val": ["2008_000015", "2007_000042", "2007_000032"],
}
TRAINAUG = ["2007_000032", "2007_000039", "2007_000063", "2008_000008", "2008_000015"]
NAMES = sorted({*sum(SPLITS.values(), []), *sum(SBD_SPLITS.values(), [])})
COLOURS = [  # as the development kit lists them, of 0 to 20
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
    (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128),
    (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
]
BORDER = (224, 224, 192)  # of 255


def random_labels(seed, void=True):
    """{id: H×W uint8} of 0 to 20, and 255; every image has another size."""
    rng = np.random.default_rng(seed)
    values = np.array([*range(21), *([255] if void else [])], np.uint8)
    return {name: rng.choice(values, (9 + k, 17 - k)) for k, name in enumerate(NAMES)}


def write_voc(root, images=NAMES):
    """VOC below `root`, with the photographs of `images`; returns its labels of train and val."""
    voc = root / VOC
    labels = {name: label for name, label in random_labels(1).items() if name in SPLITS["train"] + SPLITS["val"]}
    (voc / "ImageSets/Segmentation").mkdir(parents=True)
    for split, names in (SPLITS | {"trainval": SPLITS["train"] + SPLITS["val"]}).items():
        (voc / f"ImageSets/Segmentation/{split}.txt").write_text("".join(f"{name}\n" for name in names))
    write_photographs(voc / "JPEGImages", images)
    write_pngs(voc / "SegmentationClass", labels)
    return labels


def write_trainaug(root, list_name="trainaug", line="{0}\n"):
    """The ready-made labels of trainaug beside VOC's own; returns them."""
    labels = {name: label for name, label in random_labels(2).items() if name in TRAINAUG}
    write_pngs(root / VOC / "SegmentationClassAug", labels)
    (root / VOC / f"ImageSets/Segmentation/{list_name}.txt").write_text("".join(line.format(name) for name in labels))
    return labels


def write_sbd(root, below=SBD):
    """SBD below `root`; returns its labels."""
    names = SBD_SPLITS["train"] + SBD_SPLITS["val"]
    labels = {name: label for name, label in random_labels(3, void=False).items() if name in names}
    dataset = root / below
    write_photographs(dataset / "img", names)
    for split, ids in SBD_SPLITS.items():
        (dataset / f"{split}.txt").write_text("\n".join(ids))
    (dataset / "cls").mkdir()
    for name, label in labels.items():
        record = {"Boundaries": np.zeros((20, 1)), "Segmentation": label, "CategoriesPresent": np.unique(label)}
        scipy.io.savemat(dataset / f"cls/{name}.mat", {"GTcls": record}, do_compression=True)
    return labels


def write_photographs(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        photograph(random_labels(0)[name].shape).save(folder / f"{name}.jpg")


def write_pngs(folder, labels):
    """Palette PNGs as published."""
    folder.mkdir()
    colours = np.zeros((256, 3), np.uint8)
    colours[:21], colours[255] = COLOURS, BORDER
    for name, label in labels.items():
        picture = Image.fromarray(label)
        picture.putpalette(colours.tobytes())
        picture.save(folder / f"{name}.png")
