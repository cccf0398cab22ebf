"""The checks of the GPU's primitives: each against the same primitive on NumPy arrays, in float64.

`CHECKS[name]()` raises where one is wrong. They need "cuda" to be a device: a real one, or the stand-in.
"""

import itertools

import numpy as np
from helpers import apart, equal, random, set_to
from ops.checks import WINDOWS

from minihgd import backend
from minihgd.backend import cpu
from minihgd.backend.resampling import Resizing
from minihgd.backend.windows import Window

MATRICES = [(1, 1), (1, 6), (7, 3), (300, 4), (70, 8), (70, 67), (4500, 2), (2300, 66)]  # for many blocks


def agree(name, *arguments, of=None, tol=None):
    """A primitive gives on the device what it gives on NumPy arrays. of: the part of the backend it belongs to."""
    gpu = backend.module("cuda")
    device, host = (getattr(module, of) if of else module for module in (gpu, cpu))
    there = [backend.to_device(a.copy(), "cuda") if isinstance(a, np.ndarray) else a for a in arguments]
    found, expected = getattr(device, name)(*there), getattr(host, name)(*arguments)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for one, other in pairs:
        equal(backend.to_numpy(one), other, tol)


def in_blocks():
    """Sets how many blocks share a sum down the columns."""
    from minihgd.backend import launch
    for blocks in (launch.BLOCKS, 7, 1):
        with set_to(launch, BLOCKS=blocks):
            yield


def check_sums():
    for _ in in_blocks():
        for M, C in MATRICES:
            dy, x, y, mean = (*(random(M, C, seed=seed) for seed in range(3)), random(C))
            agree("column_sums", x)
            agree("column_moments", x)
            agree("normalise_backward", dy, x, mean)
            agree("normalise_backward", dy, x, mean, y)


def check_moments_far_from_zero():
    """A variance of 9 about a mean of 1000, in float32: E[x²] - E[x]² would lose a third of it."""
    x = (1000 + 3 * random(20000, 8)).astype(np.float32)
    mean, variance = backend.module("cuda").column_moments(backend.to_device(x, "cuda"))
    expected = x.astype(np.float64)
    assert np.abs(backend.to_numpy(mean) - expected.mean(axis=0)).max() < 1e-3  # 16 times float32's last digit there
    assert np.abs(backend.to_numpy(variance) / expected.var(axis=0) - 1).max() < 1e-4


def check_normalising():
    for M, C in MATRICES:
        x, scale, shift, residual = random(M, C), random(C), random(C, seed=1), random(M, C, seed=2)
        for rest, relu in itertools.product((None, residual), (False, True)):
            agree("scale_shift", x, scale, shift, rest, relu)
        agree("combine", x, residual, scale, shift, random(C, seed=3))
        agree("normaliser", random(C), random(C) ** 2, scale, shift, 1e-2)
        agree("relu_backward", x, residual)
        rows = random(C), random(C, seed=1), scale, shift, random(C, seed=2)
        agree("normaliser_backward", *rows, M)
        agree("normaliser_backward", *rows, np.array(float(M)))


def check_in_place():
    """What changes its arguments."""
    for (M, C), device in itertools.product(MATRICES, ("cpu", "cuda")):
        primitives = backend.module(device)

        def there(*shape, seed=0, device=device):
            return backend.to_device(random(*shape, seed=seed).copy(), device)

        x, w, v, g = there(M, C), there(M, C, seed=1), there(M, C, seed=2), there(M, C, seed=3)
        primitives.add_row(x, there(C))
        primitives.momentum_steps([(w, v, g, 0.1)], 0.9, 0.01)
        primitives.momentum_steps([(w, v, g, 0.1)], 0.9, 0.01, backend.to_device(np.array(0.3), device))
        mean, var = there(C), there(C, seed=1)
        primitives.follow(mean, var, there(C, seed=2), there(C, seed=3), 0.2, M)
        rows = backend.to_device(np.array(M + 2.0), device)
        primitives.follow(mean, var, there(C, seed=4), there(C, seed=5), 0.3, rows)
        results = [backend.to_numpy(a) for a in (x, w, v, mean, var)]
        if device == "cpu":
            expected = results
        for one, other in zip(results, expected, strict=True):
            equal(one, other)


def check_windows():
    for (h, w, kernel, stride, padding, dilation), c in itertools.product(WINDOWS, (2, 3)):
        window = Window(kernel, *((v, v) if isinstance(v, int) else v for v in (stride, padding, dilation)))
        ho, wo = window.output(h, 0), window.output(w, 1)
        for lines in {(0, ho), (0, 1), (ho - 1, ho), (min(1, ho - 1), ho)}:
            agree("gather_windows", random(2, h, w, c), window, slice(*lines), of="windows")
        columns = kernel[0] * kernel[1] * c
        for lines in {(0, h), (0, 1), (h - 1, h)}:
            outputs = window.outputs(slice(*lines), ho)
            some = random(2, outputs.stop - outputs.start, wo, columns)
            if some.size:
                agree("add_windows", some, window, outputs.start, slice(*lines), w, of="windows")
        pixels = 2 * (h + 2 * window.padding[0]) * (w + 2 * window.padding[1])
        agree("padded", random(2, h, w, c), window, pixels + 5, of="windows")
    for lines, columns in (((0, 3), (0, 4)), ((-2, 5), (-1, 6)), ((1, 2), (2, 9)), ((-1, 2), (3, 4))):
        for c in (2, 3):
            agree("excerpt", random(2, 3, 4, c), slice(*lines), slice(*columns), of="windows")


def check_pooling():
    for (h, w), kernel, stride, padding, c in itertools.product(
            ((5, 7), (8, 6)), ((3, 3), (2, 2), (3, 2)), ((2, 2), (1, 1), (3, 2)), ((0, 0), (1, 1)), (2, 3)):
        window = Window(kernel, stride, padding)
        size = window.output(h, 0), window.output(w, 1)
        for x in (apart(2, h, w, c), np.round(random(2, h, w, c)), -1 - random(2, h, w, c) ** 2):  # the second ties
            y = cpu.pooling.max_pool(x, window, *size)
            agree("max_pool", x, window, *size, of="pooling")
            agree("max_pool_backward", random(*y.shape), x, y, window, of="pooling")
        agree("sum_pool", random(2, h, w, c), window, *size, of="pooling")
        agree("sum_pool_backward", random(2, *size, c), window, h, w, of="pooling")


RESIZES = [(3, 3), (1, 5), (5, 1), (4, 9), (9, 4), (6, 48), (13, 2)]


def check_resampling():
    for (a, b), (p, q), align, turned in itertools.product(RESIZES, RESIZES[2:5], (False, True), (False, True)):
        vertical, horizontal = Resizing(a, b, align), Resizing(p, q, align)
        if turned:
            vertical, horizontal = vertical.T, horizontal.T
        for c in (2, 3):
            x = random(2, vertical.matrix.shape[1], horizontal.matrix.shape[1], c)
            agree("resample", x, vertical, horizontal, of="resampling")


def check_upsampled_loss():
    for (h, height), (w, width), K in itertools.product(RESIZES[1:], RESIZES[:4], (1, 3, 8)):
        z = 3 * random(2, h, w, K)
        target = np.random.default_rng(K).integers(-1, K, (2, height, width)).astype(np.int32)
        for keeps in (False, True):
            results = []
            for device in ("cpu", "cuda"):
                loss, dz = backend.module(device).losses.upsampled_loss(
                    backend.to_device(z, device), backend.to_device(target, device), 0.1, Resizing(h, height),
                    Resizing(w, width), keeps)
                results.append((float(loss), None if dz is None else backend.to_numpy(dz)))
            (right, gradient), (found, other) = results
            assert abs(found - right) <= 1e-12 * max(1, abs(right)) and (other is None) == (not keeps)
            if keeps:
                equal(other, gradient)


def check_pixels():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), np.uint8)
    for reverse in (False, True):
        agree("pixels", images, np.float32([0.1, 0.2, 0.3]), np.float32([1, 2, 3]), reverse, np.dtype(np.float64),
              tol=1e-15)


CHECKS = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")}
