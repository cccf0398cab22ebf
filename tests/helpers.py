"""What the checks share: random arrays, comparisons, and contexts that change block sizes and thread counts."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from minihgd import Tensor
from minihgd.backend import cpu, threads
from minihgd.errors import ShapeError


def random(*shape, seed=0, dtype=np.float64):
    """Normal random numbers."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def apart(*shape, seed=0):
    """Random numbers that all differ by at least 0.01 and are not near zero: no kink within a difference's step."""
    size = int(np.prod(shape))
    values = 0.01 * (np.arange(size) - size // 2 + 0.5)
    return np.random.default_rng((seed, *shape)).permutation(values).reshape(shape)


def relative(found, expected):
    """The largest difference over the largest value (or 1, where all are smaller)."""
    return np.abs(found - expected).max(initial=0) / max(1, np.abs(expected).max(initial=0))


def equal(found, expected, tol=None):
    """found (a tensor or an array) has expected's shape and dtype, and its values up to tol of the largest.

    tol: by default 1e-12, in float32 1e-5.
    """
    found, expected = found.data if isinstance(found, Tensor) else found, np.asarray(expected)
    assert found.shape == expected.shape and found.dtype == expected.dtype, (
        found.shape, expected.shape, found.dtype, expected.dtype)
    tol = (1e-5 if expected.dtype == np.float32 else 1e-12) if tol is None else tol
    assert relative(found, expected) <= tol, relative(found, expected)


def adjoint(op, *shape, seed=0):
    """<A x, y> = <x, A^T y> for an op with one input, to 1e-12."""
    x = random(*shape, seed=seed)
    y = op.forward(x)
    cotangent = random(*y.shape, seed=seed + 1)
    left, right = np.vdot(y, cotangent), np.vdot(x, op.backward(cotangent))
    assert abs(left - right) <= 1e-12 * max(1, np.linalg.norm(y) * np.linalg.norm(cotangent)), (left, right)


def refused(function, *arguments, **settings):
    """A ShapeError is raised."""
    try:
        function(*arguments, **settings)
    except ShapeError:
        return
    raise AssertionError(f"{function.__name__} took {settings}")


@contextlib.contextmanager
def set_to(module, **values):
    """Names of a module have these values."""
    before = {name: getattr(module, name) for name in values}
    try:
        vars(module).update(values)
        yield
    finally:
        vars(module).update(before)


@contextlib.contextmanager
def threads_are(number):
    """So many threads compute, whatever the machine has."""
    with ThreadPoolExecutor(max(1, number - 1)) as pool, set_to(cpu, count=lambda: number), \
            set_to(threads, count=lambda: number, _pool=lambda: pool):
        yield
