"""Bilinear resizing as two matrix products, Y = R_h X R_wᵀ for every channel.

Row i of R says which pixels output pixel i lies between and how near it is to each: two weights that add up to one
(`neighbours` in backend/resampling.py). So resizing is linear, and its backward pass is dX = R_hᵀ dY R_w. Derived in
docs/07-bilinear-resampling.md.
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..backend import resampling
from ..errors import ShapeError
from .convolution import pair


class ResizeBilinear(Op):
    """x N×H×W×C -> y N×Ho×Wo×C, (Ho, Wo) = size. align_corners: see `resize_bilinear`."""

    def __init__(self, size, align_corners=False):
        self.size, self.align_corners = pair(size, "size", 1), align_corners

    def shape(self, x):
        if len(x) != 4 or min(x) < 1:
            raise ShapeError(f"resize_bilinear: expected x N×H×W×C, found {x}")
        return (x[0],) + self.size + (x[3],)

    def forward(self, x):
        self.shape(x.shape)
        self.R_h, self.R_w = (resampling.Resizing(size, out, self.align_corners)
                              for size, out in zip(x.shape[1:3], self.size, strict=True))
        return x if x.shape[1:3] == self.size else backend.of(x).resampling.resample(x, self.R_h, self.R_w)

    def backward(self, dy):
        if self.R_h.size_in == self.R_h.size_out and self.R_w.size_in == self.R_w.size_out:
            return dy
        return backend.of(dy).resampling.resample(dy, self.R_h.T, self.R_w.T)


def plain_resize_bilinear(x, size, align_corners=False):
    """`resize_bilinear` on a NumPy array, one output pixel at a time."""
    (n, h, w, c), (height, width) = x.shape, pair(size, "size", 1)
    y = np.empty((n, height, width, c), x.dtype)
    for i, j in np.ndindex(height, width):
        if align_corners:
            u, v = i * (h - 1) / max(1, height - 1), j * (w - 1) / max(1, width - 1)
        else:
            u, v = max(0, (i + 0.5) * h / height - 0.5), max(0, (j + 0.5) * w / width - 0.5)
        top, left = min(int(u), h - 1), min(int(v), w - 1)
        bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
        above = (1 - (v - left)) * x[:, top, left] + (v - left) * x[:, top, right]  # N×C
        below = (1 - (v - left)) * x[:, bottom, left] + (v - left) * x[:, bottom, right]
        y[:, i, j] = (1 - (u - top)) * above + (u - top) * below
    return y


def resize_bilinear(x, size, align_corners=False):
    """x N×H×W×C -> N×Ho×Wo×C for size (Ho, Wo) or one int, up or down, without antialiasing, as PyTorch's.

    align_corners: whether the centres of the corner pixels coincide, or the edges of the maps. Raises ShapeError for a
    size below 1 and an x that has not four axes or no elements. docs/07-bilinear-resampling.md.
    """
    return ResizeBilinear(size, align_corners)(x)
