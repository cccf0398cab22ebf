"""Broken copies of PASCAL Context: each error must name the file or argument, what was found and what was expected.

Each maker spoils a good data set below `root` and returns the arguments, if any, with which it is opened.
"""

import json
import shutil

import numpy as np
import pytest
import scipy.io

from minihgd.data import PascalContext
from minihgd.data.context_classes import NAMES
from minihgd.errors import DataError

from .make_context import full_maps, merged_json, write_context
from .spoil import arguments, no_root, picture, text, truncated, without

VOC = "VOCdevkit/VOC2010"
IMAGE = f"{VOC}/JPEGImages/2008_000009.jpg"
MAT = "trainval/2008_000009.mat"
PNG = f"{VOC}/SegmentationClassContext/2008_000009.png"
SPLIT = f"{VOC}/ImageSets/Main/val.txt"
JSON = "trainval_merged.json"
FROM_JSON = {"labels": "json"}
FROM_PNG = {"labels": "png", "png_order": "sorted"}


def mat_of(value):
    """A label map of the right size with one wrong value, in the value's own kind of number."""

    def maker(root):
        label = np.ones((12, 11), np.asarray(value).dtype)
        label[2, 3] = value
        scipy.io.savemat(root / MAT, {"LabelMap": label})

    return maker


def mat_with(**content):
    return lambda root: scipy.io.savemat(root / MAT, content)


def png_of(value, mode="L"):
    return picture(PNG, (11, 12), value, mode, **FROM_PNG)


def json_with(in_image=(), in_mask=()):
    """The JSON with changes in the entry of 2008_000009, or in its first mask."""

    def maker(root):
        content = merged_json(full_maps())
        image = next(image for image in content["images"] if image["image_id"] == 2008000009)
        mask = next(mask for mask in content["annos_segmentation"] if mask["image_id"] == 2008000009)
        image.update(in_image)
        mask.update(in_mask)
        (root / JSON).write_text(json.dumps(content))
        return FROM_JSON

    return maker


def no_such_phase(root):
    content = merged_json(full_maps())
    content["images"] = [{**image, "phase": "train"} for image in content["images"]]
    (root / JSON).write_text(json.dumps(content))
    (root / SPLIT).unlink()
    return FROM_JSON


def names(*lines):
    return "".join(f"{k}: {name}\n" for k, name in enumerate(lines, 1))


LISTS = {  # seen when the data set is opened, before any image is
    "missing root": (no_root, "nowhere: expected the folder of PASCAL Context"),
    "no images": (without(f"{VOC}/JPEGImages"), "looked for JPEGImages, found none of .*VOC2010/JPEGImages"),
    "no labels": (
        without("trainval", JSON, f"{VOC}/SegmentationClassContext"),
        "looked for trainval or trainval_merged.json or SegmentationClassContext, found none of .*VOC2010/trainval",
    ),
    "no labels of the form": (without("trainval", labels="mat"), "looked for trainval, found none of"),
    "no split file": (without(SPLIT), "looked for .*ImageSets/Main/val.txt"),
    "no such phase": (no_such_phase, "looked for .*ImageSets/Main/val.txt"),
    "absent images": (
        text(SPLIT, "2008_000009\n2009_000001\n2009_000002\n"),
        r"2 of 3 ids have no image \(.jpg\) in .*JPEGImages, expected by .*val.txt: 2009_000001, 2009_000002\n",
    ),
    "absent image, json": (text(SPLIT, "2008_000009\n2009_000001\n", **FROM_JSON), "1 of 2 ids .*: 2009_000001$"),
    "many absent": (
        text(SPLIT, "".join(f"2009_{k:06}\n" for k in range(9))),
        r"9 of 9 ids .*: 2009_000000, .*2009_000004, \.\.\.$",
    ),
    "absent mat": (without(MAT), r"^1 of 2 ids have no label \(.mat\) in .*trainval, .*: 2008_000009$"),
    "absent png": (without(PNG, **FROM_PNG), "1 of 2 ids have no label .* in .*Context, .*: 2008_000009"),
    "repeated id": (
        text(SPLIT, "2008_000009\n2008_000027\n2008_000009\n"),
        "val.txt: found 1 of 2 ids more than once: 2008_000009$",
    ),
    "all of these": (
        text(SPLIT, "2008_000027\n2009_000001\n2008_000027\n"),
        r"(?s)val.txt: found 1 of 2 ids .*: 2008_000027\n1 of 3 ids have no image .*\n1 of 3 ids have no label .*01$",
    ),
    "id of both splits": (
        text(SPLIT, "2008_000007\n", split="trainval"),
        "train.txt and .*val.txt: found 1 of 3 ids more than once: 2008_000007$",
    ),
    "empty split": (text(SPLIT, "\n  \n"), "val.txt: found an empty file"),
    "unknown split": (arguments(split="test"), "split='test', expected one of 'train', 'val', 'trainval'"),
    "unknown classes": (arguments(classes=61), "classes=61, expected one of 59, 60"),
    "unknown labels": (arguments(labels="xml"), "labels='xml', expected one of None, 'mat', 'json', 'png'"),
    "unknown order": (arguments(order="abc"), "order='abc', expected one of '59_labels', 'sorted'"),
    "unknown png_order": (arguments(png_order="abc"), "png_order='abc', expected one of None, '59_labels', 'sorted'"),
    "no png_order": (arguments(labels="png"), "SegmentationClassContext: png_order is needed .*'59_labels'.*'sorted'"),
    "bad json": (text(JSON, '{"images": [', **FROM_JSON), "merged.json: expected a JSON file, found: Expecting value"),
    "json without masks": (text(JSON, '{"images": []}', **FROM_JSON), "merged.json: expected .*found KeyError.*annos"),
    "json list": (text(JSON, "[]", **FROM_JSON), r"merged.json: expected images\[\] of image_id.*found TypeError"),
    "mask of no image": (json_with(in_mask={"image_id": 77}), r"one of those of images\[\].*found KeyError\(77\)"),
    "two names": (text("59_labels.txt", names("dog", "cat")), "59_labels.txt: expected 59 classes .* found 2"),
    "unknown name": (text("59_labels.txt", names(*NAMES[:-1], "unicorn")), "59_labels.txt: .* unknown to it: unicorn"),
    "names without numbers": (text("labels.txt", "accordion\n"), "labels.txt: found the line 'accordion'"),
    "number beyond the 459": (text("labels.txt", "460: zebra\n"), "labels.txt: found the line '460: zebra'"),
}

FILES = {  # seen when the image is
    "larger label": (
        mat_with(LabelMap=np.ones((20, 30))),
        "2008_000009.jpg: found a label map of 30×20 .* expected .* 11×12",
    ),
    "truncated jpeg": (truncated(IMAGE), "2008_000009.jpg: expected a complete image file, found: .*truncated"),
    "text for jpeg": (text(IMAGE, "not found"), "2008_000009.jpg: expected a complete image file"),
    "mat without LabelMap": (mat_with(Other=1), r"2008_000009.mat: expected the key LabelMap, found \['Other'\]"),
    "text for mat": (text(MAT, "<html>not found</html>" * 20), "2008_000009.mat: expected a MATLAB file"),
    "empty mat": (text(MAT, ""), "2008_000009.mat: expected a MATLAB file"),
    "truncated mat": (truncated(MAT), "2008_000009.mat: expected a MATLAB file"),
    "three axes": (mat_with(LabelMap=np.ones((9, 14, 3))), r"2008_000009.mat: found an array \(9, 14, 3\)"),
    "id too large": (mat_of(np.uint16(460)), "2008_000009.mat: found label 460, expected 0 to 459"),
    "negative id": (mat_of(np.int16(-1)), "2008_000009.mat: found label -1, expected 0 to 459"),
    "fractional id": (mat_of(2.5), "2008_000009.mat: found label 2.5, expected whole numbers"),
    "id not a number": (mat_of(np.nan), "2008_000009.mat: found label nan, expected whole numbers"),
    "png value 60": (png_of(60), "2008_000009.png: found label 60, expected 0 to 59"),
    "png value 255": (png_of(255), "2008_000009.png: found label 255, expected 0 to 59"),
    "png of colours": (png_of((1, 2, 3), "RGB"), "2008_000009.png: found a picture of mode RGB"),
    "truncated png": (truncated(PNG, **FROM_PNG), "2008_000009.png: expected a complete image file"),
    "category too large": (json_with(in_mask={"category_id": 460}), "2008000009, mask .*category_id 460, expected 0"),
    "category a name": (json_with(in_mask={"category_id": "cat"}), "found category_id 'cat', expected 0 to 459"),
    "run lengths too short": (
        json_with(in_mask={"segmentation": {"size": [12, 11], "counts": [7]}}),
        "merged.json: image 2008000009, mask .* 12·11 pixels in all, found 7",
    ),
    "mask of another size": (
        json_with(in_mask={"segmentation": {"size": [2, 3], "counts": [6]}}),
        r"image 2008000009, mask .*found size \(2, 3\), expected the image's \(12, 11\)",
    ),
    "image without height": (json_with(in_image={"height": None}), "image 2008000009: expected height and width"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    write_context(root)
    return root


@pytest.fixture
def root(good, tmp_path):
    """A copy of a good data set, to be spoiled."""
    return shutil.copytree(good, tmp_path / "context")


@pytest.mark.parametrize("broken", LISTS)
def test_broken_lists_are_named_at_once(root, broken):
    maker, message = LISTS[broken]
    given = {"root": root, "split": "val", **(maker(root) or {})}
    with pytest.raises(DataError, match=message):
        PascalContext(**given)


@pytest.mark.parametrize("broken", FILES)
def test_broken_files_are_named(root, broken):
    maker, message = FILES[broken]
    dataset = PascalContext(**{"root": root, "split": "val", **(maker(root) or {})})
    with pytest.raises(DataError, match=message):
        dataset[0]
    assert dataset[1][1].shape == (13, 10)  # the image beside it is as good as before
