"""The account of where a step's time goes."""

import numpy as np

from minihgd import Tensor, ops
from minihgd.autograd import Op
from minihgd.report.timing import Work, op_times


def test_work_is_counted_by_kind_and_direction():
    x = Tensor(np.ones((1, 8, 8, 3), np.float32))  # no gradient is wanted here: one product backward
    w, v = (Tensor(np.ones(shape, np.float32), requires_grad=True) for shape in ((3, 3, 3, 4), (3, 3, 4, 5)))
    methods = Op.__call__, Op.input_gradients
    with op_times() as done:
        y = ops.conv2d(ops.conv2d(x, w, padding=1), v, stride=2, padding=1)
        ops.relu(y).backward(np.ones(y.shape, np.float32))
    assert set(done) == {(kind, way) for kind in ("Conv2d 3×3", "Conv2d 3×3 stride 2", "ReLU")
                         for way in ("forward", "backward")}
    first, second = 2 * 64 * 27 * 4, 2 * 16 * 36 * 5
    assert done["Conv2d 3×3", "forward"].flops == done["Conv2d 3×3", "backward"].flops == first
    assert done["Conv2d 3×3 stride 2", "forward"].flops == second
    assert done["Conv2d 3×3 stride 2", "backward"].flops == 2 * second
    assert done["ReLU", "forward"].flops == 0
    assert done["ReLU", "forward"].bytes == 4 * 2 * 16 * 5  # in and out
    assert done["Conv2d 3×3", "forward"].bytes == 4 * (64 * 3 + 27 * 4 + 64 * 4)
    assert done["Conv2d 3×3", "backward"].bytes == 4 * (64 * 4 + 64 * 3 + 27 * 4 + 27 * 4)  # dy, x, W, and dW
    assert all(work.seconds > 0 for work in done.values())
    assert (Op.__call__, Op.input_gradients) == methods


def test_roofline_is_the_longer_time():
    assert Work(flops=100, bytes=10).roofline(10, 10) == 10
    assert Work(flops=10, bytes=100).roofline(10, 10) == 10
