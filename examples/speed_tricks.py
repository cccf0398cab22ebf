"""What each step from the plain version to the fast one is worth: both run in turns, medians.

    python examples/speed_tricks.py

The page that explains them is docs/16-speed-on-the-cpu.md.
"""

import argparse
import ctypes
import sys
import time

import numpy as np
from scipy.linalg import blas as scipy_blas

from minihgd import Tensor, models, ops
from minihgd.backend import conv, cpu, threads, windows
from minihgd.ops.normalisation import BatchNorm
from minihgd.report.tables import aligned
from minihgd.training.sgd import SGD

rng = np.random.default_rng(0)


def draw(*shape):
    return rng.standard_normal(shape, np.float32)


def alone(function):
    """`function` in the calling thread only."""
    def run():
        with threads.alone():
            function()
    return run


def tricks():
    """(title, [(text, function)], plain first)."""
    a, b, c = draw(4096, 512), draw(512, 256), np.empty((4096, 256), np.float32)
    yield "1×1 convolution, 64², 512 to 256", [
        ("scipy.linalg.blas.sgemm, one thread", lambda: scipy_blas.sgemm(1.0, b.T, a.T, c=c.T, overwrite_c=True)),
        ("its C interface, one thread", alone(lambda: cpu.matmul(a, b, out=c))),
        ("its C interface, all threads", lambda: cpu.matmul(a, b, out=c))]

    window = windows.Window((3, 3), (1, 1), (1, 1))
    for size, channels in ((64, 64), (32, 128), (16, 256), (8, 512)):
        x, weight = draw(2, size, size, channels), draw(3, 3, channels, channels)
        yield f"3×3 convolution, 2 × {size}², {channels} to {channels}", [
            ("tap by tap on shifted rows, one thread", alone(lambda x=x, w=weight: by_taps(x, w))),
            ("windows of the whole map, one thread", alone(lambda x=x, w=weight: whole(x, w, window))),
            ("windows block by block, one thread", alone(lambda x=x, w=weight: conv.convolve(x, w, window))),
            ("windows block by block, all threads", lambda x=x, w=weight: conv.convolve(x, w, window))]

    x, dy, gamma, beta = draw(2, 64, 64, 256), draw(2, 64, 64, 256), draw(256), draw(256)
    op = BatchNorm(np.zeros(256, np.float32), np.ones(256, np.float32), True, relu=True)

    def fast():
        op.forward(x, gamma, beta)
        op.backward(dy)

    yield "normalisation and ReLU, both ways, 2 × 64² of 256", [
        ("the formulas, whole maps", lambda: plain_normalisation(x, gamma, beta, dy)),
        ("blocks in the cache, one thread", alone(fast)), ("blocks in the cache, all threads", fast)]

    z, labels = Tensor(draw(1, 64, 64, 60), requires_grad=True), rng.integers(0, 60, (1, 512, 512), np.uint8)
    yield "upsampling and loss, both ways, 64² to 512², 60 classes", [
        ("two ops", lambda: ops.cross_entropy(ops.resize_bilinear(z, 512), labels).backward()),
        ("lines of the image at a time", lambda: ops.upsampled_cross_entropy(z, labels).backward())]

    maps = [Tensor(draw(1, 512 // s, 512 // s, width), requires_grad=True)
            for s, width in ((8, 512), (16, 1024), (32, 2048))]
    for form in ("paper", "released"):
        decoder = models.build("efficientfcn", "resnet50", 60, 256, form).decoder
        yield f"the decoder, {form} form, 512² image, both ways", [
            ("in the paper's order", lambda d=decoder: decode(d, maps, True)),
            ("by parts", lambda d=decoder: decode(d, maps, False))]

    model = models.build("efficientfcn", "resnet50", 60, 256, "paper")
    optimiser, images = SGD(model), Tensor(draw(2, 256, 256, 3))
    labels_256 = rng.integers(0, 60, (2, 256, 256), np.uint8)

    def step():
        model.loss(images, labels_256).backward()
        optimiser.step(1e-6)

    versions = [("one thread", alone(step)), ("all threads", step)]
    if cpu._keep_freed_memory():
        versions.insert(1, ("all threads, arrays over 128 KB given back", lambda: giving_back(step)))
    yield "training step, ResNet-50, 2 × 256²", versions


def whole(x, weight, window):
    """A convolution as one product, with all windows of the map in one matrix."""
    G = windows.gather_windows(x, window, slice(0, window.output(x.shape[1], 0)))
    return cpu.matmul(G, weight.reshape(-1, weight.shape[3])).reshape(x.shape[:3] + (-1,))


def by_taps(x, weight):
    """A 3×3 convolution with no windows: nine products of shifted rows of the padded map, added up."""
    X = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, pitch = X.reshape(-1, x.shape[3]), X.shape[2]
    y = np.empty((len(rows), weight.shape[3]), x.dtype)
    last = len(rows) - 2 * pitch - 2
    for start in range(0, last, 1024):
        stop = min(start + 1024, last)
        for t in range(9):
            offset = t // 3 * pitch + t % 3
            cpu.matmul(rows[start + offset : stop + offset], weight[t // 3, t % 3], out=y[start:stop], accumulate=t > 0)
    return np.ascontiguousarray(y.reshape(X.shape[:3] + (-1,))[:, :-2, :-2])


def plain_normalisation(x, gamma, beta, dy):
    """Batch normalisation and ReLU, forward and backward, as the formulas stand in ops/normalisation.py."""
    x, g = x.reshape(-1, x.shape[3]), dy.reshape(-1, dy.shape[3])
    r = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    x_hat = (x - x.mean(axis=0)) * r
    y = np.maximum(gamma * x_hat + beta, 0)
    g = g * (y > 0)
    d_beta, d_gamma = g.sum(axis=0), (g * x_hat).sum(axis=0)
    return y, gamma * r * (g - d_beta / len(x) - x_hat * (d_gamma / len(x))), d_gamma, d_beta


def decode(decoder, maps, plain):
    decoder.plain = plain
    y = decoder(maps)
    y.backward(y.data)


def giving_back(function):
    """`function` with glibc's allocator told to return every larger array to the system."""
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(-3, 1 << 17)
    mallopt(-1, 1 << 17)
    try:
        function()
    finally:
        cpu._keep_freed_memory()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="turns whose median is taken (default: 9)")
    rounds = parser.parse_args().rounds
    for title, versions in tricks():
        seconds = [[] for _ in versions]
        for number in range(rounds + 1):
            for times, (_, function) in zip(seconds, versions, strict=True):
                started = time.perf_counter()
                function()
                if number:  # the first round is not counted
                    times.append(time.perf_counter() - started)
        middle = [np.median(times) for times in seconds]
        rows = [(title, "ms", "times as fast")]
        rows += [(f"  {text}", f"{1e3 * m:.2f}", f"{middle[0] / m:.2f}")
                 for (text, _), m in zip(versions, middle, strict=True)]
        print(*aligned(rows), "", sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
