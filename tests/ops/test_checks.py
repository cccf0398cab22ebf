"""Every op passes its checks, and every public op has one."""

import numpy as np
import pytest
from helpers import apart, equal, random, set_to
from ops.checks import CHECKS

from minihgd import ops
from minihgd.backend import resampling
from minihgd.errors import ShapeError
from minihgd.ops import (
    assembly,
    bilinear,
    convolution,
    loss,
    normalisation,
    pooling,
    shapes,
    softmax_pooling,
    upsampled_loss,
)

COVERED_BY = {"add": "arithmetic", "subtract": "arithmetic", "multiply": "arithmetic", "divide": "arithmetic",
              "exp": "arithmetic", "log": "arithmetic", "reshape": "shapes", "transpose": "shapes", "sum": "shapes",
              "mean": "shapes", "concatenate": "shapes"}


@pytest.mark.parametrize("name", CHECKS)
def test_check(name):
    CHECKS[name]()


def test_every_op_has_a_check():
    assert {COVERED_BY.get(name, name) for name in ops.__all__} <= set(CHECKS)


OPS = [
    (convolution.Conv2d(2, 1), (random(2, 5, 7, 3), random(3, 3, 3, 4))),
    (convolution.ConvTranspose2d(2, 1, 1), (random(2, 5, 7, 3), random(3, 3, 3, 4))),
    (normalisation.BatchNorm(np.zeros(3), np.ones(3), True), (random(2, 5, 7, 3), random(3), random(3))),
    (normalisation.BatchNorm(np.zeros(3), np.ones(3), False, relu=True),
     (random(2, 5, 7, 3), random(3), random(3), random(2, 5, 7, 3))),
    (pooling.MaxPool2d(3, 2, 1), (apart(2, 5, 7, 3),)),
    (pooling.AvgPool2d(2, ceil_mode=True), (random(2, 5, 7, 3),)),
    (bilinear.ResizeBilinear((4, 9)), (random(2, 5, 7, 3),)),
    (softmax_pooling.SoftmaxPool(), (random(2, 5, 7, 3), random(2, 5, 7, 4))),
    (assembly.Assemble(), (random(2, 5, 7, 3), random(2, 3, 4))),
    (shapes.MatMul(), (random(2, 3), random(3, 4))),
    (shapes.Reshape((-1, 3)), (random(2, 5, 7, 3),)),
    (shapes.Transpose((1, 0)), (random(2, 3),)),
    (shapes.Sum((1, 2), True), (random(2, 5, 7, 3),)),
    (shapes.Mean(0), (random(2, 3),)),
    (shapes.Concatenate(1), (random(2, 3), random(2, 4))),
    (shapes.Cut(-2, 1, 3), (random(2, 3, 4),)),
    (loss.CrossEntropy(np.zeros((2, 5, 7), int)), (random(2, 5, 7, 3),)),
    (upsampled_loss.UpsampledCrossEntropy(np.zeros((2, 9, 4), int)), (random(2, 5, 7, 3),)),
]


@pytest.mark.parametrize("op, arrays", OPS, ids=[type(op).__name__ for op, _ in OPS])
def test_shape_rule(op, arrays):
    """`op.shape` foretells what `op.forward` returns."""
    assert op.forward(*arrays).shape == op.shape(*(a.shape for a in arrays))


@pytest.mark.parametrize("op, arrays", OPS, ids=[type(op).__name__ for op, _ in OPS])
def test_arrays_of_any_layout(op, arrays):
    """Inputs and gradients may lie in memory in any way: the other way round, as a view, one number repeated."""
    def results(arrays, dy):
        y = op.forward(*arrays)
        gradients = op.backward(dy)
        return [y, *(gradients if isinstance(gradients, tuple) else (gradients,))[: len(arrays)]]

    shape = op.forward(*arrays).shape
    for dy, other in ((random(*shape), np.asfortranarray(random(*shape))),
                      (np.full(shape, 1.5), np.broadcast_to(1.5, shape))):
        for changed in (arrays, [np.asfortranarray(a) for a in arrays],
                        [np.repeat(a, 2, axis=-1)[..., ::2] for a in arrays]):
            for found, expected in zip(results(changed, other), results(arrays, dy), strict=True):
                equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ops_keep_the_dtype(dtype):
    x, weight = random(1, 6, 6, 2).astype(dtype), random(3, 3, 2, 2).astype(dtype)
    row = np.ones(2, dtype)
    y = ops.conv2d(x, weight, row, 2, 1)
    y = ops.relu(ops.batch_norm(y, row, row, row.copy(), row.copy(), True))
    y = ops.batch_norm(y, row, row, row.copy(), row.copy(), True, relu=True, residual=ops.cut(y, 3, 0, 2))
    y = ops.resize_bilinear(ops.avg_pool2d(ops.max_pool2d(y, 2, 1), 2, 1), (3, 3))
    y = ops.assemble(y, ops.softmax_pool(y, y)) * 0.5 + 1
    assert y.dtype == dtype
    assert ops.mean(y).dtype == dtype
    assert ops.cross_entropy(y, np.zeros((1, 3, 3), int)).dtype == dtype
    assert ops.upsampled_cross_entropy(y, np.zeros((1, 5, 4), int)).dtype == dtype


FLOATS = np.float32
X, MAP = random(2, 19, 14, 8).astype(FLOATS), random(2, 6, 9, 8).astype(FLOATS)
KERNEL, ROW = random(3, 3, 8, 12).astype(FLOATS), random(12).astype(FLOATS)


@pytest.mark.parametrize("op, plain, arguments, settings", [
    *((ops.conv2d, convolution.plain_conv2d, (X, KERNEL, ROW), dict(stride=s, padding=d, dilation=d))
      for s in (1, 2) for d in (1, 2)),
    (ops.conv2d, convolution.plain_conv2d, (X, KERNEL[1:2, 1:2], ROW), dict(stride=2)),
    (ops.conv_transpose2d, convolution.plain_conv_transpose2d, (MAP, KERNEL, ROW),
     dict(stride=2, padding=1, output_padding=1)),
    (ops.max_pool2d, pooling.plain_max_pool2d, (X, 3, 2, 1), {}),
    (ops.avg_pool2d, pooling.plain_avg_pool2d, (X, 3, 2, 1), {}),
    *((ops.resize_bilinear, bilinear.plain_resize_bilinear, (X, size), dict(align_corners=corners))
      for size in ((38, 28), (7, 5)) for corners in (False, True)),
    (ops.softmax_pool, softmax_pooling.plain_softmax_pool, (X, X[..., :5]), {}),
    (ops.assemble, assembly.plain_assemble, (X, random(2, 8, 11).astype(FLOATS)), {}),
    (ops.cross_entropy, loss.plain_cross_entropy, (X, np.arange(2 * 19 * 14).reshape(2, 19, 14) % 8), {}),
], ids=lambda value: value.__name__ if callable(value) else "")
def test_float32_against_the_plain_loops(op, plain, arguments, settings):
    """In the precision that networks are trained in, to 1e-5 of the largest value."""
    for small in (resampling.SMALL, 0):  # resizing by one matrix, and by two
        with set_to(resampling, SMALL=small):
            equal(op(*arguments, **settings), plain(*arguments, **settings), tol=1e-5)


def test_float32_batch_norm_against_the_plain_loop():
    x = 3 * X + 2
    y = ops.batch_norm(x, ROW[:8], ROW[4:], ROW[:8].copy(), ROW[:8] ** 2, True)
    equal(y, normalisation.plain_batch_norm(x, ROW[:8], ROW[4:]), tol=1e-5)


@pytest.mark.parametrize("name, op", [
    ("sum", lambda x: ops.sum(x, 2)), ("mean", lambda x: ops.mean(x, -3)), ("sum", lambda x: ops.sum(x, (0, -2))),
    ("transpose", lambda x: ops.transpose(x, (0, 2))), ("transpose", lambda x: ops.transpose(x, (1, 1)))])
def test_axes_that_are_not_there_or_twice(name, op):
    with pytest.raises(ShapeError, match=f"{name}: expected different axes, each from -2 to 1, found"):
        op(random(2, 3))
