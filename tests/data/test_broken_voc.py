"""Broken copies of PASCAL VOC and SBD: each error must name the file or argument, what was found, what expected."""

import shutil

import numpy as np
import pytest
import scipy.io

from minihgd.data import PascalVOC
from minihgd.errors import DataError

from .make_voc import SBD, VOC, write_sbd, write_trainaug, write_voc
from .spoil import all_of, arguments, no_root, picture, text, truncated, without

LISTS = f"{VOC}/ImageSets/Segmentation"
SPLIT = f"{LISTS}/val.txt"
IMAGE = f"{VOC}/JPEGImages/2007_000033.jpg"
PNG = f"{VOC}/SegmentationClass/2007_000033.png"
SIZE = (16, 10)  # of its image: width, height
AUG = f"{VOC}/SegmentationClassAug"
MERGED = {"split": "trainaug"}
NO_READY = without(AUG, **MERGED)
MAT = f"{SBD}/cls/2008_000008.mat"


def mat_with(**content):
    def maker(root):
        scipy.io.savemat(root / MAT, content)
        return NO_READY(root)

    return maker


def recoded(path):
    """A list as some editors save it, two bytes a character."""
    return lambda root: (root / path).write_text((root / path).read_text(), encoding="utf-16") and {}


LISTED = {  # seen when the data set is opened, before any image is
    "missing root": (no_root, "nowhere: expected the folder of PASCAL VOC 2012, found no such folder"),
    "root is a file": (lambda root: {"root": root / SPLIT}, "val.txt: expected the folder of PASCAL VOC 2012"),
    "another folder": (lambda root: {"root": root / SBD}, "looked for JPEGImages, .*/VOCdevkit/VOC2012/JPEGIm"),
    "unknown split": (
        arguments(split="valid"),
        "^split='valid', expected one of 'train', 'val', 'trainval', 'test', 'trainaug'$",
    ),
    "no images": (without(f"{VOC}/JPEGImages"), "looked for JPEGImages, found none of .*VOC2012/JPEGImages"),
    "no labels": (without(f"{VOC}/SegmentationClass"), "looked for SegmentationClass, found none of"),
    "no list": (without(SPLIT), "looked for ImageSets/Segmentation/val.txt, found none of .*Segmentation/val.txt"),
    "no lists": (without(LISTS, split="trainval"), "looked for ImageSets/Segmentation/trainval.txt"),
    "empty list": (text(SPLIT, "\n \n"), "val.txt: found an empty file, expected one entry a line"),
    "list in another encoding": (recoded(SPLIT), "val.txt: expected a text file, found: 'utf-8' codec can't decode"),
    "id without image": (
        text(SPLIT, "2007_000033\n2007_009999\n"),
        r"^1 of 2 ids have no image \(.jpg\) in .*JPEGImages, expected by .*val.txt: 2007_009999\n",
    ),
    "image deleted": (without(IMAGE), r"^1 of 2 ids have no image \(.jpg\) in .*JPEGImages, .*: 2007_000033$"),
    "test image deleted": (
        without(f"{VOC}/JPEGImages/2008_000011.jpg", split="test"),
        "^1 of 2 ids have no image .*, expected by .*test.txt: 2008_000011$",
    ),
    "label deleted": (without(PNG), r"^1 of 2 ids have no label \(.png\) in .*SegmentationClass, .*: 2007_000033$"),
    "id twice": (text(SPLIT, "2007_000033\n2007_000033\n"), "^.*val.txt: found 1 of 1 ids more than once: 2007.*33$"),
    "all of these": (
        all_of(without(IMAGE), text(SPLIT, "2007_000033\n2007_000042\n2007_000042\nx\n")),
        r"(?s)^.*val.txt: found 1 of 3 ids more than once: 2007_000042\n2 of 4 ids have no image .*: 2007_000033, x\n"
        r"1 of 4 ids have no label .*: x$",
    ),
    "id of train and val": (
        all_of(without(f"{LISTS}/trainval.txt"), text(SPLIT, "2007_000063\n", split="trainval")),
        "train.txt and .*val.txt: found 1 of 3 ids more than once: 2007_000063$",
    ),
    "neither ready-made nor SBD": (
        without(AUG, SBD, **MERGED),
        "needs SegmentationClassAug and .*trainaug.txt .*, or SBD's .*; found .*Segmentation/trainaug.txt$",
    ),
    "ready-made without its list": (
        without(f"{LISTS}/trainaug.txt", SBD, **MERGED),
        "'trainaug' needs .*; found .*SegmentationClassAug$",
    ),
    "none of all": (without(f"{LISTS}/trainaug.txt", AUG, SBD, **MERGED), "'trainaug' needs .*; found none of these$"),
    "ready-made label deleted": (
        without(f"{AUG}/2008_000008.png", **MERGED),
        "1 of 5 ids have no label .*Aug, expected by .*trainaug.txt: 2008_000008$",
    ),
    "no such SBD": (arguments(sbd="nowhere", **MERGED), "^nowhere: expected the folder of SBD, found no such folder"),
    "SBD without labels": (
        all_of(without(f"{SBD}/cls"), lambda root: {"sbd": root, **MERGED}),
        "looked for cls, found none of .*dataset/cls",
    ),
    "SBD without a list": (all_of(without(f"{SBD}/val.txt"), NO_READY), "dataset: looked for val.txt, found none of"),
    "SBD, but no val": (all_of(without(SPLIT), NO_READY), "looked for ImageSets/Segmentation/val.txt"),
    "SBD label deleted": (
        all_of(without(MAT), NO_READY),
        r"^1 of 5 ids have no label \(.png\) in .*SegmentationClass for those of VOC's own train, or \(.mat\) in .*cls "
        "for the others, expected by .*train.txt and .*train.txt and .*val.txt: 2008_000008$",
    ),
    "own label deleted": (
        all_of(without(f"{VOC}/SegmentationClass/2007_000039.png"), NO_READY),  # although SBD has one
        "^1 of 5 ids have no label .*: 2007_000039$",
    ),
    "image in neither": (
        all_of(without(f"{VOC}/JPEGImages/2008_000008.jpg", f"{SBD}/img/2008_000008.jpg"), NO_READY),
        "^1 of 5 ids have no image .*JPEGImages or .*img, .*: 2008_000008$",
    ),
}

FILES = {  # seen when the image is, which is 2007_000033, or of trainaug 2008_000008
    "another size": (picture(PNG, (10, 16), 3), "000033.jpg: found a label map of 10×16 .* expected .* 16×10 .* EXIF"),
    "quite another size": (picture(PNG, (9, 9), 3), r"000033.jpg: found a label map of 9×9 .* 16×10 \(width×height\)$"),
    "truncated jpeg": (truncated(IMAGE), "2007_000033.jpg: expected a complete image file, found: .*truncated"),
    "text for jpeg": (text(IMAGE, "404"), "2007_000033.jpg: expected a complete image file"),
    "truncated png": (truncated(PNG), "2007_000033.png: expected a complete image file"),
    "png of colours": (
        picture(PNG, SIZE, (128, 0, 0), "RGB"),
        "2007_000033.png: found a picture of mode RGB, expected one label a pixel.*; it shows colours, not labels",
    ),
    "png of 16 bits": (picture(PNG, SIZE, 7, "I;16"), "000033.png: found a picture of mode I;16, expected .* 8-bit"),
    "value 21": (picture(PNG, SIZE, 21), "2007_000033.png: found label 21, expected 0 to 20 or 255"),
    "value 254": (picture(PNG, SIZE, 254), "2007_000033.png: found label 254, expected 0 to 20 or 255"),
    "no record": (mat_with(Other=1), r"2008_000008.mat: expected the key GTcls, found \['Other'\]"),
    "record without labels": (mat_with(GTcls={"Boundaries": 1}), r"expected GTcls with a field Seg.* 1 of \('Boundar"),
    "array for a record": (mat_with(GTcls=np.ones((3, 4))), r"000008.mat: expected GTcls with .*, found 12 of \(\)"),
    "text for mat": (all_of(text(MAT, "<html>" * 99), NO_READY), "2008_000008.mat: expected a MATLAB file with GTcls"),
    "truncated mat": (all_of(truncated(MAT), NO_READY), "2008_000008.mat: expected a MATLAB file with GTcls, found: "),
    "value 21 in mat": (mat_with(GTcls={"Segmentation": np.full((4, 3), 21)}), "8.mat: found label 21, .* 20 or 255$"),
    "words in mat": (mat_with(GTcls={"Segmentation": "cat"}), "000008.mat: found an array .*, expected H×W numbers"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    write_voc(root)
    write_sbd(root)
    write_trainaug(root)
    return root


@pytest.fixture
def root(good, tmp_path):
    """A copy of a good data set, to be spoiled."""
    return shutil.copytree(good, tmp_path / "voc")


@pytest.mark.parametrize("broken", LISTED)
def test_broken_lists_are_named_at_once(root, broken):
    maker, message = LISTED[broken]
    given = {"root": root, "split": "val", **(maker(root) or {})}
    with pytest.raises(DataError, match=message):
        PascalVOC(**given)


@pytest.mark.parametrize("broken", FILES)
def test_broken_files_are_named(root, broken):
    maker, message = FILES[broken]
    dataset = PascalVOC(**{"root": root, "split": "val", **(maker(root) or {})})
    index = dataset.ids.index("2007_000033" if dataset.split == "val" else "2008_000008")
    with pytest.raises(DataError, match=message):
        dataset[index]
    assert dataset[index + 1][1].shape  # the image beside it is as good as before


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf2007_000042\r\n2007_000033\r\n", b"2007_000042\r2007_000033",
                                     b"\n 2007_000042 \n\n\t2007_000033"])
def test_lists_as_other_systems_write_them(root, content):
    (root / SPLIT).write_bytes(content)
    assert PascalVOC(root, "val").ids == ["2007_000042", "2007_000033"]
