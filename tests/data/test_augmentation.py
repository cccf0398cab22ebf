"""Each step of the augmentation by its values, and that image and label stay together through all of them."""

import numpy as np
import pytest

from minihgd.data import augment
from minihgd.data.augmentation import pad, random_crop, random_flip, random_scale, resize
from minihgd.errors import DataError


def pair(height=6, width=9):
    """An image whose three channels all equal its label, and whose pixels all differ."""
    label = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    return np.repeat(label[:, :, None], 3, axis=2), label


def together(image, label):
    """Whether every labelled pixel still has the value of its label."""
    return all((image[..., channel] == label)[label != 255].all() for channel in range(3))


def test_a_flip_turns_both_round_half_of_the_time():
    image, label = pair()
    rng = np.random.default_rng(0)
    flips = 0
    for _ in range(400):
        flipped_image, flipped = random_flip(image, label, rng)
        assert together(flipped_image, flipped)
        assert flipped.tolist() in (label.tolist(), [row[::-1] for row in label.tolist()])
        flips += flipped[0, 0] == label[0, -1]
    assert 160 < flips < 240
    np.testing.assert_array_equal(random_flip(image, label, rng, 0)[1], label)
    np.testing.assert_array_equal(random_flip(image, label, rng, 1)[1], label[:, ::-1])


def test_resize_is_bilinear_for_the_image_and_nearest_for_the_label():
    image, label = pair(1, 2)
    image = image * 100  # 0 and 100
    image, label = resize(image, label, 2, 4)
    assert image.dtype == label.dtype == np.uint8
    assert image[..., 1].tolist() == [[0, 25, 75, 100]] * 2
    assert label.tolist() == [[0, 0, 1, 1]] * 2


def test_resize_averages_when_it_shrinks():
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    image, _ = resize(stripes, stripes[..., 0], 2, 2)
    assert image.min() > 90 and image.max() < 110  # and not 0 or 200: every pixel of the source counts


def test_scales_are_uniform_and_keep_the_proportions():
    image, label = np.zeros((60, 90, 3), np.uint8), np.zeros((60, 90), np.uint8)
    rng = np.random.default_rng(1)
    sizes = np.array([random_scale(image, label, rng)[1].shape for _ in range(300)])
    np.testing.assert_allclose(sizes[:, 0] * 1.5, sizes[:, 1], atol=1.5)
    long_sides = sizes[:, 1] / 90
    assert 0.49 < long_sides.min() < 0.52 and 1.97 < long_sides.max() < 2.01
    np.testing.assert_allclose(np.quantile(long_sides, [0.25, 0.5, 0.75]), [0.875, 1.25, 1.625], atol=0.1)
    thin_image, thin = random_scale(image[:1], label[:1], rng, (0.1, 0.1))
    assert thin.shape == (1, 9) and thin_image.shape == (1, 9, 3)  # no side vanishes


def test_padding_goes_right_and_below():
    image, label = pair(2, 3)
    padded_image, padded = pad(image + 1, label, 4)
    assert padded.tolist() == [[0, 1, 2, 255], [3, 4, 5, 255], [255] * 4, [255] * 4]
    np.testing.assert_array_equal(padded_image[:2, :3], image + 1)
    assert padded_image.sum() == (image + 1).sum() and padded_image.shape == (4, 4, 3)
    assert pad(image, label, 2)[1].tolist() == label.tolist()
    assert pad(image, label, 3)[1].tolist() == [*label.tolist(), [255] * 3]


def test_every_position_of_a_crop_is_equally_likely():
    image, label = pair(4, 3)
    rng = np.random.default_rng(2)
    crops = [random_crop(image, label, 2, rng) for _ in range(1200)]
    assert all(together(*crop) and crop[1].shape == (2, 2) for crop in crops)
    assert all((crop[1] - crop[1][0, 0] == [[0, 1], [3, 4]]).all() for crop in crops)  # one connected window
    corners, times = np.unique([crop[1][0, 0] for crop in crops], return_counts=True)
    assert corners.tolist() == [0, 1, 3, 4, 6, 7]
    assert times.min() > 150 and times.max() < 250
    np.testing.assert_array_equal(random_crop(image[:3], label[:3], 3, rng)[1], label[:3])


@pytest.mark.parametrize("size", [(50, 40), (200, 30), (7, 7), (1, 1)])
def test_augment_gives_crops_of_any_image(size):
    rng = np.random.default_rng(3)
    label = rng.integers(0, 59, size, dtype=np.uint8)
    image = np.repeat(label[:, :, None], 3, axis=2)
    for _ in range(10):
        cropped_image, cropped = augment(image, label, 32, rng)
        assert cropped_image.shape == (32, 32, 3) and cropped.shape == (32, 32)
        assert cropped_image.dtype == cropped.dtype == np.uint8
        assert set(np.unique(cropped)) <= {*np.unique(label), 255}
        assert (cropped_image[cropped == 255] == 0).all()
        assert (cropped != 255).any()


def test_augment_keeps_image_and_label_together():
    rng = np.random.default_rng(4)
    label = np.kron(rng.integers(0, 200, (4, 5), dtype=np.uint8), np.ones((16, 16), np.uint8))
    image = np.repeat(label[:, :, None], 3, axis=2)
    for _ in range(20):
        cropped_image, cropped = augment(image, label, 48, rng)
        same = np.abs(cropped_image[..., 0].astype(int) - cropped) <= 1
        assert same[cropped != 255].mean() > 0.6  # all but the pixels between two squares, which bilinear mixes


def test_augment_without_chance_is_the_image():
    image, label = pair(5, 5)
    same_image, same = augment(image, label, 5, np.random.default_rng(0), scales=(1, 1), flip=0)
    np.testing.assert_array_equal(same_image, image)
    np.testing.assert_array_equal(same, label)


def test_augment_repeats_with_its_generator():
    image, label = pair()
    first, again, other = (augment(image, label, 8, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).any()


@pytest.mark.parametrize("crop", [0, -3, 2.5, "64", None, True])
def test_a_wrong_crop_is_named(crop):
    with pytest.raises(DataError, match=f"crop={crop!r}, expected a whole number of at least 1"):
        augment(*pair(), crop, np.random.default_rng(0))


@pytest.mark.parametrize("scales", [(2, 1), (0, 1), 1.5, (1, np.inf), ("a", "b"), (1, 2, 3)])
def test_wrong_scales_are_named(scales):
    with pytest.raises(DataError, match="scales=.*, expected .lowest, highest."):
        augment(*pair(), 8, np.random.default_rng(0), scales=scales)
