"""What stands for a GPU in the tests: kernels on host memory, and the stand-in for cupy.cuda.

Each check is shown to notice what it is for, by a kernel or a call that is wrong in that way.
"""

import sys

import cublas_twin
import cuda_on_cpu
import cupy_standin
import numpy as np
import pytest
from cuda_on_cpu import LaunchError
from helpers import random

from minihgd import backend

SOURCE = """
struct bf16 {
    unsigned short bits;
    bf16() = default;
    __device__ bf16(float value) { bits = __float_as_uint(value) >> 16; }
    __device__ operator float() const { return __uint_as_float((unsigned int)bits << 16); }
};
typedef TYPE T;  // from the command line
#define THREADS 64

struct alignas(4 * sizeof(T)) Pack { T v[4]; };
template <class N> __device__ __forceinline__ N twice(N x) { return x + x; }
__device__ __forceinline__ int thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

// extern "C" __global__ void in_a_comment(int n)
extern "C" __global__ void scale(const T* __restrict__ x, T* __restrict__ y, int n, float a) {
    int i = thread();
    if (i < n) y[i] = T(a * float(x[i]));
}
extern "C" __global__ void __launch_bounds__(256) in_place(const T* x, T* y, int n) {
    if (thread() < n) y[thread()] = twice(x[thread()]);
}
extern "C" __global__ void mathematics(const T* x, T* y, long long n) {
    long long i = thread();
    if (i < n) y[i] = exp(x[i]) + log(fabs(x[i]) + 1) + sqrt(fmax(x[i], T(0))) + max(min(thread(), 3), 1) + rsqrt(T(4));
}
extern "C" __global__ void scalars(float* y, float a, double b, int c, long long d, unsigned char e, bool f) {
    y[0] = a; y[1] = b; y[2] = c; y[3] = d; y[4] = e; y[5] = f;
}
extern "C" __global__ void bytes(const unsigned char* x, const int* y, const double* z, long long* out) {
    out[threadIdx.x] = x[threadIdx.x] + y[threadIdx.x] + (z ? (long long)z[threadIdx.x] : 0);
}
extern "C" __global__ void places(int* out) {
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = 1000 * block + thread;
}
extern "C" __global__ void sums(const T* x, T* y, int n) {  // of blocks of 2 THREADS numbers, as a tree
    __shared__ T sum[THREADS];
    int i = 2 * blockIdx.x * THREADS + threadIdx.x;
    sum[threadIdx.x] = (i < n ? x[i] : T(0)) + (i + THREADS < n ? x[i + THREADS] : T(0));
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sum[threadIdx.x] = sum[threadIdx.x] + sum[threadIdx.x + half];
    }
    if (threadIdx.x == 0) y[blockIdx.x] = sum[0];
}
extern "C" __global__ void sums_in_a_race(const T* x, T* y) {  // a barrier is left out
    __shared__ T sum[THREADS];
    sum[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x == THREADS - 1)
        for (int i = 0; i < THREADS - 1; i++) y[0] = y[0] + sum[i];
}
extern "C" __global__ void some_return(T* y, int n) {
    if (threadIdx.x >= n) return;
    for (int i = 0; i < 2; i++) __syncthreads();
    y[threadIdx.x] = T(1);
}
extern "C" __global__ void two_barriers(T* y, int n) {
    if (threadIdx.x < n) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    y[threadIdx.x] = T(1);
}
extern "C" __global__ void unwritten(T* y) {
    __shared__ T left[THREADS];
    y[blockIdx.x * THREADS + threadIdx.x] = left[threadIdx.x];
    __syncthreads();
    left[threadIdx.x] = T(1);
}
extern "C" __global__ void write_at(T* y, int i) { y[i] = T(7); }
extern "C" __global__ void write_const(const T* x, T* y) { const_cast<T*>(x)[0] = y[0]; }
extern "C" __global__ void read_at(const T* x, T* y, int i) { y[0] = x[i]; }
extern "C" __global__ void copy_packs(const T* x, T* y, int i) {
    reinterpret_cast<Pack*>(y)[i] = reinterpret_cast<const Pack*>(x)[i];
}
extern "C" __global__ void beyond_shared(T* y, int i) {
    __shared__ T some[THREADS];
    some[threadIdx.x + i] = T(1);
    y[0] = some[threadIdx.x + i];
}
extern "C" __global__ void product(int* y, int a, int b) { y[0] = a * b; }
extern "C" __global__ void quotient(int* y, int a, int b) { y[0] = a / b; }
"""

needs_gxx = pytest.mark.skipif(bool(cuda_on_cpu.missing()), reason=f"needs g++: {cuda_on_cpu.missing()}")


def kernel(name, kind="float"):
    return cuda_on_cpu.Module(SOURCE, (f"-DTYPE={kind}", "-std=c++17")).kernel(name)


def nothing(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


# --- kernels that are right ------------------------------------------------------------------------------------------


@needs_gxx
def test_a_kernel_computes():
    x, y = random(100, dtype=np.float32), nothing(100)
    kernel("scale")((4,), (32,), (x, y, np.int32(90), np.float32(2.5)))
    assert np.array_equal(y[:90], np.float32(2.5) * x[:90]) and not y[90:].any()
    y = random(100, dtype=np.float64)
    expected = y + y
    kernel("in_place", "double")((2,), (64,), (y, y, np.int32(100)))  # both see one buffer
    assert np.array_equal(y, expected)
    kernel("mathematics", "double")((2,), (64,), (x.astype(np.float64), y, np.int64(100)))
    x, i = x.astype(np.float64), np.arange(100)
    right = np.exp(x) + np.log(np.abs(x) + 1) + np.sqrt(np.maximum(x, 0)) + np.clip(i, 1, 3) + 0.5
    assert np.abs(y - right).max() < 1e-14


@needs_gxx
def test_arguments_arrive():
    y = nothing(6)
    kernel("scalars")((1,), (1,), (y, np.float32(0.5), np.float64(-3), np.int32(-4), np.int64(5), np.uint8(200),
                                   np.bool_(True)))
    assert y.tolist() == [0.5, -3, -4, 5, 200, 1]
    x, i, z, out = np.arange(3, dtype=np.uint8), np.full(3, 10, np.int32), np.full(3, 100.0), nothing(3, dtype=np.int64)
    kernel("bytes")((1,), (3,), (x, i, z, out))
    assert out.tolist() == [110, 111, 112]
    for null in (np.intp(0), np.uintp(0), np.uint64(0)):
        kernel("bytes")((1,), (3,), (x, i, null, out))
        assert out.tolist() == [10, 11, 12]


@needs_gxx
def test_every_thread_of_every_block_runs_once_in_either_order():
    grid, block = (3, 2, 4), (5, 3, 2)
    for turned in (False, True):
        out = nothing(24, 30, dtype=np.int32)
        if turned:
            with cuda_on_cpu.threads_reversed():
                kernel("places")(grid, block, (out,))
        else:
            kernel("places")(grid, block, (out,))
        assert np.array_equal(out, 1000 * np.arange(24)[:, None] + np.arange(30))


@needs_gxx
@pytest.mark.parametrize("kind, dtype", [("float", np.float32), ("double", np.float64)])
def test_barriers(kind, dtype):
    """A tree of sums in shared memory, to the bit, in both orders."""
    n, blocks = 1000, 8
    x, y, back = random(n, dtype=dtype), nothing(blocks, dtype=dtype), nothing(blocks, dtype=dtype)
    kernel("sums", kind)((blocks,), (64,), (x, y, np.int32(n)))
    with cuda_on_cpu.threads_reversed():
        kernel("sums", kind)((blocks,), (64,), (x, back, np.int32(n)))
    tree = np.concatenate([x, np.zeros(24, dtype)]).reshape(blocks, 128)
    while tree.shape[1] > 1:
        tree = tree[:, :tree.shape[1] // 2] + tree[:, tree.shape[1] // 2:]
    assert np.array_equal(y, tree[:, 0]) and np.array_equal(y, back)


@needs_gxx
def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = random(50).astype(ml_dtypes.bfloat16)
    y = np.zeros_like(x)
    kernel("scale", "bf16")((1,), (64,), (x, y, np.int32(50), np.float32(2)))
    assert np.array_equal(y.astype(np.float32), 2 * x.astype(np.float32))
    with pytest.raises(LaunchError, match="found an array of float32, expected bfloat16"):
        kernel("scale", "bf16")((1,), (64,), (x.astype(np.float32), y, np.int32(50), np.float32(2)))


# --- kernels that are wrong ------------------------------------------------------------------------------------------


@needs_gxx
def test_a_race_shows_in_one_of_the_orders():
    x, results = random(64, dtype=np.float32), []
    for order in (cuda_on_cpu.threads_reversed, lambda: np.errstate()):
        y = nothing(1)
        with order():
            kernel("sums_in_a_race")((1,), (64,), (x, y))
        results.append(y[0])
    assert np.isnan(results[0]) and np.isclose(results[1], x[:63].sum())  # NaN: of what was not written yet


@needs_gxx
def test_a_barrier_that_some_do_not_reach():
    y = nothing(8)
    kernel("some_return")((1,), (8,), (y, np.int32(8)))
    assert (y == 1).all()
    with pytest.raises(LaunchError, match="5 of 8 threads wait at a barrier, the others have finished"):
        kernel("some_return")((1,), (8,), (y, np.int32(5)))
    kernel("some_return")((1,), (8,), (y, np.int32(8)))  # and after an error all goes on as before
    with pytest.raises(LaunchError, match="threads wait at different barriers"):
        kernel("two_barriers")((1,), (8,), (y, np.int32(5)))
    kernel("two_barriers")((1,), (8,), (y, np.int32(8)))


@needs_gxx
def test_shared_memory_holds_nothing_at_first():
    y = nothing(3, 64)
    kernel("unwritten")((3,), (64,), (y,))
    assert np.isnan(y).all()  # in the second block too, after the first one wrote


@needs_gxx
def test_accesses_out_of_bounds():
    x, y = random(8, dtype=np.float32), nothing(8)
    kernel("write_at")((1,), (1,), (y, np.int32(7)))
    assert y.tolist() == [0] * 7 + [7]
    for index, where in ((8, "after"), (-1, "before"), (5000, "after")):
        with pytest.raises(LaunchError, match=rf"kernel write_at: T\* y: was written out of bounds, {where}"):
            kernel("write_at")((1,), (1,), (y, np.int32(index)))
        kernel("read_at")((1,), (1,), (x, y, np.int32(index)))
        assert np.isnan(y[0])
    whole = random(9, dtype=np.float32)  # the elements beside a view are out of bounds as well
    kernel("read_at")((1,), (1,), (whole[:8], y, np.int32(8)))
    assert np.isnan(y[0])
    with pytest.raises(LaunchError, match=r"const T\* x: was written, although it is const"):
        kernel("write_const")((1,), (1,), (x, nothing(1)))


@needs_gxx
def test_accesses_to_no_memory_at_all():
    x, y = random(8, dtype=np.float32), nothing(8)
    for _ in range(2):
        with pytest.raises(LaunchError, match="an access to memory that is not there"):
            kernel("read_at")((1,), (1,), (np.intp(0), y, np.int32(5)))
        with pytest.raises(LaunchError, match="an access to memory that is not there"):
            kernel("write_at")((1,), (1,), (np.intp(0), np.int32(100)))
    kernel("read_at")((1,), (1,), (x, y, np.int32(5)))
    assert y[0] == x[5]


@needs_gxx
@pytest.mark.parametrize("name, arguments, why", [
    ("copy_packs", (random(9, dtype=np.float32)[1:], nothing(8), np.int32(0)), "a misaligned pointer"),
    ("copy_packs", (np.intp(0), nothing(8), np.int32(0)), "a null pointer"),
    ("read_at", (np.intp(0), nothing(8), np.int32(0)), "a null pointer"),
    ("beyond_shared", (nothing(1), np.int32(64)), "an index out of an array's bounds"),
    ("product", (nothing(1, dtype=np.int32), np.int32(1 << 20), np.int32(1 << 20)), "an integer overflows"),
    ("quotient", (nothing(1, dtype=np.int32), np.int32(1), np.int32(0)), "an integer is divided by zero"),
])
def test_what_the_compiler_checks(name, arguments, why):
    line = next(i for i, text in enumerate(SOURCE.split("\n"), 1) if f"void {name}(" in text)
    with pytest.raises(LaunchError, match=rf"kernel {name}: line \d+, thread \(0, 0, 0\) of block .*{why}") as error:
        kernel(name)((1,), (1,), arguments)
    assert line <= int(str(error.value).split("line ")[1].split(",")[0]) <= line + 3
    good = random(8, dtype=np.float32), nothing(8), np.int32(1)
    kernel("copy_packs")((1,), (1,), good)
    assert np.array_equal(good[0][4:], good[1][4:]) and not good[1][:4].any()


# --- launches that are wrong -----------------------------------------------------------------------------------------

X, N, A = random(8, dtype=np.float32), np.int32(8), np.float32(1)


@needs_gxx
@pytest.mark.parametrize("arguments, why", [
    ((X, nothing(8), N), "found 3 arguments, expected 4"),
    ((X, nothing(8), N, A, A), "found 5 arguments, expected 4"),
    ((X.astype(np.float64), nothing(8), N, A), "x: found an array of float64, expected float32"),
    ((X, nothing(8, dtype=np.int32), N, A), "y: found an array of int32, expected float32"),
    ((X, nothing(8), 8, A), "int n: found int 8, expected np.int32"),
    ((X, nothing(8), np.int64(8), A), "int n: found int64 8, expected np.int32"),
    ((X, nothing(8), N, 1.0), "float a: found float 1.0, expected np.float32"),
    ((X, nothing(8), N, np.float64(1)), "float a: found float64 1.0, expected np.float32"),
    ((X, nothing(8), N, X), "float a: found an array, expected np.float32"),
    ((None, nothing(8), N, A), r"x: found None, expected an array of float32, or np.intp\(0\) for null"),
    ((0, nothing(8), N, A), "x: found 0, expected an array of float32"),
    ((np.int32(0), nothing(8), N, A), "expected an array of float32"),
    ((np.intp(8), nothing(8), N, A), "expected an array of float32"),
    ((random(8, 2, dtype=np.float32)[:, 0], nothing(8), N, A), "expected a contiguous one"),
    ((X[:5], X[1:6], N, A), "overlap but are not the same"),
    ((X, X, N, A), "found the same array, although one is __restrict__"),
])
def test_arguments_that_do_not_fit(arguments, why):
    with pytest.raises(LaunchError, match=f"kernel scale: .*{why}"):
        kernel("scale")((1,), (8,), arguments)


@needs_gxx
@pytest.mark.parametrize("grid, block, why", [
    ((1,), (1025,), "found 1025 for x, expected 1 to 1024"), ((1,), (32, 33), "at most 1024 threads"),
    ((1,), (1, 1, 65), "found 65 for z, expected 1 to 64"),
    ((1, 65536), (1,), "found 65536 for y, expected 1 to 65535"),
    ((1, 1, 65536), (1,), "found 65536 for z"), ((1 << 31,), (1,), "found 2147483648 for x"),
    ((0,), (1,), "found 0 for x, expected 1"), ((1,), (0,), "found 0 for x"), (1, (1,), "expected a tuple"),
    ((1,), [1], "expected a tuple"), ((1, 1, 1, 1), (1,), "expected a tuple"),
])
def test_shapes_beyond_the_limits(grid, block, why):
    with pytest.raises(LaunchError, match=why):
        kernel("scale")(grid, block, (X, nothing(8), N, A))


@needs_gxx
def test_sources_that_are_wrong():
    with pytest.raises(LaunchError, match="there is no kernel other, but scale, in_place"):
        kernel("other")
    with pytest.raises(LaunchError, match="there is no kernel in_a_comment"):
        kernel("in_a_comment")
    with pytest.raises(LaunchError, match="option --unknown"):
        cuda_on_cpu.Module(SOURCE, ("--unknown",))
    with pytest.raises(LaunchError, match="do not compile"):
        cuda_on_cpu.Module('extern "C" __global__ void f(int n) { n = undefined(n); }')


def test_the_reason_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert cuda_on_cpu.missing() == "g++ is not installed"
    with pytest.raises(LaunchError, match="g\\+\\+ is not installed"):
        cuda_on_cpu.Module("// nothing")


# --- the stand-in ----------------------------------------------------------------------------------------------------


@needs_gxx
def test_kernels_on_the_stand_in():
    with cupy_standin.installed() as waits:
        import cupy as cp

        module = cp.RawModule(code=SOURCE, options=("-DTYPE=float",), backend="nvrtc")
        x, y = cp.asarray(X), cp.empty(8, np.float32)
        assert np.isnan(y.get()).all()
        arguments = (x, y, np.int32(8), np.float32(3))
        module.get_function("scale")((1,), (8,), arguments, shared_mem=0)
        assert cupy_standin.launches == ["scale"] and waits == ["get"]
        assert np.array_equal(y.get(), 3 * X)
        with pytest.raises(TypeError, match="NumPy array"):
            module.get_function("scale")((1,), (8,), (X, *arguments[1:]))
        with pytest.raises(TypeError):
            cp.RawModule(code=SOURCE, options=["-DTYPE=float"])
        with pytest.raises(LaunchError, match="shared_mem"):
            module.get_function("scale")((1,), (8,), arguments, shared_mem=8)
        with pytest.raises(LaunchError, match="expected np.int32"):
            module.get_function("scale")((1,), (8,), (x, y, 8, A))
        assert cupy_standin.launches == ["scale"]
    with cupy_standin.installed():
        assert cupy_standin.launches == [] == cublas_twin.calls


def test_nothing_of_the_stand_in_is_left():
    """No module of the library keeps it, nor its kernels: each installation imports them anew."""
    seen = []
    for _ in range(2):
        with cupy_standin.installed():
            seen.append(backend.module("cuda"))
        assert sys.modules.get("cupy") is not cupy_standin.module
        assert not [name for name, value in sys.modules.items()
                    if name.startswith("minihgd") and getattr(value, "cp", None) is cupy_standin.module]
        assert vars(backend).get("gpu") is sys.modules.get("minihgd.backend.gpu")
    assert seen[0] is not seen[1] and seen[0].cp is cupy_standin.module


def test_the_device_of_the_stand_in():
    with cupy_standin.installed() as waits:
        import cupy as cp

        memory = cp.cuda.alloc_pinned_memory(600)
        host = np.frombuffer(memory, np.float32, 150)
        host[:] = 2
        assert len(memory) == 1024 and memory.ptr == host.ctypes.data  # more than asked for, as CuPy gives
        x = cp.empty(150, np.float32)
        x.set(host, stream=cp.cuda.get_current_stream())
        with cp.cuda.Stream(non_blocking=True) as stream:
            assert cp.cuda.get_current_stream() is stream
            stream.wait_event(stream.record(cp.cuda.Event()))
        assert cp.cuda.get_current_stream() is cp.cuda.Stream.null and waits == []
        stream.synchronize(), cp.cuda.Event().synchronize(), cp.cuda.Device().synchronize()
        assert waits == ["synchronize"] * 3
        assert (x.get(out=np.empty(150, np.float32)) == 2).all() and x.view(np.int32).get()[0] == 1 << 30
        assert x[2:].data.ptr == x.data.ptr + 8
        assert cp.cuda.Device().compute_capability == "90" and cp.cuda.runtime.getDeviceProperties(0)["major"] == 9
        assert cp.get_default_memory_pool().used_bytes() == 0
        with pytest.raises(RuntimeError):
            cp.cuda.Device(1)
