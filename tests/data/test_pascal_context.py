"""PASCAL Context from each of its forms on disk. (What is said of broken files: test_broken_context.py.)"""

import json
import os
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from minihgd.data import Cached, PascalContext
from minihgd.data.context_classes import IDS, NAMES, ORDERS
from minihgd.data.dataset import read_image
from minihgd.errors import DataError

from .make_context import OUTSIDE, SPLITS, full_maps, merged_json, write_context, write_mats, write_pngs

VOC = "VOCdevkit/VOC2010"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One data set in all three forms, its PNGs sorted as those in the field; read only."""
    root = tmp_path_factory.mktemp("context")
    write_context(root, png_order=ORDERS["sorted"])
    return root


def labels_of(dataset):
    return [dataset[i][1] for i in range(len(dataset))]


# --- what is read ---


def test_labels_are_the_positions_of_the_59_ids(published):
    dataset = PascalContext(published, "train")
    assert dataset.ids == SPLITS["train"] and len(dataset) == 3
    assert dataset.classes == NAMES and dataset.classes[14] == "person" and dataset.classes[10] == "diningtable"
    for i, name in enumerate(dataset.ids):
        image, label = dataset[i]
        ids = full_maps()[name]
        assert image.shape == (*ids.shape, 3) and image.dtype == label.dtype == np.uint8
        for pixel, number in zip(label.flat, ids.flat, strict=True):
            assert pixel == (IDS.index(number) if number in IDS else 255)
        assert (label[np.isin(ids, (0, 431, *OUTSIDE))] == 255).all()


def test_60_classes_are_the_59_after_the_background(published):
    without, having = (PascalContext(published, "train", classes=classes) for classes in (59, 60))
    assert having.classes == ("background", *without.classes)
    for label59, label60 in zip(labels_of(without), labels_of(having), strict=True):
        np.testing.assert_array_equal(label60, np.where(label59 == 255, 0, label59 + 1))
        assert label60.max() <= 59


@pytest.mark.parametrize("classes", [59, 60])
@pytest.mark.parametrize("order", ["59_labels", "sorted"])
def test_all_forms_give_the_same_labels(published, order, classes):
    forms = ("mat", "json", "png")
    mat, js, png = (PascalContext(published, "trainval", classes, form, order, png_order="sorted") for form in forms)
    assert mat.classes == js.classes == png.classes
    assert mat.ids == js.ids == png.ids == SPLITS["train"] + SPLITS["val"]
    for a, b, c in zip(labels_of(mat), labels_of(js), labels_of(png), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_the_two_orders_differ_in_numbers_and_agree_in_names(published):
    first, second = (PascalContext(published, "val", order=order) for order in ("59_labels", "sorted"))
    assert second.classes[:4] == ("aeroplane", "bag", "bed", "bedcloth") and second.classes[36] == "person"
    for a, b in zip(labels_of(first), labels_of(second), strict=True):
        labelled = a != 255
        assert (a[labelled] != b[labelled]).any()
        np.testing.assert_array_equal(labelled, b != 255)
        assert [first.classes[k] for k in a[labelled]] == [second.classes[k] for k in b[labelled]]


def test_png_order_says_how_the_files_are_stored(tmp_path):
    maps = write_context(tmp_path, forms=("mat",))
    write_pngs(tmp_path / VOC / "SegmentationClassContext", maps, ORDERS["59_labels"])
    mat, right, wrong = (
        PascalContext(tmp_path, "val", labels=form, png_order=order)
        for form, order in (("mat", None), ("png", "59_labels"), ("png", "sorted"))
    )
    np.testing.assert_array_equal(right[0][1], mat[0][1])
    assert (wrong[0][1] != mat[0][1]).mean() > 0.5


def test_palette_pngs_and_uncompressed_run_lengths(tmp_path):
    maps = write_context(tmp_path, compressed=False)
    for path in (tmp_path / VOC / "SegmentationClassContext").iterdir():
        picture = Image.open(path)
        picture.putpalette([(k * 37) % 256 for k in range(768)])
        picture.save(path)
    for form in ("json", "png"):
        label = PascalContext(tmp_path, "val", labels=form, png_order="59_labels")[1][1]
        assert label[0, 0] == (IDS.index(maps["2008_000027"][0, 0]) if maps["2008_000027"][0, 0] in IDS else 255)
        np.testing.assert_array_equal(label, PascalContext(tmp_path, "val")[1][1])


def test_the_first_form_found_is_mat_then_json_then_png(tmp_path):
    write_context(tmp_path)
    assert PascalContext(tmp_path, "val").labels.path.name == "trainval"
    shutil.rmtree(tmp_path / "trainval")
    assert PascalContext(tmp_path, "val").labels.path.name == "trainval_merged.json"
    (tmp_path / "trainval_merged.json").unlink()
    assert PascalContext(tmp_path, "val", png_order="59_labels").labels.path.name == "SegmentationClassContext"


@pytest.mark.parametrize("root", [".", "VOCdevkit", VOC])
@pytest.mark.parametrize("form", ["json", "png"])
def test_root_may_be_any_of_the_nested_folders(tmp_path, root, form):
    maps = write_context(tmp_path, forms=())
    if form == "json":
        (tmp_path / root / "trainval_merged.json").write_text(json.dumps(merged_json(maps)))
    else:
        write_pngs(tmp_path / root / "SegmentationClassContext", maps, IDS)
    dataset = PascalContext(tmp_path / root, "val", png_order="59_labels")
    assert dataset.labels.path.parent == tmp_path / root and len(dataset) == 2
    np.testing.assert_array_equal(dataset[0][1] == 14, maps["2008_000009"] == 284)


def test_without_name_files_the_classes_are_the_built_in_ones(tmp_path, published):
    write_context(tmp_path, forms=("mat",))
    for name in ("59_labels.txt", "labels.txt"):
        (tmp_path / name).unlink()
        dataset = PascalContext(tmp_path, "val")
        assert dataset.classes == NAMES
        np.testing.assert_array_equal(dataset[0][1], PascalContext(published, "val")[0][1])


def test_the_order_of_59_labels_txt_is_followed(tmp_path):
    maps = write_context(tmp_path, forms=("mat",))
    lines = [f"{60 - k}: {name}" for k, name in enumerate(NAMES, 1)]  # the other way round, and not sorted by number
    (tmp_path / "59_labels.txt").write_text("\n".join(lines))
    dataset = PascalContext(tmp_path, "val")
    assert dataset.classes == NAMES[::-1]
    ids = maps[dataset.ids[0]]
    assert (dataset[0][1][ids == 284] == 58 - 14).all() and (ids == 284).any()


def test_mats_of_doubles_are_read(tmp_path):
    maps = write_context(tmp_path, forms=())
    write_mats(tmp_path / "trainval", {name: ids.astype(float) for name, ids in maps.items()})
    np.testing.assert_array_equal(PascalContext(tmp_path, "val")[0][1] == 14, maps["2008_000009"] == 284)


# --- splits ---


def test_splits_come_from_the_phase_without_split_files(tmp_path):
    write_context(tmp_path, forms=("json",))
    shutil.rmtree(tmp_path / VOC / "ImageSets")
    assert PascalContext(tmp_path, "val").ids == SPLITS["val"]
    assert PascalContext(tmp_path, "trainval").ids == SPLITS["train"] + SPLITS["val"]


def test_trainval_has_its_own_file_where_there_is_one(tmp_path):
    write_context(tmp_path, forms=("mat",))
    (tmp_path / VOC / "ImageSets/Main/trainval.txt").write_text("\n2008_000027\r\n\n 2008_000002 \n")
    assert PascalContext(tmp_path, "trainval").ids == ["2008_000027", "2008_000002"]


def test_split_files_of_context_go_before_those_of_voc(tmp_path):
    write_context(tmp_path, forms=("mat",))
    (tmp_path / VOC / "ImageSets/SegmentationContext").mkdir()
    (tmp_path / VOC / "ImageSets/SegmentationContext/train.txt").write_text("2008_000007\n")
    assert PascalContext(tmp_path, "train").ids == ["2008_000007"]
    assert PascalContext(tmp_path, "val").ids == SPLITS["val"]


def test_photographs_that_the_json_does_not_list_are_left_out_with_a_warning(tmp_path):
    maps = write_context(tmp_path, forms=())
    del maps["2008_000007"]
    (tmp_path / "trainval_merged.json").write_text(json.dumps(merged_json(maps)))
    with pytest.warns(UserWarning, match=r"does not list 1 of the split's 3 images, such as 2008_000007") as caught:
        assert PascalContext(tmp_path, "train").ids == ["2008_000002", "2008_000016"]
        (note,) = PascalContext(tmp_path, "train").notes()[1:]
    assert caught[0].filename == __file__ and str(caught[0].message) == note
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PascalContext(tmp_path, "val").ids == SPLITS["val"]


# --- images ---


def test_images_of_any_mode_become_rgb(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[:, :, None], 3, axis=2))
    for mode in ("P", "RGBA", "CMYK", "LA"):
        Image.new("RGB", (5, 4), (255, 0, 0)).convert(mode).save(tmp_path / "red.tif")
        image = read_image(tmp_path / "red.tif")
        assert image.shape == (4, 5, 3) and image.dtype == np.uint8 and image.flags.writeable
        assert np.ptp(image, axis=(0, 1)).max() == 0


def test_the_exif_orientation_does_not_turn_an_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees to show"
    Image.new("RGB", (7, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (4, 7, 3)


def test_cached_decodes_once_and_hands_out_the_same(published):
    plain = PascalContext(published, "val")
    cached = Cached(plain)
    assert len(cached) == 2 and cached.ids == plain.ids and cached.classes == plain.classes
    for a, b in zip(cached[1], plain[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert cached[1][0] is cached[1][0]
    assert not cached[1][0].flags.writeable and not cached[1][1].flags.writeable
    assert cached[-1][0] is cached[1][0]


def test_the_numbers_of_images_are_compared_with_the_published_ones(published):
    dataset = PascalContext(published, "val")
    assert dataset.problems() == []
    assert dataset.notes() == ["PascalContext: split val has 2 images, the published one 5,105"]
    dataset.ids = [f"{k:05}" for k in range(5105)]
    assert dataset.notes() == []
    assert Cached(dataset).notes() == []


def test_a_folder_is_listed_once_however_many_ids_there_are(published, monkeypatch):
    listings = []
    monkeypatch.setattr("os.scandir", lambda folder, scan=os.scandir: listings.append(folder) or scan(folder))
    dataset = PascalContext(published, "val")
    assert len(listings) <= 2 and dataset.photos.path in listings and dataset.labels.path in listings
    dataset.ids = [f"{k:05}" for k in range(10_003)]
    dataset.photos.files = dict.fromkeys(dataset.ids[:10_000])
    dataset.labels.files = dict.fromkeys(dataset.ids)
    monkeypatch.setattr("os.scandir", None)
    monkeypatch.setattr("os.stat", None)
    with pytest.raises(DataError, match="^3 of 10003 ids have no image .*: 10000, 10001, 10002$"):
        dataset.check()
