"""Photographs as people have them: the same picture, whatever it was stored as."""

import warnings

import numpy as np
import pytest
from PIL import Image

from minihgd.data import read_photo
from minihgd.errors import DataError

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


def test_rgb_and_palette(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert np.array_equal(read_photo(tmp_path / "a.png"), PIXELS)
    Image.fromarray(PIXELS).quantize(64).save(tmp_path / "b.png")
    assert np.array_equal(read_photo(tmp_path / "b.png"), PIXELS)


@pytest.mark.parametrize("orientation, turn", [
    (1, lambda a: a), (2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]), (4, lambda a: a[::-1]),
    (5, lambda a: a.swapaxes(0, 1)), (6, lambda a: np.rot90(a, -1)),
    (7, lambda a: a.swapaxes(0, 1)[::-1, ::-1]), (8, lambda a: np.rot90(a))])
def test_upright(tmp_path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "a.png"), turn(PIXELS))


def test_grey(tmp_path):
    grey = PIXELS[:, :, 0]
    three = np.repeat(grey[:, :, None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "32.tif")
    Image.fromarray(grey > 100).save(tmp_path / "1.png")
    for name in ("8.png", "16.png", "32.tif"):
        assert np.array_equal(read_photo(tmp_path / name), three), name
    assert np.array_equal(read_photo(tmp_path / "1.png"), np.where(three > 100, 255, 0))


@pytest.mark.parametrize("kind, values, expected", [
    (np.float32, [0, 0.5, 1], [0, 128, 255]), (np.float32, [0, 0, 0.25], [0, 0, 64]),
    (np.float32, [-3, 1.5, 254.6], [0, 2, 255]), (np.float32, [0, 32767.5, 65535], [0, 128, 255]),
    (np.float32, [np.nan, 0.5, 1], [0, 128, 255]), (np.float32, [-np.inf, 1, np.inf], [0, 255, 255]),
    (np.float32, [np.nan, np.nan, np.inf], [0, 0, 255]),
    (np.uint16, [0, 1, 255], [0, 1, 255]), (np.uint16, [0, 1, 256], [0, 0, 16]),
    (np.uint16, [0, 2048, 4095], [0, 128, 255]), (np.uint16, [0, 2048, 4096], [0, 8, 16]),
    (np.int32, [0, 32768, 65535], [0, 128, 255]), (np.int32, [-5, 500000, 1000000], [0, 128, 255]),
    (np.int32, [0, 0, 1], [0, 0, 1]),
])
def test_grey_of_more_bits(tmp_path, kind, values, expected):
    Image.fromarray(np.array([values], kind)).save(tmp_path / "a.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(tmp_path / "a.tif")[0, :, 0].tolist() == expected


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    Image.new("1", (3000, 1000)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="a.png: found a picture of 3 million pixels, expected at most 2 million; make"):
        read_photo(tmp_path / "a.png")


def test_what_is_transparent_is_white(tmp_path):
    alpha = np.full((4, 6, 1), 255, np.uint8)
    alpha[1, 2] = 0
    expected = PIXELS.copy()
    expected[1, 2] = 255
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(read_photo(tmp_path / "a.png"), expected)
    Image.fromarray(PIXELS).save(tmp_path / "b.png", transparency=tuple(int(v) for v in PIXELS[1, 2]))
    assert np.array_equal(read_photo(tmp_path / "b.png"), expected)


def test_four_colours(tmp_path):
    Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert np.array_equal(read_photo(tmp_path / "a.tif"), np.broadcast_to(np.uint8([255, 0, 0]), (4, 6, 3)))


def test_broken(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="a.jpg: expected a complete image file"):
        read_photo(tmp_path / "a.jpg")
