"""Writes tiny copies of PASCAL Context in its official layouts, and COCO run lengths by the plainest means."""

import json
from itertools import groupby

import numpy as np
import scipy.io
from PIL import Image

from minihgd.data.context_classes import CLASSES, IDS, UNKNOWN

SPLITS = {"train": ["2008_000002", "2008_000007", "2008_000016"], "val": ["2008_000009", "2008_000027"]}
NAMES_ELSEWHERE = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}  # 59_labels.txt: labels.txt
OUTSIDE = (1, 3, 459)  # ids that are not among the 59


def full_maps():
    """{id: H×W map of the 459 ids}, all 59 classes, the unknown, nothing (0) and ids outside the 59 among them."""
    rng = np.random.default_rng(5)
    ids = np.array([0, UNKNOWN, *OUTSIDE, *IDS])
    names = SPLITS["train"] + SPLITS["val"]
    return {name: rng.choice(ids, (9 + k, 14 - k)).astype(np.uint16) for k, name in enumerate(names)}


def write_context(root, forms=("mat", "json", "png"), png_order=IDS, compressed=True):
    """PASCAL Context below `root` as published: VOCdevkit beside the labels. Returns its maps of the 459 ids."""
    maps = full_maps()
    voc = root / "VOCdevkit" / "VOC2010"
    for folder in (voc / "JPEGImages", voc / "ImageSets" / "Main"):
        folder.mkdir(parents=True)
    for name, ids in maps.items():
        photograph(ids.shape).save(voc / "JPEGImages" / f"{name}.jpg")
    for split, names in SPLITS.items():
        (voc / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
    write_name_files(root)
    if "mat" in forms:
        write_mats(root / "trainval", maps)
    if "json" in forms:
        (root / "trainval_merged.json").write_text(json.dumps(merged_json(maps, compressed)))
    if "png" in forms:
        write_pngs(voc / "SegmentationClassContext", maps, png_order)
    return maps


def photograph(shape):
    rng = np.random.default_rng(shape[0])
    return Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))


def write_name_files(root):
    full = {number: f"other {number}" for number in range(1, 460)}
    full.update({number: NAMES_ELSEWHERE.get(name, name) for name, number in CLASSES})
    (root / "labels.txt").write_text("".join(f"{number}: {name}\n" for number, name in full.items()))
    (root / "59_labels.txt").write_text("".join(f"{k}: {name}\n" for k, (name, _) in enumerate(CLASSES, 1)))


def write_mats(folder, maps):
    folder.mkdir()
    for name, ids in maps.items():
        scipy.io.savemat(folder / f"{name}.mat", {"LabelMap": ids})


def write_pngs(folder, maps, order):
    """0 = background, k = the k-th id in `order`."""
    folder.mkdir()
    for name, ids in maps.items():
        label = np.zeros(ids.shape, np.uint8)
        for k, number in enumerate(order, 1):
            label[ids == number] = k
        Image.fromarray(label).save(folder / f"{name}.png")


def merged_json(maps, compressed=True):
    """The content of trainval_merged.json. Every image is painted all over with a cat (65) first, to no effect."""
    images, masks = [], []
    for name, ids in maps.items():
        number = int(name.replace("_", ""))
        phase = next(split for split, names in SPLITS.items() if name in names)
        size = {"height": ids.shape[0], "width": ids.shape[1]}
        images.append({"image_id": number, "file_name": f"{name}.jpg", "phase": phase, **size})
        everywhere = np.ones(ids.shape, bool)
        for category, mask in [(65, everywhere), *((int(i), ids == i) for i in np.unique(ids))]:
            counts = run_lengths(mask)
            segmentation = {"size": list(ids.shape), "counts": compress(counts) if compressed else counts}
            masks.append({"id": len(masks) + 1, "image_id": number, "category_id": category,
                          "segmentation": segmentation, "area": int(mask.sum()), "iscrowd": 0})
    return {"images": images, "annos_segmentation": masks, "categories": []}


def run_lengths(mask):
    """COCO's run lengths of a mask: down the columns, zeros first."""
    height, width = mask.shape
    pixels = [bool(mask[y, x]) for x in range(width) for y in range(height)]
    counts = [len(list(run)) for _, run in groupby(pixels)]
    return [0, *counts] if pixels[0] else counts


def compress(counts):
    """COCO's compressed string of run lengths."""
    text = ""
    for k, value in enumerate(counts):
        if k > 2:
            value -= counts[k - 2]
        while True:
            low, value = value % 32, value // 32  # floor division: ends at 0, or at -1 for a negative number
            last = value == (-1 if low & 16 else 0)
            text += chr(48 + low + (0 if last else 32))
            if last:
                break
    return text
