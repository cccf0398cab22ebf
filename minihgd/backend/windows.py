"""Sliding windows over maps: where they lie, and how NumPy gathers what they see.

`gather_windows` is linear; `add_windows` is its transpose. The GPU has kernels for both (gpu_maps.py). Explained in
docs/04-convolution.md.
"""

import itertools
from dataclasses import dataclass

import numpy as np

WINDOWS = 1 << 19  # elements of a block of gathered windows
IN_PLACE = False  # whether windows without gaps are better read where they lie than gathered: conv.py
PIXELS = 256  # of a block of windows, at least: fewer rows would make a poor matrix product


@dataclass(frozen=True)
class Window:
    """Kernel size, stride, padding and dilation of a sliding window, each (vertical, horizontal)."""

    kernel: tuple
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)

    def output(self, size, axis):
        """How many windows fit along one axis (0 vertical, 1 horizontal) of `size` pixels; below 1 if none does."""
        return (size + 2 * self.padding[axis] - self.reach(axis)) // self.stride[axis] + 1

    def reach(self, axis):
        """Pixels that one window spans along an axis."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def lines(self, outputs):
        """The slice of the map's lines that the windows of a slice of output lines read; it may go beyond the map."""
        start = self.stride[0] * outputs.start - self.padding[0]
        last = self.stride[0] * (outputs.stop - 1) - self.padding[0] + self.reach(0)
        return slice(start, max(start, last))

    def outputs(self, lines, height):
        """The slice of the `height` output lines whose windows reach a slice of the map's lines."""
        first, last = lines.start + self.padding[0], lines.stop - 1 + self.padding[0]  # counted with the padding
        start = max(0, -((self.reach(0) - 1 - first) // self.stride[0]))  # the least h with s h + reach > first
        return slice(start, max(start, min(height, last // self.stride[0] + 1)))

    @property
    def is_pointwise(self):
        """Whether a window is a single pixel of the map, without padding: then a convolution is one product."""
        return self.kernel == (1, 1) and self.padding == (0, 0)

    @property
    def is_gapless(self):
        """Whether a window is one pixel on from the last, and sees columns side by side; all lie in the padded map."""
        return self.stride == (1, 1) and self.dilation[1] == 1 and min(self.padding) >= 0

    @property
    def full_padding(self):
        """The padding with which dy, convolved with the turned-over kernel, gives dx (stride 1)."""
        return tuple(d * (k - 1) - p for d, k, p in zip(self.dilation, self.kernel, self.padding, strict=True))


def line_blocks(shape, columns, primitives):
    """(images, lines) slices that cover a map of `shape` N×H×W×C in blocks of about WINDOWS gathered elements.

    columns: elements gathered for each pixel. A block is some lines of one image, or some whole images.
    """
    n, height, width = shape[:3]
    if n == 0:
        return []
    pixels = max(PIXELS, primitives.windows.WINDOWS // max(1, columns))
    threads = primitives.count()
    if height * width * 2 > pixels * 3:  # more than one block to an image
        pieces = _even(height * width / pixels, threads if n % threads else 1)
        step = -(-height // min(height, pieces))
        return [(slice(i, i + 1), slice(start, min(start + step, height)))
                for i in range(n) for start in range(0, height, step)]
    pieces = min(n, _even(n * height * width / pixels, threads))
    step = -(-n // pieces)
    return [(slice(start, min(start + step, n)), slice(0, height)) for start in range(0, n, step)]


def _even(pieces, threads):
    """About that many pieces: one, or such a number that all threads have equally many."""
    return 1 if pieces < 1.5 else max(1, round(pieces / threads)) * threads


def gather_windows(x, window, lines):
    """x N×H×W×C -> M×kh·kw·C: the windows of all pixels of some output lines (a slice), taps in row-major order."""
    (kh, kw), (sh, sw), (dh, dw), pw = window.kernel, window.stride, window.dilation, window.padding[1]
    X = excerpt(x, window.lines(lines), slice(-pw, x.shape[2] + pw))  # N×lines read×Wp×C
    n, row, pixel, channel = X.strides
    view = np.lib.stride_tricks.as_strided(  # the windows as they lie in X, overlapping
        X, (len(x), lines.stop - lines.start, window.output(x.shape[2], 1), kh, kw, x.shape[3]),
        (n, sh * row, sw * pixel, dh * row, dw * pixel, channel))
    return view.reshape(-1, kh * kw * x.shape[3])  # a copy


def add_windows(windows, window, first, lines, map_width):
    """The transpose of `gather_windows`: every pixel's copies added up, for some lines (a slice) of the map.

    windows: N×h×Wo×kh·kw·C, of whole output lines from number `first` on -> N×lines×map_width×C.
    """
    n, height, width, columns_of_G = windows.shape
    count = window.kernel[0] * window.kernel[1]
    windows = windows.reshape(n, height, width, count, columns_of_G // count)
    read = window.lines(slice(first, first + height))
    X = np.zeros((n, read.stop - read.start, window.stride[1] * (width - 1) + window.reach(1), windows.shape[4]),
                 windows.dtype)
    for t, tap in enumerate(taps(window, height, width)):
        X[tap] += windows[:, :, :, t]
    pw = window.padding[1]
    return excerpt(X, slice(lines.start - read.start, lines.stop - read.start),
                   slice(pw, pw + map_width))


def taps(window, height, width):
    """For each tap, the slices of a padded map that it reads: one pixel for each of height×width windows."""
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    for i, j in itertools.product(range(kh), range(kw)) if height and width else ():
        yield (slice(None), slice(i * dh, i * dh + sh * (height - 1) + 1, sh),
               slice(j * dw, j * dw + sw * (width - 1) + 1, sw))


def excerpt(x, lines, columns, fill=0):
    """x[:, lines, columns] of a map N×H×W×C for slices that may go beyond it: there it is `fill`. Contiguous."""
    _, height, width, _ = x.shape
    inside = [slice(min(max(part.start, 0), size), max(0, min(part.stop, size)))
              for part, size in ((lines, height), (columns, width))]
    if inside == [lines, columns]:
        return np.ascontiguousarray(x[:, lines, columns])
    out = np.full((len(x), lines.stop - lines.start, columns.stop - columns.start, x.shape[3]), fill, x.dtype)
    rows, places = (slice(own.start - part.start, max(own.start, own.stop) - part.start)
                    for own, part in zip(inside, (lines, columns), strict=True))
    out[:, rows, places] = x[:, inside[0], inside[1]]
    return out


def padded(x, window, pixels):
    """x N×H×W×C -> pixels×C: the padded images pixel after pixel, and zeros."""
    n, h, w, c = x.shape
    (ph, pw), out = window.padding, np.zeros((pixels, c), x.dtype)
    images = out[: n * (h + 2 * ph) * (w + 2 * pw)].reshape(n, h + 2 * ph, w + 2 * pw, c)
    images[:, ph : ph + h, pw : pw + w] = x
    return out
