"""What the sections of gpu_check.py measure with: a stopwatch of CUDA events, launches watched, peaks of memory."""

import contextlib
import math
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from minihgd.backend import precision

try:
    import torch
except ImportError:
    torch = None

PRECISIONS = ("float32", "tf32", "bfloat16")
READ_AND_WRITTEN = {"momentum_step": 2, "follow": 2}  # kernel -> how many of its first arrays are both


@dataclass
class Context:
    """What a section works with."""

    gpu: object  # minihgd.backend's module for the GPU
    small: bool
    deadline: float  # of time.perf_counter()
    precisions: tuple
    torch_device: str  # "cuda"; empty where PyTorch is missing or sees no GPU
    kept: dict = field(default_factory=dict)  # what one section leaves for the next

    @property
    def xp(self):
        return self.gpu.xp

    def size(self, full, small):
        """A size: the one that counts, or that of a quick trial of the script."""
        return small if self.small else full

    def left(self):
        """Seconds."""
        return self.deadline - time.perf_counter()

    def has_time(self, report, what, seconds):
        """Whether so many seconds are left; else it is said what is left out."""
        if self.small or self.left() > seconds:
            return True
        report.say(f"left out for want of time: {what}")
        return False

    def free(self):
        """Give back the memory that both libraries keep for later."""
        self.xp.cuda.Device().synchronize()
        self.xp.get_default_memory_pool().free_all_blocks()
        if self.torch_device == "cuda":
            torch.cuda.empty_cache()


@contextlib.contextmanager
def their_precision(name, device):
    """PyTorch computes with a precision: float32, tf32, or bfloat16 as its autocast has it."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name != "float32"
    torch.backends.cudnn.benchmark = True
    with torch.autocast(device, torch.bfloat16, enabled=name == "bfloat16"):
        yield


def is_out_of_memory(error):
    return "OutOfMemory" in type(error).__name__


# --- time ------------------------------------------------------------------------------------------------------------


class Stopwatch:
    """Milliseconds of work on the GPU, CuPy's and PyTorch's alike: both queue theirs on the default stream."""

    def __init__(self, context):
        xp, size = context.xp, context.size(4096, 8)
        self.cuda, self.matmul = xp.cuda, context.gpu.matmul
        with xp.cuda.using_allocator(None):  # not of the pool, whose peaks are measured
            self.a, self.out = xp.ones((size, size), np.float32), xp.empty((size, size), np.float32)
        self.rounds, self.most = context.size(5, 1), context.size(50, 1)
        for _ in range(3):
            started = time.perf_counter()
            self.matmul(self.a, self.a, out=self.out)
            self.cuda.Device().synchronize()
        self.held = time.perf_counter() - started  # seconds that one product of `hold` takes

    def mark(self):
        """An event, here and now in the stream."""
        event = self.cuda.Event()
        event.record()
        return event

    def between(self, start, end):
        """Milliseconds."""
        return self.cuda.get_elapsed_time(start, end)

    def hold(self, seconds):
        """Keep the GPU busy while the program, ahead of it, queues work that is to follow without gaps."""
        with precision.computing("float32"):
            for _ in range(math.ceil(seconds / max(self.held, 1e-4))):
                self.matmul(self.a, self.a, out=self.out)

    def milliseconds(self, work):
        """The median of several rounds, each the mean of repetitions that follow one another without a gap."""
        work()
        self.cuda.Device().synchronize()
        started = time.perf_counter()
        work()
        host = time.perf_counter() - started
        self.cuda.Device().synchronize()
        whole = time.perf_counter() - started
        repeats = max(1, min(self.most, int(0.02 / max(whole, 1e-6))))
        found = []
        for _ in range(self.rounds):
            self.hold(min(0.05, host * repeats))
            start = self.mark()
            for _ in range(repeats):
                work()
            end = self.mark()
            end.synchronize()
            found.append(self.between(start, end) / repeats)
        return float(np.median(found))


# --- launches --------------------------------------------------------------------------------------------------------


@dataclass
class Launch:
    """A launch of one of our kernels, or a call of cuBLAS."""

    name: str
    dtype: str
    bytes: int = 0  # read and written, each array once
    sizes: tuple = ()  # of a product: m, n, k, how many
    events: tuple = ()

    @property
    def flops(self):
        return 2 * math.prod(self.sizes) if self.sizes else 0


class Watched:
    """A context in which `launches` collects the launches of our kernels and the calls of cuBLAS.

    watch: a Stopwatch, where an event is wanted before and after each: it costs the program time, the GPU little.
    """

    def __init__(self, context, watch=None):
        from minihgd.backend import launch

        self.cuda, self.watch, self.launches, self.kernel = context.xp.cuda, watch, [], launch.kernel
        self.users = [module for name, module in sys.modules.items()
                      if name.startswith("minihgd.backend") and getattr(module, "kernel", None) is launch.kernel]

    def __enter__(self):
        self.cublas = self.cuda.cublas
        self.cuda.cublas = _Cublas(self.cublas, self)
        for module in self.users:
            module.kernel = self._kernel
        return self

    def __exit__(self, *_):
        self.cuda.cublas = self.cublas
        for module in self.users:
            module.kernel = self.kernel

    def _kernel(self, name, dtype, neighbours):
        start = self.kernel(name, dtype, neighbours)

        def started(grid, block, arguments):
            arrays = [a.nbytes for a in arguments if hasattr(a, "nbytes") and not isinstance(a, np.generic)]
            moved = sum(arrays) + sum(arrays[: READ_AND_WRITTEN.get(name, 0)])
            self.noted(Launch(name, dtype, moved), lambda: start(grid, block, arguments))

        return started

    def noted(self, launch, start):
        if self.watch:
            before = self.watch.mark()
        start()
        if self.watch:
            launch.events = before, self.watch.mark()
        self.launches.append(launch)

    def milliseconds(self, launch):
        return self.watch.between(*launch.events)


class _Cublas:
    """CuPy's module cublas, of which two functions are watched."""

    SIZES = {0: 4, 1: 8, 14: 2}  # bytes of an element, by CUDA's number of its type

    def __init__(self, module, watched):
        self.module, self.watched = module, watched

    def __getattr__(self, name):
        return getattr(self.module, name)

    def gemmEx(self, *arguments):
        self._call("gemmEx", arguments, 1, (8, 11, 15))

    def gemmStridedBatchedEx(self, *arguments):
        self._call("gemmStridedBatchedEx", arguments, arguments[20], (8, 12, 17))

    def _call(self, name, arguments, count, places):
        columns, rows, terms = arguments[3:6]  # cuBLAS counts columns first
        of_b, of_a, of_out = (self.SIZES[arguments[place]] for place in places)
        moved = count * (rows * terms * of_a + terms * columns * of_b + rows * columns * of_out)
        kind = "float64" if of_a == 8 else "bfloat16" if of_a == 2 else {68: "float32", 77: "tf32"}.get(
            arguments[-2], "float32")
        self.watched.noted(Launch(name, kind, moved, (rows, columns, terms, count)),
                           lambda: getattr(self.module, name)(*arguments))


# --- memory ----------------------------------------------------------------------------------------------------------


def our_peaks(step, context):
    """Bytes (in use, taken from the device) at the highest: of arrays, and of CuPy's pool, during a step."""
    pool = context.xp.get_default_memory_pool()
    context.free()

    class Counter(context.xp.cuda.MemoryHook):
        name = "peak"
        now = most = pool.used_bytes()

        def malloc_postprocess(self, **of):
            self.now += of["mem_size"]
            self.most = max(self.most, self.now)

        def free_postprocess(self, **of):
            self.now -= of["mem_size"]

    counter = Counter()
    with counter:
        step()
    context.xp.cuda.Device().synchronize()
    return counter.most, pool.total_bytes()


def their_peaks(step, context):
    """Bytes (in use, taken from the device) at the highest, of PyTorch's allocator during a step."""
    if context.torch_device != "cuda":
        step()
        return 0, 0
    context.free()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def computing(name):
    """minihgd computes with a precision; float64 is what arrays of that type are computed in, whatever it is."""
    return precision.computing("float32" if name == "float64" else name)
