"""cuBLAS's twin: it computes what cuBLAS computes, and refuses calls that cuBLAS refuses or that would do harm."""

import cublas_twin
import cuda_on_cpu
import cupy_standin
import numpy as np
import pytest
from helpers import random

N, T = cublas_twin.CUBLAS_OP_N, cublas_twin.CUBLAS_OP_T
KINDS = {np.float32: cublas_twin.CUDA_R_32F, np.float64: cublas_twin.CUDA_R_64F, np.uint16: cublas_twin.CUDA_R_16BF}
FULL, FAST, DOUBLE = 68, 77, 70


def pointer(array):
    return cublas_twin.address(array, cuda_on_cpu.allocation(array))


def gemm(a, b, c, m, n, k, lda, ldb, ldc, turned=(N, N), factors=(1, 0), compute=FULL, strides=None, batch=1,
         **other):
    """gemmEx, or with strides gemmStridedBatchedEx, on NumPy arrays; `other` replaces arguments, as A=address."""
    alpha, beta = (np.array(x, np.float64 if compute == DOUBLE else np.float32) for x in factors)
    given = dict(handle=cublas_twin.HANDLE, transa=turned[0], transb=turned[1], m=m, n=n, k=k, alpha=alpha.ctypes.data,
                 beta=beta.ctypes.data, computeType=compute, algo=cublas_twin.CUBLAS_GEMM_DEFAULT)
    for name, array, ld in (("A", a, lda), ("B", b, ldb), ("C", c, ldc)):
        given |= {name: pointer(array), f"{name}type": KINDS[array.dtype.type], f"ld{name.lower()}": ld}
    if strides:
        given |= dict(zip(("strideA", "strideB", "strideC"), strides, strict=True), batchCount=batch)
    (cublas_twin.gemmStridedBatchedEx if strides else cublas_twin.gemmEx)(**(given | other))


def columns(x):
    """As cuBLAS stores it: column after column."""
    return np.asfortranarray(x)


@pytest.mark.parametrize("turned", [(N, N), (T, N), (N, T), (T, T)])
@pytest.mark.parametrize("dtype, compute, close", [(np.float32, FULL, 1e-6), (np.float64, DOUBLE, 1e-14)])
def test_products(turned, dtype, compute, close):
    m, n, k = 5, 3, 7
    a, b, c = random(m, k, dtype=dtype), random(k, n, seed=1, dtype=dtype), columns(random(m, n, seed=2, dtype=dtype))
    stored = [columns(x.T if turn else x) for x, turn in zip((a, b), turned, strict=True)]
    right = 2 * a.astype(np.float64) @ b - 0.5 * c
    cublas_twin.calls.clear()
    gemm(*stored, c, m, n, k, len(stored[0]), len(stored[1]), m, turned, (2, -0.5), compute)
    assert np.abs(c - right).max() < close
    assert cublas_twin.calls == [("gemmEx", m, n, k, 1, compute)]


def test_batches_in_the_rows_of_one_matrix():
    """Outputs that are interleaved, columns of one M×(3·C) matrix, and an input that all share."""
    rows, width, batch, k = 6, 4, 3, 5
    x, weights = random(rows, k, dtype=np.float32), random(batch, k, width, seed=1, dtype=np.float32)
    y = np.full((rows, batch * width), np.nan, np.float32)
    gemm(weights, x, y, width, rows, k, width, k, batch * width, strides=(k * width, 0, width), batch=batch)
    assert np.abs(y - np.concatenate([x @ w for w in weights], axis=1)).max() < 1e-6  # NaN in y was not read


def test_tf32_rounds_its_inputs():
    a = b = np.ones((1, 1), np.float32)
    c = np.zeros((1, 1), np.float32)
    for extra, full, fast in ((2.0**-10, 1 + 2.0**-10, 1 + 2.0**-10), (2.0**-12, 1 + 2.0**-12, 1),
                              (3 * 2.0**-12, 1 + 3 * 2.0**-12, 1 + 2.0**-10)):
        for compute, right in ((FULL, full), (FAST, fast)):
            gemm(a + np.float32(extra), b, c, 1, 1, 1, 1, 1, 1, compute=compute)
            assert c[0, 0] == np.float32(right)


@pytest.mark.parametrize("out", [np.uint16, np.float32])
def test_bfloat16_products(out):
    """Bits of bfloat16 as integers: 1.5 and 3 are exact, and sums are rounded at the end, to the nearest."""
    a, b = np.full((1, 3), 0x3FC0, np.uint16), columns([[0x4040]] * 3).astype(np.uint16)
    c = np.zeros((1, 1), out)
    gemm(a, b, c, 1, 1, 3, 1, 3, 1)
    assert c[0, 0] == (0x4158 if out is np.uint16 else 13.5)
    alpha = 1 + 2.0**-8  # 13.5 and a bit more than half a step of bfloat16 there: 13.5527, steps of 1/16
    gemm(a, b, c, 1, 1, 3, 1, 3, 1, factors=(alpha, 0))
    assert c[0, 0] == (0x4159 if out is np.uint16 else np.float32(13.5 * alpha))


def operands():
    """A 5×7, B 7×3 and C 5×3, of zeros."""
    return [columns(x) for x in (random(5, 7, dtype=np.float32), random(7, 3, dtype=np.float32),
                                 np.zeros((5, 3), np.float32))]


@pytest.mark.parametrize("wrong, why", [
    (dict(handle=0), "handle"), (dict(m=0), "m, n, k, batch"), (dict(k=-1), "m, n, k, batch"),
    (dict(lda=4), "lda: found 4, expected A's 5"), (dict(ldb=6), "ldb: found 6"), (dict(ldc=4), "ldc: found 4"),
    (dict(transa=T), "lda: found 5, expected A's 7"), (dict(transb=2), "transa, transb"),
    (dict(lda=6), "A: bytes 0 to 164 are used of an allocation of 140"), (dict(n=4), "B: bytes"),
    (dict(ldc=8), "C: bytes 0 to 84 are used of an allocation of 60"),
    (dict(Atype=1), "types"), (dict(Ctype=14), "types"), (dict(computeType=DOUBLE), "types"),
    (dict(Atype=14, Btype=14, Ctype=14, computeType=FAST), "types"), (dict(computeType=64), "computeType"),
    (dict(algo=5), "algo"), (dict(A=4096), "A: address 0x1000 is of no living array"),
])
def test_calls_that_cublas_refuses(wrong, why):
    a, b, c = operands()
    gemm(a, b, c, 5, 3, 7, 5, 7, 5)
    before = c.copy()
    with pytest.raises(cublas_twin.CUBLASError, match=why):
        gemm(a, b, c, **dict(dict(m=5, n=3, k=7, lda=5, ldb=7, ldc=5), **wrong))
    assert np.array_equal(c, before)


def test_pointers_that_do_harm():
    a, b, c = operands()
    sizes = (5, 3, 7, 5, 7, 5)
    for wrong, why in ((dict(A=pointer(a) + 4), "A: bytes 4 to 144"), (dict(C=pointer(a)), "C and A overlap"),
                       (dict(C=pointer(c) - 4), "no living array|C: bytes"), (dict(A=pointer(a) + 2), "multiple of 4"),
                       (dict(alpha=pointer(a)), "alpha: found an address on the device")):
        with pytest.raises(cublas_twin.CUBLASError, match=why):
            gemm(a, b, c, *sizes, **wrong)
    gone = pointer(np.ones(64, np.float32))
    with pytest.raises(cublas_twin.CUBLASError, match="no living array"):
        gemm(a, b, c, *sizes, A=gone)


def test_outputs_that_overlap():
    """Exactly: the matrices may lie between each other's columns, and inputs may overlap as they like."""
    a, b = random(64, dtype=np.float32), random(64, dtype=np.float32)
    c = np.zeros(64, np.float32)
    for ldc, stride, fine in ((8, 4, True), (8, 3, False), (8, 16, True), (8, 12, True), (8, 0, False), (4, 8, True),
                              (4, 4, False)):
        def call(ldc=ldc, stride=stride):
            gemm(a, b, c, 4, 2, 3, 4, 3, ldc, strides=(1, 0, stride), batch=2)

        if fine:
            call()
        else:
            with pytest.raises(cublas_twin.CUBLASError, match="C: its matrices overlap"):
                call()
    x = random(64, dtype=np.float32)  # an output beside the input's rows in one allocation, and one on top of them
    gemm(x, b, x[4:], 4, 2, 2, 8, 2, 8)
    with pytest.raises(cublas_twin.CUBLASError, match="C and A overlap"):
        gemm(x, b, x[3:], 4, 2, 2, 8, 2, 8)


def test_products_on_the_stand_in():
    with cupy_standin.installed() as waits:
        import cupy as cp

        a, b, c = cp.asarray(random(5, 7)), cp.asarray(random(7, 3, seed=1)), cp.empty((5, 3))
        cublas, runtime = cp.cuda.cublas, cp.cuda.runtime
        one, zero = np.array(1.0), np.array(0.0)
        kind = runtime.CUDA_R_64F
        cublas.gemmEx(cp.cuda.device.get_cublas_handle(), cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_N, 3, 5, 7,
                      one.ctypes.data, b.data.ptr, kind, 3, a.data.ptr, kind, 7, zero.ctypes.data, c.data.ptr, kind, 3,
                      cublas.CUBLAS_COMPUTE_64F, cublas.CUBLAS_GEMM_DEFAULT)  # by rows: Cᵀ = Bᵀ Aᵀ
        assert waits == [] and [call.name for call in cublas_twin.calls] == ["gemmEx"]
        assert np.abs(c.get() - random(5, 7) @ random(7, 3, seed=1)).max() < 1e-14
