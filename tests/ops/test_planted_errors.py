"""The checks are themselves checked: each of these errors, planted in the source, must be caught by its check."""

import inspect

import pytest
from backend.checks import CHECKS as OF_PRIMITIVES
from models.checks import CHECKS as OF_MODELS
from ops.checks import CHECKS as OF_OPS
from processes.checks import CHECKS as OF_SHARES

from minihgd import nn
from minihgd.backend import blas, conv, cpu, losses, resampling, windows
from minihgd.backend import pooling as pools
from minihgd.models import hgd
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
    upsampled_loss,
)

CHECKS = OF_OPS | OF_PRIMITIVES | OF_MODELS | OF_SHARES

# (module, the check that must fail, right source, wrong source)
ERRORS = [
    # Convolution: its maps, its addressing, its gradients.
    (conv, "conv2d", "return matmul(_rows(x), weight[0, 0]).reshape",
     "return matmul(_rows(x), weight[0, 0] * 1.001).reshape"),
    (conv, "conv2d", "weight.reshape((-1,) + weight.shape[2:])[::-1]", "weight.reshape((-1,) + weight.shape[2:])"),
    (conv, "conv2d", "weight.reshape((-1,) + weight.shape[2:])[::-1]",
     "weight[::-1].reshape((-1,) + weight.shape[2:])"),
    (windows, "conv2d", "d * (k - 1) - p for", "d * (k - 1) - p + 0 * d if k > 1 else p for"),
    (conv, "conv2d", "accumulate=t > 0)", "accumulate=t > 1)"),
    (conv, "conv2d", "weight[::-1, ::-1].swapaxes(2, 3)", "weight[:, ::-1].swapaxes(2, 3)"),
    (conv, "conv2d", "G[:, t * cout : (t + 1) * cout]", "G[:, :cout]"),
    (windows, "conv2d", "slice(i * dh, i * dh + sh * (height - 1) + 1, sh)", "slice(i, i + sh * (height - 1) + 1, sh)"),
    (windows, "conv2d", "dh * row, dw * pixel, channel", "row, pixel, channel"),
    (windows, "conv2d", "slice(-pw, x.shape[2] + pw)", "slice(0, x.shape[2] + 2 * pw)"),
    (windows, "conv2d", "X[tap] += windows[:, :, :, t]", "X[tap] = windows[:, :, :, t]"),
    (windows, "conv2d", "slice(pw, pw + map_width)", "slice(0, map_width)"),
    (windows, "conv2d", "slice(lines.start - read.start, lines.stop - read.start)", "lines"),
    (conv, "conv2d", "out[:, :: stride[0], :: stride[1]] = dx", "out[:, : dx.shape[1], : dx.shape[2]] = dx"),
    (conv, "conv2d", "return x if stride == (1, 1) else x[:, :: stride[0], :: stride[1]]",
     "return x[:, : -(-x.shape[1] // stride[0]), : -(-x.shape[2] // stride[1])]"),
    (windows, "conv2d", "(slice(own.start - part.start, max(own.start, own.stop) - part.start)",
     "(slice(0, max(own.start, own.stop) - own.start)"),
    # Its blocks: which lines a block reads, which blocks a line gets its gradient from.
    (windows, "conv2d_linear", "start = self.stride[0] * outputs.start - self.padding[0]",
     "start = outputs.start - self.padding[0]"),
    (windows, "conv2d_linear", "-((self.reach(0) - 1 - first) // self.stride[0])", "first // self.stride[0]"),
    (windows, "conv2d_linear", "min(height, last // self.stride[0] + 1)", "min(height, last // self.stride[0])"),
    (conv, "conv2d_linear", "accumulate=i > 0)", "accumulate=False)"),
    (conv, "conv2d_linear", "for other in others:", "for other in others[1:]:"),
    (conv, "conv2d_linear", "window, outputs.start,", "window, 0,"),
    (conv, "conv2d_linear", "_rows(dy[images, lines]), transpose_a=True",
     "_rows(dy[images, : lines.stop - lines.start]), transpose_a=True"),
    (convolution, "conv2d", "add_row(y.reshape(-1, y.shape[3]), bias)", "add_row(y.reshape(-1, y.shape[3]), 2 * bias)"),
    (convolution, "conv2d", "column_sums(dy.reshape(-1, dy.shape[3]))",
     "column_sums(dy.reshape(-1, dy.shape[3])) / len(dy)"),
    (convolution, "conv_transpose2d", "conv.convolve(dy, _swap(weight), window)",
     "conv.convolve(dy, _swap(weight)[::-1], window)"),
    (convolution, "conv_transpose2d", "_swap(conv.convolve_weight(dy, x, window))",
     "_swap(conv.convolve_weight(dy, x, window))[:, ::-1]"),
    (convolution, "conv_transpose2d", "s * (n - 1) - 2 * p + k + o for", "s * (n - 1) - 2 * p + k for"),
    # Matrix products: what they add to, how they are cut.
    (blas, "products", "one if accumulate else zero", "zero"),
    (blas, "products_of_views", "out[...] = 0", "pass"),
    (cpu, "products", "sum(sums[1:], start=sums[0])", "sums[0]"),
    (cpu, "products", "sum(sums, start=out) if accumulate", "sum(sums) if accumulate"),
    (cpu, "products", "transpose_a, transpose_b, accumulate), _cut(m,", "transpose_a, transpose_b), _cut(m,"),
    (cpu, "products", "transpose_a, transpose_b, accumulate), _cut(n,", "transpose_a, transpose_b), _cut(n,"),
    (cpu, "products", "a if a.ndim == 2 else a[i], b[i]", "a if a.ndim == 2 else a[0], b[i]"),
    (cpu, "products_of_views", "x.strides[-2] >= columns * x.itemsize", "x.strides[-2] > 0"),
    (cpu, "cuts", "max(0, size - 16 * round(rest * i / 16))", "size - 16 * round(rest * i / 16)"),
    # Column statistics, normalisation.
    (cpu, "batch_norm", "d = x[rows] - s", "d = x[rows] - 0 * s"),
    (cpu, "batch_norm", "- mean * mean", ""),
    (cpu, "column_statistics", "np.add.reduce(vectors, axis=0", "np.add.reduce(vectors[:1], axis=0"),
    (cpu, "normalising", "part += c", "part -= c"),
    (cpu, "normalising", "np.add(x[rows], row, out=x[rows])", "np.add(x[rows], row)"),
    (cpu, "batch_norm_relu_residual", "out += residual[rows]", "out += residual[: len(out)]"),
    (cpu, "batch_norm_relu_residual", "        if relu:\n", "        if relu and residual is None:\n"),
    (cpu, "batch_norm_relu_residual", "y[rows] > 0, out=block", "y[rows] >= 0, out=block"),
    (cpu, "batch_norm", "block, x[rows] - mean)", "block, x[rows])"),
    (cpu, "batch_norm", "beta - gamma * r * mean", "beta - gamma * mean"),
    (cpu, "batch_norm", "-a * d_beta / M - b * mean", "-b * mean"),
    (cpu, "batch_norm", "-a * d_beta / M - b * mean", "-a * d_beta / M"),
    (cpu, "batch_norm", "b = -a * r * d_gamma / M", "b = 0 * gamma"),
    (cpu, "batch_norm", "b = -a * r * d_gamma / M", "b = -a * d_gamma / M"),
    (normalisation, "batch_norm", "d_gamma = centred * r", "d_gamma = 1.01 * centred * r"),
    (normalisation, "batch_norm", "d_gamma, d_beta, g.reshape", "d_beta, d_gamma, g.reshape"),
    (normalisation, "batch_norm", "scale_shift(g, gamma * r, 0 * mean)", "scale_shift(g, gamma, 0 * mean)"),
    (cpu, "batch_norm", "(var * (M / (M - 1)) - running_var)", "(var - running_var)"),
    (cpu, "batch_norm", "running_mean += momentum * (mean", "running_mean += (1 - momentum) * (mean"),
    (normalisation, "batch_norm", "self.running_mean.astype(wide), self.running_var",
     "0 * self.running_mean, self.running_var"),
    (cpu, "batch_norm", "np.sqrt(var + mean.dtype.type(eps))", "np.sqrt(var)"),
    (normalisation, "batch_norm_relu_residual", "g.reshape(shape)", "dy.reshape(shape)"),
    (normalisation, "batch_norm_relu_residual", "y=y if self.relu else None", "y=None"),
    # A batch that several processes share.
    (normalisation, "shared_batch_norm", " + (n * xp.square(means - mean)).sum(axis=0)", ""),
    (normalisation, "shared_batch_norm", "(n * means).sum(axis=0) / M", "means.mean(axis=0)"),
    (normalisation, "shared_batch_norm", "mean, rows * var])", "mean, var])"),
    (normalisation, "shared_batch_norm", "both[: len(d_beta)], both[len(d_beta) :]",
     "both[len(d_beta) :], both[: len(d_beta)]"),
    (normalisation, "shared_batch_norm", "sums = self._over_shares(d_beta, d_gamma)",
     "sums = self._over_shares(d_beta, d_gamma)[0], d_gamma"),
    (normalisation, "shared_batch_norm", "sums = self._over_shares(d_beta, d_gamma)",
     "sums = d_beta, self._over_shares(d_beta, d_gamma)[1]"),
    (normalisation, "shared_batch_norm", "return M, mean, var", "return len(rows), mean, var"),
    (dropout, "shared_dropout", "[self.group.share(images)]", "[: len(x)]"),
    # Pooling.
    (pools, "max_pool2d", "wins &= open_windows", "wins &= True"),
    (pools, "max_pool2d", "lines, width, -np.inf), y", "lines, width, 0), y"),
    (pools, "max_pool2d", "dX[tap] += some * wins", "dX[tap] = some * wins"),
    (pools, "max_pool2d", "outputs = window.outputs(lines, y.shape[1])",
     "outputs = slice(lines.start, min(lines.stop, y.shape[1]))"),
    (pools, "max_pool2d", "lines.start - first, lines.stop - first", "0, lines.stop - lines.start"),
    (pools, "avg_pool2d", "outputs = window.outputs(lines, dy.shape[1])",
     "outputs = slice(lines.start, min(lines.stop, dy.shape[1]))"),
    (pooling, "avg_pool2d", "share = dy / self._sizes(dy)", "share = dy"),
    (pooling, "avg_pool2d", "y /= self._sizes(x)", "y /= self.size[0] * self.size[1]"),
    (pools, "avg_pool2d", "lines.start - first, lines.stop - first", "0, lines.stop - lines.start"),
    (pooling, "avg_pool2d", "np.minimum(starts + self.size[axis], end) - starts", "starts * 0 + self.size[axis]"),
    # Bilinear resizing.
    (resampling, "resize_bilinear", "(i + 0.5) * (size_in / size_out) - 0.5", "i * (size_in / size_out)"),
    (resampling, "resize_bilinear", "i * ((size_in - 1) / max(1, size_out - 1))", "i * (size_in / size_out)"),
    (resampling, "resize_bilinear", "np.add.at(R, (np.arange(len(t)), right), t)",
     "np.add.at(R, (np.arange(len(t)), right), 0 * t)"),
    (resampling, "resize_bilinear", "dtype=np.float64)[outputs]", "dtype=np.float64)[: len(range(size_out)[outputs])]"),
    (resampling, "resize_bilinear", "left - inputs.start, right", "left, right"),
    (resampling, "resize_bilinear", "cpu.matmul(S, down).reshape(n, h, w, c)",
     "cpu.matmul(S, down).reshape(n, h, w, c) * (w / W)"),
    (resampling, "resize_bilinear", "part = vertical.support(lines)",
     "part = replace(vertical, align_corners=False).support(lines)"),
    (resampling, "resize_bilinear", "int(columns.max()) + 1", "max(1, int(columns.max()))"),
    (resampling, "resize_bilinear", "return R.T if self.transposed else R", "return R"),
    (bilinear, "resize_bilinear", "self.R_h.T, self.R_w.T",
     "self.R_h.T, resampling.replace(self.R_w, align_corners=not self.align_corners).T"),
    # The codebook and its assembly.
    (softmax_pooling, "softmax_pool", "- (A * dA).sum(axis=1, keepdims=True)", ""),
    (softmax_pooling, "softmax_pool", "(A * dA).sum(axis=1, keepdims=True)", "(A * dA).mean(axis=1, keepdims=True)"),
    (softmax_pooling, "softmax_pool", "A / A.sum(axis=1, keepdims=True)", "A / A.sum(axis=2, keepdims=True)"),
    (softmax_pooling, "softmax_pool", "A - A.max(axis=1, keepdims=True)", "A"),
    (softmax_pooling, "softmax_pool", "dB = matmul(A, dC)", "dB = matmul(A, -dC)"),
    (assembly, "assemble", "dC = matmul(W, df, transpose_a=True)", "dC = matmul(W, df, transpose_a=True) / W.shape[1]"),
    (assembly, "assemble", "dW = matmul(df, C, transpose_b=True)", "dW = matmul(df, C, transpose_b=True)[:, ::-1]"),
    # The rest.
    (cpu, "relu", "np.multiply(dy, y > 0, out=out)", "np.multiply(dy, y >= 0, out=out)"),
    (cpu, "relu", "np.maximum(x, _zeros(x), out=out)", "np.maximum(x, 0.01 * x, out=out)"),
    (cpu, "elements", "a.shape == b.shape and", "a.size >= b.size and"),
    (cpu, "elements", "v += decay * w", "v += decay"),
    (elementwise, "arithmetic", "self.to_inputs(dy, -dy)", "self.to_inputs(dy, dy)"),
    (elementwise, "arithmetic", "self.to_inputs(dy * b, dy * a if", "self.to_inputs(dy * a, dy * b if"),
    (elementwise, "arithmetic", "-da * y if", "-da if"),
    (elementwise, "arithmetic", "total(gradient, axes).reshape(shape)", "total(gradient, axes[:1]).reshape(shape)"),
    (elementwise, "arithmetic", "return dy / self.saved(\"x\")", "return dy * self.saved(\"x\")"),
    (shapes, "shapes", "dy.transpose(tuple(np.argsort(self._axes(dy.ndim))))", "dy.transpose(self._axes(dy.ndim))"),
    (shapes, "shapes", "seams = np.cumsum(self.widths)[:-1].tolist()", "seams = len(self.widths)"),
    (shapes, "shapes", "super().backward(dy / dy.dtype.type(self._count()))", "super().backward(dy)"),
    (shapes, "cut", "(slice(None),) * (self.axis % ndim)", "(slice(None),) * abs(self.axis)"),
    (shapes, "cut", "if not 0 <= self.start <= self.stop", "if not self.start <= self.stop"),
    (shapes, "cut", "dx[self._place(dy.ndim)] = dy", "dx[self._place(dy.ndim)] = -dy"),
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
    (cpu, "softmax", "p[rows] *= 1 / total", "p[rows] /= total[0]"),
    (losses, "upsampled_cross_entropy", "lines)] += d.reshape", "lines)] = d.reshape"),
    (upsampled_loss, "upsampled_cross_entropy", "1 / max(1, M)", "1 / target.size"),
    (losses, "upsampled_cross_entropy", "weight = (target[image, lines] >= 0) *",
     "weight = (target[image, lines] >= -1) *"),
    (losses, "upsampled_cross_entropy", "np.maximum(target[image, lines], 0), weight",
     "np.maximum(target[image][: lines.stop - lines.start], 0), weight"),
    (losses, "upsampled_cross_entropy", "z -= z.max(axis=1, keepdims=True)", "z -= 0"),
    (losses, "upsampled_cross_entropy", "flat.take(places) - weight", "flat.take(places) - weight.max()"),
    (losses, "upsampled_cross_entropy", "z *= (weight / total)[:, None]", "z *= weight[:, None]"),
    (upsampled_loss, "upsampled_cross_entropy", '(self.saved("dz") * dy).astype', 'self.saved("dz").astype'),
    # The decoder by parts, and what is computed as one.
    (hgd, "by_parts", "conv.bias if s == to else None", "conv.bias"),
    (hgd, "by_parts", "ops.cut(conv.weight, 2, start, stop)", "ops.cut(conv.weight, 2, 0, stop - start)"),
    (hgd, "by_parts", "ops.resize_bilinear(y, e[to].shape[1:3], self.align_corners)",
     "ops.resize_bilinear(y, e[to].shape[1:3])"),
    (hgd, "by_parts", "ops.conv2d(self.mean(B), conv.weight)", "conv(self.mean(B))"),
    (hgd, "by_parts", "ops.conv2d(self.mean(B), conv.weight) if self.transfer",
     "ops.conv2d(self.mean(B), conv.weight) if True"),
    (hgd, "by_parts", "ops.cut(K, 2, 0, D)", "ops.cut(K, 2, K.shape[2] - D, K.shape[2])"),
    (hgd, "by_parts", "ops.cut(K, 2, D, K.shape[2]), conv.bias)", "ops.cut(K, 2, D, K.shape[2]))"),
    (hgd, "by_parts", "        W = rest(W)", "        W = W * 1"),
    (hgd, "by_parts", "self.coefficients.bias.data, self.head.bias.data", "self.coefficients.bias.data, 0 * K[0]"),
    (hgd, "by_parts", "concatenate([Wc, K[D:]], axis=1)", "concatenate([Wc, K[:D]], axis=1)"),
    (nn, "sequential", "isinstance(module, BatchNorm2d) and isinstance(after, ReLU)",
     "isinstance(module, BatchNorm2d) and after"),
    (nn, "sequential", "isinstance(module, ReLU) and isinstance(before, BatchNorm2d)", "isinstance(module, ReLU)"),
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
