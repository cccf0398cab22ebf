"""The BLAS behind SciPy, called through its C interface: what it takes, what it refuses."""

import numpy as np
import pytest

from minihgd.backend import blas
from minihgd.errors import ShapeError


def test_blas_keeps_to_the_calling_thread():
    assert blas.ONE_THREAD, (
        "the BLAS that SciPy brings could not be told to use one thread: it is neither OpenBLAS, under the names that "
        "SciPy's wheels and the usual distributions give it, nor MKL. minihgd then computes on one core: "
        "backend/blas.py needs the name of this BLAS's function")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_products_of_slices(dtype, transpose_a, transpose_b):
    """Rows may lie apart: of a, of b, and of the result, beside which nothing changes."""
    rng = np.random.default_rng(0)
    a = rng.random((6, 5) if transpose_a else (5, 6)).astype(dtype)[1:, 1:]
    b = rng.random((9, 6) if transpose_b else (6, 9)).astype(dtype)[:, 1:]
    a = a if transpose_a else a[:, :5]
    b = b if transpose_b else b[:5]
    product = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    whole = np.full((8, 12), 7, dtype)
    out = whole[2:6, 1 : 1 + product.shape[1]]
    out = out[: len(product)]
    blas.gemm(a, b, out, transpose_a, transpose_b)
    assert np.allclose(out, product, rtol=1e-5)
    blas.gemm(a, b, out, transpose_a, transpose_b, accumulate=True)
    assert np.allclose(out, 2 * product, rtol=1e-5)
    out[...] = 7
    assert np.all(whole == 7)


def test_what_is_in_out_does_not_count():
    out = np.full((2, 2), np.nan)
    blas.gemm(np.eye(2), np.eye(2), out)
    assert np.array_equal(out, np.eye(2))


def test_sums_of_nothing_are_zero():
    out = np.ones((2, 3))
    blas.gemm(np.ones((2, 0)), np.ones((0, 3)), out, accumulate=True)
    assert np.all(out == 1)
    blas.gemm(np.ones((2, 0)), np.ones((0, 3)), out)
    assert np.all(out == 0)
    blas.gemm(np.ones((0, 2)), np.ones((2, 3)), np.ones((0, 3)))


A = np.ones((4, 4))


@pytest.mark.parametrize("a, b, out, message", [
    (A[:, ::2], A[:2], A.copy(), r"side by side; found \(4, 2\) with strides \(32, 16\)"),
    (A.T[:2], A, A[:2].copy(), "side by side"),
    (A, A[:, ::-1], A.copy(), "side by side"),
    (A, A[:, ::2], A[:, :2].copy(), "side by side"),
    (A, A, np.ones((4, 8))[:, ::2], "side by side"),
    (A, A, np.ones((4, 4), order="F")[:, :], "side by side"),
    (np.broadcast_to(A[0], (4, 4)), A, A.copy(), "side by side"),
    (np.broadcast_to(A[:, :1], (4, 4)), A, A.copy(), "side by side"),
    (A[::-1], A, A.copy(), "side by side"),
    (A, A.astype(np.float32), A.copy(), "all float32 or all float64; found"),
    (A.astype(np.float32), A.astype(np.float32), A.copy(), "all float32 or all float64; found"),
    (A.astype(int), A.astype(int), A.astype(int), "int64"),
    (A.astype(np.float16), A.astype(np.float16), A.astype(np.float16), "float16"),
    (A.astype(complex), A.astype(complex), A.astype(complex), "complex128"),
    (A.astype(">f8"), A.astype(">f8"), A.astype(">f8"), ">f8"),
    (A, A[:3], A.copy(), r"M×K times K×N into M×N"),
    (A, A, A[:3].copy(), r"M×K times K×N into M×N"),
    (A[:3], A, A.copy(), r"M×K times K×N into M×N"),
])
def test_refusals(a, b, out, message):
    with pytest.raises(ShapeError, match=message):
        blas.gemm(a, b, out)


def test_a_row_alone_may_have_any_pitch():
    row, column, out = np.arange(8.0)[None, ::2], np.arange(8.0)[::-2, None], np.empty((1, 1))
    with pytest.raises(ShapeError, match="side by side"):
        blas.gemm(row, np.ones((4, 1)), out)
    blas.gemm(np.broadcast_to(np.arange(4.0), (1, 4)), np.ones((4, 1)), out)
    assert out.item() == 6
    with pytest.raises(ShapeError, match="side by side"):
        blas.gemm(column, out, np.empty((4, 1)))
