"""The augmentation of the paper, section 4.1: random flip, random scale, random crop.

Every function takes an image H×W×3 uint8 and its label H×W uint8, and returns both. Those that draw at random draw
from the generator they are given and from nothing else. Explained in docs/13-training.md.
"""

import numpy as np
from PIL import Image

from ..errors import DataError
from .dataset import VOID


def augment(image, label, crop, rng, scales=(0.5, 2.0), flip=0.5):
    """A random training sample, as in section 4.1: image H×W×3, label H×W -> crop×crop×3 and crop×crop, all uint8.

    crop: side in pixels. rng: numpy.random.Generator. scales: lowest and highest factor of the sides, every one between
    as likely. flip: probability of a flip, 0 to 1. What a small image lacks is black, and void (255) in the label.
    Raises DataError for a crop that is not a positive whole number, or a range of scales that is none. Explained in
    docs/13-training.md.
    """
    check_whole("crop", crop, 1)
    check_scales(scales)
    image, label = random_flip(image, label, rng, flip)
    image, label = random_scale(image, label, rng, scales)
    image, label = pad(image, label, crop)
    return random_crop(image, label, crop, rng)


def random_flip(image, label, rng, probability=0.5):
    """Left and right exchanged in both, with a probability of 0 to 1; views, not copies."""
    if rng.random() < probability:
        return image[:, ::-1], label[:, ::-1]
    return image, label


def random_scale(image, label, rng, scales=(0.5, 2.0)):
    """Both sides times one factor, drawn uniformly between the two `scales`, and rounded to at least one pixel."""
    height, width = label.shape
    factor = rng.uniform(*scales)
    return resize(image, label, max(1, round(height * factor)), max(1, round(width * factor)))


def resize(image, label, height, width):
    """Both as height×width pixels: bilinear for the image, nearest for the label, as two labels mixed are a third."""
    # Pillow widens its bilinear filter when it shrinks an image, so that fine patterns do not alias; that is what the
    # published models were trained with.
    size = (width, height)
    image = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))  # height×width×3
    label = np.array(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))  # height×width
    return image, label


def pad(image, label, size):
    """Rows below and columns to the right until both sides are at least `size`: black in the image, void in the label.

    Black is 0 before the normalisation, not after it: as the published models were trained.
    """
    height, width = label.shape
    below, right = max(0, size - height), max(0, size - width)
    image = np.pad(image, ((0, below), (0, right), (0, 0)))
    label = np.pad(label, ((0, below), (0, right)), constant_values=VOID)
    return image, label


def random_crop(image, label, size, rng):
    """A square of side `size`, every position equally likely; the image must be at least that large."""
    height, width = label.shape
    top = rng.integers(height - size + 1)
    left = rng.integers(width - size + 1)
    window = (slice(top, top + size), slice(left, left + size))
    return image[window], label[window]


def check_whole(name, value, least):
    """Raise DataError unless a setting is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise DataError(f"{name}={value!r}, expected a whole number of at least {least}")


def check_scales(scales):
    """Raise DataError unless `scales` is a range (lowest, highest) of positive factors."""
    try:
        lowest, highest = scales
        fits = 0 < lowest <= highest < np.inf
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise DataError(f"scales={scales!r}, expected (lowest, highest) with 0 < lowest <= highest")
