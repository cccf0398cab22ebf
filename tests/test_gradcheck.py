"""The checker itself: right gradients pass, wrong ones do not, also those that a constant cotangent would hide."""

import numpy as np
import pytest

from minihgd import GradientError, gradcheck, models, ops
from minihgd.autograd import Op, Tensor
from minihgd.gradcheck import check_directions


class Cube(Op):
    """x³, its derivative off by `factor`."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, x):
        self.save(x=x)
        return x**3

    def backward(self, dy):
        return self.factor * 3 * self.saved("x") ** 2 * dy


class UncentredSoftmax(Op):
    """A softmax whose backward forgets that the outputs add up to one; with a cotangent of ones it looks right."""

    def forward(self, x):
        y = np.exp(x) / np.exp(x).sum()
        self.save(y=y)
        return y

    def backward(self, dy):
        return self.saved("y") * (dy - dy.mean())


def test_right_gradients_pass():
    assert gradcheck(Cube(), np.array([1.0, -2.0, 0.5])) < 1e-8


@pytest.mark.parametrize("factor", [1.0001, 0.0, -1.0, np.nan])
def test_wrong_gradients_are_named(factor):
    with pytest.raises(GradientError, match=r"argument 1, element \(\d,\): backward says"):
        gradcheck(lambda a, b: a + Cube(factor)(b), np.ones(3), np.array([1.0, -2.0, 0.5]))


def test_a_constant_cotangent_would_hide_this():
    x = np.array([0.3, -1.0, 2.0])
    op = UncentredSoftmax()
    op.forward(x)
    assert np.abs(op.backward(np.ones(3))).max() < 1e-15  # the true gradient of the sum is zero too
    with pytest.raises(GradientError):
        gradcheck(UncentredSoftmax(), x)


def test_the_shape_of_a_gradient_is_checked():
    class Flat(Cube):
        def backward(self, dy):
            return super().backward(dy).reshape(-1)

    with pytest.raises(GradientError, match=r"shape \(2, 1\), its gradient \(2,\)"):
        gradcheck(Flat(), np.ones((2, 1)))


def test_an_argument_that_does_not_matter_has_gradient_zero():
    assert gradcheck(lambda a, b: a * 1, np.ones(2), np.ones(3)) < 1e-8


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", ["paper", "released"])
def test_whole_model_along_random_directions(form, training):
    rng = np.random.default_rng(0)
    model = models.build("efficientfcn", "resnet18", 3, 4, form, channels=4, compressed=5, codeword_channels=6)
    model.to(dtype=np.float64).train(training)
    images, labels = Tensor(rng.standard_normal((2, 33, 39, 3))), rng.integers(0, 3, (2, 33, 39))

    def loss():
        model.reseed(0)  # the same channels fall each time
        return ops.cross_entropy(model(images), labels)

    parameters = model.parameters()
    for p in parameters:
        p.data = p.data + 0.05 * rng.standard_normal(p.shape)
    assert check_directions(loss, parameters, tol=2e-5) <= 2e-5

    def wrong():
        y = loss()
        return y + 0.01 * ops.sum(Detached()(parameters[0]))

    with pytest.raises(GradientError, match="direction 0"):
        check_directions(wrong, parameters, tol=2e-5)


class Detached(Op):
    """x, with a backward that says it does not matter."""

    def forward(self, x):
        return x

    def backward(self, dy):
        return 0 * dy
