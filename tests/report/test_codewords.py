"""Pictures of the codewords: which are chosen, which is nearest, what glows where."""

import numpy as np
import pytest
from PIL import Image

from minihgd import report
from minihgd.models.hgd import Holistic
from minihgd.report import codewords


def test_the_maps_chosen_differ():
    rng = np.random.default_rng(0)
    a, b = rng.random((6, 8)), rng.random((6, 8))
    weights = np.stack([a, a, a + 1e-3 * b, b], axis=2)
    weights[0, 0, 0] = 50  # one map stands out
    weights /= weights.sum(axis=(0, 1))
    chosen = codewords.different_maps([weights], 3)
    assert chosen[0] == 0 and 3 in chosen and len(set(chosen)) == 3


def test_overlay_glows_where_the_map_is_high():
    image, weight = np.full((32, 32, 3), 100, np.uint8), np.zeros((2, 2))
    weight[0, 0] = 1
    out = codewords.overlay(image, weight).astype(int)
    assert out.shape == (32, 32, 3) and out[2, 2, 0] > 150 and np.abs(out[-1, -1] - 50).max() <= 2


def test_overlay_is_cold_where_the_map_is_negative():
    image, weight = np.full((32, 32, 3), 100, np.uint8), np.zeros((4, 4))
    weight[0, 0], weight[3, 3] = 1, -2  # on the scale of the largest, which is the negative one
    out = codewords.overlay(image, weight).astype(int)
    assert out[2, 2, 0] > out[2, 2, 2] + 20 and out[-2, -2, 2] > out[-2, -2, 0] + 80
    assert np.abs(out[2, -2] - 50).max() <= 2
    assert np.array_equal(codewords.overlay(image, np.zeros((4, 4))), np.full_like(image, 50))


def test_a_map_of_a_padded_image_is_cut():
    """A map of 4×4 covers 32×32 pixels, of which the image is the first 16×24."""
    values = np.zeros((4, 4))
    values[3, 3] = values[0, 3] = values[3, 0] = 1  # in the padding all of them
    seen = codewords.spread(values, (16, 24), 32, Image.NEAREST)
    assert seen.shape == (16, 24) and not seen.any()
    values[1, 2] = 5
    assert (codewords.spread(values, (16, 24), 32, Image.NEAREST)[8:16, 16:24] == 5).all()


def inside(height=4, width=6, n=8, D=3, seed=0):
    rng = np.random.default_rng(seed)
    maps = rng.random((height // 2, width // 2, n))
    C, W = rng.standard_normal((n, D)), rng.standard_normal((height, width, n))
    return Holistic(maps / maps.sum(axis=(0, 1)), C, W, W @ C)


def test_the_nearest_codeword_is_that_of_the_largest_cosine():
    C = np.array([[10.0, 0], [0, 1], [1, 1]])
    f = np.array([[[0.1, 0.001], [0, 50], [3, 2.9]], [[2, -1], [-1, 8], [-3, -3.1]]])
    assert codewords.nearest_codeword(Holistic(None, C, None, f)).tolist() == [[0, 1, 2], [0, 1, 0]]
    one = inside()
    C, f = one.codebook, one.assembled
    for place in np.ndindex(f.shape[:2]):
        cosines = [f[place] @ c / np.linalg.norm(f[place]) / np.linalg.norm(c) for c in C]
        assert codewords.nearest_codeword(one)[place] == np.argmax(cosines)


def test_the_foremost_codeword_has_the_largest_part():
    C = np.array([[10.0, 0], [0, 1], [3, 4]])
    W = np.array([[[0.1, 1.5, 0], [0, 5, 0.9], [0.2, 0, -1]]])
    assert codewords.foremost_codeword(Holistic(None, C, W, W @ C)).tolist() == [[1, 1, 2]]


def test_strokes():
    colour = np.array([200, 100, 0])
    out = codewords.strokes(np.array([0, -2, 1.0]), colour, (5, 6))
    assert out.shape == (5, 6, 3) and (out == out[:1]).all()
    assert out[0, ::2].tolist() == [[255, 255, 255], [200, 100, 0], [227, 177, 127]]


def test_neighbouring_hues_differ():
    colours = codewords.hues(256)
    assert colours.shape == (256, 3) and colours.min() >= 0 and colours.max() <= 255
    assert np.linalg.norm(colours[1:] - colours[:-1], axis=1).min() > 60


@pytest.mark.parametrize("size, least", [((32, 48), 0), ((30, 41), 48), ((100, 20), 0)])
def test_sheets(size, least):
    image, labels = np.full((*size, 3), 100, np.uint8), np.zeros(size, np.uint8)
    labels[: size[0] // 2] = 1
    sheet = report.codeword_sheet([image, image], [inside(), inside(seed=1)], least, width=60, count=3)
    assert sheet.width == 8 + 4 * 68
    assert report.weighting_sheet([image], [inside().maps], least, width=60, count=3).width == sheet.width
    few = report.codeword_sheet([image], [inside(n=2)], least, width=60, count=5)
    assert few.width == 8 + 3 * 68  # no more columns than codewords
    picture = report.decoder_picture(image, inside(), labels, ("cat", "dog"), least)
    assert picture.width > 1000 and picture.height > 100


def test_a_codeword_keeps_its_colour():
    """Where f̃ is one codeword everywhere, the picture of the decoder has its colour in every column."""
    image, labels = np.full((32, 48, 3), 100, np.uint8), np.zeros((32, 48), np.uint8)
    one = inside()
    W = np.zeros_like(one.coefficients)
    W[:, :, 5] = 1
    maps = np.full_like(one.maps, 1 / 6)
    picture = report.decoder_picture(image, Holistic(maps, one.codebook, W, W @ one.codebook), labels, ("cat",), 0, 1)
    pixels = np.asarray(picture).reshape(-1, 3).tolist()
    colour = codewords.hues(8)[5]
    assert pixels.count((0.45 * 100 + 0.55 * colour).astype(int).tolist()) == 2 * 150 * 100  # Ã and W
    assert pixels.count((0.8 * colour + 20).astype(int).tolist()) > 0.99 * 200 * 133  # the foremost one
    assert pixels.count([128, 0, 0]) > 0.99 * 200 * 133  # the prediction
