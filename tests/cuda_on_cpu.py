"""Runs CUDA kernels without a GPU: g++ compiles them with cuda_on_cpu.h, and they work on copies of host arrays.

`Module(code, options).kernel(name)(grid, block, arguments)` is a launch. It is refused where a GPU would refuse it, and
where a GPU would go on to do something undefined: arguments that do not fit the kernel's parameters, accesses beyond an
array, barriers that not every thread of a block reaches. Every array lies between guards full of NaN: what is written
beyond an array raises LaunchError, and what is read there spoils the result.

`threads_reversed()` runs blocks and threads from the last to the first: a kernel whose results differ has a race.

What it cannot show: races between threads that neither order brings out, GPU rounding, speed.
"""

import contextlib
import ctypes
import functools
import hashlib
import itertools
import operator
import os
import re
import shutil
import subprocess
import tempfile

import numpy as np

GUARD = 1 << 16  # bytes before and after each array
ALIGNMENT = 512  # bytes, of every allocation on a GPU
THREADS, BLOCK, GRID = 1024, (1024, 1024, 64), (2**31 - 1, 65535, 65535)  # at most
POINTER_SCALARS = (np.int64, np.uint64, np.longlong, np.ulonglong)  # those that CuPy passes as 8 bytes: np.intp(0) ...

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cuda_on_cpu.h")
CHECKS = "null,alignment,bounds,pointer-overflow,signed-integer-overflow,integer-divide-by-zero,shift"
COMPILE = ["g++", "-x", "c++", "-std=c++17", "-O1", "-w", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing",
           "-ffp-contract=off", f"-fsanitize={CHECKS}", "-fno-sanitize-recover=all"]
WITHOUT_MEANING_HERE = ("-std=", "--std=", "-arch=", "--gpu-architecture=", "--fmad=", "-fmad=", "-lineinfo",
                        "--generate-line-info", "-default-device", "--device-as-default-execution-space")
KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)')
reversed_now = False


class LaunchError(Exception):
    """Why kernels cannot be compiled or run as asked."""


def missing():
    """Why kernels cannot be run here; empty where they can."""
    return "" if shutil.which("g++") else "g++ is not installed"


@contextlib.contextmanager
def threads_reversed():
    """While this lasts, launches run from the last block and thread to the first."""
    global reversed_now
    before, reversed_now = reversed_now, True
    try:
        yield
    finally:
        reversed_now = before


# --- compiling -------------------------------------------------------------------------------------------------------


class Module:
    """The kernels of a CUDA source, compiled with the options given: -DNAME=VALUE counts."""

    def __init__(self, code, options=()):
        code_without_comments = re.sub(r"//.*|/\*.*?\*/", " ", code)
        self.parameters = {name: parameters for name, parameters in KERNEL.findall(code_without_comments)}
        self.library = _library(code, tuple(map(_checked_option, options)), tuple(self.parameters))

    def kernel(self, name):
        if name not in self.parameters:
            raise LaunchError(f"there is no kernel {name}, but {', '.join(self.parameters) or 'none at all'}")
        return Kernel(name, self.parameters[name], self.library)


def _checked_option(option):
    if not option.startswith(("-D", *WITHOUT_MEANING_HERE)):
        raise LaunchError(f"option {option}: expected -DNAME=VALUE or one of {', '.join(WITHOUT_MEANING_HERE)}")
    return option


@functools.cache
def _library(code, options, kernels):
    """The compiled library, kept in a temporary folder so that the next process need not compile it again."""
    if missing():
        raise LaunchError(missing())
    with open(HEADER) as header:
        parts = [header.read(), "namespace {", '#line 1 "kernels"', code, "}", *map(_entry, kernels)]
    source = "\n".join(parts)
    command = [*COMPILE, *(option for option in options if option.startswith("-D"))]
    name = hashlib.sha256("\0".join([source, *command]).encode()).hexdigest()[:32]
    path = os.path.join(_folder(), f"{name}.so")
    if not os.path.exists(path):
        _compile(source, command, path)
    return ctypes.PyDLL(path)  # one launch at a time: the library's state is global


def _entry(kernel):
    """C++ by which a kernel is found and launched from outside."""
    start = 'extern "C" __attribute__((visibility("default"))) const char*'
    return (f"{start} launch_{kernel}(void** arguments, const unsigned* shape, int reversed) "
            f"{{ return cuda_on_cpu::launch({kernel}, arguments, shape, reversed); }}\n"
            f"{start} signature_{kernel}() {{ return cuda_on_cpu::signature({kernel}); }}")


@functools.cache
def _folder():
    """A folder that nobody else can write to."""
    path = os.path.join(tempfile.gettempdir(), f"minihgd-cuda-on-cpu-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if not os.path.isdir(path) or os.path.islink(path) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        return tempfile.mkdtemp(prefix="minihgd-cuda-on-cpu-")
    return path


def _compile(source, command, path):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        compiled, linked = os.path.join(folder, "kernels.o"), os.path.join(folder, "kernels.so")
        _run([*command, "-c", "-o", compiled, "-"], source)
        _run(["g++", "-shared", "-o", linked, compiled], "")  # in two steps: the checks' own library is not wanted
        os.replace(linked, path)


def _run(command, source):
    done = subprocess.run(command, input=source, capture_output=True, text=True)
    if done.returncode:
        raise LaunchError(f"the kernels do not compile:\n{done.stderr[:4000]}")


# --- launching -------------------------------------------------------------------------------------------------------


class Kernel:
    """A kernel: called with (grid, block, arguments), each of the first two one to three numbers."""

    def __init__(self, name, parameters, library):
        self.name = name
        self.parameters = [" ".join(text.split()) for text in parameters.split(",")] if parameters.strip() else []
        signature, self.launch = getattr(library, f"signature_{name}"), getattr(library, f"launch_{name}")
        signature.restype = self.launch.restype = ctypes.c_char_p
        self.types = signature().decode().split(", ") if self.parameters else []

    def __call__(self, grid, block, arguments):
        shape = (*self._checked_shape("grid", grid, GRID), *self._checked_shape("block", block, BLOCK))
        if shape[3] * shape[4] * shape[5] > THREADS:
            self._refuse(f"block {block}: at most {THREADS} threads")
        if len(arguments) != len(self.types):
            self._refuse(f"found {len(arguments)} arguments, expected {len(self.types)}: {', '.join(self.parameters)}")
        for argument, kind, text in zip(arguments, self.types, self.parameters, strict=True):
            self._check(argument, kind, text)
        arrays = [each for each in zip(arguments, self.types, self.parameters, strict=True)
                  if isinstance(each[0], np.ndarray)]
        self._check_overlaps(arrays)
        buffers = _buffers(arrays)
        values = [np.uint64(buffers[_place(a)].address) if isinstance(a, np.ndarray) else a for a in arguments]
        held = [np.array(value) for value in values]  # whose addresses the kernel is given
        pointers = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        error = self.launch(pointers, (ctypes.c_uint * 6)(*shape), int(reversed_now)).decode()
        if error:
            self._refuse(error)
        for buffer in buffers.values():
            buffer.finish(self._refuse)

    def _refuse(self, why):
        raise LaunchError(f"kernel {self.name}: {why}")

    def _checked_shape(self, what, shape, most):
        if not isinstance(shape, tuple) or not 1 <= len(shape) <= 3:
            self._refuse(f"{what} {shape!r}: expected a tuple of one to three numbers")
        sizes = (*map(operator.index, shape), 1, 1)[:3]
        for axis, size, limit in zip("xyz", sizes, most, strict=True):
            if not 1 <= size <= limit:
                self._refuse(f"{what} {shape}: found {size} for {axis}, expected 1 to {limit}")
        return sizes

    def _check(self, argument, kind, text):
        """That an argument fits a parameter of the kind given ("const float32*", "int64"), `text` in the source."""
        if kind.endswith("*"):
            expected = kind.removeprefix("const ").rstrip("*")
            if not isinstance(argument, np.ndarray):
                if not (isinstance(argument, POINTER_SCALARS) and argument == 0):
                    self._refuse(f"{text}: found {argument!r}, expected an array of {expected}, or np.intp(0) for null")
            elif argument.dtype.name != expected:
                self._refuse(f"{text}: found an array of {argument.dtype}, expected {expected}")
            elif not argument.flags.c_contiguous:
                self._refuse(f"{text}: found an array of shape {argument.shape} and strides {argument.strides}, "
                             "expected a contiguous one")
        elif not isinstance(argument, np.generic) or argument.dtype.name != kind or kind == "bfloat16":
            found = f"{type(argument).__name__} {argument}" if np.ndim(argument) == 0 else "an array"
            self._refuse(f"{text}: found {found}, expected np.{kind}")

    def _check_overlaps(self, arrays):
        """That arrays of which one is written are the same or apart; `arrays` are (array, kind, text in the source)."""
        for (a, a_kind, a_text), (b, b_kind, b_text) in itertools.combinations(arrays, 2):
            both_read = a_kind.startswith("const") and b_kind.startswith("const")
            if both_read or not (a.size and b.size and np.may_share_memory(a, b)):
                continue
            if _place(a) != _place(b):
                self._refuse(f"{a_text} and {b_text}: found arrays that overlap but are not the same")
            if "__restrict__" in a_text + b_text:
                self._refuse(f"{a_text} and {b_text}: found the same array, although one is __restrict__")


def _buffers(arrays):
    """{place: Buffer}; arrays that are the same memory share one."""
    buffers = {}
    for array, kind, text in arrays:
        place = _place(array)
        if place not in buffers:
            buffers[place] = Buffer(array, text)
        buffers[place].written |= not kind.startswith("const")
    return buffers


def _place(array):
    """Address and bytes: what memory an array is."""
    return array.ctypes.data, array.nbytes


def allocation(array):
    """The array that holds the memory of a view."""
    holder = array
    while holder is not None:  # there may be something else in between, as after as_strided
        array = holder if isinstance(holder, np.ndarray) else array
        holder = getattr(holder, "base", None)
    return array


class Buffer:
    """A copy of an array between two guards, as far from an aligned address as the array is within its allocation."""

    def __init__(self, array, text):
        self.array, self.text, self.written = array, text, False
        offset = (array.ctypes.data - allocation(array).ctypes.data) % ALIGNMENT
        memory = np.empty(2 * GUARD + 2 * ALIGNMENT + array.nbytes, np.uint8)
        start = GUARD + (offset - memory.ctypes.data - GUARD) % ALIGNMENT
        self.before, self.inside, self.after = np.split(memory, [start, start + array.nbytes])
        self.before[:], self.after[:] = 0xFF, 0xFF
        self.inside[:] = self._bytes()
        self.address = memory.ctypes.data + start

    def _bytes(self):
        return self.array.reshape(-1).view(np.uint8)

    def finish(self, refuse):
        """Copies the results back; `refuse` is called where something else was changed."""
        for guard, where in ((self.before, "before"), (self.after, "after")):
            if (guard != 0xFF).any():
                refuse(f"{self.text}: was written out of bounds, {where} the array")
        if self.written:
            self._bytes()[:] = self.inside
        elif not np.array_equal(self.inside, self._bytes()):
            refuse(f"{self.text}: was written, although it is const")
