"""Resizing along one axis as a matrix R with two weights in each row, and Y = R X Sᵀ on NumPy arrays.

`resample` takes a `Resizing` for each axis; the transposed ones give its adjoint. Derived in
docs/07-bilinear-resampling.md.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

from . import cpu

SMALL = 1 << 16  # elements of R ⊗ S, up to which a map is resized by that one matrix


@dataclass(frozen=True)
class Resizing:
    """From `size_in` pixels along an axis to `size_out`; `transposed`: the transpose of it, back to `size_in`."""

    size_in: int
    size_out: int
    align_corners: bool = False
    transposed: bool = False

    @property
    def T(self):
        """The transpose."""
        return replace(self, transposed=not self.transposed)

    @property
    def matrix(self):
        """R size_out×size_in (or its transpose), float64, read-only: two weights in each row, see `neighbours`."""
        R = _matrix(self.size_in, self.size_out, self.align_corners)
        return R.T if self.transposed else R

    def support(self, rows):
        """The slice of columns outside which some rows (a slice) of the matrix are zero."""
        columns = np.nonzero(self.matrix[rows])[1]
        return slice(int(columns.min()), int(columns.max()) + 1) if len(columns) else slice(0, 0)


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
def _matrix(size_in, size_out, align_corners):
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


def resample(x, vertical, horizontal):
    """x N×H×W×C -> R X Sᵀ for every image and channel, N×h×w×C, with R and S the matrices of two `Resizing`s."""
    (n, H, W, c), R, S = x.shape, vertical.matrix.astype(x.dtype), horizontal.matrix.astype(x.dtype)
    (h, _), (w, _) = R.shape, S.shape
    if R.size * S.size <= SMALL:
        return cpu.matmul(np.kron(R, S), x.reshape(n, H * W, c)).reshape(n, h, w, c)
    if h < H:  # first what makes the map smaller
        down = _along_lines(x, vertical, R).reshape(n * h, W, c)
        return cpu.matmul(S, down).reshape(n, h, w, c)
    across = cpu.matmul(S, x.reshape(n * H, W, c)).reshape(n, H, w, c)
    return _along_lines(across, vertical, R)


def _along_lines(x, vertical, R):
    """x N×H×W×C -> R X, N×h×W×C, in bands of lines: R is mostly zeros, and each band needs few lines of x."""
    (n, height, width, c), h = x.shape, len(R)
    rows, y = x.reshape(n, height, width * c), np.empty((n, h, width * c), x.dtype)

    def block(where):
        image, lines = where
        part = vertical.support(lines)
        cpu.matmul(R[lines, part], rows[image, part], out=y[image, lines])

    cpu.each(block, bands(n, h, width * c, cpu.BLOCK))
    return y.reshape(n, h, width, c)


def bands(images, lines, columns, block):
    """(image, slice of its lines): all lines, `columns` numbers each, in bands of about two blocks of numbers."""
    step = max(1, 2 * block // columns)
    return [(i, slice(start, min(start + step, lines))) for i in range(images) for start in range(0, lines, step)]
