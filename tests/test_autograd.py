"""The tape: sums of gradients, order, freeing, no_grad."""

import gc
import weakref

import numpy as np
import pytest

from minihgd import Tensor, gradcheck, no_grad, ops
from minihgd.autograd import Op


def leaf(*values):
    return Tensor(np.array(values, float), requires_grad=True)


def test_an_op_works_at_a_prompt():
    op = ops.convolution.Conv2d(stride=2, padding=1)
    x, weight = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 3))
    y = op.forward(x, weight)
    dx, dw, db = op.backward(np.ones_like(y))
    assert y.shape == (1, 2, 2, 3) and dx.shape == x.shape and dw.shape == weight.shape and db.tolist() == [4, 4, 4]


def test_a_tensor_used_twice_gets_both_gradients():
    x = leaf(2.0, 3.0)
    (x * x + x).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [5, 70]


def test_diamond():
    gradcheck(lambda x: ops.relu(x * 2) * ops.exp(x) + x, np.array([[0.5, -0.7], [1.5, 2.0]]))

    def diamond(a, b):
        c = a * b
        return (c @ c) * (a + c) / (c * c + 1)

    gradcheck(diamond, *np.random.default_rng(0).random((2, 3, 3)))


def test_one_op_in_two_places_of_a_graph():
    rng = np.random.default_rng(0)
    gradcheck(lambda x, w: ops.conv2d(ops.relu(ops.conv2d(x, w, padding=1)), w, padding=1),
              rng.random((1, 4, 3, 2)) + 0.1, rng.random((3, 3, 2, 2)))


def test_one_op_object_in_two_places():
    op = ops.elementwise.Exp()
    gradcheck(lambda x: op(op(x)) + op(x * 2), np.array([0.3, -1.0]))


def test_a_leafs_gradient_is_an_array_of_its_own():
    x = leaf(1.0, 2.0)
    ops.mean(x).backward()
    x.grad += 1  # not a read-only view
    assert x.grad.tolist() == [1.5, 1.5]


def test_numbers_beside_tensors():
    assert (Tensor(np.arange(3)) * 0.5).data.tolist() == [0, 0.5, 1]
    assert (Tensor(np.ones(2, np.float32)) * np.float64(2)).dtype == np.float32
    assert (np.eye(2) @ leaf(1.0, 2.0).reshape((2, 1))).data.tolist() == [[1], [2]]
    with pytest.raises(ValueError, match="float32.*float64"):
        ops.matmul(np.ones((2, 2), np.float32), np.ones((2, 2)))


def test_gradients_add_up_over_passes_until_cleared():
    x = leaf(1.0)
    for expected in (3, 6):
        (x * 3).backward(np.ones(1))
        assert x.grad.tolist() == [expected]
    x.grad = None
    (x * 3).backward(np.ones(1))
    assert x.grad.tolist() == [3]


def test_the_gradient_given_stays_the_callers():
    """add hands its dy to both inputs: the leaves' gradients must be arrays of their own."""
    a, b, dy = leaf(1.0), leaf(2.0), np.ones(1)
    (a + b).backward(dy)
    a.grad[0] = 7
    assert b.grad.tolist() == [1] and dy.tolist() == [1]
    c, d = leaf(1.0, 2.0), leaf(3.0, 4.0)
    ops.reshape(c + d, (2, 1)).backward(np.ones((2, 1)))
    c.grad[0] = 7
    assert d.grad.tolist() == [1, 1]


def test_a_leaf_can_be_walked_itself():
    x = leaf(1.0)
    x.backward()
    x.backward()
    assert x.grad.tolist() == [2]


def test_only_wanted_gradients_are_computed():
    x, w = Tensor(np.ones((1, 3, 3, 1))), Tensor(np.ones((1, 1, 1, 1)), requires_grad=True)
    y = ops.conv2d(x, w)
    assert y.op.needs[:3] == (False, True, False)
    y.backward(np.ones(y.shape))
    assert x.grad is None and w.grad.item() == 9


def test_an_optional_input_may_be_left_out():
    gradcheck(lambda x, w: ops.convolution.Conv2d()(x, w), np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 2)))


def test_no_grad_records_and_keeps_nothing():
    x = leaf(1.0, 2.0)
    with no_grad():
        y = ops.exp(x)
    assert y.op is None and not y.requires_grad
    with pytest.raises(RuntimeError, match="requires_grad"):
        y.backward(np.ones(2))
    assert ops.exp(x).requires_grad  # recording goes on afterwards


def test_the_tape_is_freed_and_cannot_be_walked_twice():
    x = leaf(1.0, 2.0)
    middle = ops.exp(x)
    kept = weakref.ref(middle.op)
    y = ops.sum(middle * 2)
    del middle
    y.backward()
    gc.collect()
    assert kept() is None
    with pytest.raises(RuntimeError, match="already walked"):
        y.backward()


def test_a_long_chain_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y + 0.001
    y.backward()
    assert x.grad.tolist() == [1]


@pytest.mark.parametrize("call, error, message", [
    (lambda: leaf(1.0, 2.0).backward(), RuntimeError, "scalar"),
    (lambda: leaf(1.0, 2.0).backward(np.ones(3)), ValueError, r"\(3,\)"),
    (lambda: Tensor(np.array([1, 2]), requires_grad=True), TypeError, "int64"),
    (lambda: Tensor(leaf(1.0)), TypeError, "found a Tensor"),
    (lambda: Op()(np.ones(1)), TypeError, "no forward"),
])
def test_misuse(call, error, message):
    with pytest.raises(error, match=message):
        call()
