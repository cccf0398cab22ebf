"""Pictures and tables: colours, sizes, what is chosen."""

import numpy as np
import pytest
from PIL import Image

from minihgd import evaluation, report
from minihgd.report import pictures


def test_colours_of_labels():
    labels = np.array([[0, 1, 255]])
    assert pictures.coloured(labels, ("cat", "dog")).tolist() == [[[128, 0, 0], [0, 128, 0], [225, 225, 225]]]
    assert pictures.coloured(labels, ("background", "cat")).tolist() == [[[0, 0, 0], [128, 0, 0], [225, 225, 225]]]
    assert pictures.coloured(labels, ("cat", "sky")).tolist() == [
        [[128, 0, 0], list(pictures.NATURAL["sky"]), [225, 225, 225]]]


def test_side_by_side_holds_the_three():
    image = np.full((20, 40, 3), 77, np.uint8)
    truth, guess = np.zeros((20, 40), np.uint8), np.ones((20, 40), np.uint8)
    sheet = np.asarray(report.side_by_side([(image, truth, guess)], ("cat", "dog"), width=80))
    centre = sheet[24 + 20]  # a row through the middle of the pictures
    assert centre[8 + 40].tolist() == [77, 77, 77]
    assert centre[8 + 88 + 40].tolist() == [128, 0, 0] and centre[8 + 176 + 40].tolist() == [0, 128, 0]
    assert sheet.shape[1] == 8 + 3 * 88


def test_a_picture_is_whole_or_not_there(tmp_path):
    report.pictures.save(Image.new("RGB", (4, 3)), str(tmp_path / "a.png"))
    assert Image.open(tmp_path / "a.png").size == (4, 3)

    class Broken:
        def save(self, file, **options):
            file.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError):
        report.pictures.save(Broken(), str(tmp_path / "b.png"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_class_table():
    score = evaluation.Score(3)
    score.update(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    assert report.class_table(score, ("sky", "water", "tree")).splitlines() == [
        "class        IoU  pixels",
        "sky        0.500   25.0%",
        "water      0.667   75.0%",
        "mean of 2  0.583",
    ]


def test_labels_over_an_image():
    """The colour of a class over the image, the background as it is, what occurs in the legend."""
    image, labels = np.full((40, 300, 3), 100, np.uint8), np.zeros((40, 300), np.uint8)
    labels[:, 100:] = 1
    sheet = report.overlay_with_legend(image, labels, ("background", "cat", "dog"), strength=0.5)
    pixels = np.asarray(sheet)
    assert pixels[20, 50].tolist() == [100, 100, 100] and pixels[20, 200].tolist() == [114, 50, 50]
    assert pixels[20, 100].tolist() == [51, 0, 0]  # the edge
    legend = pixels[40 + 8 + 10]
    assert legend[8 + 7].tolist() == [128, 0, 0]  # the cat, of which there is more
    assert legend[8 + 7 + pictures.Legend([("background 33%", ()), ("cat 67%", ())], 300).step].tolist() == [0, 0, 0]
    assert pixels.shape[1] == 300


@pytest.mark.parametrize("size", [(1, 1), (5000, 3), (3, 5000), (60, 40), (2100, 2800)])
def test_pictures_of_any_size(size):
    """The legend has room under a narrow photograph, and can be read under a large one; a sheet stays a sheet."""
    image, labels = np.full((*size, 3), 100, np.uint8), np.zeros(size, np.uint8)
    labels[: size[0] // 2] = 1
    sheet = report.overlay_with_legend(image, labels, ("a class of a long name", "cat"))
    assert sheet.width >= max(size[1], 36 + 100) and sheet.height > size[0]
    side = report.side_by_side([(image, labels, labels)], ("a class of a long name", "cat"))
    assert side.width < 1000 and side.height < 1000


def test_shares_of_next_to_nothing():
    assert [pictures.share(part) for part in (1, 0.5, 0.012, 0.004)] == ["100%", "50%", "1%", "<1%"]


def test_a_palette_picture_has_the_labels_as_values():
    labels = np.array([[0, 1, 2], [2, 1, 0]])
    picture = report.palette_picture(labels, ("background", "cat", "sky"))
    assert picture.mode == "P" and np.array_equal(np.asarray(picture), labels)
    assert np.array_equal(np.asarray(picture.convert("RGB")),
                          pictures.coloured(labels.astype(np.uint8), ("background", "cat", "sky")))


def test_table_6():
    score = evaluation.Score(21)
    score.update(np.array([[1, 1, 20, 0]]), np.array([[1, 2, 20, 0]]))
    header, row = (line.split() for line in report.table_6(score, "mine").splitlines())
    assert header[:3] == ["Method", "aero", "bike"] and header[-2:] == ["tv", "mIoU%"] and len(header) == 22
    assert row[:4] == ["mine", "50.0", "0.0", "–"] and row[-2:] == ["100.0", "62.5"]
