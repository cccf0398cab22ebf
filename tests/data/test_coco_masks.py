"""COCO's run lengths against an encoder that writes them pixel by pixel; its polygons against Pillow and geometry."""

from array import array

import numpy as np
import pytest
from PIL import Image, ImageDraw

from minihgd.data.coco_masks import decode_mask, paint, uncompress
from minihgd.errors import DataError

from .make_context import compress, run_lengths


def painted(segmentation, shape, value=1):
    """What `paint` changes in a picture of 255s, H×W of bool."""
    picture = Image.new("L", shape[::-1], 255)
    paint(picture, segmentation, value)
    pixels = np.array(picture)
    assert set(np.unique(pixels)) <= {value, 255}
    return pixels == value


def masks():
    rng = np.random.default_rng(0)
    yield "empty", np.zeros((4, 7), bool)
    yield "full", np.ones((7, 4), bool)
    yield "one column", np.eye(1, 5, 2, dtype=bool).repeat(3, axis=0)
    yield "first pixel", np.arange(12).reshape(3, 4) == 0
    yield "last pixel", np.arange(12).reshape(3, 4) == 11
    yield "one pixel in all", np.ones((1, 1), bool)
    yield "random", rng.random((13, 8)) < 0.5
    blob = np.zeros((90, 120), bool)  # runs over 32, which take two characters, shrinking and growing
    for x in range(120):
        blob[: abs(60 - x), x] = True
    yield "blob", blob


@pytest.mark.parametrize("mask", [pytest.param(mask, id=name) for name, mask in masks()])
def test_masks_come_back(mask):
    counts = run_lengths(mask)
    for form in (counts, array("q", counts), compress(counts), compress(counts).encode()):
        segmentation = {"size": list(mask.shape), "counts": form}
        decoded = decode_mask(segmentation)
        assert decoded.dtype == bool
        np.testing.assert_array_equal(decoded, mask)
        np.testing.assert_array_equal(painted(segmentation, mask.shape), mask)


def test_pixels_run_down_the_columns():
    assert decode_mask({"size": [2, 3], "counts": [1, 2, 3]}).tolist() == [[False, True, False], [True, False, False]]


def test_compressed_numbers_by_hand():
    # 5; 40 = 8 + 1·32; 7; then differences from two before: 38 = 40 - 2; 4 = 7 - 3; 138 = 38 + 100 (= 4 + 3·32)
    assert uncompress("5X17NMT3") == [5, 40, 7, 38, 4, 138]
    assert uncompress("") == []


def test_compressed_numbers_of_any_size():
    rng = np.random.default_rng(1)
    counts = [int(count) for count in 10 ** rng.uniform(0, 6, 200)]
    assert min(np.diff(counts)) < -1000  # large steps down as well
    assert uncompress(compress(counts)) == counts


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [2, 3], "counts": [1, 2, 2]}, r"^mask 7: .*2·3 pixels in all, found 5"),
        ({"size": [2, 3], "counts": [8, -2]}, "not negative.*-2"),
        ({"size": [2, 3], "counts": [1, "5"]}, "whole.*'5'"),
        ({"size": [2, 3], "counts": [1.5, 4.5]}, "whole.*1.5"),
        ({"size": [2, 3], "counts": compress([3, 4])}, "found 7"),
        ({"size": [2, 3], "counts": "5X"}, "in the middle of a number"),
        ({"size": [2, 3], "counts": "5 1"}, "found ' ' in compressed"),
        ({"size": [2, 3]}, r"expected run lengths.*found \{'size': \[2, 3\]\}"),
        ({"size": [2, 3], "counts": None}, "'counts': None"),
        ({"size": [2, "3"], "counts": [6]}, "expected run lengths.*'3'"),
        ({"size": [2, 3], "counts": []}, "2·3 pixels in all, found 0"),
        ([[1, 2, 3, 4, 5, 6]], "expected run lengths"),  # a polygon
    ],
)
def test_broken_run_lengths(segmentation, message):
    with pytest.raises(DataError, match=message):
        decode_mask(segmentation, "mask 7")


def stars():
    """Polygons around a centre, some of which reach beyond the picture of 40×50."""
    rng = np.random.default_rng(2)
    for corners in (3, 4, 7, 30):
        for radius in (2, 8, 30):
            angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
            x = 25.3 + radius * rng.uniform(0.5, 1, corners) * np.cos(angle)
            y = 19.6 + radius * rng.uniform(0.5, 1, corners) * np.sin(angle)
            yield np.stack([x, y], axis=1).round(2)  # corners×2


def filled(polygon):
    """The mask 40×50 of a polygon, corners×2, as Pillow fills it."""
    picture = Image.new("1", (50, 40))
    ImageDraw.Draw(picture).polygon([tuple(corner) for corner in polygon.tolist()], fill=1)
    return np.array(picture)


def test_polygons_are_filled_by_pillow():
    for polygon in stars():
        numbers = polygon.ravel().tolist()
        np.testing.assert_array_equal(painted([numbers], (40, 50), 20), filled(polygon))
        np.testing.assert_array_equal(painted([array("d", numbers)], (40, 50), 0), filled(polygon))


def test_pixels_of_a_polygon_by_hand():
    mask = painted([[2.9, 1, 5.9, 1, 5.9, 3.5, 2.9, 3.5]], (6, 8))  # its outline runs through columns 2, 5, rows 1, 3
    assert np.argwhere(mask.any(axis=0)).ravel().tolist() == [2, 3, 4, 5]
    assert np.argwhere(mask.any(axis=1)).ravel().tolist() == [1, 2, 3]
    assert mask.sum() == 12


def test_parts_are_united():
    parts = [[2, 2, 20, 2, 20, 20, 2, 20], [10.5, 10, 30, 10, 30, 30], [40, 30, 49, 30, 49, 39]]
    expected = np.zeros((40, 50), bool)
    for part in parts:
        expected |= filled(np.reshape(part, (-1, 2)))
    assert expected[15, 16]  # in two of them
    np.testing.assert_array_equal(painted(parts, (40, 50)), expected)


def test_polygons_lie_where_they_should():
    """All pixels but those with the outline less than a pixel from their centre are in or out as geometry has it."""
    for polygon in stars():
        inside, distance = around(polygon)
        wrong = painted([polygon.ravel().tolist()], (40, 50)) != inside
        assert distance[wrong].max(initial=0) < 1


def around(polygon):
    """Of each pixel's centre, 40×50: whether it is inside the polygon, and its distance from the outline."""
    y, x = np.indices((40, 50)) + 0.5
    inside, nearest = np.zeros((40, 50), bool), np.full((40, 50), np.inf)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)  # the side crosses the level of the centre ...
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))  # ... on its right: even or odd times
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-12)
        along = along.clip(0, 1)
        nearest = np.minimum(nearest, np.hypot(x0 + along * (x1 - x0) - x, y0 + along * (y1 - y0) - y))
    return inside, nearest
