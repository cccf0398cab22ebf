"""Bilinear resizing as two matrix products, Y = R_h X R_wᵀ for every channel.

Row i of R says which pixels output pixel i lies between and how near it is to each: two weights that add up to one.
So resizing is linear, and its backward pass is dX = R_hᵀ dY R_w.
"""

import functools

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError
from .convolution import pair

SMALL = 1 << 16  # elements of R_h ⊗ R_w, up to which a map is resized by that one matrix


def neighbours(size_in, size_out, align_corners=False, outputs=slice(None)):
    """left, right and t, one each for every output pixel (of a slice): it is 1 - t of pixel left and t of pixel right.

    Output pixel i looks at position u of the input. With `align_corners` the first and last pixel centres coincide,
    u = i (size_in - 1) / (size_out - 1); without, the pixels' edges do, u = (i + 1/2) size_in / size_out - 1/2,
    kept inside the first and last centre. left = floor(u), right = left + 1, t = u - left.
    """
    i = np.arange(size_out, dtype=np.float64)[outputs]
    if align_corners:
        u = i * ((size_in - 1) / max(1, size_out - 1))
    else:
        u = np.maximum((i + 0.5) * (size_in / size_out) - 0.5, 0)
    left = np.minimum(u.astype(int), size_in - 1)
    return left, np.minimum(left + 1, size_in - 1), u - left


@functools.lru_cache(maxsize=256)
def resize_matrix(size_in, size_out, align_corners=False):
    """R size_out×size_in, float64, read-only: two weights in each row, see `neighbours`."""
    R = _two_in_each_row(size_in, *neighbours(size_in, size_out, align_corners))
    R.flags.writeable = False
    return R


def resize_rows(size_in, size_out, outputs, align_corners=False):
    """Some rows (a slice) of R without the columns in which they are zero, and the slice of those that are left."""
    left, right, t = neighbours(size_in, size_out, align_corners, outputs)
    inputs = slice(int(left[0]), int(right[-1]) + 1)
    return _two_in_each_row(inputs.stop - inputs.start, left - inputs.start, right - inputs.start, t), inputs


def _two_in_each_row(columns, left, right, t):
    R = np.zeros((len(t), columns))
    np.add.at(R, (np.arange(len(t)), left), 1 - t)
    np.add.at(R, (np.arange(len(t)), right), t)
    return R


def support(size_out, size_in, rows, align_corners=False, transposed=False):
    """The slice of columns of R outside which some rows (a slice) of it are zero. `transposed`: of Rᵀ."""
    R = resize_matrix(size_out, size_in, align_corners).T if transposed else resize_matrix(
        size_in, size_out, align_corners)
    columns = np.nonzero(R[rows])[1]
    return slice(int(columns.min()), int(columns.max()) + 1) if len(columns) else slice(0, 0)


class ResizeBilinear(Op):
    """x N×H×W×C -> y N×Ho×Wo×C, (Ho, Wo) = size."""

    def __init__(self, size, align_corners=False):
        self.size, self.align_corners = pair(size, "size", 1), align_corners

    def shape(self, x):
        if len(x) != 4 or min(x) < 1:
            raise ShapeError(f"resize_bilinear: expected x N×H×W×C, found {x}")
        return (x[0],) + self.size + (x[3],)

    def matrices(self, like, height, width):
        """R_h and R_w on the device and in the dtype of `like`."""
        sizes = zip((height, width), self.size, strict=True)
        xp = backend.of(like).xp
        return (xp.asarray(resize_matrix(a, b, self.align_corners), like.dtype) for a, b in sizes)

    def forward(self, x):
        self.x_shape = x.shape
        (n, h, w, c), (_, height, width, _) = x.shape, self.shape(x.shape)
        if (h, w) == (height, width):
            return x
        primitives = backend.of(x)
        R_h, R_w = self.matrices(x, h, w)
        if h * w * height * width <= SMALL:
            R = primitives.xp.kron(R_h, R_w)  # HoWo×HW
            return primitives.matmul(R, x.reshape(n, h * w, c)).reshape(n, height, width, c)
        across = primitives.matmul(R_w, x.reshape(n * h, w, c)).reshape(n, h, width * c)
        y = primitives.xp.empty((n, height, width * c), x.dtype)

        def block(where):
            image, lines = where
            part = support(height, h, lines, self.align_corners)  # each line lies between two: R_h is mostly zeros
            primitives.matmul(R_h[lines, part], across[image, part], out=y[image, lines])

        primitives.each(block, bands(n, height, width * c, primitives))
        return y.reshape(n, height, width, c)

    def backward(self, dy):
        (n, h, w, c), (_, height, width, _) = self.x_shape, dy.shape
        if (h, w) == (height, width):
            return dy
        primitives = backend.of(dy)
        R_h, R_w = self.matrices(dy, h, w)
        if h * w * height * width <= SMALL:
            R = primitives.xp.kron(R_h, R_w)  # HoWo×HW
            return primitives.matmul(R, dy.reshape(n, height * width, c), transpose_a=True).reshape(n, h, w, c)
        rows = dy.reshape(n, height, width * c)
        down = primitives.xp.empty((n, h, width * c), dy.dtype)

        def block(where):
            image, lines = where
            part = support(h, height, lines, transposed=True, align_corners=self.align_corners)
            primitives.matmul(R_h[part, lines], rows[image, part], transpose_a=True, out=down[image, lines])

        primitives.each(block, bands(n, h, width * c, primitives))
        return primitives.matmul(R_w, down.reshape(n * h, width, c), transpose_a=True).reshape(n, h, w, c)


def bands(images, lines, columns, primitives):
    """(image, slice of its lines): all lines, `columns` numbers each, in bands of about two blocks of numbers."""
    step = max(1, 2 * primitives.BLOCK // columns)
    return [(i, slice(start, min(start + step, lines))) for i in range(images) for start in range(0, lines, step)]


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

    align_corners: whether the centres of the corner pixels coincide, or the edges of the maps. Raises ShapeError.
    """
    return ResizeBilinear(size, align_corners)(x)
