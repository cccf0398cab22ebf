"""The convolution as matrix products: the map and its two adjoints, for both array libraries.

With X the padded input, W_t the Cin×Cout matrix of tap t = (i, j), s the stride and d the dilation,

    y[h, w] = sum over taps of X[s h + d i, s w + d j] W_t

is linear in x and in the weights. `convolve` computes y; `convolve_input` and `convolve_weight` are its transposes
with respect to x and to the weights:

    dX[s h + d i, s w + d j] += dy[h, w] W_t^T          dW_t = sum over h, w of X[s h + d i, s w + d j]^T dy[h, w]

At stride 1 no window is ever copied: write the padded map as one tall matrix with a row per pixel. One tap further is
a fixed number of rows further down, so tap t contributes the matrix product of a shifted view with W_t. The products
also run over the pixels where a window would wrap around an edge; those rows are cropped away (in y) or zero (in dy).
At other strides the windows are gathered into a matrix with kh·kw·Cin columns, in pieces of a few images.
"""

from dataclasses import dataclass

from . import of

ROWS = 4096  # rows of output that all taps visit before the next rows: they stay in the cache
WINDOWS = 1 << 22  # elements of gathered windows at a time


@dataclass(frozen=True)
class Window:
    """Kernel size, stride, padding and dilation of a sliding window, each (vertical, horizontal)."""

    kernel: tuple
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)

    def output(self, size, axis):
        """How many windows fit along one axis (0 vertical, 1 horizontal) of `size` pixels; below 1 if none does."""
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

    @property
    def is_pointwise(self):
        return self.kernel == (1, 1) and self.padding == (0, 0)

    @property
    def full_padding(self):
        """The padding with which dy, convolved with the turned-over kernel, gives dx (stride 1)."""
        return tuple(d * (k - 1) - p for d, k, p in zip(self.dilation, self.kernel, self.padding, strict=True))


def convolve(x, weight, window):
    """x N×H×W×Cin, weight kh×kw×Cin×Cout -> y N×Ho×Wo×Cout."""
    if window.is_pointwise:
        x = _every(x, window.stride)  # N×Ho×Wo×Cin
        return of(x).matmul(_rows(x), weight[0, 0]).reshape(x.shape[:3] + (-1,))
    if window.stride == (1, 1):
        return _convolve_shifted(x, weight, window)
    return _convolve_gathered(x, weight, window)


def convolve_input(dy, weight, window, shape):
    """dy N×Ho×Wo×Cout, weight kh×kw×Cin×Cout -> dx of `shape` N×H×W×Cin: the transpose of `convolve` in x."""
    matmul = of(dy).matmul
    if window.is_pointwise:
        dx = matmul(_rows(dy), weight[0, 0], transpose_b=True).reshape(dy.shape[:3] + (-1,))
        return dx if window.stride == (1, 1) else _spread(dx, window.stride, shape)
    if window.stride == (1, 1):
        # dx[r] = sum over taps of dy[r - t] W_t^T: again a convolution, the kernel turned over and transposed.
        turned = of(dy).xp.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3))  # kh×kw×Cout×Cin
        return _convolve_shifted(dy, turned, Window(window.kernel, (1, 1), window.full_padding, window.dilation))
    kernel = _rows(weight).reshape(-1, weight.shape[3])  # kh·kw·Cin×Cout
    dx = of(dy).xp.empty(shape, dy.dtype)
    for some in _images(dy.shape, kernel.shape[0]):
        windows = matmul(_rows(dy[some]), kernel, transpose_b=True)  # M×kh·kw·Cin
        dx[some] = add_windows(windows, (len(dy[some]),) + shape[1:], window)
    return dx


def convolve_weight(x, dy, window):
    """x N×H×W×Cin, dy N×Ho×Wo×Cout -> dW kh×kw×Cin×Cout: the transpose of `convolve` in the weights."""
    (kh, kw), cin, cout = window.kernel, x.shape[3], dy.shape[3]
    matmul, xp = of(x).matmul, of(x).xp
    if window.is_pointwise:
        return matmul(_rows(_every(x, window.stride)), _rows(dy), transpose_a=True).reshape(1, 1, cin, cout)
    if window.stride == (1, 1):
        return _convolve_weight_shifted(x, dy, window)
    dW = xp.zeros((kh * kw * cin, cout), x.dtype)
    for some in _images(dy.shape, len(dW)):
        windows = gather_windows(x[some], window)  # n×Ho×Wo×kh·kw·Cin
        matmul(windows.reshape(-1, len(dW)), _rows(dy[some]), transpose_a=True, out=dW, accumulate=True)
    return dW.reshape(kh, kw, cin, cout)


# --- stride 1: shifted rows ------------------------------------------------------------------------------------


def _convolve_shifted(x, weight, window):
    matmul, xp = of(x).matmul, of(x).xp
    kh, kw, cin, cout = weight.shape
    height, width = window.output(x.shape[1], 0), window.output(x.shape[2], 1)
    X = pad(x, window.padding)  # N×Hp×Wp×Cin
    offsets = _offsets(window, X.shape[2])
    y = xp.empty(X.shape[:3] + (cout,), x.dtype)  # on the padded grid; rows past a window's last place stay unset
    rows_in, rows_out = _rows(X), _rows(y)
    last = len(rows_in) - offsets[-1]  # the last window starts here
    for start in range(0, last, ROWS):
        stop = min(start + ROWS, last)
        for t, offset in enumerate(offsets):
            matmul(rows_in[start + offset : stop + offset], weight[t // kw, t % kw],
                   out=rows_out[start:stop], accumulate=t > 0)
    return xp.ascontiguousarray(y[:, :height, :width])  # N×Ho×Wo×Cout


def _convolve_weight_shifted(x, dy, window):
    matmul, xp = of(x).matmul, of(x).xp
    (kh, kw), cin, cout = window.kernel, x.shape[3], dy.shape[3]
    X = pad(x, window.padding)  # N×Hp×Wp×Cin
    offsets = _offsets(window, X.shape[2])
    grid = xp.zeros(X.shape[:3] + (cout,), dy.dtype)  # dy on the padded grid, zero where no window starts
    grid[:, : dy.shape[1], : dy.shape[2]] = dy
    rows_x, rows_dy = _rows(X), _rows(grid)
    last = len(rows_x) - offsets[-1]
    dW = xp.zeros((kh * kw, cin, cout), x.dtype)
    for start in range(0, last, ROWS):
        stop = min(start + ROWS, last)
        for t, offset in enumerate(offsets):
            matmul(rows_x[start + offset : stop + offset], rows_dy[start:stop],
                   transpose_a=True, out=dW[t], accumulate=True)
    return dW.reshape(kh, kw, cin, cout)


def _offsets(window, width):
    """Rows from a window's first pixel to each of its taps, in a map `width` pixels wide."""
    (kh, kw), (dh, dw) = window.kernel, window.dilation
    return [i * dh * width + j * dw for i in range(kh) for j in range(kw)]


# --- other strides: gathered windows ---------------------------------------------------------------------------


def _convolve_gathered(x, weight, window):
    kernel = weight.reshape(-1, weight.shape[3])  # kh·kw·Cin×Cout
    height, width = window.output(x.shape[1], 0), window.output(x.shape[2], 1)
    y = of(x).xp.empty((len(x), height, width, weight.shape[3]), x.dtype)
    for some in _images(y.shape, len(kernel)):
        windows = gather_windows(x[some], window)  # n×Ho×Wo×kh·kw·Cin
        of(x).matmul(windows.reshape(-1, len(kernel)), kernel, out=_rows(y[some]))
    return y


def gather_windows(x, window):
    """x N×H×W×C -> N×Ho×Wo×kh·kw·C, the window of every output pixel, taps in row-major order."""
    height, width = window.output(x.shape[1], 0), window.output(x.shape[2], 1)
    (kh, kw), (sh, sw), (dh, dw), c = window.kernel, window.stride, window.dilation, x.shape[3]
    X = pad(x, window.padding)
    n, row, pixel, channel = X.strides
    view = of(x).xp.lib.stride_tricks.as_strided(  # the windows as they lie in X, overlapping
        X, (len(x), height, width, kh, kw, c), (n, sh * row, sw * pixel, dh * row, dw * pixel, channel))
    return view.reshape(len(x), height, width, kh * kw * c)  # a copy


def add_windows(windows, shape, window):
    """The transpose of `gather_windows`: N×Ho×Wo×kh·kw·C (or its rows) -> N×H×W×C, every pixel's copies added up."""
    n, h, w, c = shape
    (ph, pw), height, width = window.padding, window.output(h, 0), window.output(w, 1)
    windows = windows.reshape(n, height, width, -1, c)
    X = of(windows).xp.zeros((n, h + 2 * ph, w + 2 * pw, c), windows.dtype)
    for t, tap in enumerate(taps(window, height, width)):
        X[tap] += windows[:, :, :, t]
    return X[:, ph : ph + h, pw : pw + w]


def taps(window, height, width):
    """For each tap, the slices of the padded map that it reads: one pixel for each of height×width windows."""
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    for i in range(kh):
        for j in range(kw):
            yield (slice(None), slice(i * dh, i * dh + sh * (height - 1) + 1, sh),
                   slice(j * dw, j * dw + sw * (width - 1) + 1, sw))


# --- small helpers ---------------------------------------------------------------------------------------------


def pad(x, padding, fill=0):
    """x with (vertical, horizontal) pixels of `fill` on each side; negative padding crops."""
    if min(padding) < 0:
        top, left = (max(0, -p) for p in padding)
        x = x[:, top : x.shape[1] - top, left : x.shape[2] - left]
    ph, pw = (max(0, p) for p in padding)
    if ph == pw == 0:
        return of(x).xp.ascontiguousarray(x)
    n, h, w, c = x.shape
    padded = of(x).xp.full((n, h + 2 * ph, w + 2 * pw, c), fill, x.dtype)
    padded[:, ph : ph + h, pw : pw + w] = x
    return padded


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


def _images(shape, columns):
    """Slices of the N images, such that the windows (Ho·Wo rows of `columns`) of one slice are at most WINDOWS."""
    n, height, width = shape[:3]
    some = max(1, WINDOWS // max(1, height * width * columns))
    return [slice(start, start + some) for start in range(0, n, some)]
