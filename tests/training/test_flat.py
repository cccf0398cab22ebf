"""Parameters side by side: the same steps to the bit, and nothing that leaves the array unnoticed."""

import numpy as np
import pytest
from helpers import random

from minihgd import models, nn, training
from minihgd.errors import TrainingError


class Three(nn.Module):
    def __init__(self, dtype=np.float32):
        self.a = nn.Parameter(random(3, 5, dtype=dtype))
        self.b = nn.Parameter(random(70, seed=1, dtype=dtype))
        self.decoder = nn.Linear(2, 3)
        self.decoder.weight.data[...] = random(2, 3)


def give_gradients(model, seed, without=()):
    for name, parameter in model.named_parameters():
        parameter.grad = None if name in without else random(*parameter.shape, seed=seed, dtype=parameter.dtype)


def by_hand(weights, velocity, gradients, lr, factor):
    for name, g in gradients.items():
        velocity[name] = velocity[name] * np.float32(0.9) + g + np.float32(1e-4) * weights[name]
        weights[name] = weights[name] - np.float32(lr * factor[name]) * velocity[name]


@pytest.mark.parametrize("without", [(), ("b",), ("a", "decoder.bias")])
def test_steps_are_those_of_each_parameter_alone(without):
    """Parameters without a gradient keep their weights and velocities; two learning rates."""
    model = Three()
    sgd = training.SGD(model, factors={"decoder.": 10})
    weights = {name: a.copy() for name, a in model.state_dict().items()}
    velocity = {name: 0 * a for name, a in weights.items()}
    for step in range(3):
        give_gradients(model, step, without if step else ())
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        by_hand(weights, velocity, gradients, 0.1, sgd.factor)
        sgd.step(0.1)
        assert all(p.grad is None for p in model.parameters())
    for name, parameter in model.named_parameters():
        assert np.allclose(parameter.data, weights[name], rtol=1e-6, atol=0)
        assert np.allclose(sgd.velocity[name], velocity[name], rtol=1e-6, atol=1e-7)


def test_neighbours_of_one_rate_are_one_call():
    model = models.build("efficientfcn", "resnet18", 3, 4, "released", channels=4, compressed=4, codeword_channels=4)
    sgd = training.SGD(model, factors={"decoder.": 10})
    (flat,) = sgd.flats
    names = list(flat.places)
    assert [factor for _, factor in sgd._runs(flat, names)] == [1, 10]
    assert len(sgd._runs(flat, names[:4] + names[5:])) == 3
    assert all(p.data.base is flat.weights or p.data.base.base is flat.weights for p in model.parameters())
    starts = [place.start for place in flat.places.values()]
    assert all(start % 64 == 0 for start in starts) and starts == sorted(starts)


def test_names_shapes_and_states_are_what_they_were():
    model = Three()
    before = {name: a.copy() for name, a in model.state_dict().items()}
    sgd = training.SGD(model)
    after = model.state_dict()
    assert list(after) == list(before) and all(np.array_equal(after[name], a) for name, a in before.items())
    model.load_state_dict({name: a + 1 for name, a in before.items()})
    assert np.array_equal(sgd.flats[0].weights[:15], before["a"].ravel() + 1)
    assert {name: v.shape for name, v in sgd.state_dict().items()} == {name: a.shape for name, a in before.items()}


def test_a_parameter_that_was_given_another_array_is_taken_back():
    model, other = Three(), Three()
    sgd, reference = training.SGD(model), training.SGD(other)
    new = random(3, 5, seed=7, dtype=np.float32)
    model.a.data, other.a.data[...] = new.copy(), new
    training.SGD(model)  # a second one lays the parameters elsewhere
    for each, optimiser in ((model, sgd), (other, reference)):
        give_gradients(each, 0)
        optimiser.step(0.1)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert not np.array_equal(model.a.data, new)


def test_a_model_that_was_cast_is_refused():
    model = Three()
    sgd = training.SGD(model)
    model.to(dtype=np.float64)
    give_gradients(model, 0)
    with pytest.raises(TrainingError, match=r"a: found numpy float64 \(3, 5\), the optimiser was made for numpy "
                                            r"float32 \(3, 5\); make it after model.to"):
        sgd.step(0.1)


def test_two_dtypes_are_two_arrays():
    model = Three()
    model.decoder.to(dtype=np.float64)
    sgd = training.SGD(model, clip=1)
    give_gradients(model, 0)
    length = np.sqrt(sum(float(np.vdot(p.grad, p.grad)) for p in model.parameters()))
    before = {name: a.copy() for name, a in model.state_dict().items()}
    gradients = {name: p.grad for name, p in model.named_parameters()}
    sgd.weight_decay = 0
    sgd.step(1)
    assert len(sgd.flats) == 2
    for name, parameter in model.named_parameters():
        assert parameter.dtype == before[name].dtype
        assert np.allclose(parameter.data, before[name] - gradients[name] / length, atol=1e-6)
