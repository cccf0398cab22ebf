"""The checks of each op: its values, its gradients against differences, its maps against their transposes.

`CHECKS[name]()` raises where the op is wrong. They run as tests in test_checks.py, and against planted errors in
test_planted_errors.py, which is why they reach every op through the `ops` module and not by a name of their own.
"""

import itertools

import numpy as np
from helpers import adjoint, apart, equal, random, refused, set_to, threads_are

from minihgd import Tensor, gradcheck, ops
from minihgd.backend import conv, cpu, resampling, windows
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


def in_pieces():
    """Sets how many threads compute, and in blocks of which sizes, to several values in turn."""
    pieces = [(windows.PIXELS, windows.WINDOWS, cpu.BLOCK), (1, 1, 1), (50, 1, 30), (300, 1, 200)]
    for number, (pixels, gathered, block) in zip((2, 1, 3, 2), pieces, strict=True):
        with threads_are(number), set_to(windows, PIXELS=pixels, WINDOWS=gathered), set_to(cpu, BLOCK=block):
            yield


def gradients(function, *arrays):
    """function(*tensors) as an array, and its gradient with respect to each, for a random cotangent."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    y = function(*tensors)
    y.backward(random(*y.shape, seed=9).astype(y.dtype))
    return [y.data, *(t.grad for t in tensors)]


# Convolutions: height, width, kernel, stride, padding, dilation.
WINDOWS = [
    (5, 7, (1, 1), 1, 0, 1), (5, 7, (1, 1), 2, 0, 1), (4, 5, (1, 1), 3, 0, 1), (3, 4, (1, 1), 1, 1, 1),
    (5, 7, (3, 3), 1, 1, 1), (6, 5, (3, 3), 1, 0, 1), (5, 4, (3, 3), 1, 2, 2), (9, 8, (3, 3), 1, (2, 1), (3, 2)),
    (5, 6, (3, 3), 2, 1, 1), (7, 9, (3, 3), 3, 1, 1), (8, 7, (3, 3), 2, 2, 2), (6, 7, (2, 3), 1, (1, 0), 1),
    (9, 11, (7, 7), 2, 3, 1), (7, 5, (3, 2), (2, 3), (0, 1), 1), (1, 1, (3, 3), 1, 1, 1), (1, 1, (1, 1), 1, 0, 1),
    (1, 6, (1, 3), 1, (0, 1), 1), (4, 1, (3, 1), (3, 1), (1, 0), 1), (3, 3, (3, 3), 1, 3, 1), (4, 4, (2, 2), 1, 2, 1),
]


def check_conv2d():
    for h, w, kernel, stride, padding, dilation in WINDOWS:
        x, weight, bias = random(2, h, w, 3), random(*kernel, 3, 4), random(4)
        settings = dict(stride=stride, padding=padding, dilation=dilation)
        equal(ops.conv2d(x, weight, bias, **settings), convolution.plain_conv2d(x, weight, bias, **settings))
        gradcheck(lambda *a, s=settings: ops.conv2d(*a, **s), x, weight, bias)
        with set_to(conv, LARGE=0):  # the kernel transposed tap by tap
            gradcheck(lambda *a, s=settings: ops.conv2d(*a, **s), x, weight)
        with set_to(windows, IN_PLACE=True):  # as on a GPU: windows without gaps are not gathered
            equal(ops.conv2d(x, weight, bias, **settings), convolution.plain_conv2d(x, weight, bias, **settings))
            gradcheck(lambda *a, s=settings: ops.conv2d(*a, **s), x, weight, bias)
    # One channel, whose gradient is one number repeated.
    gradcheck(lambda *a: ops.mean(ops.conv2d(*a)), random(1, 3, 4, 2), random(1, 1, 2, 1), random(1))
    gradcheck(lambda *a: ops.sum(ops.conv2d(*a)), random(1, 3, 4, 2), random(3, 2, 2, 1), random(1))
    refused(ops.conv2d, random(1, 2, 2, 3), random(1, 1, 4, 2))
    refused(ops.conv2d, random(1, 2, 2, 3), random(3, 3, 3, 2))
    refused(ops.conv2d, random(1, 4, 4, 3), random(3, 3, 3, 2), random(3))
    refused(ops.conv2d, random(1, 4, 4, 3), random(3, 3, 3, 2), stride=0)
    refused(ops.conv2d, random(1, 4, 4, 3), random(3, 3, 3, 2), padding=(1, 2, 3))


def check_conv2d_linear():
    """In x and in the weights, at sizes too large for differences, and in pieces of many sizes."""
    for (h, w), stride, dilation in itertools.product([(33, 20), (16, 16), (7, 5)], (1, 2, 3), (1, 2)):
        op = convolution.Conv2d(stride, dilation, dilation)
        x, weight, bias = random(3, h, w, 5), random(3, 3, 5, 6), random(6)
        expected = convolution.plain_conv2d(x, weight, bias, stride, dilation, dilation)
        for _ in in_pieces():
            equal(op.forward(x, weight, bias), expected)
            y = op.forward(x, weight)
            cotangent = random(*y.shape, seed=1)
            dx, dw, db = op.backward(cotangent)
            product = np.vdot(y, cotangent)
            scale = np.linalg.norm(y) * np.linalg.norm(cotangent)
            assert abs(np.vdot(x, dx) - product) <= 1e-12 * scale
            assert abs(np.vdot(weight, dw) - product) <= 1e-12 * scale
            equal(db, cotangent.sum(axis=(0, 1, 2)))


def check_conv_transpose2d():
    cases = [(3, 4, (2, 2), 2, 0, 0), (3, 2, (3, 3), 1, 1, 0), (2, 3, (3, 3), 2, 1, 1), (1, 1, (2, 2), 2, 0, 0),
             (2, 3, (4, 3), (3, 2), (1, 0), (2, 1)), (3, 3, (1, 1), 2, 0, 1), (2, 2, (3, 3), 3, 0, 0)]
    for h, w, kernel, stride, padding, output_padding in cases:
        x, weight, bias = random(2, h, w, 3), random(*kernel, 3, 2), random(2)
        settings = dict(stride=stride, padding=padding, output_padding=output_padding)
        equal(ops.conv_transpose2d(x, weight, bias, **settings),
              convolution.plain_conv_transpose2d(x, weight, bias, **settings))
        gradcheck(lambda *a, s=settings: ops.conv_transpose2d(*a, **s), x, weight, bias)
        # It is the transpose of the convolution with the same window: <conv(y), x> = <y, conv_transpose(x)>.
        y = random(*ops.conv_transpose2d(x, weight, **settings).shape, seed=3)
        forth = ops.conv2d(y, weight.swapaxes(2, 3), stride=stride, padding=padding).data
        back = ops.conv_transpose2d(x, weight, **settings).data
        assert abs(np.vdot(forth, x) - np.vdot(y, back)) < 1e-11
    assert ops.conv_transpose2d(random(1, 2, 3, 1), random(3, 3, 1, 1), None, 2, 1, 1).shape == (1, 4, 6, 1)
    assert ops.conv_transpose2d(random(1, 2, 3, 1), random(4, 2, 1, 1), None, 3).shape == (1, 7, 8, 1)
    refused(ops.conv_transpose2d, random(1, 2, 2, 3), random(2, 2, 4, 2))
    refused(ops.conv_transpose2d, random(1, 2, 2, 3), random(2, 2, 3, 2), stride=2, output_padding=2)


def check_batch_norm():
    for shape in ((2, 3, 5, 4), (3, 1, 1, 2), (7, 3), (1, 1, 2, 3)):
        c = shape[-1]
        x, gamma, beta = 3 * random(*shape) + 2, random(c, seed=1) + 2, random(c, seed=2)
        mean, var = random(c, seed=3), random(c, seed=4) ** 2 + 0.5
        for training in (True, False):
            def apply(*a, t=training, m=mean, v=var):
                return ops.batch_norm(*a, m.copy(), v.copy(), t)
            gradcheck(apply, x, gamma, beta, tol=1e-5)
        equal(ops.batch_norm(x, gamma, beta, mean.copy(), var.copy(), True),
              normalisation.plain_batch_norm(x, gamma, beta))
        equal(ops.batch_norm(x, gamma, beta, mean, var, False), gamma * (x - mean) / np.sqrt(var + 1e-5) + beta)
        rows, running_mean, running_var = x.reshape(-1, c), mean.copy(), var.copy()
        ops.batch_norm(x, gamma, beta, running_mean, running_var, True, momentum=0.3)
        equal(running_mean, 0.7 * mean + 0.3 * rows.mean(axis=0))
        equal(running_var, 0.7 * var + 0.3 * rows.var(axis=0, ddof=1))
    # One row has no spread: the output is beta, and the running variance stays.
    running_mean, running_var = np.zeros(2), np.ones(2)
    equal(ops.batch_norm(random(1, 1, 1, 2), np.ones(2), np.array([1.0, 2]), running_mean, running_var, True),
          np.array([[[[1.0, 2]]]]))
    equal(running_var, np.ones(2))
    # Far from zero nothing cancels: float32 at mean 1000, deviation 3.
    x = (1000 + 3 * random(4000, 2)).astype(np.float32)
    one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
    y = ops.batch_norm(x, one, zero, zero.copy(), one.copy(), True).data
    expected = normalisation.plain_batch_norm(x.astype(np.float64), one, zero)
    assert np.abs(y - expected).max() < 5e-4
    refused(ops.batch_norm, random(2, 3), np.ones(2), np.ones(3), np.ones(3), np.ones(3), True)


def check_batch_norm_relu_residual():
    """With a residual, a ReLU or both behind it: as the ops one by one."""
    for shape in ((2, 3, 4, 3), (3, 1, 1, 2), (7, 3), (3, 5, 2)):
        c = shape[-1]
        inputs = 3 * random(*shape) + 2, random(c, seed=1) + 2, random(c, seed=2), random(*shape, seed=5)
        mean, var = random(c, seed=3), random(c, seed=4) ** 2 + 0.5
        for training, relu, residual in itertools.product((True, False), (True, False), (True, False)):
            own, alone = (mean.copy(), var.copy()), (mean.copy(), var.copy())

            def fused(x, gamma, beta, other=None, running=own, t=training, r=relu):
                return ops.batch_norm(x, gamma, beta, *running, t, relu=r, residual=other)

            def one_by_one(x, gamma, beta, other=None, running=alone, t=training, r=relu):
                y = ops.batch_norm(x, gamma, beta, *running, t)
                y = y if other is None else y + other
                return ops.relu(y) if r else y

            given = inputs if residual else inputs[:3]
            for _ in in_pieces():
                for found, expected in zip(gradients(fused, *given), gradients(one_by_one, *given), strict=True):
                    equal(found, expected)
                equal(own[0], alone[0])
                equal(own[1], alone[1])
            y = ops.batch_norm(*inputs[:3], mean.copy(), var.copy(), training).data + (inputs[3] if residual else 0)
            assert not relu or np.abs(y).min() > 1e-3, "too near a kink for differences"
            gradcheck(fused, *given, tol=1e-5)  # in training the running statistics do not enter
    refused(ops.batch_norm, random(2, 3), *np.ones((4, 3)), True, residual=random(3))


def check_max_pool2d():
    cases = [(5, 7, 3, 2, 1), (4, 4, 2, None, 0), (6, 5, (3, 2), (1, 3), (1, 0)), (1, 1, 1, 1, 0), (7, 6, 3, 3, 1)]
    for h, w, size, stride, padding in cases:
        x = apart(2, h, w, 3)
        equal(ops.max_pool2d(x, size, stride, padding), pooling.plain_max_pool2d(x, size, stride, padding))
        gradcheck(lambda a, s=(size, stride, padding): ops.max_pool2d(a, *s), x)
    for h, w, size, stride, padding in ((23, 10, 3, 2, 1), (16, 9, 2, 3, 1), (13, 11, (4, 3), (1, 2), (2, 0))):
        x = apart(3, h, w, 3)
        expected = gradients(lambda a, s=(size, stride, padding): ops.max_pool2d(a, *s), x)
        equal(expected[0], pooling.plain_max_pool2d(x, size, stride, padding))
        for _ in in_pieces():
            for a, b in zip(gradients(lambda a, s=(size, stride, padding): ops.max_pool2d(a, *s), x), expected,
                            strict=True):
                assert np.array_equal(a, b)
    # Ties: the first pixel of the window, row by row, takes the whole gradient.
    x = Tensor(np.ones((1, 4, 4, 1)), requires_grad=True)
    ops.max_pool2d(x, 2).backward(np.array([[1.0, 2], [3, 4]])[None, :, :, None])
    equal(x.grad[0, :, :, 0], np.array([[1.0, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]))
    # All below zero: the padding must not win.
    equal(ops.max_pool2d(-apart(1, 3, 3, 1) ** 2 - 1, 3, 2, 1),
          pooling.plain_max_pool2d(-apart(1, 3, 3, 1) ** 2 - 1, 3, 2, 1))
    refused(ops.max_pool2d, random(1, 2, 2, 1), 3)
    refused(ops.max_pool2d, random(1, 4, 4, 1), 2, 2, 2)


def check_avg_pool2d():
    cases = [(5, 7, 3, 2, 1), (4, 4, 2, None, 0), (6, 5, (3, 2), (1, 3), (1, 0)), (1, 1, 1, 1, 0)]
    for h, w, size, stride, padding in cases:
        x = random(2, h, w, 3)
        equal(ops.avg_pool2d(x, size, stride, padding), pooling.plain_avg_pool2d(x, size, stride, padding))
        gradcheck(lambda a, s=(size, stride, padding): ops.avg_pool2d(a, *s), x)
        adjoint(pooling.AvgPool2d(size, stride, padding), 2, h, w, 3)
    for h, w, size, stride, padding in ((23, 10, 3, 2, 1), (16, 9, 2, 3, 1), (13, 11, (4, 3), (1, 2), (2, 0))):
        x = random(3, h, w, 3)
        expected = pooling.plain_avg_pool2d(x, size, stride, padding)
        for _ in in_pieces():
            equal(ops.avg_pool2d(x, size, stride, padding), expected)
            adjoint(pooling.AvgPool2d(size, stride, padding), 3, h, w, 3)
    # Windows that hang over the edge average what lies inside.
    y = ops.avg_pool2d(np.arange(15.0).reshape(1, 3, 5, 1), 2, ceil_mode=True).data[0, :, :, 0]
    equal(y, np.array([[3.0, 5, 6.5], [10.5, 12.5, 14]]))
    for shape in ((2, 5, 7, 2), (1, 1, 1, 3), (1, 6, 3, 1)):
        adjoint(pooling.AvgPool2d(2, ceil_mode=True), *shape)
        gradcheck(lambda a: ops.avg_pool2d(a, 2, ceil_mode=True), random(*shape))
    for _ in in_pieces():
        adjoint(pooling.AvgPool2d(3, 2, 1, ceil_mode=True), 2, 6, 8, 2)


def check_resize_bilinear():
    sizes = [((5, 7), (9, 4)), ((4, 3), (8, 6)), ((8, 8), (2, 2)), ((1, 1), (3, 5)), ((3, 4), (1, 1)), ((2, 5), (2, 5)),
             ((6, 1), (4, 3)), ((7, 3), (13, 3)), ((9, 2), (31, 3))]
    for ((h, w), size), align in itertools.product(sizes, (False, True)):
        x = random(2, h, w, 3)
        expected = bilinear.plain_resize_bilinear(x, size, align)
        equal(ops.resize_bilinear(x, size, align), expected)
        gradcheck(lambda a, s=size, c=align: ops.resize_bilinear(a, s, c), x)
        for _ in in_pieces():
            with set_to(resampling, SMALL=0):  # not by one matrix
                equal(ops.resize_bilinear(x, size, align), expected)
                adjoint(bilinear.ResizeBilinear(size, align), 2, h, w, 3)
        for lines in (slice(0, size[0]), slice(size[0] // 2, size[0]), slice(0, 1)):  # some rows of R_h, cut to fit
            R, part = resampling.resize_rows(h, size[0], lines, align)
            whole = np.zeros((len(R), h))
            whole[:, part] = R
            equal(whole, resampling.Resizing(h, size[0], align).matrix[lines])
    ramp = np.arange(4.0).reshape(1, 1, 4, 1)
    equal(ops.resize_bilinear(ramp, (1, 7), True).data[0, 0, :, 0], np.arange(7) / 2)
    equal(ops.resize_bilinear(ramp, (1, 8)).data[0, 0, :, 0], np.array([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))
    refused(ops.resize_bilinear, ramp, 0)


def check_softmax_pool():
    for n, h, w, codewords, depth in ((2, 3, 4, 5, 6), (1, 1, 1, 2, 3), (2, 5, 1, 1, 4)):
        A, B = random(n, h, w, codewords), random(n, h, w, depth)
        equal(ops.softmax_pool(A, B), softmax_pooling.plain_softmax_pool(A, B))
        gradcheck(ops.softmax_pool, A, B)
        # Equation (1) does not change when a map is raised: large values do not overflow.
        equal(ops.softmax_pool(A + 1000, B), softmax_pooling.plain_softmax_pool(A, B))
        weights = softmax_pooling.softmax_over_pixels(A)
        equal(weights.sum(axis=1), np.ones((n, codewords)))
    # The gradient of A is centred: each map's adds up to zero.
    A = Tensor(random(2, 3, 4, 5), requires_grad=True)
    ops.softmax_pool(A, random(2, 3, 4, 6)).backward(random(2, 5, 6))
    equal(A.grad.sum(axis=(1, 2)), np.zeros((2, 5)))
    refused(ops.softmax_pool, random(1, 2, 3, 4), random(1, 3, 2, 4))


def check_assemble():
    for n, h, w, codewords, depth in ((2, 3, 4, 5, 6), (1, 1, 1, 1, 2), (3, 2, 1, 4, 1)):
        W, C = random(n, h, w, codewords), random(n, codewords, depth)
        equal(ops.assemble(W, C), assembly.plain_assemble(W, C))
        gradcheck(ops.assemble, W, C)
    refused(ops.assemble, random(1, 2, 3, 4), random(1, 5, 4))


def check_relu():
    x = apart(3, 5, 2)
    equal(ops.relu(x), elementwise.plain_relu(x))
    gradcheck(ops.relu, x)
    # At the kink the derivative is 0.
    zero = Tensor(np.zeros(3), requires_grad=True)
    ops.relu(zero).backward(np.ones(3))
    equal(zero.grad, np.zeros(3))


def check_arithmetic():
    shapes_ab = [((2, 3), (2, 3)), ((2, 3), (3,)), ((4, 1, 3), (2, 1)), ((), (2, 2)), ((1, 1, 1, 3), (2, 4, 5, 3))]
    for a_shape, b_shape in shapes_ab:
        a, b = random(*a_shape, seed=1), random(*b_shape, seed=2)
        b = np.sign(b) * (np.abs(b) + 0.5)
        for function, expected in ((ops.add, a + b), (ops.subtract, a - b), (ops.multiply, a * b), (ops.divide, a / b)):
            equal(function(a, b), expected)
            gradcheck(function, a, b)
    gradcheck(ops.exp, random(3, 2))
    gradcheck(ops.log, random(3, 2) ** 2 + 0.5)
    x = Tensor(random(2, 2), requires_grad=True)
    equal(3 * x - 1 / (2 + x * x) + (-x) @ x, 3 * x.data - 1 / (2 + x.data**2) - x.data @ x.data)
    assert (2 * Tensor(np.ones(2, np.float32))).dtype == np.float32
    gradcheck(lambda t: 3 * t - 1 / (2 + t * t) + (-t) @ t + (1 - t), random(2, 2))


def check_shapes():
    x = random(2, 3, 4)
    for shape in ((6, 4), (-1,), (2, 12)):
        gradcheck(lambda a, s=shape: ops.reshape(a, s), x)
        adjoint(shapes.Reshape(shape), 2, 3, 4)
    for axes in (None, (1, 2, 0), (0, 2, 1)):
        equal(ops.transpose(x, axes), x.transpose(axes))
        gradcheck(lambda a, s=axes: ops.transpose(a, s), x)
        adjoint(shapes.Transpose(axes), 2, 3, 4)
    for axis in (None, 0, -1, (1, 2)):
        for keepdims in (False, True):
            equal(ops.sum(x, axis, keepdims), x.sum(axis=axis, keepdims=keepdims))
            equal(ops.mean(x, axis, keepdims), x.mean(axis=axis, keepdims=keepdims))
            gradcheck(lambda a, s=axis, k=keepdims: ops.sum(a, s, k), x)
            gradcheck(lambda a, s=axis, k=keepdims: ops.mean(a, s, k), x)
            adjoint(shapes.Sum(axis, keepdims), 2, 3, 4)
            adjoint(shapes.Mean(axis, keepdims), 2, 3, 4)
    for axis in (0, 1, -1):
        parts = [np.take(random(3, 4, 5, seed=s), range(s), axis=axis) for s in (1, 2, 3)]
        equal(ops.concatenate(parts, axis), np.concatenate(parts, axis))
        gradcheck(lambda *a, s=axis: ops.concatenate(a, s), *parts)


def check_cut():
    x = random(3, 4, 5)
    for axis, start, stop in ((0, 1, 3), (1, 0, 4), (2, 2, 2), (-1, 3, 5), (-3, 0, 1)):
        equal(ops.cut(x, axis, start, stop), x.take(np.arange(start, stop), axis))
        gradcheck(lambda a, s=(axis, start, stop): ops.cut(a, *s), x)
        adjoint(shapes.Cut(axis, start, stop), 3, 4, 5)
    equal(ops.concatenate([ops.cut(x, 1, 0, 3), ops.cut(x, 1, 3, 4)], axis=1), x)
    gradcheck(lambda a: ops.cut(a, 1, 0, 3) * ops.cut(a, 1, 1, 4), x)  # parts that overlap
    for axis, start, stop in ((0, -1, 2), (1, 2, 5), (2, 3, 2)):
        refused(ops.cut, x, axis, start, stop)


def check_matmul():
    for a_shape, b_shape in (((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 2, 3, 1), (2, 2, 1, 5)), ((1, 1), (1, 1))):
        a, b = random(*a_shape), random(*b_shape, seed=1)
        equal(ops.matmul(a, b), a @ b)
        gradcheck(ops.matmul, a, b)
    equal(ops.matmul(random(3, 4), random(4, 2)), shapes.plain_matmul(random(3, 4), random(4, 2)))
    equal(ops.matmul(random(3, 0), random(0, 2)), np.zeros((3, 2)))
    gradcheck(lambda *a: ops.sum(ops.matmul(*a)), random(3, 4), random(4, 1))  # dy: one number, repeated
    gradcheck(lambda *a: ops.mean(ops.matmul(*a)), random(2, 1, 4), random(2, 4, 3))
    refused(ops.matmul, random(2, 3), random(2, 3))
    refused(ops.matmul, random(2, 3, 4), random(3, 4, 2))


def check_dropout2d():
    def apply(x):
        return ops.dropout2d(x, 0.4, True, np.random.default_rng(3))
    x = random(3, 2, 4, 10)
    kept = np.random.default_rng(3).random((3, 1, 1, 10))[:, 0, 0] >= 0.4  # N×C
    equal(apply(x), dropout.plain_dropout2d(x, kept, 0.4))
    gradcheck(apply, x)
    equal(ops.dropout2d(x, 0.4, False, None), x)
    refused(ops.dropout2d, x, 1.0, True, None)


def check_cross_entropy():
    rng = np.random.default_rng(0)
    for n, h, w, classes in ((2, 3, 4, 5), (1, 1, 1, 2), (1, 2, 7, 3)):
        z, labels = 3 * random(n, h, w, classes), rng.integers(0, classes, (n, h, w))
        labels[rng.random(labels.shape) < 0.3] = 255
        labels[0, 0, 0] = classes - 1
        equal(ops.cross_entropy(z, labels), loss.plain_cross_entropy(z, labels))
        gradcheck(lambda a, given=labels: ops.cross_entropy(a, given), z)
        gradcheck(lambda a, given=labels: ops.cross_entropy(a, given) * 3.0, z)
        equal(ops.cross_entropy(z + 1e4, labels), loss.plain_cross_entropy(z, labels), tol=1e-10)
    # Nothing labelled: no loss, no gradient.
    z = Tensor(random(1, 2, 2, 3), requires_grad=True)
    nothing = ops.cross_entropy(z, np.full((1, 2, 2), 255))
    nothing.backward()
    assert float(nothing.data) == 0
    equal(z.grad, np.zeros((1, 2, 2, 3)))
    equal(ops.cross_entropy(random(1, 1, 2, 3), np.array([[[0, 7]]]), void=7),
          loss.plain_cross_entropy(random(1, 1, 2, 3), np.array([[[0, 7]]]), void=7))
    refused(ops.cross_entropy, random(1, 2, 2, 3), np.full((1, 2, 2), 3))
    refused(ops.cross_entropy, random(1, 2, 2, 3), np.full((1, 2, 2), -1))
    refused(ops.cross_entropy, random(1, 2, 2, 3), np.zeros((1, 2, 3), int))


def check_upsampled_cross_entropy():
    """As the two ops it stands for: up, down, the same size, in blocks of lines of many sizes."""
    rng = np.random.default_rng(0)
    cases = [((2, 3, 4, 5), (7, 9)), ((1, 3, 2, 4), (24, 16)), ((1, 5, 7, 3), (3, 4)), ((2, 4, 3, 2), (4, 3)),
             ((1, 1, 1, 2), (3, 2)), ((3, 2, 5, 3), (9, 2)), ((1, 6, 4, 3), (1, 1)), ((2, 5, 4, 3), (3, 11))]
    for (n, h, w, classes), size in cases:
        z, labels = 3 * random(n, h, w, classes), rng.integers(0, classes, (n, *size)).astype(np.uint8)
        labels[rng.random(labels.shape) < 0.3] = 255
        labels[0, 0, 0] = classes - 1

        def composition(a, labels=labels, size=size):
            return ops.cross_entropy(ops.resize_bilinear(a, size), labels) * 3.0

        def in_one(a, labels=labels):
            return ops.upsampled_cross_entropy(a, labels) * 3.0

        gradcheck(in_one, z)
        value, gradient = gradients(composition, z)
        for _ in in_pieces():
            equal(in_one(z), value)  # no gradient wanted
            found, dz = gradients(in_one, z)
            equal(found, value)
            assert np.abs(dz - gradient).max() <= 1e-12 * np.abs(gradient).max()
            equal(in_one(z + 1e4), value, tol=1e-10)
        found, dz = gradients(in_one, z.astype(np.float32))
        equal(found, value.astype(np.float32))
        equal(dz, gradient.astype(np.float32))
    # Nothing labelled: no loss, no gradient. Another number for void.
    loss, dz = gradients(lambda a: ops.upsampled_cross_entropy(a, np.full((1, 4, 4), 255)), random(1, 2, 2, 3))
    equal(loss, 0.0)
    equal(dz, np.zeros((1, 2, 2, 3)))
    z, labels = random(1, 1, 2, 3), np.array([[[0, 7, 2, 1]]])
    equal(ops.upsampled_cross_entropy(z, labels, void=7),
          ops.cross_entropy(ops.resize_bilinear(z, (1, 4)), labels, void=7).data)
    for shape, labels in (((1, 2, 2, 3), np.full((1, 4, 4), 3)), ((1, 2, 2, 3), np.full((1, 4, 4), -1)),
                          ((1, 2, 2, 3), np.zeros((2, 4, 4), int)), ((1, 2, 2, 3), np.zeros((4, 4), int)),
                          ((2, 2, 3), np.zeros((2, 4, 4), int)), ((1, 2, 2, 3), np.zeros((1, 4, 4)))):
        refused(upsampled_loss.upsampled_cross_entropy, random(*shape), labels)


CHECKS = {name.removeprefix("check_"): function for name, function in dict(globals()).items()
          if name.startswith("check_")}
