"""Recomputation: the same bits with less memory."""

import contextlib
import tracemalloc

import numpy as np
import pytest

from minihgd import Tensor, backend, models, nn, no_grad, ops, report, training

NETWORKS = [("resnet18", "paper", np.float32), ("resnet18", "released", np.float64),
            ("resnet50", "paper", np.float64), ("resnet50", "released", np.float32)]
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.standard_normal((2, 64, 64, 3)), RNG.integers(0, 3, (2, 64, 64))


def network(backbone, form, dtype, recompute):
    options = dict(dropout=0.5) if form == "released" else {}
    model = models.build("efficientfcn", backbone, 3, 4, form, seed=1, recompute=recompute, channels=8, compressed=8,
                         codeword_channels=16, **options).to(dtype=dtype)
    model.reseed(5)
    return model


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert np.array_equal(value, b[name]), name


def after_a_step(model, optimiser, images):
    """Everything that a training step makes or changes, by name."""
    model.zero_grad()
    x = Tensor(images, requires_grad=True)
    loss = model.loss(x, LABELS)
    loss.backward()
    found = {"loss": loss.data, "images": x.grad}
    found |= {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
    optimiser.step(0.1)
    found |= {name: array.copy() for name, array in model.state_dict().items()}
    return found | {f"generator of {name}": module.rng.bit_generator.state
                    for name, module in model.modules() if hasattr(module, "rng")}


@pytest.mark.parametrize("backbone, form, dtype", NETWORKS)
def test_two_steps_are_equal_to_the_bit(backbone, form, dtype):
    kept, made_again = (network(backbone, form, dtype, recompute) for recompute in (False, True))
    optimisers = [training.SGD(model) for model in (kept, made_again)]
    for _ in range(2):
        a, b = (after_a_step(model, optimiser, IMAGES.astype(dtype))
                for model, optimiser in zip((kept, made_again), optimisers, strict=True))
        assert all(value is not None for value in a.values()) and np.any(a["images"])
        assert_equal(a, b)


def test_gradients_add_up_over_passes_as_without():
    def gradients(recompute):
        model = network("resnet18", "released", np.float32, recompute)
        losses = [model.loss(IMAGES[i : i + 1].astype(np.float32), LABELS[i : i + 1]) for i in (0, 1)]
        for loss in losses:
            loss.backward()
        return {name: p.grad for name, p in model.named_parameters()} | model.state_dict()

    assert_equal(gradients(False), gradients(True))


def test_less_is_kept(monkeypatch):
    monkeypatch.setattr(backend.cpu.windows, "WINDOWS", 1 << 12)  # small: what is kept counts, not what is on the way
    images = np.random.default_rng(1).standard_normal((2, 128, 128, 3), np.float32)

    def kept_and_peak(recompute):
        """Bytes kept for the backward pass, and the most that were held while it ran."""
        model = network("resnet50", "released", np.float32, recompute)
        tracemalloc.start()
        try:
            loss = model.loss(images, LABELS.repeat(2, axis=1).repeat(2, axis=2))
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            loss.backward()
            return kept, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    (kept, peak), (kept_less, peak_less) = kept_and_peak(False), kept_and_peak(True)
    assert kept_less < 0.5 * kept and peak_less < 0.7 * peak


def test_blocks_and_the_decoder_are_single_ops_on_the_tape():
    op, found = network("resnet18", "paper", np.float32, True).coarse(IMAGES.astype(np.float32)).op, []
    while op:
        found.append(type(op).__name__)
        op = op.inputs[2 if len(found) == 1 else 0].op  # from the decoder's last map to its block, and so on
    assert found == ["Recomputed"] * 9 + ["MaxPool2d", "BatchNorm", "Conv2d"]


def test_a_second_pass_raises():
    loss = network("resnet18", "paper", np.float32, True).loss(IMAGES.astype(np.float32), LABELS)
    loss.backward()
    with pytest.raises(RuntimeError, match="already walked"):
        loss.backward()


def test_no_effect_where_nothing_is_trained():
    kept, made_again = (network("resnet18", "released", np.float32, recompute) for recompute in (False, True))
    assert report.cost(kept, 64, 64) == report.cost(made_again, 64, 64)
    images = IMAGES.astype(np.float32)
    with no_grad():
        assert np.array_equal(kept(images).data, made_again(images).data)
        assert_equal(kept.state_dict(), made_again.state_dict())
    assert type(made_again.eval().coarse(images).op) is type(kept.eval().coarse(images).op)


def test_names_are_the_same():
    a, b = (network("resnet18", "paper", np.float32, recompute).state_dict() for recompute in (False, True))
    assert_equal(a, b)


class Mixed(nn.Module):
    """Uses one input three times, takes a list and another input by name, normalises and drops."""

    def __init__(self):
        self.conv, self.bn, self.drop = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Dropout2d(0.5)

    def forward(self, maps, other):
        x, y = maps
        return self.drop(self.bn(self.conv(x) * y + x + x * other, relu=True))


def mixed(recompute, between=lambda module: None, within=contextlib.nullcontext):
    """Gradients and state of a `Mixed`: something happens between its passes, the second is within a context."""
    module = nn.initialise(Mixed(), 3)
    module.recompute = recompute
    x, y, z = (Tensor(a, requires_grad=True) for a in np.random.default_rng(1).random((3, 4, 3, 3, 2), np.float32))
    middle = ops.exp(x)
    result = ops.sum(module([middle, y], other=ops.exp(z)) * middle * middle)
    between(module)
    with within():
        result.backward()
    return {"x": x.grad, "y": y.grad, "z": z.grad, "weight": module.conv.weight.grad,
            "generator": module.drop.rng.bit_generator.state, "training": module.bn.training, **module.state_dict()}


@pytest.mark.parametrize("between", [lambda m: None, lambda m: m.eval(), lambda m: m.reseed(8),
                                     lambda m: m.bn.running_var.fill(7)], ids=["", "mode", "generator", "buffer"])
def test_the_second_run_begins_where_the_first_began(between):
    assert_equal(mixed(False, between), mixed(True, between))


def test_a_backward_pass_within_no_grad():
    assert_equal(mixed(False, within=no_grad), mixed(True, within=no_grad))


@pytest.mark.parametrize("wanted", [True, False], ids=["of the input too", "of parameters alone"])
def test_modules_in_one_another(wanted):
    """An outer module that is computed again records its inner ones, which are computed again in turn."""
    def gradients(recompute):
        model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout2d(0.5)), nn.BatchNorm2d(4), nn.ReLU())
        for _, module in nn.initialise(model, 2).modules():
            module.recompute = recompute
        model.reseed(1)
        x = Tensor(IMAGES.astype(np.float32), requires_grad=wanted)
        ops.sum(model(x) * model(x)).backward()
        assert all(p.grad is not None for p in model.parameters()) and (x.grad is not None) == wanted
        return {"x": x.grad, **{name: p.grad for name, p in model.named_parameters()}, **model.state_dict()}

    assert_equal(gradients(False), gradients(True))


def test_a_module_that_hands_its_input_on():
    module = nn.Dropout2d(0)
    module.recompute = True
    x = Tensor(np.ones((1, 2, 2, 3)), requires_grad=True)
    y = x * 2
    ops.sum(module(y) * y + module(x)).backward()
    assert np.all(x.grad == 9)  # of 4 x² + x at x = 1
