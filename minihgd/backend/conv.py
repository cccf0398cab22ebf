"""The convolution as matrix products: the map and its two adjoints, for both array libraries.

With X the padded input, W_t the Cin×Cout matrix of tap t = (i, j), s the stride and d the dilation,

    y[h, w] = sum over taps of X[s h + d i, s w + d j] W_t

is linear in x and in the weights. `convolve` computes y; `convolve_input` and `convolve_weight` are its transposes
with respect to x and to the weights:

    dX[s h + d i, s w + d j] += dy[h, w] W_t^T          dW_t = sum over h, w of X[s h + d i, s w + d j]^T dy[h, w]

Write the windows of some output pixels as the rows of a matrix G, with kh·kw·Cin columns. Then y = G W, dG = dy W^T
and dW = G^T dy are single products. G holds every pixel up to kh·kw times, so it is never built as a whole: a few
output lines at a time, it is written, used and forgotten while it is in the cache.

Derived in docs/04-convolution.md; how a GPU does without G, in docs/17-on-the-gpu-and-on-several.md.
"""

from . import of, wide, windows

LARGE = 1 << 18  # elements: larger kernels are transposed tap by tap in the product, smaller ones by a copy


def convolve(x, weight, window):
    """x N×H×W×Cin, weight kh×kw×Cin×Cout -> y N×Ho×Wo×Cout."""
    primitives, matmul = of(x), of(x).matmul
    if window.is_pointwise:
        x = _every(x, window.stride)  # N×Ho×Wo×Cin
        return matmul(_rows(x), weight[0, 0]).reshape(x.shape[:3] + weight.shape[3:])
    if primitives.windows.IN_PLACE and window.is_gapless:
        return _in_place(x, weight, window)
    kernel = weight.reshape(-1, weight.shape[3])  # kh·kw·Cin×Cout
    return _by_windows(x, window, weight.shape[3], lambda G, y: matmul(G, kernel, out=y))


def _by_windows(x, window, channels, product):
    """y N×Ho×Wo×channels: product(G, y) writes the rows y that belong to the windows G, block by block."""
    primitives, (n, h, w, cin), (kh, kw) = of(x), x.shape, window.kernel
    y = primitives.xp.empty((n, window.output(h, 0), window.output(w, 1), channels), x.dtype)

    def block(where):
        images, lines = where
        product(primitives.windows.gather_windows(x[images], window, lines), _rows(y[images, lines]))

    primitives.each(block, windows.line_blocks(y.shape, kh * kw * cin, primitives))
    return y


def _in_place(x, weight, window):
    """`convolve` for windows without gaps (stride 1, neighbouring columns), read where they lie.

    In a padded map, the kw pixels of one line of a window are kw·Cin values side by side, and those of the window one
    pixel on begin Cin values later. As the rows of one matrix these would overlap, which BLAS does not take; but every
    kw-th of them do not. So all windows, line ends ignored, are kw matrices, and a line of the kernel is one batched
    product. Windows that run over a line's end are computed too, and left out of y.
    """
    primitives, (n, h, w, cin), (kh, kw, _, cout) = of(x), x.shape, weight.shape
    height, line = h + 2 * window.padding[0], w + 2 * window.padding[1]  # of a padded image, pixels
    rows = -(-n * height * line // kw)  # of each matrix
    X = primitives.windows.padded(x, window, kw * rows + (window.reach(0) - 1) * line + kw - 1)  # pixels×Cin
    y = primitives.xp.empty((kw * rows, cout), x.dtype)
    Y = _interleaved(y, kw, rows, cout)  # kw×rows×Cout
    for i in range(kh):
        A = _interleaved(X[i * window.dilation[0] * line :], kw, rows, kw * cin)  # kw×rows×kw·Cin
        W = primitives.xp.broadcast_to(weight[i].reshape(-1, cout), (kw, kw * cin, cout))
        primitives.matmul(A, W, out=Y, accumulate=i > 0)
    y = y[: n * height * line].reshape(n, height, line, cout)
    return primitives.windows.excerpt(y, slice(0, window.output(h, 0)), slice(0, window.output(w, 1)))


def _interleaved(x, kw, rows, columns):
    """Pixels×C -> kw×rows×columns, a view: row j of matrix p begins with pixel kw·j + p."""
    channels, size = x.shape[1], x.dtype.itemsize
    return of(x).xp.lib.stride_tricks.as_strided(
        x, (kw, rows, columns), (channels * size, kw * channels * size, size))


def convolve_input(dy, weight, window, shape):
    """dy N×Ho×Wo×Cout, weight kh×kw×Cin×Cout -> dx of `shape` N×H×W×Cin: the transpose of `convolve` in x."""
    primitives = of(dy)
    if window.is_pointwise:
        dx = primitives.matmul(_rows(dy), weight[0, 0], transpose_b=True).reshape(dy.shape[:3] + shape[3:])
        return dx if window.stride == (1, 1) else _spread(dx, window.stride, shape)
    if window.stride == (1, 1):
        # dx[r] = sum over taps of dy[r - t] W_t^T: again a convolution, the kernel turned over and transposed.
        window = windows.Window(window.kernel, (1, 1), window.full_padding, window.dilation)
        if weight.size <= LARGE or primitives.windows.IN_PLACE:
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
        G = primitives.matmul(_rows(some), kernel, transpose_b=True)  # M×kh·kw·Cin
        G = G.reshape(some.shape[:3] + (len(kernel),))
        dx[images, lines] = primitives.windows.add_windows(G, window, outputs.start, lines, shape[2])

    primitives.each(block, windows.line_blocks(shape, len(kernel) // (window.stride[0] * window.stride[1]), primitives))
    return dx


def convolve_weight(x, dy, window):
    """x N×H×W×Cin, dy N×Ho×Wo×Cout -> dW kh×kw×Cin×Cout: the transpose of `convolve` in the weights.

    In float32 for maps in bfloat16.
    """
    (kh, kw), cin, cout = window.kernel, x.shape[3], dy.shape[3]
    primitives = of(x)
    if window.is_pointwise:
        dW = primitives.xp.empty((cin, cout), wide(x.dtype))
        primitives.matmul(_rows(_every(x, window.stride)), _rows(dy), transpose_a=True, out=dW)
        return dW.reshape(1, 1, cin, cout)
    blocks = windows.line_blocks(dy.shape, kh * kw * cin, primitives)

    def share(own):
        """The sum over a share of the blocks."""
        dW = primitives.xp.empty((kh * kw * cin, cout), wide(x.dtype))
        for i, (images, lines) in enumerate(own):
            G = primitives.windows.gather_windows(x[images], window, lines)  # M×kh·kw·Cin
            primitives.matmul(G, _rows(dy[images, lines]), transpose_a=True, out=dW, accumulate=i > 0)
        return dW

    shares = min(primitives.count(), len(blocks))
    dW, *others = primitives.each(share, [blocks[i::shares] for i in range(shares)])
    for other in others:
        dW += other
    return dW.reshape(kh, kw, cin, cout)


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
