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


def test_the_maps_chosen_differ():
    rng = np.random.default_rng(0)
    a, b = rng.random((6, 8)), rng.random((6, 8))
    weights = np.stack([a, a, a + 1e-3 * b, b], axis=2)
    weights[0, 0, 0] = 50  # one map stands out
    weights /= weights.sum(axis=(0, 1))
    chosen = pictures.different_maps([weights], 3)
    assert chosen[0] == 0 and 3 in chosen and len(set(chosen)) == 3


def test_overlay_glows_where_the_map_is_high():
    image, weight = np.full((32, 32, 3), 100, np.uint8), np.zeros((2, 2))
    weight[0, 0] = 1
    out = pictures.overlay(image, weight).astype(int)
    assert out.shape == (32, 32, 3) and out[2, 2, 0] > 150 and np.abs(out[-1, -1] - 50).max() <= 2


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
