"""COCO with the classes of VOC, from tiny copies in its official layout; and broken ones.

Each error must name the file or argument, what was found and what was expected.
"""

import warnings

import numpy as np
import pytest
from PIL import Image

from minihgd.data import coco
from minihgd.data.batches import one_by_one
from minihgd.data.coco import CATEGORIES, CocoAsVOC, Instances, reporting
from minihgd.data.voc_classes import VOC_CLASSES
from minihgd.errors import DataError

from .make_coco import COCO_IDS, DOG, HEIGHT, PERSON, TV, WIDTH, instances_json, labels, write_coco, write_json

JSON = "annotations/instances_train2017.json"
LIST = "annotations/instances_train2017.voc-ids.txt"
KEPT = ["overlap", "crowd", "compressed", "one_more"]
SAME_NAME = {"airplane": "aeroplane", "motorcycle": "motorbike", "dining table": "diningtable", "couch": "sofa",
             "potted plant": "pottedplant", "tv": "tvmonitor"}


@pytest.fixture
def root(tmp_path):
    write_coco(tmp_path)
    return tmp_path


# --- images and labels -----------------------------------------------------------------------------------------


def test_categories_are_those_of_vocs_classes():
    assert VOC_CLASSES[1:] == tuple(SAME_NAME.get(name, name) for name in COCO_IDS)
    assert CATEGORIES == tuple(COCO_IDS.values())


def test_images_and_labels(root):
    dataset = CocoAsVOC(root, "train")
    assert dataset.classes == VOC_CLASSES and dataset.ids == KEPT and len(dataset) == 4
    for k, name in enumerate(KEPT):
        image, label = dataset[k]
        assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == label.dtype == np.uint8
        np.testing.assert_array_equal(label, labels()[name])
        np.testing.assert_array_equal(image, np.array(Image.open(root / f"train2017/{name}.jpg")))


def test_labels_by_hand(root):
    overlap, crowd, compressed, _ = (label for _, _, label in one_by_one(CocoAsVOC(root, "train"), workers=3))
    assert overlap[10, 30] == DOG  # a person and a truck are there too
    assert overlap[36, 8] == DOG  # the second part of the same dog
    assert overlap[38, 30] == PERSON and overlap[0, 0] == DOG  # the last dog is behind the person
    assert crowd[35, 8] == DOG and crowd[29, 8] == DOG and crowd[0, 0] == PERSON and crowd[39, 49] == 0
    assert np.unique(compressed).tolist() == [0, TV] and compressed[13, 49] == 0 and compressed[14, 0] == TV


def test_more_than_a_thousand_pixels_are_kept():
    counts = {name: np.count_nonzero(label) for name, label in labels().items()}
    assert counts["thousand"] == 1000 and counts["one_more"] == 1001  # so KEPT above tests the edge


def test_folder_that_holds_coco(tmp_path):
    write_coco(tmp_path / "coco", "val")
    assert CocoAsVOC(tmp_path, "val").ids == CocoAsVOC(str(tmp_path / "coco"), "val").ids == KEPT


def test_2014(tmp_path):
    write_coco(tmp_path, "val", 2014)
    assert CocoAsVOC(tmp_path, "val", year=2014).ids == KEPT


def test_grey_photograph(root):
    Image.new("L", (WIDTH, HEIGHT), 77).save(root / "train2017/crowd.jpg")
    image, _ = CocoAsVOC(root, "train")[1]
    assert image.shape == (HEIGHT, WIDTH, 3) and abs(image.astype(int) - 77).max() <= 1


def test_annotations_that_enclose_nothing(root):
    content = instances_json()
    content["annotations"] += [
        annotation(900, segmentation) for segmentation in ([], [[]], [[3, 4]], [[0, 0, 49, 39]])
    ]
    write_json(root, content)
    np.testing.assert_array_equal(CocoAsVOC(root, "train")[1][1], labels()["crowd"])


# --- the list of the images kept -------------------------------------------------------------------------------


def selecting(monkeypatch):
    """The names that the selection looks at from now on."""
    seen, original = [], Instances.has_enough
    monkeypatch.setattr(Instances, "has_enough", lambda self, name: seen.append(name) or original(self, name))
    return seen


def test_list_is_used(root, monkeypatch):
    CocoAsVOC(root, "train")
    assert (root / LIST).read_text().splitlines()[1:] == KEPT
    assert not list(root.glob("annotations/*.part"))
    seen = selecting(monkeypatch)
    assert CocoAsVOC(root, "train").ids == KEPT and seen == []


def test_empty_list_is_used(root, monkeypatch):
    write_json(root, instances_json() | {"annotations": []})
    seen = selecting(monkeypatch)
    for _ in range(2):
        with pytest.raises(DataError, match=f"{JSON}: found no image with more than 1,000 pixels of VOC's classes$"):
            CocoAsVOC(root, "train")
        assert len(seen) == 7


def test_list_of_other_annotations_is_not_used(root, monkeypatch):
    CocoAsVOC(root, "train")
    text = (root / JSON).read_text()
    (root / JSON).write_text(text.replace('"category_id": 72', '"category_id": 8 '))  # of the same size: no tv
    assert len((root / JSON).read_text()) == len(text)
    seen = selecting(monkeypatch)
    assert CocoAsVOC(root, "train").ids == ["overlap", "crowd", "one_more"] and len(seen) == 7
    assert CocoAsVOC(root, "train").ids == ["overlap", "crowd", "one_more"] and len(seen) == 7  # the list was renewed


@pytest.mark.parametrize("setting, value", [("ENOUGH", 999), ("CATEGORIES", (1, 2))])
def test_list_of_other_settings_is_not_used(root, monkeypatch, setting, value):
    CocoAsVOC(root, "train")
    seen = selecting(monkeypatch)
    monkeypatch.setattr(coco, setting, value)
    assert ("thousand" in CocoAsVOC(root, "train").ids) == (setting == "ENOUGH") and len(seen) == 7


def test_list_of_another_pillow_is_not_used(root, monkeypatch):
    CocoAsVOC(root, "train")
    seen = selecting(monkeypatch)
    monkeypatch.setattr("PIL.__version__", "0.1")
    assert CocoAsVOC(root, "train").ids == KEPT and len(seen) == 7


@pytest.mark.parametrize("content", [b"", b"overlap\ncrowd\n", b"\xff\xfe\x00"])
def test_broken_list_is_not_used(root, content):
    (root / LIST).write_bytes(content)
    assert CocoAsVOC(root, "train").ids == KEPT


def test_list_in_another_folder(root, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "lists"
    CocoAsVOC(root, "train", cache=str(folder))
    assert [path.name for path in folder.iterdir()] == ["instances_train2017.voc-ids.txt"]
    assert not (root / LIST).exists()
    seen = selecting(monkeypatch)
    assert CocoAsVOC(root, "train", cache=folder).ids == KEPT and seen == []


def test_list_that_cannot_be_written(root, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(UserWarning, match=r"file/instances_train2017.voc-ids.txt: .*not kept.*selected anew") as caught:
        assert CocoAsVOC(root, "train", cache=tmp_path / "file").ids == KEPT
    assert caught[0].filename == __file__  # who opened the data set
    (root / LIST).mkdir()
    with pytest.warns(UserWarning, match="not kept"):
        assert CocoAsVOC(root, "train").ids == KEPT


def test_progress_is_reported_on_stderr(capsys):
    assert list(reporting("abc", "x.json", every=0)) == ["a", "b", "c"]
    said = capsys.readouterr()
    assert said.out == "" and "x.json: selected from 2 of 3 images in 0 s\n" in said.err


def test_short_selections_say_nothing(root, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CocoAsVOC(root, "train")
    assert capsys.readouterr() == ("", "")


# --- broken copies ---------------------------------------------------------------------------------------------


def annotation(number, segmentation, category=1, image=10):
    """Of the image "crowd", unless told otherwise."""
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}


def adding(segmentation, **fields):
    """One more annotation."""
    return changing(lambda content: content["annotations"].append(annotation(77, segmentation, **fields)))


def changing(change):
    """The JSON content changed, in place or to what `change` returns."""

    def maker(root):
        content = instances_json()
        write_json(root, change(content) or content)

    return maker


def image_with(**fields):
    """The entry of the second image changed."""
    return changing(lambda content: content["images"][1].update(fields))


def text(content):
    return lambda root: (root / JSON).write_bytes(content)


def truncated(root):
    (root / JSON).write_bytes((root / JSON).read_bytes()[:-60])


def without(*paths):
    def maker(root):
        for path in paths:
            (root / path).rename(root / f"{path}.away")

    return maker


SEGMENTATION = f"{JSON}: image 10, annotation 77: "
UNFIT_IMAGES = f"{JSON}: expected images of id, file_name, height, width, found .*"
BROKEN = {
    "no annotations": (without(JSON), rf"looked for annotations/instances_train2017.json, found none of .*/{JSON}$"),
    "no images": (without("train2017"), "looked for train2017, found none of "),
    "truncated": (truncated, f"{JSON}: expected a JSON file, found: .*char"),
    "no text": (text(b'{"images": "\xff\xfe'), f"{JSON}: expected a JSON file, found: .*utf-8"),
    "empty": (text(b""), f"{JSON}: expected a JSON file, found: "),
    "a list": (text(b"[1, 2]"), f"{JSON}: expected an object with images and annotations, found a list"),
    "another file": (text(b'{"type": 3, "images": []}'),
                     rf"{JSON}: expected the lists images and annotations, found the keys \['type', 'images'\]"),
    "no lists": (text(b'{"images": {}, "annotations": []}'), "expected the lists images and annotations"),
    "captions": (changing(lambda content: {**content, "annotations": [{"image_id": 9, "caption": "a dog"}]}),
                 f"{JSON}: expected annotations of id, image_id, category_id, segmentation, found .*a dog"),
    "annotation 5": (changing(lambda content: content["annotations"].append(5)), "expected annotations of .*found 5"),
    "image 5": (changing(lambda content: content["images"].append(5)), UNFIT_IMAGES + "5"),
    "image without a name": (image_with(file_name=None), UNFIT_IMAGES + "'file_name': None"),
    "image of no height": (image_with(height=0), UNFIT_IMAGES + "'height': 0"),
    "image of half a pixel": (image_with(width=50.5), UNFIT_IMAGES + "50.5"),
    "image id": (image_with(id="10"), UNFIT_IMAGES + "'id': '10'"),
    "image ids twice": (image_with(id=9), f"{JSON}: found 7 images with 6 ids and 7 names, expected each .* once"),
    "image names twice": (image_with(file_name="overlap.jpg"), "found 7 images with 7 ids and 6 names"),
    "category 12": (adding([], category=12), f"{JSON}: annotation 77: found category_id 12, expected one of COCO's 80: "
                                             "1 to 90 without 12, 26, 29, 30, 45, 66, 68, 69, 71, 83"),
    "category 91": (adding([], category=91), "found category_id 91"),
    "category in words": (adding([], category="dog"), "found category_id 'dog'"),
    "category list": (adding([], category=[1]), r"found category_id \[1\]"),
    "unknown image": (adding([], image=555), f"{JSON}: annotation 77 is of image 555, expected one of the 7 in images"),
    "unknown image of a truck": (adding([], image=555, category=8), "annotation 77 is of image 555"),
    "image id in words": (adding([], image="10"), f"{JSON}: annotation 77: found image_id '10', expected a whole num"),
    "odd polygon": (adding([[1, 2, 3, 4, 5, 6, 7]]), SEGMENTATION + "expected a polygon of pairs x, y, found 7 num"),
    "flat polygon": (adding([1, 2, 3, 4, 5, 6]), SEGMENTATION + "expected a polygon as a list of numbers .* found 1"),
    "words": (adding([[1, 2, 3, "4", 5, 6]]), SEGMENTATION + "expected a polygon as a list .*'4'"),
    "pairs": (adding([[[1, 2], [3, 4], [5, 6]]]), SEGMENTATION + r"expected a polygon as .* found \[\[1, 2\]"),
    "ragged": (adding([[[1, 2], 3]]), SEGMENTATION + "expected a polygon as a list of numbers"),
    "NaN": (adding([[1, 2, 3, float("nan"), 5, 6]]), SEGMENTATION + "expected a polygon as a list of numbers .*nan"),
    "far away": (adding([[1, 2, 3, -1e300, 5, 6]]), SEGMENTATION + "expected a polygon as a list of numbers .*e.300"),
    "huge": (adding([[1, 2, 3, 10**400, 5, 6]]), SEGMENTATION + "expected a polygon as a list of numbers"),
    "no segmentation": (adding(None), SEGMENTATION + "expected a list of polygons, or run lengths .*, found None"),
    "other size": (adding({"size": [50, 40], "counts": [2000]}),
                   SEGMENTATION + r"found a mask of size \(50, 40\), expected the image's \(40, 50\)"),
    "image of other size": (image_with(width=49), r"image 10, annotation 110: found a mask of size \(40, 50\), .*49"),
    "lengths": (adding({"size": [40, 50], "counts": [1999]}), SEGMENTATION + "expected run lengths of 40.50.*1999"),
    "lengths in words": (adding({"size": [40, 50], "counts": [1, "1999"]}), SEGMENTATION + ".*whole.*'1999'"),
    "lengths in halves": (adding({"size": [40, 50], "counts": [0.5, 1999.5]}), SEGMENTATION + ".*whole.*0.5"),
    "compressed": (adding({"size": [40, 50], "counts": "5X"}), SEGMENTATION + "the compressed .* in the middle"),
    "no lengths": (adding({"size": [40, 50]}), SEGMENTATION + "expected run lengths.*found"),
    "photographs": (without("train2017/crowd.jpg", "train2017/one_more.jpg", "train2017/nothing.jpg"),
                    rf"2 of 4 ids have no image \(.jpg\) in .*train2017, expected by .*{JSON}: crowd, one_more$"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken(root, case):
    maker, message = BROKEN[case]
    maker(root)
    with pytest.raises(DataError, match=message):
        CocoAsVOC(root, "train")


def test_photograph_of_another_size(root):
    Image.new("RGB", (WIDTH - 1, HEIGHT)).save(root / "train2017/crowd.jpg")
    with pytest.raises(DataError, match="crowd.jpg: found a label map of 50×40 .*expected the image's own size, 49×40"):
        CocoAsVOC(root, "train")[1]


@pytest.mark.parametrize(("arguments", "message"), [
    ({"root": "/nowhere/at/all"}, "/nowhere/at/all: expected the folder of COCO"),
    ({"split": "test"}, "split='test', expected one of 'train', 'val'"),
    ({"year": 2015}, "year=2015, expected one of 2017, 2014"),
])
def test_unfit_arguments(root, arguments, message):
    with pytest.raises(DataError, match=message):
        CocoAsVOC(**{"root": root, "split": "train", **arguments})
