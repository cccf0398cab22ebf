"""What gpu_check.py says of the GPU and the packages, and what the kernels take of it once they are compiled."""

import re
import sys
import time

import numpy as np
from gpu_check_tools import torch


def versions(context):
    """What the report begins with: {what: which}."""
    xp, runtime = context.xp, context.xp.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    free, total = runtime.memGetInfo()
    return {
        "device": f"{properties['name'].decode()}, {properties['multiProcessorCount']} processors, compute capability "
                  f"{properties['major']}.{properties['minor']}, {total / 2**30:.1f} GiB, {free / 2**30:.1f} free",
        "CUDA": f"driver {runtime.driverGetVersion()}, runtime {runtime.runtimeGetVersion()}, cuBLAS {_cublas(xp)}",
        "CuPy": getattr(xp, "__version__", "unknown"),
        "NumPy": np.__version__,
        "PyTorch": _torch_version(),
        "bfloat16": "with ml_dtypes" if "bfloat16" in context.precisions else "left out: ml_dtypes is not installed",
        "python": sys.version.split()[0],
    }


def _cublas(xp):
    try:
        return xp.cuda.cublas.getVersion(xp.cuda.device.get_cublas_handle())
    except Exception as error:  # only a number in the report
        return f"unknown ({type(error).__name__})"


def _torch_version():
    if torch is None:
        return "not installed"
    if not torch.cuda.is_available():
        return f"{torch.__version__}, which sees no GPU"
    return f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def kernels(report, context):
    """Every variant of the kernels compiled; what each kernel takes of a processor."""
    from minihgd.backend import launch  # it imports CuPy

    source, registers = launch.SOURCE.read_text(encoding="utf-8"), {}
    rows = [("compiled with", "seconds")]
    names = re.findall(r"__global__\s+void\s+(\w+)", source)
    for options in launch.variants():
        text = " ".join(option for option in options if option.startswith("-D")).replace("-D", "")
        started = time.perf_counter()
        module = context.xp.RawModule(code=source, options=options)
        registers[text] = {name: module.get_function(name).attributes for name in names}
        rows.append((text, f"{time.perf_counter() - started:.2f}"))
        few = [name for name, of in registers[text].items() if of["max_threads_per_block"] < launch.THREADS]
        report.verify(f"{len(names)} kernels with {text}: blocks of {launch.THREADS} threads fit"
                      + f", but not of {', '.join(few)}" * bool(few), not few)
    report.table(rows)
    report.say("Registers of a thread, + bytes of local memory where there are any (registers that did not suffice):")
    report.table([("kernel", *registers), *((name, *(_taken(registers[text][name]) for text in registers))
                                            for name in names)])


def _taken(attributes):
    spilled = attributes.get("local_size_bytes", 0)
    return f"{attributes.get('num_regs', '–')}" + f" + {spilled}" * bool(spilled)
