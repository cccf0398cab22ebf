"""The whole network against PyTorch: logits, loss, and the gradient of every parameter."""

import numpy as np
import pytest

from minihgd import Tensor, models, nn, no_grad, ops

torch = pytest.importorskip("torch", reason="the oracle needs PyTorch: pip install -e '.[oracle]'")
from oracle import torch_models  # noqa: E402

CASES = [(depth, form, dict(stem=stem)) for depth in (18, 50) for form in ("paper", "released")
         for stem in ("7x7", "deep32")]
CASES += [(50, "paper", dict(dilated=True)), (18, "released", dict(dilated=True, shortcut="avgpool")),
          (18, "paper", dict(codebook_scales=(32,), guidance_scales=(8, 16))), (18, "paper", dict(transfer=False)),
          (18, "released", dict(codebook_scales=(16, 32), guidance_scales=(8,), transfer=False))]
STYLES = [(50, dict(stride_in="1x1")), (50, dict(stride_in="1x1", dilated=True)), (50, dict(width=16)),
          (50, dict(shortcut="avgpool")), (18, dict(shortcut="avgpool"))]  # of checkpoints, all with the 7×7 stem


def relative(found, expected):
    """The largest difference over the largest value."""
    return np.abs(found - expected).max() / np.abs(expected).max()


def vary(model, rng, shift=0):
    """Move biases, and the scales of normalisation, away from where they begin; biases by `shift` more."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * rng.standard_normal(parameter.shape, np.float32) + shift * name.endswith("bias")


def calibrate(model, images):
    """Running statistics as a trained network has them: those of its own maps."""
    norms = [module for _, module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with no_grad():
        model.train()(Tensor(images))
    for norm in norms:
        norm.momentum = 0.1


def centre(decoder, maps):
    """Take its mean over the pixels out of each compressed map of the paper form's decoder, by its bias.

    A softmax over positions ignores the mean of its map, and so does A's gradient, but for rounding: a sum over pixels
    in which a large mean must cancel keeps few digits.
    """
    for layer, x in zip((decoder.e8, decoder.e16, decoder.e32), maps, strict=True):
        layer.bias.data -= layer(x).data.mean(axis=(0, 1, 2))


def both(depth, form, options, dtype, training=True, size=(67, 95), shift=0):
    """(logits, loss, gradients by name) of this library and of PyTorch, same weights and batch."""
    rng = np.random.default_rng(depth)
    drop = {} if form == "paper" else dict(dropout=0.0)
    if form in ("paper", "released"):
        model = models.build("efficientfcn", f"resnet{depth}", 7, 16, form, **options, **drop)
    else:
        model = models.build(form, f"resnet{depth}", 7, **options, **drop)
    vary(model, rng, shift)
    images = rng.standard_normal((2, *size, 3), np.float32)
    if shift and form == "paper":
        with no_grad():
            centre(model.decoder, model.backbone(images)[1:])
    model.to(dtype=dtype)  # only now, so that both precisions stand at the same point
    images = images.astype(dtype)
    calibrate(model, images)
    oracle = torch_models.build(f"resnet{depth}", form, 7, 16, dropout=0.0, **options)
    torch_models.load(oracle, model.state_dict())
    labels = rng.integers(0, 7, (2, *size))
    labels[:, :10] = 255
    expected = torch_models.logits_and_gradients(oracle, images, labels, training)
    logits = model.train(training)(Tensor(images))
    loss = ops.cross_entropy(logits, labels)
    loss.backward()
    return (logits.data, float(loss.data), {n: p.grad for n, p in model.named_parameters()}), expected, model, oracle


def compare(gradients, expected, tol):
    """Every parameter's gradient, relative to the largest of its layer.

    Of the layer, because some biases have no gradient but rounding: a softmax over positions ignores a shift of its
    map, and batch normalisation a shift of its input.
    """
    layer = {name: name.rpartition(".")[0] for name in expected}
    scale = dict.fromkeys(layer.values(), 0)
    for name, value in expected.items():
        scale[layer[name]] = max(scale[layer[name]], np.abs(value).max())
    for name, value in expected.items():
        assert np.abs(gradients[name] - value).max() < tol * scale[layer[name]], name


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("depth, form, options", CASES)
def test_float64(depth, form, options, training):
    check_float64(*both(depth, form, options, np.float64, training))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", models.NAMES[1:])
@pytest.mark.parametrize("depth, stem", [(18, "deep64"), (50, "7x7")])
def test_the_decoders_of_table_1(name, depth, stem, training):
    check_float64(*both(depth, name, dict(stem=stem, channels=8, compressed=16), np.float64, training))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("depth, options", STYLES, ids=str)
def test_styles_of_backbones(depth, options, training):
    small = dict(channels=8, compressed=16, codeword_channels=32)
    check_float64(*both(depth, "paper", options | small, np.float64, training))


def check_float64(ours, theirs, model, oracle):
    """Logits, loss, gradients and running statistics agree to 1e-9."""
    (logits, loss, gradients), (logits_t, loss_t, gradients_t) = ours, theirs
    assert relative(logits, logits_t) < 1e-9
    assert abs(loss - loss_t) < 1e-9 * max(1, abs(loss_t))
    assert gradients.keys() == gradients_t.keys()
    compare(gradients, gradients_t, 1e-9)
    for name, tensor in oracle.state_dict().items():
        if "running" in name:
            assert relative(model.state_dict()[name], tensor.numpy()) < 1e-9, name


@pytest.mark.parametrize("depth, options", [(18, {}), (50, {}), (50, dict(stride_in="1x1", width=16))], ids=str)
def test_classifier(depth, options):
    """Logits in evaluation mode, with running statistics that were drawn at random."""
    rng = np.random.default_rng(depth)
    model = models.resnet(depth, classes=10, channels=8, **options)
    vary(model, rng)
    model.fc.bias.data += rng.standard_normal(10, np.float32)
    for name, array in model.state_dict().items():
        if "running" in name:
            array[...] = rng.uniform(0.5, 2, array.shape) if name.endswith("var") else rng.standard_normal(array.shape)
    model.to(dtype=np.float64).eval()
    oracle = torch_models.ResNet(f"resnet{depth}", channels=8, classes=10, **options)
    torch_models.load(oracle, model.state_dict()).eval()
    images = rng.standard_normal((2, 67, 95, 3))
    with no_grad(), torch.no_grad():
        expected = oracle(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
        assert relative(model(Tensor(images)).data, expected) < 1e-9


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form, stem", [("paper", "7x7"), ("released", "deep32")])
def test_float32(depth, form, stem, training):
    """Against PyTorch in float64, so that only this library's rounding counts.

    Rounding can turn a ReLU near its kink on or off, and that changes gradients by far more than rounding does (in
    PyTorch too). Biases of 3 or 4 keep the network away from its kinks; the float64 tests above visit both sides.
    """
    case = dict(depth=depth, form=form, options=dict(stem=stem), training=training, size=(96, 128),
                shift=3 if form == "paper" else 4)
    (logits, loss, gradients), _, _, _ = both(dtype=np.float32, **case)
    _, (logits_t, loss_t, gradients_t), _, _ = both(dtype=np.float64, **case)
    assert logits.dtype == np.float32
    assert relative(logits, logits_t) < 1e-4
    assert abs(loss - loss_t) < 1e-4 * loss_t
    compare(gradients, gradients_t, 1e-4)
