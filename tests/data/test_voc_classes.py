"""The classes of VOC and the colours of its label files, to the bit."""

import numpy as np

from minihgd.data import VOC_CLASSES, voc_palette
from minihgd.data.context_classes import NAMES

from .make_voc import BORDER, COLOURS


def test_the_classes():
    assert len(VOC_CLASSES) == 21 and VOC_CLASSES[0] == "background" and VOC_CLASSES[15] == "person"
    assert VOC_CLASSES[1:] == NAMES[:20]  # PASCAL Context begins with them


def test_the_palette():
    palette = voc_palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    assert [tuple(colour) for colour in palette[:21].tolist()] == COLOURS
    assert tuple(palette[255].tolist()) == BORDER
    assert len({tuple(colour) for colour in palette.tolist()}) == 256
