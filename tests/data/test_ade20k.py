"""ADE20K's scene parsing benchmark from its official layout, good and broken."""

import shutil

import numpy as np
import pytest
from PIL import Image

from minihgd.data import ADE20K
from minihgd.errors import DataError

from .make_context import photograph
from .spoil import all_of, arguments, no_root, picture, truncated, without

ADE = "ADEChallengeData2016"
NAMES = {"training": ["ADE_train_00000001", "ADE_train_00000002", "ADE_train_00000003"],
         "validation": ["ADE_val_00000001", "ADE_val_00000002"]}
TEST = ["ADE_test_00000001", "ADE_test_00003489"]


def stored(name):
    """The numbers of a label file: all of 0 to 150, each image of another size."""
    number = int(name[-1])
    numbers = np.arange(20 * (8 + number)) % 151
    return np.random.default_rng(number).permutation(numbers).reshape(20, -1).astype(np.uint8)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("ade")
    for split, names in NAMES.items():
        for kind in ("images", "annotations"):
            (root / ADE / kind / split).mkdir(parents=True)
        for name in names:
            photograph(stored(name).shape).save(root / ADE / f"images/{split}/{name}.jpg")
            Image.fromarray(stored(name)).save(root / ADE / f"annotations/{split}/{name}.png")
    (root / "release_test/testing").mkdir(parents=True)
    (root / "release_test/list.txt").write_text("".join(f"{name}.jpg\n" for name in TEST))
    for name in TEST:
        photograph((5, 7)).save(root / f"release_test/testing/{name}.jpg")
    return root


@pytest.mark.parametrize("split, asked", [("training", "training"), ("training", "train"),
                                          ("validation", "validation"), ("validation", "val")])
@pytest.mark.parametrize("below", [".", ADE])
def test_labels_are_one_less_and_other_is_void(good, split, asked, below):
    dataset = ADE20K(good / below, asked)
    assert dataset.ids == NAMES[split] and dataset.split == split and dataset.labelled
    for i, name in enumerate(dataset.ids):
        image, label = dataset[i]
        assert image.shape == (*label.shape, 3) and image.dtype == label.dtype == np.uint8
        for pixel, number in zip(label.flat, stored(name).flat, strict=True):
            assert pixel == (255 if number == 0 else number - 1)
        assert set(np.unique(label)) == {*range(150), 255}


def test_the_classes():
    classes = ADE20K.classes
    assert len(classes) == len(set(classes)) == 150 and all(name == name.strip() for name in classes)
    some = {0: "wall", 1: "building", 8: "windowpane", 12: "person", 43: "signboard", 44: "chest of drawers", 75:
            "swivel chair", 99: "buffet", 116: "minibike", 130: "screen", 138: "ashcan", 141: "crt screen", 149: "flag"}
    assert {k: classes[k] for k in some} == some


@pytest.mark.parametrize("below", [".", ADE])
@pytest.mark.parametrize("place", ["release_test/testing", f"{ADE}/release_test/testing", f"{ADE}/images/test"])
def test_the_test_split_is_void(good, tmp_path, below, place):
    root = shutil.copytree(good, tmp_path / "ade")
    (root / place).parent.mkdir(exist_ok=True)
    (root / "release_test/testing").rename(root / place)
    dataset = ADE20K(root / below, "test")
    assert dataset.ids == TEST and not dataset.labelled
    image, label = dataset[1]
    assert image.shape == (5, 7, 3) and label.shape == (5, 7) and label.dtype == np.uint8 and (label == 255).all()


def test_unofficial_numbers_of_images_are_noted(good):
    notes = [ADE20K(good, split).notes() for split in ("train", "val", "test")]
    assert notes == [["ADE20K: split training has 3 images, the published one 20,210"],
                     ["ADE20K: split validation has 2 images, the published one 2,000"],
                     ["ADE20K: split test has 2 images, the published one 3,352"]]


def test_hidden_files_are_no_images(good, tmp_path):
    root = shutil.copytree(good, tmp_path / "ade")
    (root / ADE / "images/validation/._ADE_val_00000001.jpg").write_bytes(b"what another system put there")
    (root / ADE / "images/validation/Thumbs.db").touch()
    assert ADE20K(root, "val").ids == NAMES["validation"]


# --- broken ---

IMAGE = f"{ADE}/images/validation/ADE_val_00000001.jpg"
PNG = f"{ADE}/annotations/validation/ADE_val_00000001.png"
SIZE = (9, 20)

LISTED = {
    "missing root": (no_root, "nowhere: expected the folder of ADE20K, found no such folder"),
    "another folder": (lambda root: {"root": root / "release_test"}, "release_test: looked for images/validation"),
    "unknown split": (arguments(split="dev"), "^split='dev', expected one of 'training', 'validation', 'test'"),
    "no images": (without(f"{ADE}/images"), "looked for images/validation, found none of .*images/validation"),
    "no labels": (without(f"{ADE}/annotations"), "looked for annotations/validation, found none of"),
    "no test": (without("release_test", split="test"), "looked for release_test/testing or images/test or"),
    "image deleted": (without(IMAGE), r"^1 of 2 ids have no image \(.jpg\) in .*images/validation: ADE_val_00000001$"),
    "label deleted": (without(PNG), r"^1 of 2 ids have no label \(.png\) in .*annotations/validation: .*_00000001$"),
    "both": (
        all_of(without(PNG), without(IMAGE.replace("1.jpg", "2.jpg"))),
        r"(?s)^1 of 2 ids have no image .*: ADE_val_00000002\n1 of 2 ids have no label .*: ADE_val_00000001$",
    ),
    "empty folders": (
        without(IMAGE, PNG, IMAGE.replace("1.jpg", "2.jpg"), PNG.replace("1.png", "2.png")),
        r"^found no images \(.jpg\) in .*images/validation$",
    ),
}

FILES = {
    "value 151": (picture(PNG, SIZE, 151), "ADE_val_00000001.png: found label 151, expected 0 to 150$"),
    "value 255": (picture(PNG, SIZE, 255), "ADE_val_00000001.png: found label 255, expected 0 to 150$"),
    "another size": (picture(PNG, (8, 8), 1), "ADE_val_00000001.jpg: found a label map of 8×8 .*, expected .* 9×20"),
    "png of colours": (picture(PNG, SIZE, (1, 2, 3), "RGB"), "00001.png: found a picture of mode RGB.* shows colours"),
    "truncated jpeg": (truncated(IMAGE), "ADE_val_00000001.jpg: expected a complete image file, found: .*truncated"),
    "truncated png": (truncated(PNG), "ADE_val_00000001.png: expected a complete image file"),
}


@pytest.mark.parametrize("broken", LISTED)
def test_broken_lists_are_named_at_once(good, tmp_path, broken):
    maker, message = LISTED[broken]
    root = shutil.copytree(good, tmp_path / "ade")
    with pytest.raises(DataError, match=message):
        ADE20K(**{"root": root, "split": "val", **(maker(root) or {})})


@pytest.mark.parametrize("broken", FILES)
def test_broken_files_are_named(good, tmp_path, broken):
    maker, message = FILES[broken]
    root = shutil.copytree(good, tmp_path / "ade")
    maker(root)
    dataset = ADE20K(root, "val")
    with pytest.raises(DataError, match=message):
        dataset[0]
    assert dataset[1][1].shape == (20, 10)
