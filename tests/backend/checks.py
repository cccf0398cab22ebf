"""The checks of the primitives: each against plain NumPy, in blocks of many sizes and on several threads.

`CHECKS[name]()` raises where a primitive is wrong. As those of the ops (ops/checks.py) they also run against planted
errors, which is why they reach every primitive through its module.
"""

import itertools

import numpy as np
from helpers import equal, random, refused, set_to, threads_are

from minihgd.backend import blas, cpu

BLOCKS = [cpu.BLOCK, 1, 7, 64]
SHAPES = [(1, 1), (5, 3), (33, 7), (64, 1), (2, 40), (17, 16)]


def in_many_ways():
    """Sets the size of the blocks and the number of threads to each of several values in turn."""
    for block, number in zip(BLOCKS, (2, 1, 3, 2), strict=True):
        with threads_are(number), set_to(cpu, BLOCK=block):
            yield


# --- matrix products -------------------------------------------------------------------------------------------

# M, N, K of products that are cut by rows of the result, by its columns, and by terms of the sums
CUTS = [(50, 7, 9), (100, 37, 100), (7, 50, 9), (20, 90, 13), (3, 2, 100), (1, 1, 70), (5, 4, 161)]


def operands(m, n, k, transpose_a, transpose_b, dtype=np.float64, stack=()):
    """a and b, transposed where so named, and op(a) @ op(b)."""
    a, b = random(*stack, m, k, dtype=dtype), random(*stack, k, n, seed=1, dtype=dtype)
    product = a @ b
    turn = [np.ascontiguousarray(x.swapaxes(-1, -2)) if t else x for x, t in ((a, transpose_a), (b, transpose_b))]
    return *turn, product


def check_products():
    """Matrices and stacks of them, with every cut, on one to three threads."""
    cases = itertools.product((1, 2, 3), CUTS, (False, True), (False, True), (np.float64, np.float32))
    for number, size, transpose_a, transpose_b, dtype in cases:
        transposes = dict(transpose_a=transpose_a, transpose_b=transpose_b)
        parts = []

        def gemm(a, b, out, *rest, parts=parts, own=blas.gemm):
            parts.append(out.shape)
            own(a, b, out, *rest)

        with threads_are(number), set_to(cpu, WAKING=0), set_to(blas, gemm=gemm):
            a, b, product = operands(*size, *transposes.values(), dtype)
            equal(cpu.matmul(a, b, **transposes), product)
            assert len(parts) == number, f"{size}: {len(parts)} parts for {number} threads"
            out = np.ones_like(product)
            assert cpu.matmul(a, b, **transposes, out=out) is out
            equal(out, product)
            cpu.matmul(a, b, **transposes, out=out, accumulate=True)
            equal(out, 2 * product)
            wide = np.full((size[0], size[1] + 3), 5, dtype)  # into a slice: what is beside it stays
            cpu.matmul(a, b, **transposes, out=wide[:, 1:-2])
            equal(wide, np.pad(product, ((0, 0), (1, 2)), constant_values=5))
            for stack in (1, 2, 7):  # fewer than threads, or more
                a, b, product = operands(*size, *transposes.values(), dtype, stack=(stack,))
                equal(cpu.matmul(a, b, **transposes), product)
                one = cpu.matmul(a[0], b, **transposes)  # one matrix for the whole stack
                equal(one, np.stack([cpu.matmul(a[0], part, **transposes) for part in b]))
                equal(cpu.matmul(a, b, **transposes, out=product.copy(), accumulate=True), 2 * product)


def check_products_of_views():
    """Operands whose rows or elements lie apart, overlap or repeat; sizes of zero and one; what does not fit."""
    big = random(40, 60)
    views = [big[3:20, 5:30], big[::2, 4:9], big[:, ::3], big[::-1], big[:, ::-1], big.T, big[:, 7:8], big[4:5],
             big[::-1, 2:3], big[::-1][:1], np.broadcast_to(big[0], (9, 60)), np.broadcast_to(big[:, :1], (40, 6)),
             np.broadcast_to(1.5, (12, 1)), np.broadcast_to(1.5, (1, 1)), np.asfortranarray(big),
             np.lib.stride_tricks.sliding_window_view(big[0], 7), big[:0], big[:, :0]]
    with threads_are(2), set_to(cpu, WAKING=0):
        for x in views:
            left, right = random(3, x.shape[0], seed=2), random(x.shape[1], 4, seed=3)
            equal(cpu.matmul(x, right), x @ right)
            equal(cpu.matmul(left, x), left @ x)
            equal(cpu.matmul(x, left, transpose_a=True, transpose_b=True), x.T @ left.T)
            equal(cpu.matmul(right, x, transpose_a=True, transpose_b=True), right.T @ x.T)
            stack = np.broadcast_to(x, (3, *x.shape))
            equal(cpu.matmul(stack, np.stack([right] * 3)), np.stack([x @ right] * 3))
        for m, n, k in ((0, 2, 3), (2, 0, 3), (2, 3, 0), (0, 0, 0), (1, 1, 1)):
            a, b, product = operands(m, n, k, False, False)
            equal(cpu.matmul(a, b, out=np.ones((m, n))), product)
            equal(cpu.matmul(a, b, out=np.ones((m, n)), accumulate=True), product + 1)
    for shapes in (((2, 3), (2, 3)), ((2, 3), (4, 2, 3)), ((2, 2, 3), (3, 3, 4)), ((3, 2, 3), (2, 3, 4)),
                   ((2, 2, 3), (3, 4))):
        refused(cpu.matmul, *(random(*shape) for shape in shapes))
    refused(cpu.matmul, random(2, 3), random(3, 4), out=np.empty((2, 5)))
    refused(cpu.matmul, random(2, 3), random(3, 4), out=np.empty((4, 2)).T)
    refused(cpu.matmul, random(2, 3), random(3, 4), out=np.empty((2, 4), np.float32))
    refused(cpu.matmul, random(2, 3), random(3, 4, dtype=np.float32))
    refused(cpu.matmul, np.ones((2, 2), int), np.ones((2, 2), int))
    refused(cpu.matmul, np.ones((2, 2), ">f8"), np.ones((2, 2), ">f8"))


def check_cuts():
    """The parts of a product cover it once, for any number of threads."""
    sizes = [*range(1, 140), 255, 271, 1000]
    for number, size, macs in itertools.product((1, 2, 3, 4, 8, 16, 61, 96, 256), sizes, (1, cpu.WAKING + 1, 1e9)):
        with set_to(cpu, count=lambda n=number: n):
            parts = cpu._cut(size, macs)
        assert [i for part in parts for i in range(size)[part]] == list(range(size)), (number, size, macs, parts)
        assert len(parts) <= number and parts[0].start == 0 and parts[-1].stop == size


# --- columns and elements --------------------------------------------------------------------------------------


def check_column_statistics():
    for _ in in_many_ways():
        for shape, dtype in itertools.product(SHAPES, (np.float64, np.float32)):
            x = (random(*shape) + 2).astype(dtype)
            equal(cpu.column_sums(x), x.sum(axis=0))
            mean, var = cpu.column_moments(x)
            equal(mean, x.mean(axis=0))
            equal(var, x.var(axis=0))
    # Many rows: float32 adds them up nearly as well as float64, and a mean far from zero costs the variance little.
    x = (random(50_000, 21) + 1000).astype(np.float32)
    exact = x.astype(np.float64)
    mean, var = cpu.column_moments(x)
    assert np.abs(cpu.column_sums(x) / exact.sum(axis=0) - 1).max() < 1e-6
    assert np.abs(mean - exact.mean(axis=0)).max() < 1e-4 and np.abs(var / exact.var(axis=0) - 1).max() < 1e-4
    equal(cpu.column_moments(np.full((50, 2), 3.7))[1], np.zeros(2))


def check_normalising():
    for _ in in_many_ways():
        for shape, dtype in itertools.product(SHAPES, (np.float64, np.float32)):
            x, g, residual = (random(*shape, seed=s, dtype=dtype) for s in (0, 1, 2))
            a, b, c = (random(shape[1], seed=s, dtype=dtype) for s in (3, 4, 5))
            before = x.copy()
            equal(cpu.scale_shift(x, a, b), x * a + b)
            equal(cpu.scale_shift(x, a, b, residual), x * a + b + residual)
            equal(cpu.scale_shift(x, a, b, relu=True), np.maximum(x * a + b, 0))
            equal(cpu.scale_shift(x, a, b, residual, relu=True), np.maximum(x * a + b + residual, 0))
            equal(cpu.combine(g, x, a, b, c), a * g + b * x + c)
            assert np.array_equal(x, before)
            for y, expected in ((None, g), (residual, np.where(residual > 0, g, 0))):
                through, sums, dots = cpu.normalise_backward(g, x, c, y)
                equal(through, expected)
                equal(sums, expected.sum(axis=0))
                equal(dots, (expected * (x - c)).sum(axis=0))
            cpu.add_row(x, a)
            equal(x, before + a)


def check_softmax():
    for _ in in_many_ways():
        for shape in SHAPES:
            z = 5 * random(*shape)
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            log_sums = np.empty(len(z))
            equal(cpu.softmax(z), p)
            equal(cpu.softmax(z + 1000, log_sums), p, tol=1e-11)
            equal(log_sums, np.log(np.exp(z).sum(axis=1)) + 1000)


def check_elements():
    shapes = [(), (1,), (3, 5), (2, 3, 4, 5), (130,), (0, 4)]
    for _ in in_many_ways():
        for shape, dtype in itertools.product(shapes, (np.float64, np.float32)):
            a, b = random(*shape, dtype=dtype), random(*shape, seed=1, dtype=dtype)
            equal(cpu.add(a, b), np.asarray(a + b))
            equal(cpu.relu(a), np.where(a > 0, a, 0).astype(dtype))
            equal(cpu.relu_backward(a, np.maximum(b, 0)), np.where(b > 0, a, 0).astype(dtype))
            equal(cpu.add(a.T, b.T), (a + b).T)  # rows that do not lie side by side
            equal(cpu.relu(a.T), np.maximum(a, 0).T)
            equal(cpu.relu_backward(a.T, b.T), (a * (b > 0)).T)
            w, v = [a.copy(), b.copy()], [b.copy(), a.copy()]
            cpu.momentum_steps([(w[0], v[0], a, 0.1), (w[1], v[1], a, 0.7)], 0.9, 0.01)
            for i, (w0, v0, lr) in enumerate(((a, b, 0.1), (b, a, 0.7))):
                equal(v[i], 0.9 * v0 + a + 0.01 * w0)
                equal(w[i], w0 - lr * v[i])
            w, v = a.copy(), b.copy()
            cpu.momentum_steps([(w, v, a, 0.1)], 0.9, 0.01, dtype(0.25))
            equal(v, 0.9 * b + 0.25 * a + 0.01 * a)
        equal(cpu.add(random(3, 4), random(4, seed=1)), random(3, 4) + random(4, seed=1))  # with broadcasting
        equal(cpu.relu_backward(np.ones(3), np.zeros(3)), np.zeros(3))  # at the kink
    row = np.random.default_rng(0).standard_normal((2, cpu.BLOCK + 3))  # rows longer than a block
    equal(cpu.relu(row), np.maximum(row, 0))
    ones = np.ones(row.shape[1])
    equal(cpu.scale_shift(row, ones, 0 * ones, relu=True), np.maximum(row, 0))


CHECKS = {name.removeprefix("check_"): function for name, function in dict(globals()).items()
          if name.startswith("check_")}
