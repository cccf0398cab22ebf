"""The whole network against PyTorch: logits, loss, and the gradient of every parameter."""

import numpy as np
import pytest

from minihgd import Tensor, models, ops

torch = pytest.importorskip("torch", reason="the oracle needs PyTorch: pip install -e '.[oracle]'")
from oracle import torch_models  # noqa: E402

CASES = [(depth, form, dict(stem=stem)) for depth in (18, 50) for form in ("paper", "released")
         for stem in ("7x7", "deep32")]
CASES += [(50, "paper", dict(dilated=True)), (18, "released", dict(dilated=True, shortcut="avgpool")),
          (18, "paper", dict(codebook_scales=(32,), guidance_scales=(8, 16))), (18, "paper", dict(transfer=False)),
          (18, "released", dict(codebook_scales=(16, 32), guidance_scales=(8,), transfer=False))]


def relative(found, expected):
    """The largest difference over the largest value."""
    return np.abs(found - expected).max() / np.abs(expected).max()


def both(depth, form, options, dtype, training=True):
    """(logits, loss, gradients by name) of this library and of PyTorch, same weights and batch."""
    rng = np.random.default_rng(depth)
    drop = dict(dropout=0.0) if form == "released" else {}
    model = models.build("efficientfcn", f"resnet{depth}", 7, 16, form, **options, **drop).to(dtype=dtype)
    for name, array in model.state_dict().items():  # batch statistics as a trained network has them
        if name.endswith("running_var"):
            array[...] = 0.5 + rng.random(array.shape)
        elif name.endswith("running_mean") or array.ndim == 1:
            array += (0.1 * rng.standard_normal(array.shape)).astype(dtype)
    oracle = torch_models.build(f"resnet{depth}", form, 7, 16, dropout=0.0, **options)
    torch_models.load(oracle, model.state_dict())
    images = rng.standard_normal((2, 67, 95, 3)).astype(dtype)
    labels = rng.integers(0, 7, (2, 67, 95))
    labels[:, :10] = 255
    expected = torch_models.logits_and_gradients(oracle, images, labels, training)
    logits = model.train(training)(Tensor(images))
    loss = ops.cross_entropy(logits, labels)
    loss.backward()
    return (logits.data, float(loss.data), {n: p.grad for n, p in model.named_parameters()}), expected, model, oracle


def compare(gradients, expected, tol):
    """Every parameter's gradient, relative to its own largest value."""
    for name, value in expected.items():
        if name in ("decoder.attention.bias", "decoder.attention.4.bias"):
            # A softmax over positions ignores a shift of the map: this gradient is zero, and rounding on both sides.
            scale = np.abs(expected[name.replace("bias", "weight")]).max()
            assert np.abs(gradients[name]).max() < tol * scale and np.abs(value).max() < tol * scale, name
        else:
            assert relative(gradients[name], value) < tol, name


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("depth, form, options", CASES)
def test_float64(depth, form, options, training):
    (logits, loss, gradients), (logits_t, loss_t, gradients_t), model, oracle = both(
        depth, form, options, np.float64, training)
    assert relative(logits, logits_t) < 1e-9
    assert abs(loss - loss_t) < 1e-9 * max(1, abs(loss_t))
    assert gradients.keys() == gradients_t.keys()
    compare(gradients, gradients_t, 1e-9)
    for name, tensor in oracle.state_dict().items():
        if "running" in name:
            assert relative(model.state_dict()[name], tensor.numpy()) < 1e-9, name


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("form, stem", [("paper", "7x7"), ("released", "deep32")])
def test_float32(depth, form, stem):
    """Against PyTorch in float64, so that only this library's rounding counts."""
    (logits, loss, gradients), _, _, _ = both(depth, form, dict(stem=stem), np.float32, training=False)
    _, (logits_t, loss_t, gradients_t), _, _ = both(depth, form, dict(stem=stem), np.float64, training=False)
    assert logits.dtype == np.float32
    assert relative(logits, logits_t) < 1e-4
    assert abs(loss - loss_t) < 1e-4 * loss_t
    compare(gradients, gradients_t, 1e-4)
