"""What gpu_check.py checks the errors of: every op at shapes that go through every path of its code on a GPU."""

import zlib
from dataclasses import dataclass

import numpy as np

from minihgd import backend, ops


@dataclass
class Case:
    """function(*maps, *rows, kept) -> a tensor; further arrays that are to be compared go into the list `kept`.

    maps: arrays that are bfloat16 where maps are. rows: weights, and what belongs to columns: then they are float32.
    """

    op: str
    text: str
    function: object
    maps: list
    rows: list


def cases(small):
    """Every Case. small: sizes for a quick trial."""
    def size(full, tiny):
        return tiny if small else full

    for part in (_elementwise, _convolutions, _normalisations, _pooling_and_resizing, _decoder_and_losses):
        yield from part(size)


def _random(*shape):
    return np.random.default_rng((zlib.crc32(repr(shape).encode()), *shape)).standard_normal(shape)


def _apart(*shape):
    """No value near zero, where a ReLU's derivative jumps."""
    x = _random(*shape)
    return np.copysign(0.1 + np.abs(x), x)


def _plain(op, text, function, *maps):
    return Case(op, text, lambda *tensors: function(*tensors[:-1]), list(maps), [])


def _elementwise(size):
    n, many = size(32, 4), size(100_000, 2100)
    x, y = _random(2, n, n, 64), _random(2, n, n, 64)[::-1].copy()
    odd = _random(2, n, n, 13)
    yield _plain("add", "maps", ops.add, x, y)
    yield _plain("add", "a row to every pixel", ops.add, odd, _random(13))
    yield _plain("subtract", "maps", ops.subtract, x, y)
    yield _plain("multiply", "a map and one column", ops.multiply, x, _random(2, n, n, 1))
    yield _plain("divide", "maps", ops.divide, x, 1 + np.abs(y))
    yield _plain("exp", "a map", ops.exp, odd)
    yield _plain("log", "a map", ops.log, 1 + odd**2)
    yield _plain("relu", "packs", ops.relu, _apart(2, n, n, 64))
    yield _plain("relu", "an odd number of elements", ops.relu, _apart(3, 7, 5, 13))
    yield _plain("sum", "all", ops.sum, odd)
    yield _plain("sum", "an axis", lambda a: ops.sum(a, axis=1), x)
    yield _plain("mean", "pixels", lambda a: ops.mean(a, axis=(1, 2), keepdims=True), x)
    yield _plain("reshape", "a map as rows", lambda a: ops.reshape(a, (-1, 64)), x)
    yield _plain("transpose", "channels first", lambda a: ops.transpose(a, (0, 3, 1, 2)), odd)
    yield _plain("cut", "columns", lambda a: ops.cut(a, -1, 3, 11), odd)
    yield _plain("concatenate", "64 and 13 channels", lambda a, b: ops.concatenate([a, b]), x, odd)
    yield _plain("matmul", "matrices", ops.matmul, _random(size(300, 12), 128), _random(128, 40))
    yield _plain("matmul", "a sum in parts", ops.matmul, _random(24, many), _random(many, 16))
    yield _plain("matmul", "stacks", ops.matmul, _random(3, size(70, 5), 33), _random(3, 33, 19))


def _convolution(text, x, w, bias=False, **settings):
    """x, w: shapes. Weights are such that results are about as large as x."""
    rows = [_random(*w) / np.sqrt(np.prod(w[:3]))] + ([_random(w[3])] if bias else [])
    return Case("conv2d", f"{text}, {w[2]} to {w[3]}", lambda *tensors: ops.conv2d(*tensors[:-1], **settings),
                [_random(*x)], rows)


def _convolutions(size):
    n = size(28, 6)
    yield _convolution("1×1", (2, n, n, 64), (1, 1, 64, 48), bias=True)
    yield _convolution("1×1, odd", (2, n, n + 1, 13), (1, 1, 13, 7), bias=True)
    yield _convolution("1×1, stride 2", (2, n, n + 1, 64), (1, 1, 64, 24), stride=2)
    yield _convolution("3×3", (2, n, n, 64), (3, 3, 64, size(72, 16)), padding=1)
    yield _convolution("3×3, odd", (2, n, n + 3, 13), (3, 3, 13, 7), bias=True, padding=1)
    yield _convolution("3×3, no padding", (3, n, n, 16), (3, 3, 16, 8))
    yield _convolution("3×3, stride 2", (2, n, n + 1, size(64, 8)), (3, 3, size(64, 8), 24), stride=2, padding=1)
    yield _convolution("3×3, stride 2, odd", (2, n, n, 13), (3, 3, 13, 7), stride=2, padding=1)
    yield _convolution("3×3, dilation 2", (2, n, n, size(32, 8)), (3, 3, size(32, 8), 16), padding=2, dilation=2)
    yield _convolution("3×3, dilation 2 downwards", (2, n, n, 16), (3, 3, 16, 8), padding=(2, 1), dilation=(2, 1))
    yield _convolution("7×7, stride 2, the stem", (2, size(64, 12), size(64, 14), 3), (7, 7, 3, size(64, 8)), stride=2,
                       padding=3)
    rows = (2, size(256, 34), size(208, 36))
    yield _convolution(f"1×1, {rows[0] * rows[1] * rows[2]:,} rows", (*rows, 16), (1, 1, 16, 24), bias=True)
    yield _convolution(f"3×3, {rows[0] * rows[1] * rows[2]:,} rows", (*rows, 8), (3, 3, 8, 16), padding=1)
    for text, x, w, settings in (("2×2, stride 2", (2, n, n, 32), (2, 2, 32, 24), dict(stride=2)),
                                 ("3×3, stride 2, odd", (2, n, n, 13), (3, 3, 13, 7),
                                  dict(stride=2, padding=1, output_padding=1))):
        yield Case("conv_transpose2d", f"{text}, {w[2]} to {w[3]}",
                   lambda *tensors, settings=settings: ops.conv_transpose2d(*tensors[:-1], **settings),
                   [_random(*x)], [_random(*w) / np.sqrt(np.prod(w[:3])), _random(w[3])])


def _normalisation(text, x, training=True, relu=False, residual=False):
    def function(*tensors):
        x, (*rest, gamma, beta, kept) = tensors[0], tensors[1:]
        primitives = backend.of(x.data)
        running = primitives.xp.ones((2, x.shape[-1]), backend.wide(x.dtype))
        kept += [running[0], running[1]] if training else []
        return ops.batch_norm(x, gamma, beta, running[0], running[1], training, relu=relu,
                              residual=rest[0] if rest else None)

    c = x.shape[-1]
    maps = [x] + ([_random(*x.shape)[..., ::-1].copy()] if residual else [])
    gamma, beta = 1 + 0.2 * _random(c), _random(c + 1)[1:]
    return Case("batch_norm", f"{text}, {x.size // c:,} rows of {c}", function, maps, [gamma, beta])


def _normalisations(size):
    n = size(28, 6)
    yield _normalisation("training", _random(2, n, n, 64))
    yield _normalisation("training, odd", _random(2, n, n + 1, 13))
    yield _normalisation("mean 1000, deviation 3", 1000 + 3 * _random(2, size(56, 8), size(56, 8), 64))
    yield _normalisation("many rows", _random(4, size(160, 30), size(160, 30), 16))
    yield _normalisation("many columns", _random(2, size(16, 3), size(16, 3), size(1024, 72)))
    yield _normalisation("residual and ReLU", _random(2, n, n, 64), relu=True, residual=True)
    yield _normalisation("residual and ReLU, odd", _random(2, n, n, 13), relu=True, residual=True)
    yield _normalisation("evaluation", _random(2, n, n, 64), training=False, relu=True)


def _pooling_and_resizing(size):
    n = size(28, 7)
    ties = np.round(_random(2, n, n + 1, 64))  # few different values: most windows have several largest
    yield _plain("max_pool2d", "3, stride 2, ties", lambda x: ops.max_pool2d(x, 3, 2, 1), ties)
    yield _plain("max_pool2d", "3, stride 2, ties, odd", lambda x: ops.max_pool2d(x, 3, 2, 1), ties[..., :13].copy())
    yield _plain("max_pool2d", "2", lambda x: ops.max_pool2d(x, 2), _random(2, n, n, 16))
    yield _plain("avg_pool2d", "2", lambda x: ops.avg_pool2d(x, 2), _random(2, n, n, 64))
    yield _plain("avg_pool2d", "3, stride 2, odd", lambda x: ops.avg_pool2d(x, 3, 2, 1), _random(2, n, n + 1, 13))
    yield _plain("avg_pool2d", "2, over the edge", lambda x: ops.avg_pool2d(x, 2, 2, 0, True), _random(2, 9, 7, 16))
    yield _plain("dropout2d", "two of five", lambda x: ops.dropout2d(x, 0.4, True, np.random.default_rng(3)),
                 _random(2, n, n, 64))
    for text, align in (("", False), (", corners aligned", True)):
        yield _plain("resize_bilinear", f"up{text}", lambda x, a=align: ops.resize_bilinear(x, (4 * n, 3 * n + 1), a),
                     _random(2, n, n, size(64, 8)))
        yield _plain("resize_bilinear", f"down, odd{text}", lambda x, a=align: ops.resize_bilinear(x, (n, n // 2), a),
                     _random(2, 2 * n + 1, 2 * n, 13))


def _decoder_and_losses(size):
    n, codewords, channels = size(16, 4), size(64, 6), size(128, 8)
    yield _plain("softmax_pool", f"{codewords} codewords of {channels}", ops.softmax_pool, _random(2, n, n, codewords),
                 _random(2, n, n, channels))
    yield _plain("assemble", f"{codewords} codewords of {channels}", ops.assemble, _random(2, 2 * n, 2 * n, codewords),
                 _random(2, codewords, channels))
    rng, classes = np.random.default_rng(0), size(60, 5)
    for text, far in (("", 1), (", far apart", 30)):
        labels = rng.integers(0, classes, (2, 2 * n, 2 * n)).astype(np.uint8)
        labels[rng.random(labels.shape) < 0.2] = 255
        yield _plain("cross_entropy", f"{classes} classes, a fifth void{text}",
                     lambda z, at=labels: ops.cross_entropy(z, at), far * _random(2, 2 * n, 2 * n, classes))
        labels = rng.integers(0, classes, (2, 8 * n, 8 * n - 3)).astype(np.uint8)
        labels[rng.random(labels.shape) < 0.2] = 255
        yield _plain("upsampled_cross_entropy", f"{classes} classes, to eight times the size, a fifth void{text}",
                     lambda z, at=labels: ops.upsampled_cross_entropy(z, at), far * _random(2, n, n, classes))
