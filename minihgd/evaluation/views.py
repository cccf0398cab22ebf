"""A model's logits for an image of any size, a few lines at a time: they are never in memory as a whole.

A view is the image at one scale, mirrored or not. It goes through the network whole, or, where it is large, in windows
that overlap; where several windows see a pixel, their logits are averaged. What is kept of a window is its logits at
output stride 8. They are enlarged when their lines are asked for, and forgotten when those have gone by. Explained in
docs/14-evaluation.md.
"""

import numpy as np

from .. import backend
from ..autograd import no_grad
from ..backend.resampling import resize_rows
from ..data import as_input

WHOLE = 1 << 21  # pixels: larger views are seen through windows, where no side of windows is given
WINDOW = 1024  # the side of those
COLUMNS = 256  # enlarged at once: R_w is nearly all zeros, and a small part of it less so


class View:
    """The logits h×w×K of a view, an image h×w×3 uint8, asked for from top to bottom.

    crop: the side of the windows in pixels, None for the whole view. step: the share of a window's side from one to the
    next. least: windows are padded to sides of at least so many pixels, right and bottom, black.
    """

    def __init__(self, model, image, crop=None, step=2 / 3, least=0):
        self.model, self.image, self.least = model, image, least
        self.height, self.width = image.shape[:2]
        if crop is None and self.height * self.width > WHOLE:
            crop = WINDOW
        self.sides = min(crop or self.height, self.height), min(crop or self.width, self.width)
        self.tops, self.lefts = (starts(size, side, max(1, round(side * step)))
                                 for size, side in zip((self.height, self.width), self.sides, strict=True))
        self.coarse = {}  # (top, left) -> logits of the window, h'×w'×K, and the size that they are enlarged to

    @property
    def dtype(self):
        """The dtype of the logits."""
        return self.model.like.dtype

    def lines(self, lines):
        """The logits of some lines (a slice) of the view, lines×w×K. Lines above them can not be asked for again."""
        total = counts = None
        for top in self.tops:
            own = slice(max(lines.start, top) - top, min(lines.stop, top + self.sides[0]) - top)  # of the window
            if own.start >= own.stop:
                self._forget(top, lines.start)
                continue
            for left in self.lefts:
                x, size = self._window(top, left)
                z = enlarged(x, size, own, slice(0, self.sides[1]))
                if total is None:
                    total = np.zeros((lines.stop - lines.start, self.width, z.shape[2]), z.dtype)
                    counts = np.zeros((lines.stop - lines.start, self.width, 1), z.dtype)
                part = (slice(top + own.start - lines.start, top + own.stop - lines.start),
                        slice(left, left + self.sides[1]))
                total[part] += z
                counts[part] += 1
        total /= counts
        return total

    def _window(self, top, left):
        if (top, left) not in self.coarse:
            pixels = at_least(self.image[top : top + self.sides[0], left : left + self.sides[1]], self.least)
            with no_grad():
                x = as_input(self.model, pixels[None])
                x = getattr(self.model, "coarse", self.model)(x).data[0]  # h'×w'×K
            self.coarse[top, left] = backend.to_numpy(backend.widened(x)), pixels.shape[:2]
        return self.coarse[top, left]

    def _forget(self, top, line):
        """Windows that end above a line are not needed again."""
        if top + self.sides[0] <= line:
            for left in self.lefts:
                self.coarse.pop((top, left), None)


def starts(size, side, step):
    """Where windows of a side begin, so that they cover `size` pixels and the last ends with them."""
    return [*range(0, size - side, step), size - side]


def at_least(image, side):
    """An image H×W×3 padded with black on the right and at the bottom to sides of at least `side` pixels."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0)))


def enlarged(x, size, lines, columns):
    """Some lines and columns (slices) of x h×w×K resized bilinearly to `size` H×W: lines×columns×K."""
    return across(down(lambda part: x[part], x.shape[0], size[0], lines), size[1], columns)


def down(source, size_in, size_out, lines):
    """Some lines (a slice) of a map of `size_in` lines, resized to `size_out` lines; source(part) gives its lines."""
    if size_in == size_out:
        return source(lines)
    R, part = resize_rows(size_in, size_out, lines)  # b×a
    x = source(part)  # a×w×K
    return backend.of(x).matmul(R.astype(x.dtype), x.reshape(len(x), -1)).reshape(-1, *x.shape[1:])


def across(x, size_out, columns):
    """Some columns (a slice) of the lines x b×w×K, resized to `size_out` columns: b×columns×K."""
    if x.shape[1] == size_out:
        return x[:, columns]
    y = np.empty((len(x), columns.stop - columns.start, x.shape[2]), x.dtype)
    for start in range(columns.start, columns.stop, COLUMNS):
        some = slice(start, min(start + COLUMNS, columns.stop))
        R, part = resize_rows(x.shape[1], size_out, some)  # some×part
        y[:, some.start - columns.start : some.stop - columns.start] = backend.of(x).matmul(
            R.astype(x.dtype), np.ascontiguousarray(x[:, part]))
    return y
