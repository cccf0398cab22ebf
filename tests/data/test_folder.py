"""One's own images and masks: every layout, the splits, the classes; and what is said of broken ones."""

import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from minihgd.data import Folder
from minihgd.data.folder import held_out_of, share
from minihgd.errors import DataError

from .make_context import photograph
from .make_folder import NAMES, mask, write_pairs
from .spoil import all_of, arguments, no_root, picture, text, truncated, without


def check_pairs(dataset, names=NAMES):
    """The data set has these names, each with its own image and mask."""
    assert dataset.ids == sorted(names)
    for i, name in enumerate(dataset.ids):
        image, label = dataset[i]
        np.testing.assert_array_equal(label, mask(name))
        assert image.shape == (*label.shape, 3) and image.dtype == label.dtype == np.uint8


# --- layouts ---


@pytest.mark.parametrize("images", ["images", "imgs", "JPEGImages", "Images", "image", "img", "photos"])
@pytest.mark.parametrize("masks", [
    "masks", "labels", "annotations", "SegmentationClass", "Labels", "mask", "label", "GT", "annotation",
    "segmentation", "segmentations", "ground_truth"])
def test_names_of_the_two_folders(tmp_path, images, masks):
    write_pairs(tmp_path / images, tmp_path / masks)
    check_pairs(Folder(tmp_path))


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".png", ".PNG", ".bmp", ".webp", ".tif", ".TIFF"])
@pytest.mark.parametrize("ending", ["", "_mask", "-mask", "_label", "_labelIds"])
def test_names_of_the_files(tmp_path, suffix, ending):
    write_pairs(tmp_path / "images", tmp_path / "masks", suffix=suffix, ending=ending)
    check_pairs(Folder(tmp_path))


@pytest.mark.parametrize("beginning", ["mask_", "label_"])
def test_names_of_masks_may_begin_in_another_way(tmp_path, beginning):
    write_pairs(tmp_path / "images", tmp_path / "masks")
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_name(beginning + path.name))
    check_pairs(Folder(tmp_path))


def test_names_may_be_no_text_at_all(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks", ["a", "b"])
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "images/a.jpg").rename(tmp_path / f"images/{name}.jpg")
    (tmp_path / "masks/a.png").rename(tmp_path / f"masks/{name}.png")
    assert sorted(Folder(tmp_path, "train").ids + Folder(tmp_path, "val").ids) == ["b", name]


def test_suffixes_and_endings_may_be_mixed(tmp_path):
    suffixes, endings = (".jpg", ".png", ".JPEG", ".tif", ".bmp"), ("", "_mask", "", "-mask", "_label")
    for name, suffix, ending in zip(NAMES, suffixes, endings, strict=True):
        write_pairs(tmp_path / "images", tmp_path / "masks", [name], suffix, ending)
    check_pairs(Folder(tmp_path))


def test_an_image_may_itself_be_called_mask(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks", ["a"])
    photograph((6, 6)).save(tmp_path / "images/a_mask.jpg")
    Image.new("L", (6, 6), 3).save(tmp_path / "masks/a_mask.png")
    assert Folder(tmp_path).ids == ["a", "a_mask"]
    assert Folder(tmp_path)[0][1].shape == mask("a").shape and Folder(tmp_path)[1][1].shape == (6, 6)


def test_accents_may_be_stored_in_two_ways(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks")
    other = unicodedata.normalize("NFD", "zoë 猫")
    (tmp_path / "masks/zoë 猫.png").rename(tmp_path / f"masks/{other}.png")
    check_pairs(Folder(tmp_path))
    (tmp_path / "train.txt").write_text(f"{other}\n")
    check_pairs(Folder(tmp_path, "train"), ["zoë 猫"])


def test_masks_may_have_a_palette_or_one_bit(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks", ["a", "b"])
    picture = Image.fromarray(mask("a"))
    picture.putpalette([(k * 37) % 256 for k in range(768)])
    picture.save(tmp_path / "masks/a.png")
    Image.fromarray(mask("b") == 1).save(tmp_path / "masks/b.png")
    dataset = Folder(tmp_path)
    np.testing.assert_array_equal(dataset[0][1], mask("a"))
    np.testing.assert_array_equal(dataset[1][1], mask("b") == 1)


# --- splits ---


@pytest.mark.parametrize("layout", ["images/{0}|masks/{0}", "{0}/images|{0}/masks", "{0}/JPEGImages|{0}/labels"])
@pytest.mark.parametrize("splits", [("train", "val"), ("Training", "fold 2")])
def test_folders_of_splits_either_way_round(tmp_path, layout, splits):
    parts = dict(zip(splits, (NAMES[:3], NAMES[3:]), strict=True))
    for split, names in parts.items():
        write_pairs(*(tmp_path / path for path in layout.format(split).split("|")), names)
    for split, names in parts.items():
        check_pairs(Folder(tmp_path, split), names)
        assert Folder(tmp_path, split.lower()).ids == sorted(names)
    with pytest.raises(DataError, match=f"one of .*{splits[0]}.*{splits[1]}"):
        Folder(tmp_path)
    with pytest.raises(DataError, match=f"one of .*{splits[0]}.*{splits[1]}"):
        Folder(tmp_path, "test")


@pytest.mark.parametrize("layout", ["images/{0}|masks/{0}", "{0}/images|{0}/masks", "lists"])
@pytest.mark.parametrize("there, asked", [("Training", "train"), ("train", "training"), ("valid", "val"),
                                          ("validation", "val"), ("dev", "val"), ("val", "validation"),
                                          ("testing", "test")])
def test_splits_have_several_names(tmp_path, layout, there, asked):
    if layout == "lists":
        write_pairs(tmp_path / "images", tmp_path / "masks")
        (tmp_path / f"{there.lower()}.txt").write_text("a\nb\n")
    else:
        write_pairs(*(tmp_path / path for path in layout.format(there).split("|")), ["a", "b"])
    check_pairs(Folder(tmp_path, asked), ["a", "b"])


def test_the_name_asked_for_goes_before_others_for_the_same(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "val.txt").write_text("a\n")
    (tmp_path / "valid.txt").write_text("b\n")
    assert Folder(tmp_path, "valid").ids == ["b"] and Folder(tmp_path, "validation").ids == ["a"]


@pytest.mark.parametrize("place", ["", "ImageSets/Segmentation/"])
@pytest.mark.parametrize("line", ["{0}", "{0}.jpg", "images/{0}.jpg", "images\\{0}.JPG", "  {0}.png  "])
def test_lists_of_splits(tmp_path, place, line):
    write_pairs(tmp_path / "images", tmp_path / "masks")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for split, names in {"train": NAMES[:2], "val": NAMES[2:], "other": NAMES[::2]}.items():
        lines = "\r\n".join(line.format(name) for name in names)
        (tmp_path / place / f"{split}.txt").write_bytes(b"\xef\xbb\xbf" + lines.encode())
        assert Folder(tmp_path, split).ids == list(names)
    assert Folder(tmp_path, "trainval").ids == list(NAMES)
    check_pairs(Folder(tmp_path))


def test_what_no_list_names_need_not_be_whole(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "masks/b.png").unlink()
    (tmp_path / "train.txt").write_text("a\nc d\n")
    check_pairs(Folder(tmp_path, "train"), ["a", "c d"])


def many(root, count):
    write_pairs(root / "images", root / "masks", ["a"])
    for k in range(count):
        shutil.copy(root / "images/a.jpg", root / f"images/img{k:03}.jpg")
        shutil.copy(root / "masks/a.png", root / f"masks/img{k:03}.png")


def test_images_are_held_out_by_their_names(tmp_path):
    many(tmp_path, 149)
    train, val = (Folder(tmp_path, split) for split in ("train", "val"))
    assert sorted(train.ids + val.ids) == Folder(tmp_path).ids and 20 <= len(val) <= 40
    assert val.ids[:3] == [name for name in Folder(tmp_path).ids if share(name) < 0.2][:3]
    assert any(f"{len(val)} of 150 images are held out" in note for note in train.notes())
    half = Folder(tmp_path, "val", holdout=0.5)
    assert {*val.ids} < {*half.ids} and 60 <= len(half) <= 90
    for name in train.ids[::2]:
        (tmp_path / f"images/{name}.jpg").unlink()
        (tmp_path / f"masks/{name}.png").unlink()
    assert Folder(tmp_path, "val").ids == val.ids  # whatever becomes of the others


@pytest.mark.parametrize("holdout", [1e-6, 0.2, 1 - 1e-6])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_of_few_images_at_least_one_is_in_either_split(tmp_path, count, holdout):
    write_pairs(tmp_path / "images", tmp_path / "masks", NAMES[:count])
    train, val = (Folder(tmp_path, split, holdout=holdout) for split in ("train", "validation"))
    assert train.ids and val.ids and sorted(train.ids + val.ids) == sorted(NAMES[:count])
    assert len(val) == 1 or holdout > 0.2 and len(train) == 1


def test_of_many_images_each_is_held_out_by_itself():
    names = [f"IMG_{k:04}" for k in range(100)]
    assert held_out_of(names, 0.2) == {name for name in names if share(name) < 0.2}


def test_shares_are_the_same_everywhere_and_spread_evenly():
    assert [round(share(name), 6) for name in ("a", "zoë 猫")] == [0.791374, 0.377248]
    shares = np.array([share(f"IMG_{k:04}") for k in range(2000)])
    assert np.abs(np.histogram(shares, 5, (0, 1))[0] - 400).max() < 60


# --- classes ---


@pytest.fixture
def plain(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks")
    return tmp_path


def test_classes_are_counted(plain):
    dataset = Folder(plain)
    assert dataset.classes == ("class 0", "class 1", "class 2", "class 3")
    (note,) = dataset.notes()
    assert "no classes.txt" in note and "0 to 3" in note and "5 masks" in note and "none" not in note


def test_numbers_that_no_mask_has_are_counted_and_noted(plain):
    Image.new("L", (5, 4), 8).save(plain / "masks/a.png")
    dataset = Folder(plain)
    assert len(dataset.classes) == 9 and dataset.notes()[0].endswith("; none has 4 to 7")


@pytest.mark.parametrize("layout", ["images/{0}|masks/{0}", "{0}/images|{0}/masks", "images|masks"])
def test_classes_are_counted_in_all_splits(tmp_path, layout):
    for split, names, classes in (("train", NAMES[:3], 4), ("val", NAMES[3:], 7)):
        write_pairs(*(tmp_path / path for path in layout.format(split).split("|")), names, classes=classes)
        if layout == "images|masks":
            (tmp_path / f"{split}.txt").write_text("\n".join(names))
    assert len(Folder(tmp_path, "train").classes) == len(Folder(tmp_path, "val").classes) == 7


def test_classes_of_the_file_go_before_counted_ones(plain):
    (plain / "classes.txt").write_bytes("\ufeffsky\r\n tree \r\nhouse\r\nchat mûr\r\nfifth\r\n".encode())
    dataset = Folder(plain)
    assert dataset.classes == ("sky", "tree", "house", "chat mûr", "fifth") and dataset.notes() == []
    check_pairs(dataset)


def test_classes_of_the_argument_go_before_those_of_the_file(plain):
    (plain / "classes.txt").write_text("one\ntwo\n")
    assert Folder(plain, classes=["a", "b", "c", "d"]).classes == ("a", "b", "c", "d")


@pytest.mark.parametrize("content, classes", [
    ("0: sky\n1: tree\n 2 :house\n3: void\n4: x: y\n", ("sky", "tree", "house", "x: y")),
    ("sky\ntree\n2: house\nfour\nfive\n\n \n", ("sky", "tree", "2: house", "four", "five")),
])
def test_lines_of_the_file_may_begin_with_their_numbers(plain, content, classes):
    (plain / "classes.txt").write_text(content)
    assert Folder(plain).classes == classes


def fill(root, *masks):
    """Masks of these values, a row each."""
    write_pairs(root / "images", root / "masks", NAMES[:len(masks)])
    for name, values in zip(NAMES, masks, strict=False):
        Image.fromarray(np.uint8([values])).save(root / f"masks/{name}.png")


@pytest.mark.parametrize("masks, found", [
    ([[0, 255], [0, 0], [255]], "0 or 255"), ([[255, 255]], "255"), ([[3, 255], [255]], "3 or 255"), ([[2, 2]], "2"),
])
@pytest.mark.parametrize("names", [("field", "car", "ignore"), ("field", "tree", "void", "car")])
def test_masks_without_two_classes_are_refused(tmp_path, masks, found, names):
    fill(tmp_path, *masks)
    for given in ("argument", "file"):
        with pytest.raises(DataError, match=f"masks: found only {found} in {len(masks)} masks, expected the numbers of "
                                            "two .*; 255 is void, .*write 1 in place of 255"):
            Folder(tmp_path, classes=names if given == "argument" else None)
        (tmp_path / "classes.txt").write_text("\n".join(names))


@pytest.mark.parametrize("masks", [[[0, 255], [0, 1]], [[0], [0, 0]], [[0, 255], [255, 255], [255, 255], [0], [1]]])
def test_masks_with_two_classes_or_no_void_are_not(tmp_path, masks):
    fill(tmp_path, *masks)
    assert len(Folder(tmp_path, classes=("field", "car"))) == len(masks)


def test_masks_of_all_splits_count(tmp_path):
    fill(tmp_path / "train", [0, 1])
    fill(tmp_path / "val", [0, 255])
    assert len(Folder(tmp_path, "val", classes=("field", "car"))) == 1


def test_with_names_a_broken_mask_is_not_named_before_it_is_asked_for(plain):
    for path in (plain / "masks").iterdir():
        path.write_text("nothing")
    assert len(Folder(plain, classes=("a", "b"))) == 5


@pytest.mark.parametrize("names, classes, labels", [
    (("sky", "tree", "house", "Void"), ("sky", "tree", "house"), [0, 1, 2, 255, 255]),
    (("ignore", "sky", "tree", "house"), ("sky", "tree", "house"), [255, 0, 1, 2, 255]),
    (("sky", "void", "tree", "house"), ("sky", "tree", "house"), [0, 255, 1, 2, 255]),
])
def test_a_class_named_void_is_void(plain, names, classes, labels):
    dataset = Folder(plain, classes=names)
    assert dataset.classes == classes
    meaning = dict(zip((0, 1, 2, 3, 255), labels, strict=True))
    assert dataset[0][1].tolist() == [[meaning[number] for number in row] for row in mask("a").tolist()]


# --- broken ---

LISTED = {
    "missing root": (no_root, "nowhere: expected the folder of images and masks, found no such folder"),
    "empty root": (
        without("images", "masks", "classes.txt"),
        r"folder: expected a folder of images \(images, .*photos\) and one of masks \(.*\); found an empty"
    ),
    "neither folder": (without("images", "masks"), "expected a folder of images .*; found classes.txt$"),
    "no images": (without("images"), "masks: found no folder, arranged .*, of images for these masks: images or"),
    "no masks": (without("masks"), "images: found no folder, arranged .*, of masks for these images: masks or"),
    "no masks of a split": (
        all_of(lambda root: (root / "images/val").mkdir() or {}, arguments(split="val")),
        "images/val: found no folder, arranged in the same way, of masks",
    ),
    "empty folders": (
        lambda root: [path.unlink() for part in ("images", "masks") for path in (root / part).iterdir()] and {},
        r"^found no images \(.jpg, .jpeg, .*.tiff\) in .*images$",
    ),
    "unknown split": (arguments(split="test"), r"split='test', found neither .* expected one of \['train', 'val'\]$"),
    "list of another split only": (
        text("train.txt", "a\n", split="val"),  # and no images are held out: they might be among those listed
        r"split='val', found neither folders nor a list for it, expected one of \['train'\]$",
    ),
    "empty list": (text("val.txt", "\n", split="val"), "val.txt: found an empty file, expected one entry a line"),
    "name without files": (
        text("val.txt", "a.jpg\ng.jpg\n", split="val"),
        r"^1 of 2 ids have no image \(.*\) in .*images, expected by .*val.txt: g\n1 of 2 ids have no label .*: g$",
    ),
    "name twice": (text("val.txt", "a\na.jpg\n", split="val"), "^.*val.txt: found 1 of 1 ids more than once: a$"),
    "image without mask": (without("masks/c d.png"), r"^1 of 5 ids have no label \(.png\) in .*masks: c d$"),
    "mask without image": (without("images/e.f.jpg"), "^1 of 5 ids have no image .* in .*images: e.f$"),
    "all of these": (
        all_of(without("masks/c d.png", "images/e.f.jpg"), picture("images/a.png", (5, 4), 0)),
        r"(?s)^1 of 5 ids have no image .*: e.f\n1 of 5 ids have no label .*: c d\n"
        r".*images: found several files for 1 names: a \(a.jpg and a.png\)$",
    ),
    "other names": (
        lambda root: [path.rename(path.with_name(f"M{path.name}")) for path in (root / "masks").iterdir()] and {},
        r"(?s)^5 of 10 ids have no image.*masks: the names of images and masks do not match, such as the image a.jpg "
        r"and the mask Ma.png; expected the same name, but for the suffix and _mask, .* behind or mask_, .* before",
    ),
    "two masks": (picture("masks/a_mask.png", (5, 4), 0), r"masks: found several .*: a \(a.png and a_mask.png\)$"),
    "masks of jpeg": (
        all_of(without("masks/a.png", "masks/b.png"), picture("masks/a.jpg", (5, 4), 0),
               picture("masks/b.JPG", (6, 4), 0)),
        r"(?s)^2 of 5 ids have no label .*: a, b\n.*masks: found 2 JPEG files, expected PNG, as .*: a.jpg, b.JPG$",
    ),
    "only 0 and 255": (
        all_of(without("classes.txt"), *(picture(f"masks/{name}.png", (9, 9), 0) for name in NAMES[1:]),
               picture("masks/a.png", (9, 9), 255)),
        "masks: found 0 or 255 in 5 masks, expected the numbers of two classes or more, from 0 on; 255 is void",
    ),
    "mask of colours, counted": (
        all_of(without("classes.txt"), picture("masks/b.png", (6, 4), (1, 2, 3), "RGB")),
        "b.png: found a picture of mode RGB, expected one label a pixel.*; it shows colours, not labels",
    ),
    "broken mask, counted": (all_of(without("classes.txt"), truncated("masks/a.png")), "a.png: expected a complete"),
    "empty classes": (text("classes.txt", ""), "classes.txt: found an empty file"),
    "blank line": (
        text("classes.txt", "a\nb\n \nc\nd\n"),
        "classes.txt: found nothing in line 3, expected the name of class 2: line by line the classes 0, 1, 2",
    ),
    "blank line in front": (text("classes.txt", "\na\nb\n"), "classes.txt: found nothing in line 1, expected"),
    "numbers from 1 on": (
        text("classes.txt", "1: a\n2: b\n"), "classes.txt: found '1: a' in line 1, expected number 0: all from 0 on",
    ),
    "class twice": (text("classes.txt", "a\nb\na\n"), "classes.txt: found 3 names, more than once: a, expected 1 to"),
    "no classes": (arguments(classes=()), "^classes: found 0 names, expected 1 to 255, all different, and"),
    "too many classes": (text("classes.txt", "\n".join(map(str, range(256)))), "found 256 names, expected"),
    "one string of classes": (arguments(classes="cat"), "^classes: found 'cat', expected a tuple of class names$"),
    "number of classes": (arguments(classes=(1, 2)), r"^classes: found \(1, 2\), expected a tuple of class names$"),
    "number of classes alone": (arguments(classes=2), "^classes: found 2, expected a tuple of class names$"),
    "nothing but void": (arguments(classes=("void",)), "^classes: found 1 names, expected .* and not only void$"),
    "split that is no name": (arguments(split=0), "^split=0, expected the name of one, or None$"),
    "holdout of none": (arguments(split="val", holdout=0), "^holdout=0, expected a part of the images, between"),
    "holdout of words": (arguments(split="val", holdout="all"), "^holdout='all', expected a part of the images"),
    "one image to divide": (
        all_of(*(without(f"images/{name}.jpg", f"masks/{name}.png") for name in NAMES[1:]), arguments(split="val")),
        "folder: found one image, expected two or more, to hold out some as 'val'$",
    ),
}

FILES = {
    "another size": (picture("masks/a.png", (9, 9), 1), "images/a.jpg: found a label map of 9×9 .* own size, 5×4"),
    "turned": (picture("masks/a.png", (4, 5), 1), "images/a.jpg: found a label map of 4×5 .*EXIF orientation"),
    "truncated image": (truncated("images/a.jpg"), "(?i)images/a.jpg: expected a complete image file, .*truncated"),
    "truncated mask": (truncated("masks/a.png"), "masks/a.png: expected a complete image file"),
    "mask of colours": (picture("masks/a.png", (5, 4), (1, 2, 3), "RGB"), "a.png: found .* of mode RGB.*colours"),
    "mask of 16 bits": (picture("masks/a.png", (5, 4), 1, "I;16"), "a.png: found a picture of mode I;16, .* 8-bit"),
    "value 4": (picture("masks/a.png", (5, 4), 4), "masks/a.png: found label 4, expected 0 to 3 or 255$"),
    "value 254": (picture("masks/a.png", (5, 4), 254), "masks/a.png: found label 254, expected 0 to 3 or 255$"),
}


@pytest.fixture
def root(tmp_path):
    """A good folder, to be spoiled."""
    write_pairs(tmp_path / "folder/images", tmp_path / "folder/masks")
    (tmp_path / "folder/classes.txt").write_text("one\ntwo\nthree\nfour\n")
    return tmp_path / "folder"


@pytest.mark.parametrize("broken", LISTED)
def test_broken_folders_are_named_at_once(root, broken):
    maker, message = LISTED[broken]
    with pytest.raises(DataError, match=message):
        Folder(**{"root": root, **(maker(root) or {})})


@pytest.mark.parametrize("broken", FILES)
def test_broken_files_are_named(root, broken):
    maker, message = FILES[broken]
    maker(root)
    dataset = Folder(root)
    with pytest.raises(DataError, match=message):
        dataset[0]
    np.testing.assert_array_equal(dataset[1][1], mask(dataset.ids[1]))


@pytest.mark.parametrize("closed", ["", "images", "masks"])
def test_folders_that_cannot_be_listed_are_named(root, monkeypatch, closed):
    real = os.scandir

    def scandir(path):
        if os.path.abspath(path) == str(root / closed).rstrip("/"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=f"{closed or root.name}: expected a folder that can be read, found: Perm"):
        Folder(root)
