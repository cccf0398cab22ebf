"""cuBLAS's gemmEx and gemmStridedBatchedEx on host memory, with CuPy's arguments: what stands for cupy.cuda.cublas.

Matrices are named by addresses, as in CuPy (`array.data.ptr`), and stored by columns: element (i, j) of a matrix is
`i + j·ld` elements from its address. A call is refused with CUBLASError where cuBLAS refuses it (sizes, leading
dimensions, types that do not go together), and where cuBLAS would go on and spoil memory: what is read or written must
lie in the allocation of a living array whose address was asked for, and outputs overlap neither each other nor inputs.

Products are summed in float64. TF32 inputs are rounded to 10 bits as on the GPU. `calls` lists what was computed.
"""

import ctypes
import operator
import weakref
from collections import namedtuple

import numpy as np

CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 70, 77
CUBLAS_GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT_TENSOR_OP = -1, 99
CUDA_R_32F, CUDA_R_64F, CUDA_R_16BF = 0, 1, 14

HANDLE = 0xB1A5  # what stands for cupy.cuda.device.get_cublas_handle()
STORED = {CUDA_R_32F: np.dtype(np.float32), CUDA_R_64F: np.dtype(np.float64), CUDA_R_16BF: np.dtype(np.uint16)}
TYPES = {  # compute type -> types of A, B, C that go with it: the table in cuBLAS's description of cublasGemmEx
    CUBLAS_COMPUTE_32F: {(CUDA_R_32F,) * 3, (CUDA_R_16BF,) * 3, (CUDA_R_16BF, CUDA_R_16BF, CUDA_R_32F)},
    CUBLAS_COMPUTE_32F_FAST_TF32: {(CUDA_R_32F,) * 3},
    CUBLAS_COMPUTE_64F: {(CUDA_R_64F,) * 3},
}

Call = namedtuple("Call", "name m n k batch compute")
calls = []
allocations = {}  # address -> (bytes, weak reference to the array that holds them)


class CUBLASError(RuntimeError):
    """A call that cuBLAS refuses, or that it would do harm with."""


def gemmEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc, computeType,
           algo):
    """C = α op(A) op(B) + β C, op(A) m×k, op(B) k×n, C m×n; α and β are addresses of numbers of the compute type."""
    _gemm("gemmEx", handle, (transa, transb), (m, n, k), alpha, (A, Atype, lda, 0), (B, Btype, ldb, 0), beta,
          (C, Ctype, ldc, 0), 1, computeType, algo)


def gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta,
                         C, Ctype, ldc, strideC, batchCount, computeType, algo):
    """gemmEx for `batchCount` matrices each: number b begins b·stride elements after the first."""
    _gemm("gemmStridedBatchedEx", handle, (transa, transb), (m, n, k), alpha, (A, Atype, lda, strideA),
          (B, Btype, ldb, strideB), beta, (C, Ctype, ldc, strideC), batchCount, computeType, algo)


def _gemm(name, handle, transposes, sizes, alpha, a, b, beta, c, batch, compute, algo):
    m, n, k, batch = sizes = [operator.index(size) for size in (*sizes, batch)]
    _expect(handle == HANDLE, f"handle: found {handle!r}, expected that of cupy.cuda.device.get_cublas_handle()")
    _expect(min(sizes) >= 1, f"m, n, k, batch: found {sizes}, expected 1 or more")
    _expect(max(sizes) < 2**31, f"m, n, k, batch: found {sizes}, expected 32-bit integers")
    _expect(set(transposes) <= {CUBLAS_OP_N, CUBLAS_OP_T}, f"transa, transb: found {transposes}, expected 0 or 1")
    _expect(algo in (CUBLAS_GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT_TENSOR_OP), f"algo: found {algo}, expected -1 or 99")
    _expect(compute in TYPES, f"computeType: found {compute}, expected one of {list(TYPES)}")
    kinds = (a[1], b[1], c[1])
    _expect(kinds in TYPES[compute], f"types {kinds} do not go with computeType {compute}")
    left = Matrix("A", *a, (k, m) if transposes[0] else (m, k), batch)
    right = Matrix("B", *b, (n, k) if transposes[1] else (k, n), batch)
    out = Matrix("C", *c, (m, n), batch)
    _expect(out.apart(), f"C: its matrices overlap (m = {m}, n = {n}, ldc = {out.ld}, strideC = {out.stride})")
    for other in (left, right):
        _expect(not out.touches(other), f"C and {other.name} overlap")
    alpha, beta = _number("alpha", alpha, compute), _number("beta", beta, compute)
    rounded = _tf32 if compute == CUBLAS_COMPUTE_32F_FAST_TF32 else np.asarray
    x, y = (rounded(operand.read()).astype(np.float64) for operand in (left, right))
    product = alpha * ((x.swapaxes(1, 2) if transposes[0] else x) @ (y.swapaxes(1, 2) if transposes[1] else y))
    out.write(product if beta == 0 else product + beta * out.read().astype(np.float64))  # C is not read where β = 0
    calls.append(Call(name, m, n, k, batch, compute))


def _expect(right, otherwise):
    if not right:
        raise CUBLASError(otherwise)


class Matrix:
    """A batch of matrices in an allocation."""

    def __init__(self, name, address, kind, ld, stride, shape, batch):
        self.name, self.address, self.kind = name, operator.index(address), kind
        self.ld, self.stride, self.shape = operator.index(ld), operator.index(stride), (batch, *shape)
        _expect(shape[0] <= self.ld < 2**31, f"ld{name.lower()}: found {ld}, expected {name}'s {shape[0]} rows or more")
        self.item = STORED[kind].itemsize
        ends = (batch - 1) * self.stride
        self.first = self.address + min(0, ends) * self.item
        self.end = self.address + (max(0, ends) + (shape[1] - 1) * self.ld + shape[0]) * self.item
        self._check_bounds()

    def _check_bounds(self):
        start, size = _allocation(self.address, self.name)
        _expect(self.address % self.item == 0, f"{self.name}: its address is not a multiple of {self.item}")
        _expect(start <= self.first and self.end <= start + size,
                f"{self.name}: bytes {self.first - start} to {self.end - start} are used of an allocation of {size}")

    def elements(self):
        """The matrices themselves, batch×rows×columns (bfloat16's bits as integers)."""
        memory = (ctypes.c_char * (self.end - self.first)).from_address(self.first)
        return np.ndarray(self.shape, STORED[self.kind], memory, self.address - self.first,
                          [self.item * step for step in (self.stride, 1, self.ld)])

    def read(self):
        x = self.elements()
        return (x.astype(np.uint32) << 16).view(np.float32) if self.kind == CUDA_R_16BF else x

    def write(self, values):
        x = self.elements()
        with np.errstate(over="ignore"):
            x[...] = _bfloat16_bits(values) if self.kind == CUDA_R_16BF else values.astype(x.dtype)

    def apart(self):
        """Whether no element belongs to two of the matrices."""
        if self.shape[0] == 1 or abs(self.stride) >= (self.shape[2] - 1) * self.ld + self.shape[1]:
            return True
        return self._mark(self.first, self.end) is not None

    def touches(self, other):
        """Whether some byte belongs to both."""
        if self.end <= other.first or other.end <= self.first:
            return False
        first, end = min(self.first, other.first), max(self.end, other.end)
        marked = self._mark(first, end)
        return any(x.any() for x in other._over(marked, first))

    def _mark(self, first, end):
        """A flag for each byte from `first` to `end`, true for those of this; None where matrices overlap."""
        flags = np.zeros(end - first, bool)
        for x in self._over(flags, first):
            if x.any():
                return None
            x[...] = True
        return flags

    def _over(self, flags, first):
        """For each matrix, the flags of its bytes."""
        for b in range(self.shape[0]):
            yield np.ndarray((*self.shape[1:], self.item), bool, flags,
                             self.address - first + b * self.stride * self.item, (self.item, self.ld * self.item, 1))


def _number(name, address, compute):
    """What alpha or beta is: a number on the host, of the compute type."""
    _expect(not any(start <= address < start + size for start, (size, _) in allocations.items()),
            f"{name}: found an address on the device, expected one of the host")
    return (ctypes.c_double if compute == CUBLAS_COMPUTE_64F else ctypes.c_float).from_address(address).value


def _tf32(x):
    """float32 with 10 bits of mantissa: the nearest."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    return np.where(np.isfinite(x), ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32), x)


def _bfloat16_bits(values):
    """The nearest bfloat16 (ties to even) to float32 values, as 16-bit integers."""
    x = values.astype(np.float32)
    bits = x.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(x), 0x7FC0, nearest).astype(np.uint16)


# --- allocations -----------------------------------------------------------------------------------------------------


def address(array, allocation):
    """The address of a NumPy array; `allocation`, the array that holds its memory, is known from now on."""
    start = allocation.ctypes.data
    if start not in allocations:
        allocations[start] = allocation.nbytes, weakref.ref(allocation, lambda _: allocations.pop(start, None))
    return array.ctypes.data


def _allocation(address, name):
    for start, (size, _) in allocations.items():
        if start <= address < start + size:
            return start, size
    raise CUBLASError(f"{name}: address {address:#x} is of no living array")
