"""The checks of the decoder's shortcuts: by parts it is the function that the paper prints, and so are its gradients.

`CHECKS[name]()` raises where it is not. As those of the ops (ops/checks.py) they also run against planted errors.
"""

import itertools

import numpy as np
from helpers import random

from minihgd import Tensor, models, nn, no_grad, ops
from minihgd.models import hgd

# those of the comparison with PyTorch (oracle/test_parity.py), and the fewest maps
SWITCHES = [{}, dict(codebook_scales=(32,), guidance_scales=(8, 16)), dict(transfer=False),
            dict(codebook_scales=(16, 32), guidance_scales=(8,), transfer=False),
            dict(codebook_scales=(32,), guidance_scales=(8,))]
CHANNELS = 5, 6, 7
SIZES = [[(9, 13), (5, 7), (3, 4)], [(6, 5)] * 3]  # of the maps at OS 8, 16, 32; of those of a dilated backbone


def decoder(form, dtype, **switches):
    """A small decoder whose weights, biases and statistics all differ from one another."""
    drop = dict(dropout=0.4) if form == "released" else {}
    module = hgd.FORMS[form](CHANNELS, 3, 4, compressed=8, codeword_channels=10, **switches, **drop)
    rng = np.random.default_rng(5)
    for name, array in module.state_dict().items():
        noise = rng.standard_normal(array.shape, np.float32)
        scale = 0.3 if array.ndim == 1 else array.shape[2] ** -0.5
        array[...] = scale * noise + (name.endswith("running_var") or array.ndim == 1 and name.endswith("weight"))
        if name.endswith("running_var"):
            np.abs(array, out=array)
    return module.to(dtype=dtype)


def step(model, function, inputs, state):
    """The output of function(inputs) and all gradients by name, beginning with these buffers; and the buffers after."""
    model.load_state_dict(state)
    model.zero_grad()
    model.reseed(3)
    inputs = [Tensor(x, requires_grad=True) for x in inputs]
    y = function(inputs)
    y.backward(random(*y.shape, seed=5).astype(y.dtype))
    found = {"output": y.data} | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    found |= {f"input.{i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    return found | {name: array.copy() for name, array in model.state_dict().items() if "running" in name}


def assert_close(found, expected, tol):
    """Every array, up to tol of the largest value of its layer.

    Of the layer, because some biases have no gradient but rounding: a softmax over positions ignores a shift of its
    map, and batch normalisation a shift of its input.
    """
    assert found.keys() == expected.keys()
    scale = {}
    for name, value in expected.items():
        layer = name if "running" in name or "input" in name else name.rpartition(".")[0]
        scale.setdefault(layer, []).append((name, np.abs(value).max()))
    for names in scale.values():
        largest = max(value for _, value in names)
        for name, _ in names:
            error = np.abs(found[name] - expected[name]).max()
            assert error <= tol * largest, f"{name}: {error / largest:.2g} of the largest, {largest:.2g}"


def state_of(model):
    return {name: array.copy() for name, array in model.state_dict().items()}


def check_by_parts(tolerances=((np.float64, 1e-11), (np.float32, 1e-5))):
    for (dtype, tol), form, switches in itertools.product(tolerances, hgd.FORMS, SWITCHES):
        module = decoder(form, dtype, **switches)
        state = state_of(module)
        for sizes, training, align in itertools.product(SIZES, (True, False), (module.align_corners, None)):
            maps = [random(2, *size, c, dtype=dtype) for size, c in zip(sizes, CHANNELS, strict=True)]
            module.train(training).align_corners = not module.align_corners if align is None else align
            module.plain = True
            expected = step(module, module, maps, state)
            module.plain = False
            found = step(module, module, maps, state)
            assert found["output"].dtype == dtype
            assert_close(found, expected, tol)
            module.load_state_dict(state)
            module.reseed(3)
            with no_grad():  # where no gradients are wanted, the weights may be multiplied first
                assert_close({"output": module(maps).data}, {"output": expected["output"]}, tol)


def check_loss():
    """`model.loss` is the cross-entropy of what the model gives."""
    rng = np.random.default_rng(0)
    for form, size, dtype, tol in (("paper", (67, 95), np.float64, 1e-11), ("released", (64, 48), np.float64, 1e-11),
                                   ("paper", (64, 64), np.float32, 1e-5)):
        model = models.build("efficientfcn", "resnet18", 5, 4, form, channels=4, compressed=8, codeword_channels=10)
        model.to(dtype=dtype)
        images, labels = random(2, *size, 3).astype(dtype), rng.integers(0, 5, (2, *size))
        labels[:, :10] = 255
        state = state_of(model)
        expected = step(model, lambda x, m=model, t=labels: ops.cross_entropy(m(x[0]), t), [images], state)
        found = step(model, lambda x, m=model, t=labels: m.loss(x[0], t), [images], state)
        assert found["output"].shape == () and found["output"].dtype == dtype
        assert_close(found, expected, tol)


def check_sequential():
    """A normalisation and the ReLU behind it, computed as one, give what the modules give one by one, to the bit."""
    layers = {"conv": lambda: nn.Conv2d(4, 4, 1), "norm": lambda: nn.BatchNorm2d(4), "relu": nn.ReLU}
    for names in ("conv norm relu relu norm norm relu conv", "norm relu conv relu norm", "relu norm relu"):
        model = nn.initialise(nn.Sequential(*(layers[name]() for name in names.split())), 1)
        state, x = state_of(model), random(2, 5, 4, 4).astype(np.float32)
        for training, start in itertools.product((True, False), (0, 1, 2)):
            def one_by_one(inputs, model=model, start=start):
                y = inputs[0]
                for module in list(model)[start:]:
                    y = module(y)
                return y

            model.train(training)
            expected = step(model, one_by_one, [x], state)
            found = step(model, lambda inputs, m=model, s=start: m.rest(inputs[0], s), [x], state)
            assert_close(found, expected, 0)
            assert start or np.array_equal(step(model, lambda inputs, m=model: m(inputs[0]), [x], state)["output"],
                                           expected["output"])


CHECKS = {name.removeprefix("check_"): function for name, function in dict(globals()).items()
          if name.startswith("check_")}
