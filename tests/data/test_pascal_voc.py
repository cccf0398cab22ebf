"""PASCAL VOC and its extension by SBD. (What is said of broken files: test_broken_voc.py.)"""

import numpy as np
import pytest
from PIL import Image

from minihgd.data import VOC_CLASSES, PascalVOC

from .make_voc import SBD, SPLITS, TRAINAUG, VOC, random_labels, write_sbd, write_trainaug, write_voc

LISTS = f"{VOC}/ImageSets/Segmentation"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """VOC and SBD beside it, neither changed by anybody; read only."""
    root = tmp_path_factory.mktemp("voc")
    write_voc(root)
    write_sbd(root)
    return root


def by_name(dataset):
    return {name: dataset[i] for i, name in enumerate(dataset.ids)}


def sizes(names):
    return {name: random_labels(0)[name].shape for name in names}


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_are_the_values_in_the_files(published, split):
    dataset = PascalVOC(published, split)
    assert dataset.ids == SPLITS[split] and dataset.classes == VOC_CLASSES
    for name, (image, label) in by_name(dataset).items():
        np.testing.assert_array_equal(label, random_labels(1)[name])
        assert image.shape == (*label.shape, 3) and image.dtype == label.dtype == np.uint8


def test_grey_label_files_are_as_good_as_palette_ones(tmp_path):
    labels = write_voc(tmp_path)
    for name, label in labels.items():
        Image.fromarray(label).save(tmp_path / VOC / f"SegmentationClass/{name}.png")
    for name, (_, label) in by_name(PascalVOC(tmp_path, "trainval")).items():
        np.testing.assert_array_equal(label, labels[name])


def test_trainval_is_both_with_and_without_a_list(tmp_path):
    write_voc(tmp_path)
    for _ in range(2):
        assert PascalVOC(tmp_path, "trainval").ids == SPLITS["train"] + SPLITS["val"]
        (tmp_path / LISTS / "trainval.txt").unlink(missing_ok=True)


def test_the_test_split_is_void(tmp_path):
    write_voc(tmp_path)
    for path in (tmp_path / VOC / "SegmentationClass").iterdir():
        path.unlink()
    dataset = PascalVOC(tmp_path, "test")
    assert dataset.ids == SPLITS["test"] and not dataset.labelled
    for name, (image, label) in by_name(dataset).items():
        assert image.shape[:2] == label.shape == sizes([name])[name]
        assert label.dtype == np.uint8 and (label == 255).all()


@pytest.mark.parametrize("root", [".", "VOCdevkit", VOC])
def test_root_may_be_any_of_the_nested_folders(published, root):
    assert PascalVOC(published / root, "val").ids == SPLITS["val"]
    assert PascalVOC(published / root, "trainaug").ids == TRAINAUG  # SBD is found beside all of them


def test_root_may_be_here(published, monkeypatch):
    monkeypatch.chdir(published / VOC)
    assert PascalVOC(".", "trainaug").ids == TRAINAUG


# --- trainaug ---


def test_trainaug_is_put_together(published):
    dataset = PascalVOC(published, "trainaug")
    assert dataset.ids == TRAINAUG
    voc, sbd = random_labels(1), random_labels(3, void=False)
    expected = {name: voc[name] if name in SPLITS["train"] else sbd[name] for name in TRAINAUG}
    found = by_name(dataset)
    for name in TRAINAUG:
        np.testing.assert_array_equal(found[name][1], expected[name])
        assert found[name][1].dtype == np.uint8


def test_images_that_voc_lacks_are_taken_from_sbd(tmp_path):
    write_voc(tmp_path, images=SPLITS["train"] + SPLITS["val"])
    write_sbd(tmp_path)
    Image.new("RGB", (3, 3)).save(tmp_path / SBD / "img/2007_000039.jpg")  # VOC has another, which is read
    dataset = PascalVOC(tmp_path, "trainaug")
    assert dataset.image_path("2008_000008") == tmp_path / SBD / "img/2008_000008.jpg"
    assert dataset.image_path("2007_000039") == tmp_path / VOC / "JPEGImages/2007_000039.jpg"
    assert {name: image.shape[:2] for name, (image, _) in by_name(dataset).items()} == sizes(TRAINAUG)


@pytest.mark.parametrize("given", ["elsewhere", f"elsewhere/{SBD}", "elsewhere/benchmark_RELEASE"])
def test_sbd_may_be_elsewhere(tmp_path, given):
    write_voc(tmp_path / "here")
    write_sbd(tmp_path / "elsewhere")
    dataset = PascalVOC(tmp_path / "here", "trainaug", sbd=tmp_path / given)
    assert dataset.ids == TRAINAUG and dataset.labels.other.path == tmp_path / "elsewhere" / SBD / "cls"


@pytest.mark.parametrize("below", [VOC, "VOCdevkit", "."])
def test_sbd_may_be_in_any_of_the_nested_folders(tmp_path, below):
    write_voc(tmp_path)
    write_sbd(tmp_path, f"{below}/{SBD}")
    assert PascalVOC(tmp_path, "trainaug").ids == TRAINAUG


@pytest.mark.parametrize("name", ["trainaug", "train_aug"])
@pytest.mark.parametrize("line", ["{0}\n", "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png\n", "{0}\r\n"])
def test_trainaug_ready_made(tmp_path, name, line):
    write_voc(tmp_path)
    labels = write_trainaug(tmp_path, name, line)
    dataset = PascalVOC(tmp_path, "trainaug")
    assert dataset.ids == TRAINAUG
    for k, (_, label) in by_name(dataset).items():
        np.testing.assert_array_equal(label, labels[k])


def test_ready_made_goes_first_unless_sbd_is_asked_for(tmp_path):
    write_voc(tmp_path)
    write_sbd(tmp_path)
    write_trainaug(tmp_path)
    assert PascalVOC(tmp_path, "trainaug").labels.path.name == "SegmentationClassAug"
    merged = PascalVOC(tmp_path, "trainaug", sbd=tmp_path)
    np.testing.assert_array_equal(by_name(merged)["2007_000032"][1], random_labels(1)["2007_000032"])
    (tmp_path / LISTS / "trainaug.txt").unlink()  # the folder alone does not say which images
    np.testing.assert_array_equal(by_name(PascalVOC(tmp_path, "trainaug"))["2008_000015"][1],
                                  random_labels(3, void=False)["2008_000015"])


# --- notes ---


def test_unofficial_numbers_of_images_are_noted(published):
    assert PascalVOC(published, "train").notes() == ["PascalVOC: split train has 3 images, the published one 1,464"]
    assert PascalVOC.official == {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456, "trainaug": 10582}


def test_images_of_val_in_trainaug_are_noted(tmp_path):
    write_voc(tmp_path)
    write_trainaug(tmp_path)
    assert len(PascalVOC(tmp_path, "trainaug").notes()) == 1
    (tmp_path / LISTS / "val.txt").write_text("2008_000015\n2007_000042\n2007_000039\n")
    note = PascalVOC(tmp_path, "trainaug").notes()[1]
    assert note.endswith("trainaug.txt: 2 of its images are in split val too: 2007_000039, 2008_000015")
    (tmp_path / LISTS / "val.txt").unlink()
    assert len(PascalVOC(tmp_path, "trainaug").notes()) == 1
