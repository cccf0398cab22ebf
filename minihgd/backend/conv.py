"""The convolution as matrix products: the map and its two adjoints, for both array libraries.

With X the padded input, W_t the Cin×Cout matrix of tap t = (i, j), s the stride and d the dilation,

    y[h, w] = sum over taps of X[s h + d i, s w + d j] W_t

is linear in x and in the weights. `convolve` computes y; `convolve_input` and `convolve_weight` are its transposes
with respect to x and to the weights:

    dX[s h + d i, s w + d j] += dy[h, w] W_t^T          dW_t = sum over h, w of X[s h + d i, s w + d j]^T dy[h, w]

Write the windows of some output pixels as the rows of a matrix G, with kh·kw·Cin columns. Then y = G W, dG = dy W^T
and dW = G^T dy are single products. G holds every pixel up to kh·kw times, so it is never built as a whole: a few
output lines at a time, it is written, used and forgotten while it is in the cache.
"""

import itertools
from dataclasses import dataclass

from . import of

PIXELS = 256  # of a block of windows, at least: fewer rows would make a poor matrix product
LARGE = 1 << 18  # elements: larger kernels are transposed tap by tap in the product, smaller ones by a copy


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
        return self.kernel == (1, 1) and self.padding == (0, 0)

    @property
    def full_padding(self):
        """The padding with which dy, convolved with the turned-over kernel, gives dx (stride 1)."""
        return tuple(d * (k - 1) - p for d, k, p in zip(self.dilation, self.kernel, self.padding, strict=True))


def convolve(x, weight, window):
    """x N×H×W×Cin, weight kh×kw×Cin×Cout -> y N×Ho×Wo×Cout."""
    matmul = of(x).matmul
    if window.is_pointwise:
        x = _every(x, window.stride)  # N×Ho×Wo×Cin
        return matmul(_rows(x), weight[0, 0]).reshape(x.shape[:3] + weight.shape[3:])
    kernel = weight.reshape(-1, weight.shape[3])  # kh·kw·Cin×Cout
    return _by_windows(x, window, weight.shape[3], lambda G, y: matmul(G, kernel, out=y))


def _by_windows(x, window, channels, product):
    """y N×Ho×Wo×channels: product(G, y) writes the rows y that belong to the windows G, block by block."""
    primitives, (n, h, w, cin), (kh, kw) = of(x), x.shape, window.kernel
    y = primitives.xp.empty((n, window.output(h, 0), window.output(w, 1), channels), x.dtype)

    def block(where):
        images, lines = where
        product(gather_windows(x[images], window, lines), _rows(y[images, lines]))

    primitives.each(block, line_blocks(y.shape, kh * kw * cin, primitives))
    return y


def convolve_input(dy, weight, window, shape):
    """dy N×Ho×Wo×Cout, weight kh×kw×Cin×Cout -> dx of `shape` N×H×W×Cin: the transpose of `convolve` in x."""
    primitives = of(dy)
    if window.is_pointwise:
        dx = primitives.matmul(_rows(dy), weight[0, 0], transpose_b=True).reshape(dy.shape[:3] + shape[3:])
        return dx if window.stride == (1, 1) else _spread(dx, window.stride, shape)
    if window.stride == (1, 1):
        # dx[r] = sum over taps of dy[r - t] W_t^T: again a convolution, the kernel turned over and transposed.
        window = Window(window.kernel, (1, 1), window.full_padding, window.dilation)
        if weight.size <= LARGE:
            return convolve(dy, primitives.xp.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3)), window)
        turned, cout = weight.reshape((-1,) + weight.shape[2:])[::-1], weight.shape[3]  # kh·kw×Cin×Cout

        def product(G, dx):
            for t, W in enumerate(turned):
                primitives.matmul(G[:, t * cout : (t + 1) * cout], W, transpose_b=True, out=dx, accumulate=t > 0)

        return _by_windows(dy, window, weight.shape[2], product)
    kernel = weight.reshape(-1, weight.shape[3])  # kh·kw·Cin×Cout
    dx = primitives.xp.empty(shape, dy.dtype)

    def block(where):
        images, lines = where
        outputs = window.outputs(lines, dy.shape[1])  # all that reach these lines; the next block's may be among them
        some = dy[images, outputs]  # n×lines×Wo×Cout
        windows = primitives.matmul(_rows(some), kernel, transpose_b=True)  # M×kh·kw·Cin
        dx[images, lines] = add_windows(windows.reshape(some.shape[:3] + (len(kernel),)), window, outputs.start,
                                        lines, shape[2])

    primitives.each(block, line_blocks(shape, len(kernel) // (window.stride[0] * window.stride[1]), primitives))
    return dx


def convolve_weight(x, dy, window):
    """x N×H×W×Cin, dy N×Ho×Wo×Cout -> dW kh×kw×Cin×Cout: the transpose of `convolve` in the weights."""
    (kh, kw), cin, cout = window.kernel, x.shape[3], dy.shape[3]
    primitives = of(x)
    if window.is_pointwise:
        dW = primitives.matmul(_rows(_every(x, window.stride)), _rows(dy), transpose_a=True)
        return dW.reshape(1, 1, cin, cout)
    blocks = line_blocks(dy.shape, kh * kw * cin, primitives)

    def share(own):
        """The sum over a share of the blocks."""
        dW = primitives.xp.empty((kh * kw * cin, cout), x.dtype)
        for i, (images, lines) in enumerate(own):
            G = gather_windows(x[images], window, lines)  # M×kh·kw·Cin
            primitives.matmul(G, _rows(dy[images, lines]), transpose_a=True, out=dW, accumulate=i > 0)
        return dW

    shares = min(primitives.count(), len(blocks))
    dW, *others = primitives.each(share, [blocks[i::shares] for i in range(shares)])
    for other in others:
        dW += other
    return dW.reshape(kh, kw, cin, cout)


# --- windows ---------------------------------------------------------------------------------------------------


def line_blocks(shape, columns, primitives):
    """(images, lines) slices that cover a map of `shape` N×H×W×C in blocks of about WINDOWS gathered elements.

    columns: elements gathered for each pixel. A block is some lines of one image, or some whole images.
    """
    n, height, width = shape[:3]
    if n == 0:
        return []
    pixels = max(PIXELS, primitives.WINDOWS // max(1, columns))
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
    view = of(x).xp.lib.stride_tricks.as_strided(  # the windows as they lie in X, overlapping
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
    X = of(windows).xp.zeros((n, read.stop - read.start, window.stride[1] * (width - 1) + window.reach(1),
                              windows.shape[4]), windows.dtype)
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
    (_, height, width, _), xp = x.shape, of(x).xp
    inside = [slice(min(max(part.start, 0), size), max(0, min(part.stop, size)))
              for part, size in ((lines, height), (columns, width))]
    if inside == [lines, columns]:
        return xp.ascontiguousarray(x[:, lines, columns])
    out = xp.full((len(x), lines.stop - lines.start, columns.stop - columns.start, x.shape[3]), fill, x.dtype)
    rows, places = (slice(own.start - part.start, max(own.start, own.stop) - part.start)
                    for own, part in zip(inside, (lines, columns), strict=True))
    out[:, rows, places] = x[:, inside[0], inside[1]]
    return out


# --- small helpers ---------------------------------------------------------------------------------------------


def _rows(x):
    """N×H×W×C -> N·H·W×C: pixels are rows."""
    return x.reshape(-1, x.shape[-1])


def _every(x, stride):
    return x if stride == (1, 1) else x[:, :: stride[0], :: stride[1]]


def _spread(dx, stride, shape):
    """The transpose of `_every`: the pixels between are zero."""
    out = of(dx).xp.zeros(shape, dx.dtype)
    out[:, :: stride[0], :: stride[1]] = dx
    return out
