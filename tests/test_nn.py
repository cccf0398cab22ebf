"""Modules: names, states, modes, initial weights."""

import numpy as np
import pytest

from minihgd import gradcheck, models, nn
from minihgd.errors import SettingError


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def test_names_join_attributes():
    assert [name for name, _ in small().named_parameters()] == [
        "0.weight", "1.weight", "1.bias", "3.weight", "3.bias"]
    assert list(small().state_dict()) == [
        "0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight", "3.bias"]


def test_resnet_has_torchvisions_names():
    names = models.resnet(50, channels=4).state_dict()
    for name in ("conv1.weight", "bn1.running_var", "layer1.0.conv3.weight", "layer1.0.downsample.0.weight",
                 "layer4.2.bn3.bias", "layer2.0.downsample.1.running_mean"):
        assert name in names
    assert len(names) == 265  # torchvision's 318 tensors of trunk and statistics, less 53 batch counters


def test_a_state_goes_from_model_to_model():
    a, b = nn.initialise(small(), 1), nn.initialise(small(), 2)
    assert not np.array_equal(a.state_dict()["0.weight"], b.state_dict()["0.weight"])
    b.load_state_dict({name: array.copy() for name, array in a.state_dict().items()})
    for name, array in a.state_dict().items():
        assert np.array_equal(array, b.state_dict()[name]), name


@pytest.mark.parametrize("change, error, message", [
    (lambda s: s.pop("1.bias"), KeyError, r"1 names are missing \(1.bias\)"),
    (lambda s: s.update(extra=np.ones(1)), KeyError, r"1 are unknown \(extra\)"),
    (lambda s: s.update({"3.bias": np.ones(5)}), ValueError, r"3.bias has shape \(5,\), expected \(2,\)"),
])
def test_a_state_that_does_not_fit_changes_nothing(change, error, message):
    model = nn.initialise(small(), 1)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    other = {name: array + 1 for name, array in before.items()}
    change(other)
    with pytest.raises(error, match=message):
        model.load_state_dict(other)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


def test_train_and_eval_reach_all_inside():
    model = small()
    assert not model.eval().training and not any(m.training for _, m in model.modules())
    assert all(m.training for _, m in model.train().modules())


def test_to_a_dtype():
    model = small().to(dtype=np.float64)
    assert {array.dtype for array in model.state_dict().values()} == {np.dtype("float64")}


def test_initial_weights_depend_on_seed_and_name():
    a = models.build("efficientfcn", "resnet18", 5, 8, channels=8, compressed=8, codeword_channels=8, seed=3)
    b = models.build("efficientfcn", "resnet18", 7, 8, channels=8, compressed=8, codeword_channels=8, seed=3)
    assert np.array_equal(a.backbone.conv1.weight.data, b.backbone.conv1.weight.data)
    assert np.array_equal(a.decoder.base.weight.data, b.decoder.base.weight.data)
    weight = nn.initialise(nn.Conv2d(64, 128, 3, bias=False), 0).weight.data
    assert abs(weight.std() / np.sqrt(2 / (9 * 128)) - 1) < 0.02 and abs(weight.mean()) < 1e-3
    for layer in (nn.Conv2d(256, 64, 1), nn.Linear(256, 64)):
        weight = nn.initialise(layer, 0).weight.data
        assert abs(weight.std() / np.sqrt(1 / 256) - 1) < 0.02 and not layer.bias.data.any()


def test_a_linear_layer():
    layer = nn.initialise(nn.Linear(3, 2), 1).to(dtype=np.float64)
    x, b = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 4.0]]), np.array([0.5, -1.0])
    layer.bias.data[...] = b
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3, 2)), ("bias", (2,))]
    W = layer.weight.data
    expected = [[sum(x[n, i] * W[i, j] for i in range(3)) + b[j] for j in range(2)] for n in range(2)]
    assert np.abs(layer(x).data - expected).max() < 1e-15

    def with_parameters(x, weight, bias):
        layer.weight, layer.bias = weight, bias
        return layer(x)

    assert gradcheck(with_parameters, x, W, b) < 1e-8


def test_reseed_decides_the_channels_dropped():
    model = nn.Sequential(nn.Dropout2d(0.5), nn.Dropout2d(0.5))
    x = np.ones((2, 1, 1, 40))

    def run(*numbers):
        model.reseed(*numbers)
        return model(x).data

    assert np.array_equal(run(1, 5), run(1, 5))
    assert not np.array_equal(run(1, 5), run(1, 6))
    model.reseed(1)
    assert not np.array_equal(getattr(model, "0")(x).data,
                              getattr(model, "1")(x).data)  # each layer draws its own


@pytest.mark.parametrize("device, message", [
    ("gpu", '"cpu", "cuda" or "cuda:1"'), ("cuda:", "expected"), ("cuda:x", "expected"), (3, "found 3")])
def test_unknown_devices(device, message):
    with pytest.raises(SettingError, match=message):
        small().to(device)
