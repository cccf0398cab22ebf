"""The update and the schedule, by hand."""

import numpy as np
import pytest

from minihgd import nn, training
from minihgd.errors import SettingError


class Two(nn.Module):
    def __init__(self):
        self.a = nn.Parameter(np.array([1.0, 2.0]))
        self.decoder = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
        self.decoder.to(dtype=np.float64)


def test_two_steps_by_hand():
    model = Two()
    sgd = training.SGD(model, momentum=0.5, weight_decay=0.1, factors={"decoder.": 10})
    weight = getattr(model.decoder, "0").weight
    model.a.grad, weight.grad = np.array([1.0, -1.0]), np.full((1, 1, 1, 1), 2.0)
    sgd.step(0.1)
    # v = g + 0.1 w; w -= 0.1 v
    assert np.allclose(model.a.data, [1 - 0.1 * 1.1, 2 - 0.1 * -0.8], atol=1e-15)
    assert np.allclose(weight.data, -1 * 2.0, atol=1e-15)  # ten times the rate
    assert model.a.grad is None
    model.a.grad = np.array([0.0, 0.0])
    before = model.a.data.copy()
    sgd.step(0.2)
    assert np.allclose(model.a.data, before - 0.2 * (0.5 * np.array([1.1, -0.8]) + 0.1 * before), atol=1e-15)
    assert np.allclose(weight.data, -2.0)  # no gradient, no step


@pytest.mark.parametrize("clip, share", [(0, 1), (5, 1), (2, 2 / 3), (1.5, 0.5)])
def test_gradients_are_shortened_together(clip, share):
    """Their length is √(1 + 4 + 4) = 3."""
    model = Two()
    sgd = training.SGD(model, momentum=0.5, weight_decay=0, clip=clip)
    weight = getattr(model.decoder, "0").weight
    before = weight.data.copy()
    model.a.grad, weight.grad = np.array([1.0, -2.0]), np.full((1, 1, 1, 1), 2.0)
    sgd.step(0.1)
    assert np.allclose(model.a.data, [1 - 0.1 * share, 2 + 0.2 * share], atol=1e-15)
    assert np.allclose(weight.data, before - 0.2 * share, atol=1e-15)


def test_no_gradient_is_not_shortened():
    model = Two()
    model.a.grad = np.zeros(2)
    training.SGD(model, weight_decay=0, clip=1).step(0.1)
    assert model.a.data.tolist() == [1, 2]


def test_a_length_that_overflows_does_not_go_unnoticed():
    model = Two()
    model.a.data, model.a.grad = np.ones(2, np.float32), np.full(2, 1e30, np.float32)
    with np.errstate(over="ignore"):
        training.SGD(model, clip=1).step(0.1)
    assert np.isnan(model.a.data).all()


def test_a_prefix_that_names_nothing():
    with pytest.raises(SettingError, match="head"):
        training.SGD(Two(), factors={"head.": 10})


def test_poly():
    assert training.poly(0, 100, 0.1) == 0.1
    assert training.poly(50, 100, 0.1, 1.0) == 0.05
    assert abs(training.poly(99, 100, 1.0) - 0.01**0.9) < 1e-15


@pytest.mark.parametrize("clip", [0, 0.9])
def test_against_pytorch(clip):
    torch = pytest.importorskip("torch", reason="the oracle needs PyTorch: pip install -e '.[oracle]'")
    rng = np.random.default_rng(0)
    model = Two()
    theirs = torch.tensor(model.a.data.copy(), requires_grad=True)
    ours, other = training.SGD(model, clip=clip), torch.optim.SGD([theirs], lr=0.1, momentum=0.9, weight_decay=1e-4)
    for step in range(5):
        g = rng.standard_normal(2)
        model.a.grad, theirs.grad = g.copy(), torch.tensor(g)
        other.param_groups[0]["lr"] = lr = training.poly(step, 5, 0.1)
        ours.step(lr)
        if clip:
            torch.nn.utils.clip_grad_norm_([theirs], clip)
        other.step()
    off = np.abs(model.a.data - theirs.detach().numpy()).max()
    assert off < (1e-6 if clip else 1e-15)  # PyTorch adds 1e-6 to the length
