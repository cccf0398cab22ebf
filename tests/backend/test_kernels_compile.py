"""The CUDA kernels compile for a Hopper GPU, by NVIDIA's compilers: as CuPy does it (nvrtc), and by nvcc.

Neither needs a GPU. A source that is wrong must not compile.
"""

import ctypes
import functools
import glob
import importlib.util
import os
import re
import shutil
import subprocess

import cuda_on_cpu
import cupy_standin
import pytest

from minihgd import backend

SOURCE = os.path.join(os.path.dirname(backend.__file__), "kernels.cu")
ARCHITECTURE = "sm_90"
KERNEL = re.compile(r'extern "C" __global__ void (\w+)')
SHARED = 48 * 1024  # bytes of shared memory that a block may have without asking for more


def variants():
    """The options with which the library compiles its kernels."""
    with cupy_standin.installed():
        from minihgd.backend import launch

        return launch.variants()


def planted_errors():
    return {"syntax": 'extern "C" __global__ void f(float* y) { y[0] = ; }',
            "a name": 'extern "C" __global__ void f(float* y) { y[0] = no_such_function(y[1]); }',
            "a header": '#include <math.h_that_is_not_there>\n'}


def source():
    with open(SOURCE, encoding="utf-8") as file:
        return file.read()


def test_all_forms_are_compiled():
    """Each type, one neighbour at a time and 16 bytes at a time; cuda_on_cpu.py has the same kernels as the pattern."""
    found = {tuple(word.partition("=")[2] for word in options if word.startswith("-D")) for options in variants()}
    assert found == {("float", "float", "1"), ("float", "float", "4"), ("double", "double", "1"),
                     ("double", "double", "2"), ("bf16", "float", "1"), ("bf16", "float", "8")}
    assert KERNEL.findall(source()) == [name for name, _ in cuda_on_cpu.KERNEL.findall(source())]


# --- nvrtc -----------------------------------------------------------------------------------------------------------


def nvrtc_libraries():
    """Files of NVIDIA's runtime compiler: from its wheel (nvidia-cuda-nvrtc), or of an installed toolkit."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or []) if spec else []
    wheels = [path for folder in folders for path in glob.glob(os.path.join(folder, "**", "lib", "libnvrtc.so*"),
                                                               recursive=True)]
    return wheels + glob.glob("/usr/local/cuda*/lib64/libnvrtc.so")


@functools.cache
def nvrtc():
    """The library, or None."""
    for path in nvrtc_libraries():
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


def compile_by_nvrtc(code, options):
    """(compiled or None, what the compiler said)."""
    library, program = nvrtc(), ctypes.c_void_p()
    assert library.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernels.cu", 0, None, None) == 0
    try:
        words = [f"--gpu-architecture={ARCHITECTURE}", *options]
        failed = library.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(
            *(word.encode() for word in words)))
        log = _text(library, "ProgramLog", program).decode()
        return (None if failed else _text(library, "CUBIN", program)), log
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _text(library, what, program):
    size = ctypes.c_size_t()
    assert getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) == 0
    text = ctypes.create_string_buffer(size.value)
    assert getattr(library, f"nvrtcGet{what}")(program, text) == 0
    return text.raw


needs_nvrtc = pytest.mark.skipif(nvrtc() is None, reason="needs nvrtc: pip install nvidia-cuda-nvrtc")


@needs_nvrtc
@pytest.mark.parametrize("options", variants(), ids=" ".join)
def test_nvrtc_compiles_the_kernels(options):
    code = source()
    compiled, log = compile_by_nvrtc(code, options)
    assert compiled is not None and "warning" not in log, log
    for name in KERNEL.findall(code):
        assert f".text.{name}".encode() in compiled


@needs_nvrtc
@pytest.mark.parametrize("error", planted_errors())
def test_nvrtc_notices_an_error(error):
    assert compile_by_nvrtc('extern "C" __global__ void f(float* y) { y[0] = 1; }', ())[0] is not None
    compiled, log = compile_by_nvrtc(planted_errors()[error], ())
    assert compiled is None and "error" in log


# --- nvcc ------------------------------------------------------------------------------------------------------------


def compile_by_nvcc(code, options, folder):
    """(whether it compiled, what the compiler said: the registers and memory of each kernel too)."""
    path = os.path.join(folder, "kernels.cu")
    with open(path, "w") as file:
        file.write(code)
    done = subprocess.run(["nvcc", f"-arch={ARCHITECTURE}", "-cubin", "--resource-usage", *options, "-o",
                           os.path.join(folder, "kernels.cubin"), path], capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc, of NVIDIA's toolkit")


@needs_nvcc
@pytest.mark.parametrize("options", variants(), ids=" ".join)
def test_nvcc_compiles_the_kernels(options, tmp_path):
    """Without warnings, without registers spilled to memory, in the shared memory that every block has."""
    code = source()
    compiled, log = compile_by_nvcc(code, options, tmp_path)
    assert compiled and "warning" not in log, log
    assert len(re.findall(r"Used \d+ registers", log)) == len(KERNEL.findall(code)) > 0
    assert not any(int(size) for size in re.findall(r"(\d+) bytes spill", log)), log
    assert all(int(size) <= SHARED for size in re.findall(r"(\d+) bytes smem", log)), log


@needs_nvcc
@pytest.mark.parametrize("error", planted_errors())
def test_nvcc_notices_an_error(error, tmp_path):
    compiled, log = compile_by_nvcc(planted_errors()[error], (), tmp_path)
    assert not compiled and "error" in log
