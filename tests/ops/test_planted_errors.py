"""The checks are themselves checked: each of these errors, planted in an op's source, must be caught by its check."""

import inspect

import pytest
from ops.checks import CHECKS

from minihgd.backend import conv, cpu
from minihgd.ops import (
    assembly,
    bilinear,
    convolution,
    dropout,
    elementwise,
    loss,
    normalisation,
    pooling,
    shapes,
    softmax_pooling,
)

# (module, the check that must fail, right source, wrong source)
ERRORS = [
    # Convolution: its maps, its addressing, its gradients.
    (conv, "conv2d", "return of(x).matmul(_rows(x), weight[0, 0]).reshape",
     "return of(x).matmul(_rows(x), weight[0, 0] * 1.001).reshape"),
    (conv, "conv2d", "offsets[-1]  # the last window starts here", "offsets[-1] - 1  # the last window starts here"),
    (conv, "conv2d", "weight[::-1, ::-1].swapaxes(2, 3)", "weight.swapaxes(2, 3)"),
    (conv, "conv2d", "weight[::-1, ::-1].swapaxes(2, 3)", "weight[::-1].swapaxes(2, 3)"),
    (conv, "conv2d", "d * (k - 1) - p for", "d * (k - 1) - p + 0 * d if k > 1 else p for"),
    (conv, "conv2d", "[i * dh * width + j * dw for", "[i * dh * width + j * dh for"),
    (conv, "conv2d", "accumulate=t > 0)", "accumulate=t > 1)"),
    (conv, "conv2d", "slice(i * dh, i * dh + sh * (height - 1) + 1, sh)", "slice(i, i + sh * (height - 1) + 1, sh)"),
    (conv, "conv2d", "dh * row, dw * pixel, channel", "row, pixel, channel"),
    (conv, "conv2d", "X[tap] += windows[:, :, :, t]", "X[tap] = windows[:, :, :, t]"),
    (conv, "conv2d", "return X[:, ph : ph + h, pw : pw + w]", "return X[:, :h, :w]"),
    (conv, "conv2d_linear", "transpose_a=True, out=dW[t], accumulate=True",
     "transpose_a=True, out=dW[t], accumulate=False"),
    (conv, "conv2d", "out[:, :: stride[0], :: stride[1]] = dx", "out[:, : dx.shape[1], : dx.shape[2]] = dx"),
    (conv, "conv2d", "padded[:, ph : ph + h, pw : pw + w] = x", "padded[:, ph : ph + h, : w] = x"),
    (conv, "conv2d_linear",
     "stop = min(start + ROWS, last)\n        for t, offset in enumerate(offsets):\n            matmul(rows_x",
     "stop = min(start + ROWS, last) - 1\n        for t, offset in enumerate(offsets):\n            matmul(rows_x"),
    (convolution, "conv2d", "y += bias", "y += 2 * bias"),
    (convolution, "conv2d", "column_sums(dy.reshape(-1, dy.shape[3]))",
     "column_sums(dy.reshape(-1, dy.shape[3])) / len(dy)"),
    (convolution, "conv_transpose2d", "conv.convolve(dy, _swap(weight), window)",
     "conv.convolve(dy, _swap(weight)[::-1], window)"),
    (convolution, "conv_transpose2d", "_swap(conv.convolve_weight(dy, x, window))",
     "_swap(conv.convolve_weight(dy, x, window))[:, ::-1]"),
    (convolution, "conv_transpose2d", "s * (n - 1) - 2 * p + k + o for", "s * (n - 1) - 2 * p + k for"),
    (cpu, "matmul", "beta=float(accumulate)", "beta=0.5"),
    (cpu, "conv2d", "_GEMM[a.dtype.char](1.0, b.T", "_GEMM[a.dtype.char](1.001, b.T"),
    # Batch normalisation.
    (normalisation, "batch_norm", "(dy - d_beta / len(dy) - x_hat", "(dy - x_hat"),
    (normalisation, "batch_norm", "- x_hat * (d_gamma / len(dy)))", ")"),
    (normalisation, "batch_norm", "gamma * r * (dy - d_beta", "r * (dy - d_beta"),
    (normalisation, "batch_norm", "dx.reshape(x.shape), d_gamma, d_beta",
     "dx.reshape(x.shape), 1.01 * d_gamma, d_beta"),
    (normalisation, "batch_norm", "dx.reshape(x.shape), d_gamma, d_beta", "dx.reshape(x.shape), d_beta, d_gamma"),
    (normalisation, "batch_norm", "dx = gamma * r * dy\n", "dx = gamma * dy\n"),
    (normalisation, "batch_norm", "(var * (len(rows) / (len(rows) - 1)) - self.running_var)",
     "(var - self.running_var)"),
    (normalisation, "batch_norm", "self.running_mean += m * (mean", "self.running_mean += (1 - m) * (mean"),
    (normalisation, "batch_norm", "self.running_mean.astype(rows.dtype), self.running_var.astype",
     "0 * self.running_mean, self.running_var.astype"),
    (normalisation, "batch_norm", "xp.sqrt(var + x.dtype.type(self.eps))", "xp.sqrt(var)"),
    (cpu, "batch_norm", "d = x[rows] - s", "d = x[rows] - 0 * s"),
    (cpu, "batch_norm", "- mean * mean", ""),
    # Pooling.
    (pooling, "max_pool2d", "(X[tap] == y) & open_windows", "X[tap] == y"),
    (pooling, "max_pool2d", "conv.pad(x, self.padding, -np.inf)", "conv.pad(x, self.padding)"),
    (pooling, "max_pool2d", "dX[tap] += dy * wins", "dX[tap] = dy * wins"),
    (pooling, "avg_pool2d", "share = dy / xp.asarray(self._sizes(self.x_shape, dy.dtype))", "share = dy"),
    (pooling, "avg_pool2d", "return dX[:, ph : ph + rows, pw : pw + columns]", "return dX[:, :rows, :columns]"),
    (pooling, "avg_pool2d", "np.minimum(starts + self.size[axis], end) - starts", "starts * 0 + self.size[axis]"),
    # Bilinear resizing.
    (bilinear, "resize_bilinear", "(i + 0.5) * (size_in / size_out) - 0.5", "i * (size_in / size_out)"),
    (bilinear, "resize_bilinear", "i * ((size_in - 1) / max(1, size_out - 1))", "i * (size_in / size_out)"),
    (bilinear, "resize_bilinear", "np.add.at(R, (np.arange(size_out), right), t)",
     "np.add.at(R, (np.arange(size_out), right), 0 * t)"),
    (bilinear, "resize_bilinear", "down.reshape(n * h, width, c), transpose_a=True).reshape(n, h, w, c)",
     "down.reshape(n * h, width, c), transpose_a=True).reshape(n, h, w, c) * (w / width)"),
    # The codebook and its assembly.
    (softmax_pooling, "softmax_pool", "- (A * dA).sum(axis=1, keepdims=True)", ""),
    (softmax_pooling, "softmax_pool", "(A * dA).sum(axis=1, keepdims=True)", "(A * dA).mean(axis=1, keepdims=True)"),
    (softmax_pooling, "softmax_pool", "A / A.sum(axis=1, keepdims=True)", "A / A.sum(axis=2, keepdims=True)"),
    (softmax_pooling, "softmax_pool", "A - A.max(axis=1, keepdims=True)", "A"),
    (softmax_pooling, "softmax_pool", "dB = matmul(A, dC)", "dB = matmul(A, -dC)"),
    (assembly, "assemble", "dC = matmul(W, df, transpose_a=True)", "dC = matmul(W, df, transpose_a=True) / W.shape[1]"),
    (assembly, "assemble", "dW = matmul(df, C, transpose_b=True)", "dW = matmul(df, C, transpose_b=True)[:, ::-1]"),
    # The rest.
    (cpu, "relu", "dy * (y > 0)", "dy * (y >= 0)"),
    (cpu, "relu", "np.maximum(x, 0)", "np.maximum(x, 0.01 * x)"),
    (elementwise, "arithmetic", "self.to_inputs(dy, -dy)", "self.to_inputs(dy, dy)"),
    (elementwise, "arithmetic", "self.to_inputs(dy * b, dy * a if", "self.to_inputs(dy * a, dy * b if"),
    (elementwise, "arithmetic", "-da * y if", "-da if"),
    (elementwise, "arithmetic", "gradient.sum(axis=axes).reshape(shape)", "gradient.mean(axis=axes).reshape(shape)"),
    (elementwise, "arithmetic", "return dy / self.saved(\"x\")", "return dy * self.saved(\"x\")"),
    (shapes, "shapes", "dy.transpose(tuple(np.argsort(self._axes(dy.ndim))))", "dy.transpose(self._axes(dy.ndim))"),
    (shapes, "shapes", "seams = np.cumsum(self.widths)[:-1].tolist()", "seams = len(self.widths)"),
    (shapes, "shapes", "super().backward(dy / dy.dtype.type(self._count()))", "super().backward(dy)"),
    (shapes, "matmul", "dA = self._product(dy, b, transpose_b=True)",
     "dA = self._product(-dy, b, transpose_b=True)"),
    (dropout, "dropout2d", "kept / (1 - self.p)", "kept / self.p"),
    (dropout, "dropout2d", "return dy * self.saved(\"scale\")", "return dy"),
    (loss, "cross_entropy", "dz[labelled, target] -= share", "dz[labelled, target] -= 2 * share"),
    (loss, "cross_entropy", "weight[labelled] = share", "weight[:] = share"),
    (loss, "cross_entropy", "share = dy / max(1, len(target))", "share = dy / len(p)"),
    (loss, "cross_entropy", "share = dy / max(1, len(target))", "share = 1 / max(1, len(target))"),
    (cpu, "cross_entropy", "largest = z[rows].max(axis=1, keepdims=True)", "largest = 0 * z[rows, :1]"),
    (cpu, "cross_entropy", "(np.log(total) + largest)[:, 0]", "np.log(total)[:, 0]"),
]


def caught(module, check, right, wrong):
    """Whether a check fails with `right` replaced by `wrong` in a module's source.

    The changed source runs in the module's own namespace, so that everyone who uses the module meets it.
    """
    source = inspect.getsource(module)
    assert right in source, f"{module.__name__} no longer reads {right!r}: plant another error"
    code = compile(source.replace(right, wrong), module.__file__, "exec")
    before = dict(vars(module))
    try:
        exec(code, vars(module))
        try:
            CHECKS[check]()
        except (AssertionError, ValueError, IndexError):  # a wrong value, or shapes that no longer fit
            return True
    finally:
        vars(module).clear()
        vars(module).update(before)
    return False


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module, check, right, wrong", ERRORS,
                         ids=[f"{check}-{i}" for i, (_, check, _, _) in enumerate(ERRORS)])
def test_planted_error_is_caught(module, check, right, wrong):
    assert caught(module, check, right, wrong)


@pytest.mark.parametrize("module, check", sorted({(m.__name__, c): (m, c) for m, c, _, _ in ERRORS}.values(),
                                                 key=lambda pair: (pair[0].__name__, pair[1])))
def test_a_harmless_change_is_not_caught(module, check):
    """The machinery itself raises nothing: with the source as it is, every check passes."""
    assert not caught(module, check, "\n", "\n")
