"""The 21 classes of PASCAL VOC, and the colours in which its label files show them.

The colours are worked out in docs/14-evaluation.md.
"""

import numpy as np

VOC_CLASSES = (  # in the order of the labels
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)


def voc_palette():
    """The colours of the labels 0 to 255, 256×3 uint8.

    Bits 0, 1, 2 of a label are the top bits of R, G, B; the next three bits are their next ones, and so on. By hand:
    docs/14-evaluation.md.
    """
    colours = np.zeros((256, 3), np.uint8)
    for label in range(256):
        rest = label
        for bit in range(7, -1, -1):
            for channel in range(3):
                colours[label, channel] |= (rest >> channel & 1) << bit
            rest >>= 3
    return colours
