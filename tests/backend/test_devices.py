"""Every op, and whole training steps, on each kind of array: on CuPy where there is a GPU, and on a stand-in elsewhere.

What NumPy arrays give is the measure. The stand-in (tests/cupy_standin.py) refuses what CuPy refuses and counts what
would make the host wait for the device.
"""

import inspect
import sys

import cublas_twin
import cupy_standin
import numpy as np
import pytest
from helpers import apart, random, set_to
from on_device import KINDS, device, needs_bfloat16, needs_compiler

from minihgd import Tensor, backend, data, evaluation, models, ops, training
from minihgd.backend import conv, precision, windows
from minihgd.errors import DivergedError, SettingError


@pytest.fixture(params=KINDS)
def waits(request):
    """A list of what made the host wait for the device "cuda"; None on a real GPU, which does not say."""
    with device(request.param) as counted:
        yield counted


LABELS = np.array([[[0, 1, 2, 255], [2, 2, 255, 0], [1, 0, 0, 1]]], np.uint8)
CASES = {  # op -> functions of tensors, and the arrays they are given
    "add": [(ops.add, [random(2, 3), random(3)])],
    "subtract": [(ops.subtract, [random(2, 3), random(2, 1)]), (lambda a: 1 - a, [random(3)])],
    "multiply": [(ops.multiply, [random(2, 3), random(3)]), (lambda a: a * 2, [random(3)])],
    "divide": [(ops.divide, [random(2, 3), 2 + apart(3) ** 2])],
    "exp": [(ops.exp, [random(2, 3)])],
    "log": [(ops.log, [1 + random(2, 3) ** 2])],
    "relu": [(ops.relu, [apart(3, 4)])],
    "matmul": [(ops.matmul, [random(3, 4), random(4, 2)]), (ops.matmul, [random(2, 3, 4), random(2, 4, 2)])],
    "mean": [(lambda a: ops.mean(a, axis=(1, 2), keepdims=True), [random(2, 3, 4, 5)]), (ops.mean, [random(3)])],
    "sum": [(ops.sum, [random(3, 2)]), (lambda a: ops.sum(a, axis=0), [random(3, 2)])],
    "reshape": [(lambda a: ops.reshape(a, (3, -1)), [random(2, 3, 4)])],
    "transpose": [(ops.transpose, [random(2, 3)]), (lambda a: ops.transpose(a, (2, 0, 1)), [random(2, 3, 4)])],
    "cut": [(lambda a: ops.cut(a, 2, 1, 3), [random(2, 3, 4)])],
    "concatenate": [(lambda a, b: ops.concatenate([a, b]), [random(1, 2, 2, 3), random(1, 2, 2, 2)])],
    "conv2d": [
        (lambda x, w, b: ops.conv2d(x, w, b), [random(2, 4, 5, 3), random(1, 1, 3, 4), random(4)]),
        (lambda x, w: ops.conv2d(x, w, stride=2), [random(2, 4, 5, 3), random(1, 1, 3, 4)]),
        (lambda x, w: ops.conv2d(x, w, padding=1), [random(2, 6, 5, 3), random(3, 3, 3, 4)]),
        (lambda x, w: ops.conv2d(x, w, stride=2, padding=1), [random(2, 6, 7, 3), random(3, 3, 3, 4)]),
        (lambda x, w: ops.conv2d(x, w, padding=2, dilation=2), [random(1, 6, 7, 3), random(3, 3, 3, 4)]),
        (lambda x, w: ops.conv2d(x, w, stride=2, padding=3), [random(1, 13, 12, 3), random(7, 7, 3, 4)]),
    ],
    "conv_transpose2d": [(lambda x, w: ops.conv_transpose2d(x, w, stride=2), [random(2, 3, 4, 3), random(2, 2, 3, 2)])],
    "batch_norm": [
        (lambda x, g, b: ops.batch_norm(x, g, b, zeros(x, 3), zeros(x, 3) + 1, True), [random(2, 4, 5, 3), random(3),
                                                                                      random(3, seed=1)]),
        (lambda x, g, b: ops.batch_norm(x, g, b, zeros(x, 3), zeros(x, 3) + 1, False), [random(2, 4, 5, 3), random(3),
                                                                                       random(3, seed=1)]),
    ],
    "max_pool2d": [(lambda x: ops.max_pool2d(x, 3, 2, 1), [apart(2, 7, 6, 3)])],
    "avg_pool2d": [(lambda x: ops.avg_pool2d(x, 2), [random(2, 6, 4, 3)]),
                   (lambda x: ops.avg_pool2d(x, 3, 2, 1), [random(1, 7, 5, 2)])],
    "dropout2d": [(lambda x: ops.dropout2d(x, 0.4, True, np.random.default_rng(3)), [random(2, 3, 4, 8)])],
    "resize_bilinear": [(lambda x: ops.resize_bilinear(x, (9, 5)), [random(2, 4, 3, 3)]),
                        (lambda x: ops.resize_bilinear(x, (2, 2), True), [random(2, 5, 6, 3)])],
    "softmax_pool": [(ops.softmax_pool, [random(2, 3, 4, 5), random(2, 3, 4, 6)])],
    "assemble": [(ops.assemble, [random(2, 3, 4, 5), random(2, 5, 6)])],
    "cross_entropy": [(lambda z: ops.cross_entropy(z, LABELS), [random(1, 3, 4, 3)])],
    "upsampled_cross_entropy": [(lambda z: ops.upsampled_cross_entropy(z, LABELS), [random(1, 2, 2, 3)])],
}


def zeros(like, n):
    return backend.of(like.data).xp.zeros(n, backend.wide(like.dtype))


def values_and_gradients(function, arrays, device, dtype=np.float64):
    """The value, and the gradient with respect to each array, as NumPy arrays."""
    tensors = [Tensor(backend.to_device(a.copy(), device), requires_grad=True) for a in arrays]
    y = function(*tensors)
    y.backward(backend.to_device(np.asarray(random(*y.shape, seed=9)).astype(dtype), device))
    results = [y.data, *(t.grad for t in tensors)]
    assert all(type(a) is type(tensors[0].data) and a.dtype == dtype for a in results)
    return [backend.to_numpy(a) for a in results]


def test_no_op_is_left_out():
    assert set(CASES) == set(ops.__all__)


@pytest.mark.parametrize("name", CASES)
def test_an_op_gives_what_it_gives_on_numpy(name, waits):
    for function, arrays in CASES[name]:
        agree(function, arrays)


def agree(function, arrays):
    expected = values_and_gradients(function, arrays, "cpu")
    for found, right in zip(values_and_gradients(function, arrays, "cuda"), expected, strict=True):
        assert found.shape == right.shape and np.abs(found - right).max() <= 1e-12 * max(1, np.abs(right).max())


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "resize_bilinear",
                                  "upsampled_cross_entropy"])
def test_the_same_in_small_blocks(name, waits):
    """Maps that are larger than a block: sums over blocks, and kernels that are transposed tap by tap."""
    gpu = backend.module("cuda")
    with set_to(windows, PIXELS=1), set_to(conv, LARGE=0), set_to(gpu.windows, WINDOWS=1), set_to(gpu, BLOCK=1):
        for function, arrays in CASES[name]:
            agree(function, arrays)


WEIGHTS = {"conv2d": (1, 2), "conv_transpose2d": (1, 2), "batch_norm": (1, 2)}  # inputs that stay float32
MULTIPLY = ("matmul", "conv2d", "conv_transpose2d", "softmax_pool", "assemble")  # in a matrix product


@needs_bfloat16
@pytest.mark.parametrize("name", sorted(set(CASES) - {"dropout2d"}))
def test_an_op_in_bfloat16(name, waits):
    """Maps, and their gradients, in bfloat16; weights, their gradients and losses in float32: to two digits."""
    for function, arrays in CASES[name]:
        weights = WEIGHTS.get(name, ())
        rounded = [a if i in weights else a.astype(precision.bfloat16()).astype(float) for i, a in enumerate(arrays)]
        expected = values_and_gradients(function, rounded, "cpu")
        tensors = [Tensor(backend.to_device(a.astype(np.float32 if i in weights else precision.bfloat16()), "cuda"),
                          requires_grad=True) for i, a in enumerate(arrays)]
        y = function(*tensors)
        y.backward(backend.to_device(np.asarray(random(*y.shape, seed=9)).astype(y.dtype), "cuda"))
        for i, (found, right) in enumerate(zip([y.data, *(t.grad for t in tensors)], expected, strict=True)):
            wide = i - 1 in weights or (i == 0 and y.shape == () and "entropy" in name)
            assert found.dtype == (np.float32 if wide else precision.bfloat16())
            error = np.abs(backend.to_numpy(found).astype(float) - right).max() / max(1, np.abs(right).max())
            assert error <= 0.008  # two units of bfloat16's last digit


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_op_in_tf32(name, waits):
    """The factors of matrix products have 10 bits; all else is float32."""
    for function, arrays in CASES[name]:
        expected, errors = values_and_gradients(function, arrays, "cpu"), []
        for kind in ("float32", "tf32"):
            with precision.computing(kind):
                found = values_and_gradients(function, [a.astype(np.float32) for a in arrays], "cuda", np.float32)
            errors.append(max(np.abs(one - right).max() / max(1, np.abs(right).max())
                              for one, right in zip(found, expected, strict=True)))
        assert errors[0] <= 2e-6
        assert 1e-5 < errors[1] <= 3e-3 if name in MULTIPLY else errors[1] <= 2e-6


@needs_compiler
@pytest.mark.parametrize("name", sorted(set(CASES) - {"cross_entropy"}))
def test_an_op_does_not_wait_for_the_device(name):
    with cupy_standin.installed() as waits:
        for function, arrays in CASES[name]:
            tensors = [Tensor(backend.to_device(a.copy(), "cuda"), requires_grad=True) for a in arrays]
            y = function(*tensors)
            y.backward(backend.to_device(np.asarray(random(*y.shape, seed=9)), "cuda"))
            assert waits == []


SMALL = dict(channels=4, compressed=4)
NETWORKS = [("efficientfcn", dict(form="paper", codewords=4, codeword_channels=6)),
            ("efficientfcn", dict(form="released", codewords=4, codeword_channels=6, dropout=0.3)),
            ("fcn32s", {}), ("dilatedfcn8s", {}), ("unet_bilinear", {}), ("unet_deconv", {})]


@pytest.mark.parametrize("name, options", NETWORKS)
@pytest.mark.parametrize("recompute", [False, True])
def test_steps_give_what_they_give_on_numpy(name, options, recompute, waits, tmp_path):
    """Losses, weights and running statistics of four steps with clipping, then a prediction; one wait to a step."""
    results = {}
    for place in ("cpu", "cuda"):
        model = models.build(name, "resnet18", 3, recompute=recompute, **SMALL, **options).to(place, np.float64)
        run = training.Run(model, Noise(), training.Settings(epochs=2, batch=2, crop=48, lr=0.01, clip=0.1), tmp_path)
        model.train()
        if waits is not None:
            waits.clear()
        losses = [run.step(step, images, labels, 0.01) for step, images, labels in run.batches.from_step(0, 4)]
        if waits and place == "cuda":
            assert waits == ["get"] * 4  # the loss is read
        p = evaluation.predict(model.eval(), Noise()[0][0])
        results[place] = [np.array(losses), p, *model.state_dict().values(), *run.optimiser.state_dict().values()]
    for found, right in zip(results["cuda"], results["cpu"], strict=True):
        assert np.abs(found - right).max() <= 1e-9 * max(1, np.abs(right).max())


class Noise(data.Dataset):
    """Four images of random pixels and labels."""

    classes, ids = ("a", "b", "c"), ["1", "2", "3", "4"]

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (50, 60, 3), np.uint8), rng.choice(np.array([0, 1, 2, 255], np.uint8), (50, 60))


def test_a_run_on_the_device_is_resumed(waits, tmp_path):
    """From a checkpoint, with the optimiser's velocities, to the same weights as a run that was not stopped."""
    finals = []
    for folder, stops in (("whole", [None]), ("broken", [2, None])):
        for stop in stops:
            model = models.build("efficientfcn", "resnet18", 3, 4, "released", codeword_channels=6, **SMALL).to("cuda")
            run = training.Run(model, Noise(), training.Settings(epochs=2, batch=2, crop=32, lr=0.01),
                               tmp_path / folder, evaluate=lambda m: evaluation.evaluate(m, Noise()))
            if len(stops) == 2 and stop is None:
                run.resume()
            if stop:
                def until(number, *rest, step=run._step, stop=stop, **read):
                    return step(number, *rest, **read) if number < stop else 1 / 0

                run._step = until
                with pytest.raises(ZeroDivisionError):
                    run.train()
            else:
                assert run.train()
        finals.append(model.state_dict())
    assert all(np.array_equal(a, b) for a, b in zip(finals[0].values(), finals[1].values(), strict=True))


def small_run(device, folder, **settings):
    model = models.build("efficientfcn", "resnet18", 3, 4, "released", codeword_channels=6, **SMALL)
    settings = training.Settings(**dict(epochs=6, batch=2, crop=32, lr=0.01) | settings)
    return training.Run(model.to(device, np.float64), Noise(), settings, folder, evaluate_every=3)


def test_losses_are_read_now_and_then(waits, tmp_path):
    """Every few steps and before a checkpoint; the log is the CPU's."""
    logs = []
    for place in ("cpu", "cuda"):
        run = small_run(place, tmp_path / place)
        with set_to(training.loop, READ_EVERY=4):
            if waits is not None:
                waits.clear()
            run.train()
        logs.append([row.split(",")[:3] for row in (tmp_path / place / "steps.csv").read_text().splitlines()])
    assert logs[0] == logs[1] and len(logs[0]) == 13
    if waits is not None:  # 4 + 2 losses before each of two checkpoints, which copy weights and velocities
        arrays = len(run.model.state_dict()) + len(run.optimiser.state_dict())
        assert sum(wait == "get" for wait in waits) == 2 * (2 + arrays) + arrays


def test_a_run_that_diverges_says_at_which_step(waits, tmp_path):
    run = small_run("cuda", tmp_path)
    step = run._step

    def spoil(number, *rest, **read):
        if number == 2:
            run.model.decoder.classifier.bias.data[...] = np.nan
        return step(number, *rest, **read)

    run._step = spoil
    with pytest.raises(DivergedError, match="the loss is nan at step 3, learning rate 0.008.*nothing was saved yet"):
        run.train()
    assert not (tmp_path / "checkpoint.npz").exists()


def test_uploads(waits):
    upload = backend.module("cuda").uploads()
    for number in range(7):  # more than are in memory at a time
        array = np.random.default_rng(number).integers(0, 256, (2, 3), np.uint8)
        hosted = upload(array)
        assert hosted.host is array and len(hosted) == 2 and (hosted.shape, hosted.ndim) == (array.shape, 2)
        assert np.array_equal(backend.to_numpy(hosted.there), array)
    if waits is not None:
        assert waits == ["synchronize", "get"] * 7  # for copies of three calls before, long since done
    array = np.ones((4, 5))
    assert np.array_equal(backend.to_numpy(upload(array).there), array)  # of another shape
    upload.close()


@needs_compiler
def test_the_stand_in_refuses_what_cupy_refuses():
    with cupy_standin.installed() as waits:
        x = backend.to_device(np.arange(6.0).reshape(2, 3), "cuda")
        for refused in (lambda: x + np.ones(3), lambda: np.ones(3) + x, lambda: np.exp(x), lambda: np.asarray(x),
                        lambda: backend.of(x).xp.maximum(x, np.ones(3)), lambda: x.__setitem__(0, np.ones(3)),
                        lambda: np.concatenate([x, x])):
            with pytest.raises(TypeError):
                refused()
        assert waits == [] and x.sum().shape == () and (x + np.float64(1) + 1).get()[0, 0] == 2
        assert waits == ["get"] and float(x.sum()) == 15 and waits == ["get", "float"]
        with pytest.raises(SettingError, match="cuda:1 was asked for, 1 CUDA devices were found"):
            backend.module("cuda:1")
    assert sys.modules.get("cupy") is not cupy_standin.module  # it is gone


OWN = {"cpu": {"is_busy", "excerpt"}, "windows": {"line_blocks", "taps", "excerpt"}, "losses": {"softmax_loss"},
       "resampling": {"bands", "neighbours", "resize_rows"}}  # what only NumPy's have; excerpt has a filling there


@needs_compiler
@pytest.mark.parametrize("part", ["cpu", "windows", "pooling", "resampling", "losses"])
def test_both_kinds_of_primitives_are_called_alike(part):
    """Every public function on NumPy arrays has its like on CuPy's, with the same parameters."""
    host = backend.cpu if part == "cpu" else getattr(backend.cpu, part)
    with cupy_standin.installed():
        gpu = backend.module("cuda")
        device = gpu if part == "cpu" else getattr(gpu, part)
        functions = {name for name, f in vars(host).items()
                     if inspect.isfunction(f) and not name.startswith("_") and f.__module__.startswith("minihgd")}
        for name in functions - OWN.get(part, set()):
            assert inspect.signature(getattr(device, name)) == inspect.signature(getattr(host, name)), name


@needs_compiler
def test_what_is_started():
    """Each start costs Python time: the kernels and products of a normalisation and of a convolution, in order."""
    with cupy_standin.installed():
        x, w = (Tensor(backend.to_device(random(*shape), "cuda"), requires_grad=True)
                for shape in ((2, 8, 8, 4), (3, 3, 4, 4)))
        gamma, beta = (Tensor(backend.to_device(random(4), "cuda"), requires_grad=True) for _ in range(2))
        cublas_twin.calls.clear()
        y = ops.conv2d(x, w, padding=1)
        assert cupy_standin.launches == ["excerpt", "excerpt"] and len(cublas_twin.calls) == 3  # one for a line of w
        cupy_standin.launches.clear()
        y = ops.batch_norm(y, gamma, beta, zeros(y, 4), zeros(y, 4), True, relu=True)
        assert cupy_standin.launches == ["moments_of_blocks", "merge_moments", "follow", "normaliser", "scale_shift"]
        cupy_standin.launches.clear()
        cublas_twin.calls.clear()
        y.backward(y.data.copy())
        assert cupy_standin.launches == ["gradients_of_blocks", "merge_sums", "normaliser_backward", "combine",
                                         "excerpt", "excerpt", "gather_windows"]
        assert len(cublas_twin.calls) == 3 + 1  # dx as y, dW of windows
