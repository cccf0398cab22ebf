"""COCO's run lengths against an encoder that writes them pixel by pixel."""

import numpy as np
import pytest

from minihgd.data.coco_masks import decode_mask, uncompress
from minihgd.errors import DataError

from .make_context import compress, run_lengths


def masks():
    rng = np.random.default_rng(0)
    yield "empty", np.zeros((4, 7), bool)
    yield "full", np.ones((7, 4), bool)
    yield "one column", np.eye(1, 5, 2, dtype=bool).repeat(3, axis=0)
    yield "first pixel", np.arange(12).reshape(3, 4) == 0
    yield "random", rng.random((13, 8)) < 0.5
    blob = np.zeros((90, 120), bool)  # runs over 32, which take two characters, shrinking and growing
    for x in range(120):
        blob[: abs(60 - x), x] = True
    yield "blob", blob


@pytest.mark.parametrize("mask", [pytest.param(mask, id=name) for name, mask in masks()])
def test_masks_come_back(mask):
    counts = run_lengths(mask)
    for form in (counts, compress(counts), compress(counts).encode()):
        decoded = decode_mask({"size": list(mask.shape), "counts": form})
        assert decoded.dtype == bool
        np.testing.assert_array_equal(decoded, mask)


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
