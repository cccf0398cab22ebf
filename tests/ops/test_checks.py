"""Every op passes its checks, and every public op has one."""

import numpy as np
import pytest
from ops.checks import CHECKS, apart, random

from minihgd import ops
from minihgd.autograd import Op
from minihgd.ops import assembly, bilinear, convolution, normalisation, pooling, shapes, softmax_pooling

COVERED_BY = {"add": "arithmetic", "subtract": "arithmetic", "multiply": "arithmetic", "divide": "arithmetic",
              "exp": "arithmetic", "log": "arithmetic", "reshape": "shapes", "transpose": "shapes", "sum": "shapes",
              "mean": "shapes", "concatenate": "shapes"}


@pytest.mark.parametrize("name", CHECKS)
def test_check(name):
    CHECKS[name]()


def test_every_op_has_a_check():
    assert {COVERED_BY.get(name, name) for name in ops.__all__} <= set(CHECKS)


@pytest.mark.parametrize("op, arrays", [
    (convolution.Conv2d(2, 1), (random(2, 5, 7, 3), random(3, 3, 3, 4))),
    (convolution.ConvTranspose2d(2, 1, 1), (random(2, 5, 7, 3), random(3, 3, 3, 4))),
    (normalisation.BatchNorm(np.zeros(3), np.ones(3), True), (random(2, 5, 7, 3), random(3), random(3))),
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
], ids=lambda value: type(value).__name__ if isinstance(value, Op) else "")
def test_shape_rule(op, arrays):
    """`op.shape` foretells what `op.forward` returns."""
    assert op.forward(*arrays).shape == op.shape(*(a.shape for a in arrays))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ops_keep_the_dtype(dtype):
    x, weight = random(1, 6, 6, 2).astype(dtype), random(3, 3, 2, 2).astype(dtype)
    row = np.ones(2, dtype)
    y = ops.conv2d(x, weight, row, 2, 1)
    y = ops.relu(ops.batch_norm(y, row, row, row.copy(), row.copy(), True))
    y = ops.resize_bilinear(ops.avg_pool2d(ops.max_pool2d(y, 2, 1), 2, 1), (3, 3))
    y = ops.assemble(y, ops.softmax_pool(y, y)) * 0.5 + 1
    assert y.dtype == dtype
    assert ops.mean(y).dtype == dtype
    assert ops.cross_entropy(y, np.zeros((1, 3, 3), int)).dtype == dtype
