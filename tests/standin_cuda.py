"""What stands for cupy.cuda and cupy.RawModule in the stand-in for CuPy: one device, whose work is done when asked for.

Kernels run through cuda_on_cpu.py, matrix products through cublas_twin.py. `waits` lists what made the host wait for
the device, `launches` the kernels launched, both in order.
"""

import contextlib
import time
import types

import cublas_twin
import cuda_on_cpu
import numpy as np

waits, launches = [], []
MEMORY = 1 << 34  # bytes that the device claims to have
PROPERTIES = {"name": b"stand-in", "totalGlobalMem": MEMORY, "multiProcessorCount": 132, "major": 9, "minor": 0,
              "maxThreadsPerBlock": 1024, "sharedMemPerBlock": 49152, "warpSize": 32, "l2CacheSize": 1 << 25}
ATTRIBUTES = {"MultiProcessorCount": 132, "MaxThreadsPerBlock": 1024, "ComputeCapabilityMajor": 9,
              "ComputeCapabilityMinor": 0, "WarpSize": 32, "MaxSharedMemoryPerBlock": 49152}


# --- kernels ---------------------------------------------------------------------------------------------------------


class RawModule:
    """A CUDA source, compiled when its first kernel is asked for."""

    def __init__(self, *, code, options=(), backend="nvrtc"):
        if not isinstance(code, str) or not isinstance(options, tuple) or backend != "nvrtc":
            raise TypeError("RawModule: expected a text, a tuple of options, and nvrtc")
        self._source = code, options
        self._module = None

    def compile(self, log_stream=None):
        if self._module is None:
            self._module = cuda_on_cpu.Module(*self._source)

    def get_function(self, name):
        self.compile()
        return RawKernel(name, self._module.kernel(name))


class RawKernel:
    """kernel(grid, block, arguments) launches it."""

    attributes = {"max_threads_per_block": 1024}

    def __init__(self, name, kernel):
        self.name, self._kernel = name, kernel

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        if shared_mem:
            raise cuda_on_cpu.LaunchError("shared memory is that of the kernel's arrays: expected shared_mem = 0")
        self._kernel(grid, block, [_host_array(argument) for argument in args])
        launches.append(self.name)


def _host_array(argument):
    if isinstance(argument, np.ndarray):
        raise TypeError("a NumPy array was given to a kernel, expected a CuPy array")
    return getattr(argument, "_host", argument)


class MemoryPointer:
    """`array.data`: where an array begins."""

    def __init__(self, host):
        self.ptr = cublas_twin.address(host, cuda_on_cpu.allocation(host))


# --- streams and events ----------------------------------------------------------------------------------------------


class Stream:
    """A queue that is always empty: what is asked for is done at once."""

    null = None  # set below
    _current = []

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0 if null else id(self)

    def __enter__(self):
        Stream._current.append(self)
        return self

    def __exit__(self, *_):
        Stream._current.pop()

    def use(self):
        Stream._current[-1:] = [self]
        return self

    def synchronize(self):
        waits.append("synchronize")

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        """The stream waits, the host does not."""

    done = True


class Event:
    """A moment in a stream."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.time = None

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        waits.append("synchronize")

    done = True


Stream.null = Stream(null=True)


def get_current_stream():
    return Stream._current[-1] if Stream._current else Stream.null


def get_elapsed_time(start, end):
    """Milliseconds."""
    return 1000 * (end.time - start.time)


# --- memory and devices ----------------------------------------------------------------------------------------------


class Pinned(bytearray):
    """Memory of the host that the device reads and writes by itself."""

    @property
    def ptr(self):
        return np.frombuffer(self, np.uint8).ctypes.data

    @property
    def mem(self):
        return types.SimpleNamespace(size=len(self), ptr=self.ptr)


def alloc_pinned_memory(size):
    """At least `size` bytes: a power of two from 512 on, as CuPy's pool gives."""
    return Pinned(max(512, 1 << (size - 1).bit_length()) if size else 0)


class MemoryPool:
    """A pool that keeps nothing."""

    def used_bytes(self):
        return 0

    total_bytes = free_bytes = n_free_blocks = used_bytes

    def free_all_blocks(self, stream=None):
        """There are none."""

    def set_limit(self, size=None, fraction=None):
        """Without effect."""


class MemoryHook:
    """Would be told of every allocation of the pool: there are none."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Device:
    """The one there is, number 0."""

    compute_capability, attributes, mem_info = "90", ATTRIBUTES, (MEMORY, MEMORY)
    cublas_handle, pci_bus_id = cublas_twin.HANDLE, "0000:00:00.0"

    def __init__(self, device=0):
        self.id = int(device)
        if self.id != 0:
            raise RuntimeError(f"cudaErrorInvalidDevice: there is no device {self.id}")

    def use(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __int__(self):
        return self.id

    def synchronize(self):
        waits.append("synchronize")


def _wait(*_):
    waits.append("synchronize")


pool = MemoryPool()
runtime = types.SimpleNamespace(
    getDeviceCount=lambda: 1, getDevice=lambda: 0, setDevice=lambda number: None, deviceSynchronize=_wait,
    streamSynchronize=_wait, getDeviceProperties=lambda number: dict(PROPERTIES), runtimeGetVersion=lambda: 13000,
    driverGetVersion=lambda: 13000, memGetInfo=lambda: (MEMORY, MEMORY), is_hip=False,
    CUDA_R_32F=cublas_twin.CUDA_R_32F, CUDA_R_64F=cublas_twin.CUDA_R_64F, CUDA_R_16BF=cublas_twin.CUDA_R_16BF)
cuda = types.SimpleNamespace(
    runtime=runtime, cublas=cublas_twin, Device=Device, Stream=Stream, Event=Event, MemoryPointer=MemoryPointer,
    MemoryHook=MemoryHook,
    get_current_stream=get_current_stream, get_elapsed_time=get_elapsed_time, alloc_pinned_memory=alloc_pinned_memory,
    get_cublas_handle=lambda: cublas_twin.HANDLE, is_available=lambda: True,
    device=types.SimpleNamespace(get_cublas_handle=lambda: cublas_twin.HANDLE, Device=Device),
    using_allocator=lambda allocator=None: contextlib.nullcontext())


def forget():
    """Empties every list of what was done."""
    for done in (waits, launches, cublas_twin.calls):
        done.clear()
