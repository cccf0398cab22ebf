"""Matrix products on the GPU: every layout and stack, accumulation, sums in parts, types; on cuBLAS or its twin."""

import itertools

import cublas_twin
import numpy as np
import pytest
from helpers import equal, random, relative, set_to
from on_device import KINDS, device, needs_bfloat16

from minihgd import backend
from minihgd.backend import precision
from minihgd.errors import ShapeError


@pytest.fixture(params=KINDS, autouse=True)
def kind(request):
    with device(request.param):
        yield request.param


def matmul(a, b, **options):
    return backend.module("cuda").matmul(a, b, **options)


def there(a):
    return backend.to_device(np.array(a), "cuda")


def host(a):
    return backend.to_numpy(a)


SIZES = [(1, 1, 1), (5, 7, 3), (1, 6, 4), (6, 1, 4), (4, 3, 1), (33, 20, 17)]


@pytest.mark.parametrize("transpose_a, transpose_b", [(a, b) for a in (False, True) for b in (False, True)])
def test_products(transpose_a, transpose_b):
    for (m, n, k), stack in itertools.product(SIZES, ((), (1,), (4,))):
        a, b = random(*stack, m, k), random(*stack, k, n, seed=1)
        product = a @ b
        a, b = (np.ascontiguousarray(x.swapaxes(-1, -2)) if t else x for x, t in ((a, transpose_a), (b, transpose_b)))
        options = dict(transpose_a=transpose_a, transpose_b=transpose_b)
        equal(host(matmul(there(a), there(b), **options)), product)
        out = there(np.full_like(product, np.nan))
        assert matmul(there(a), there(b), out=out, **options) is out
        equal(host(out), product)
        matmul(there(a), there(b), out=out, accumulate=True, **options)
        equal(host(out), 2 * product)
        if stack:
            one = matmul(there(a[0]), there(b), **options)  # one matrix for the whole stack, on either side
            equal(host(one), np.stack([host(matmul(there(a[0]), there(part), **options)) for part in b]))
            one = matmul(there(a), there(b[0]), **options)
            equal(host(one), np.stack([host(matmul(there(part), there(b[0]), **options)) for part in a]))


def test_views():
    """Excerpts and turned matrices are read where they lie; others are copied; beside `out` nothing is written."""
    big = there(random(40, 60))
    views = [lambda x: x[3:20, 5:30], lambda x: x[::2, 4:9], lambda x: x[:, ::3], lambda x: x[::-1], lambda x: x.T,
             lambda x: x.T[4:9], lambda x: x[:, 7:8], lambda x: x[4:5], lambda x: x[4:5].T, lambda x: x[:1, ::5]]
    for view in views:
        x = view(random(40, 60))
        left, right = random(3, x.shape[0], seed=2), random(x.shape[1], 4, seed=3)
        equal(host(matmul(view(big), there(right))), x @ right)
        equal(host(matmul(there(left), view(big))), left @ x)
        equal(host(matmul(view(big), view(big), transpose_b=True)), x @ x.T)
        wide = there(np.full((3, x.shape[1] + 3), 5.0))
        matmul(there(left), view(big), out=wide[:, 1:-2])
        equal(host(wide), np.pad(left @ x, ((0, 0), (1, 2)), constant_values=5))


def test_what_lies_together_is_not_copied():
    from minihgd.backend import gemm
    big = there(random(40, 60))
    for x in (big, big[2:5, 3:], big[::3], big.T, big.T[:, 3:], big[:, :1], big[:1]):
        assert gemm._layout(x)[0] is x
    assert gemm._layout(big[:, ::2])[0] is not big


def test_long_sums_of_small_results_are_cut(kind):
    from minihgd.backend import gemm
    for k, accumulate in itertools.product((64, 65, 100, 127), (False, True)):
        a, b = random(k, 3), random(k, 5, seed=1)
        with set_to(gemm, SPLIT=6, LEAST=16):
            if kind == "standin":
                cublas_twin.calls.clear()
            out = there(np.ones((3, 5)))
            matmul(there(a), there(b), transpose_a=True, out=out, accumulate=accumulate)
        equal(host(out), a.T @ b + accumulate)
        if kind == "standin":
            parts = min(6, k // 16)
            assert len(cublas_twin.calls) == 1 + (k % parts > 0)  # the parts, and what is left over


def test_nothing_to_add_up():
    out = there(np.ones((2, 3)))
    matmul(there(np.zeros((2, 0))), there(np.zeros((0, 3))), out=out, accumulate=True)
    equal(host(out), np.ones((2, 3)))
    matmul(there(np.zeros((2, 0))), there(np.zeros((0, 3))), out=out)
    equal(host(out), np.zeros((2, 3)))
    assert matmul(there(np.zeros((0, 2))), there(np.zeros((2, 3)))).shape == (0, 3)


def test_tf32_rounds_the_factors():
    a, b = random(20, 30, dtype=np.float32), random(30, 20, dtype=np.float32)
    right = a.astype(float) @ b.astype(float)
    assert relative(host(matmul(there(a), there(b))), right) < 1e-6
    for name in ("tf32", "bfloat16"):
        with precision.computing(name):
            assert 1e-5 < relative(host(matmul(there(a), there(b))), right) < 1e-3
            equal(host(matmul(there(a.astype(float)), there(b.astype(float)))), right)  # float64 stays what it is
    assert precision.current() == "float32"


@needs_bfloat16
def test_bfloat16_adds_up_in_float32():
    narrow = precision.bfloat16()
    a, b = (random(*shape).astype(narrow) for shape in ((20, 3000), (3000, 8)))
    right = a.astype(float) @ b.astype(float)
    assert matmul(there(a), there(b)).dtype == narrow
    assert relative(host(matmul(there(a), there(b))).astype(float), right) < 0.004
    out = there(np.zeros((20, 8), np.float32))
    assert relative(host(matmul(there(a), there(b), out=out)), right) < 1e-6


def test_what_does_not_fit_is_refused():
    def zeros(*shape, dtype=np.float64):
        return there(np.zeros(shape, dtype))

    narrow = zeros(2, 2, dtype=np.float32)
    for a, b, out in ((zeros(2, 3), zeros(2, 3), None), (zeros(2, 3), zeros(3, 2, dtype=np.float32), None),
                      (zeros(2, 2, 3), zeros(3, 3, 2), None), (zeros(2, 2, 2, 3), zeros(2, 2, 3, 2), None),
                      (zeros(2, 3), zeros(3, 2), zeros(3, 2)), (zeros(2, 3), zeros(3, 2), narrow)):
        with pytest.raises(ShapeError):
            matmul(a, b, out=out)
