"""Pictures of the codewords: which are chosen, which is nearest, what glows where."""

import numpy as np
import pytest

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


def at(heat, stride, y, x):
    """The picture of a map over a grey image of 96×96, at a pixel."""
    image = np.full((96, 96, 3), 100, np.uint8)
    return codewords.over(image, heat, stride).astype(int)[y, x]


def test_a_map_glows_where_it_is_high():
    """At OS 32 around the pixel 32 i, at OS 8 in the pixels 8 i to 8 i + 8; blue where it is negative."""
    heat = np.zeros((3, 3))
    heat[1, 2], heat[2, 0] = 1, -2  # on the scale of the largest, which is the negative one
    half, cold = at(heat, 32, 32, 64), at(heat, 32, 64, 0)
    assert half[0] > half[2] + 40 and cold[2] > cold[0] + 80
    assert np.abs(at(heat, 32, 0, 0) - 50).max() <= 2 and np.abs(at(heat, 32, 95, 95) - 50).max() <= 10
    heat = np.zeros((12, 12))
    heat[5, 7] = 1
    assert at(heat, 8, 5 * 8 + 4, 7 * 8 + 4)[0] > 140 and np.abs(at(heat, 8, 5 * 8 + 4, 9 * 8 + 4) - 50).max() <= 2
    assert (at(np.zeros((3, 3)), 32, 50, 50) == 50).all()


def test_where_cells_lie():
    values = np.zeros((3, 2))
    values[1, 1] = 1
    plain = codewords.spread(values, (23, 13), 8)
    assert plain.shape == (23, 13) and np.unravel_index(plain.argmax(), plain.shape)[0] in (11, 12)
    moved = codewords.spread(values, (23, 13), 8, 4)
    assert moved.shape == (23, 13) and np.unravel_index(moved.argmax(), moved.shape)[0] in (7, 8)
    assert np.array_equal(moved[:19, :9], plain[4:, 4:]) and (moved[:, 12] == moved[:, 11]).all()


def test_codewords_in_their_colours():
    image, colours = np.full((12, 20, 3), 100, np.uint8), np.array([[200, 0, 0], [0, 0, 100]])
    out = codewords.by_codeword(image, np.array([[0, 1, 0], [1, 1, 0]]), colours)
    assert out.shape == (12, 20, 3)
    assert out[7, 7].tolist() == [180, 20, 20] and out[7, 8].tolist() == [20, 20, 100]
    assert out[8, 0].tolist() == [20, 20, 100] and out[11, 19].tolist() == [180, 20, 20]


def inside(height=4, width=6, n=8, D=3, seed=0):
    rng = np.random.default_rng(seed)
    maps = rng.random((-(-height // 4), -(-width // 4), n))
    C, W = rng.standard_normal((n, D)), rng.standard_normal((height, width, n))
    return Holistic(maps / maps.sum(axis=(0, 1)), C, W)


def test_the_nearest_codeword_is_that_of_the_largest_cosine():
    one = inside()
    f = one.coefficients @ one.codebook
    found = codewords.nearest_codeword(one)
    for place in np.ndindex(f.shape[:2]):
        cosines = [f[place] @ c / np.linalg.norm(f[place]) / np.linalg.norm(c) for c in one.codebook]
        assert found[place] == np.argmax(cosines)
    assert len(set(found.ravel())) > 2


def test_the_foremost_codeword_has_the_largest_part():
    C = np.array([[10.0, 0], [0, 1], [3, 4]])
    W = np.array([[[0.3, 1.5, 0], [0, 5, 0.9], [0.2, 0, -1]]])
    assert codewords.foremost_codeword(Holistic(None, C, W)).tolist() == [[0, 1, 2]]


def test_strokes():
    colour = np.array([200, 100, 0])
    out = codewords.strokes(np.array([0, -2, 1.0]), colour, (5, 6))
    assert out.shape == (5, 6, 3) and (out == out[:1]).all()
    assert out[0, ::2].tolist() == [[255, 255, 255], [200, 100, 0], [227, 177, 127]]
    many = codewords.strokes(np.array([0, 2, 4, 4.0]), colour, (5, 2))  # means of 1 and 4
    assert many[0].tolist() == [[241, 216, 191], [200, 100, 0]]


def test_neighbouring_hues_differ():
    colours = codewords.hues(256)
    assert colours.shape == (256, 3) and colours.min() >= 0 and colours.max() <= 255
    assert np.linalg.norm(colours[1:] - colours[:-1], axis=1).min() > 60


@pytest.mark.parametrize("size", [(32, 48), (30, 41), (100, 20), (1, 1)])
def test_sheets(size):
    image, labels = np.full((*size, 3), 100, np.uint8), np.zeros(size, np.uint8)
    labels[: size[0] // 2] = 1
    one, other, few = (inside(-(-size[0] // 8), -(-size[1] // 8), n, seed=seed)
                       for n, seed in ((8, 0), (8, 1), (2, 0)))
    sheet = report.codeword_sheet([image, image], [one, other], width=60, count=3)
    assert sheet.width == 8 + 4 * 68
    assert report.weighting_sheet([image], [one.maps], width=60, count=3).width == sheet.width
    few = report.codeword_sheet([image], [few], width=60, count=5)
    assert few.width == 8 + 3 * 68  # no more columns than codewords
    picture = report.decoder_picture(image, one, labels, ("cat", "dog"))
    assert picture.width > 1000 and picture.height > 80


def cell(sheet, row, column, size=(64, 96)):
    """A cell of a sheet whose columns are as wide as its images, as an array."""
    y, x = 24 + row * (22 + size[0] + 8) + 22, 8 + column * (size[1] + 8)
    return np.asarray(sheet)[y : y + size[0], x : x + size[1]]


def test_a_sheet_has_maps_above_coefficients():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    one = inside(8, 12, 3)
    sheet = report.codeword_sheet([image], [one], width=96, count=3)
    assert np.array_equal(cell(sheet, 0, 0), image)
    nearest = codewords.by_codeword(image, codewords.nearest_codeword(one), codewords.hues(3))
    assert np.array_equal(cell(sheet, 1, 0), nearest)
    for column, i in enumerate(codewords.different_maps([one.maps], 3), 1):
        assert np.array_equal(cell(sheet, 0, column), codewords.over(image, one.maps[:, :, i], 32))
        assert np.array_equal(cell(sheet, 1, column), codewords.over(image, one.coefficients[:, :, i], 8))


def test_a_codeword_keeps_its_colour(monkeypatch):
    """Maps, strokes and coefficients of the codewords that are foremost, each in its own colour."""
    image, labels = np.full((64, 96, 3), 100, np.uint8), np.zeros((64, 96), np.uint8)
    one, seen = inside(8, 12, 5), []
    monkeypatch.setattr(codewords, "flow", lambda columns, legend: seen.extend([*columns, legend]))
    report.decoder_picture(image, one, labels, ("cat",), 2)
    _, maps, strokes, W, foremost, prediction, legend = seen
    numbers = codewords.foremost_codeword(one)
    chosen = np.argsort(-np.bincount(numbers.ravel(), minlength=5))[:2]
    colours = 0.3 * codewords.hues(5) + 0.7 * 160
    colours[chosen] = codewords.hues(2)
    for k, i in enumerate(chosen):
        assert np.array_equal(maps[1][k], codewords.over(image, one.maps[:, :, i], 32, colours[i]))
        assert np.array_equal(W[1][k], codewords.over(image, one.coefficients[:, :, i], 8, colours[i]))
        assert np.array_equal(strokes[1][k], codewords.strokes(one.codebook[i], colours[i], (64, 96)))
    assert np.array_equal(foremost[1][0], codewords.by_codeword(image, numbers, colours))
    assert (prediction[1][0] == [128, 0, 0]).all() and legend == [("cat", (128, 0, 0))]
