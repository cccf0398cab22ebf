"""Where the time of a step on a GPU goes: kernel by kernel, product by product, and 3×3 convolutions both ways."""

import json
import os
import tempfile
from collections import defaultdict

import numpy as np
from gpu_check_steps import case_of, in_precision, sides_of, step
from gpu_check_tools import Watched, computing, their_precision, torch

from minihgd import backend
from minihgd.backend import conv
from minihgd.backend.precision import bfloat16
from minihgd.backend.windows import Window

LONGEST = 25  # lines of a table

def parts(report, context, watch):
    """The GPU's own limits, 3×3 convolutions, and a step taken apart in every precision."""
    limits = _limits(report, context, watch)
    if context.has_time(report, "3×3 convolutions", 25):
        with report.part("3×3 convolutions"):
            _convolutions(report, context, watch)
    sides = sides_of(context)
    for name in reversed(context.precisions):
        if not context.has_time(report, f"a step in {name} taken apart", 12):
            break
        with report.part(f"launches of a step in {name}"):
            _step_by_launch(report, context, watch, name, sides["minihgd"], limits)
        with report.part(f"traces of a step in {name}"):
            _traces(report, context, name, sides)


# --- what the GPU can do ---------------------------------------------------------------------------------------------


def _limits(report, context, watch):
    """{"bytes": a second, precision: operations a second}, of a large copy and of large products."""
    xp, size, side = context.xp, context.size(1 << 28, 1 << 10), context.size(8192, 16)
    source, target = xp.ones(size, np.float32), xp.empty(size, np.float32)

    def copy():
        target[...] = source

    moved = 8 * size / watch.milliseconds(copy) * 1e3
    limits, rows = {"bytes": moved}, [("a large copy, read and written", f"{moved / 1e9:.0f} GB/s")]
    random = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
    for name in context.precisions:
        a = backend.to_device(random.astype(_dtype(name)), "cuda")
        out = xp.empty_like(a)
        with computing(name):
            ms = watch.milliseconds(lambda a=a, out=out: context.gpu.matmul(a, a, out=out))
        limits[name] = 2 * side**3 / ms * 1e3
        rows.append((f"a product of {side}³ in {name}", f"{limits[name] / 1e12:.1f} TFLOP/s"))
    report.keep("limits: bytes and operations a second", limits)
    report.table([("the GPU's own limits", ""), *rows])
    return limits


def _dtype(name):
    return bfloat16() if name == "bfloat16" else np.dtype(np.float32)


# --- convolutions ----------------------------------------------------------------------------------------------------


def _convolutions(report, context, watch):
    """3×3 at the shapes of ResNet-101's four stages."""
    n = context.kept.get("batch", case_of(context).batch)
    rows = [("3×3, ms", "", "in place", "gathered", "PyTorch", "best / PyTorch", "TFLOP/s")]
    for name in context.precisions:
        for size, c in ((128, 64), (64, 128), (32, 256), (16, 512)):
            if not context.has_time(report, f"3×3 convolutions of {size}² pixels in {name}", 15):
                continue
            size, c = context.size(size, size // 16 + 2), context.size(c, 8)
            rng = np.random.default_rng(0)
            x, dy = (rng.standard_normal((n, size, size, c), np.float32) for _ in range(2))
            w = rng.standard_normal((3, 3, c, c), np.float32) / np.sqrt(np.float32(9 * c))
            arrays = [backend.to_device(a.astype(_dtype(name)), "cuda") for a in (x, w, dy)]
            ours = _both_ways(context, watch, name, *arrays)
            theirs = _theirs(context, watch, name, x, w, dy) if context.torch_device else {}
            for what, (in_place, gathered) in ours.items():
                best, their = min(in_place, gathered), theirs.get(what)
                rows.append((f"{n}×{size}²×{c}, {name}", what, f"{in_place:.3f}", f"{gathered:.3f}",
                             f"{their:.3f}" if their else "–", f"{best / their:.2f}" if their else "–",
                             f"{2 * n * size**2 * 9 * c * c / best / 1e9:.1f}"))
        context.free()
    report.table(rows, left=(0, 1))


def _both_ways(context, watch, name, x, w, dy):
    """{which map: (ms read in place, ms gathered)}; dW is always gathered."""
    window, maps = Window((3, 3), (1, 1), (1, 1)), context.gpu.windows
    works = {"forward": lambda: conv.convolve(x, w, window),
             "dx": lambda: conv.convolve_input(dy, w, window, x.shape),
             "dW": lambda: conv.convolve_weight(x, dy, window)}
    found, before = {what: [] for what in works}, maps.IN_PLACE
    try:
        for maps.IN_PLACE in (True, False):
            with computing(name):
                for what, work in works.items():
                    found[what].append(watch.milliseconds(work))
    finally:
        maps.IN_PLACE = before
    return found


def _theirs(context, watch, name, x, w, dy):
    """{which map: ms} of PyTorch, channels last."""
    dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
    x, w, dy = (torch.from_numpy(a).permute(axes).to(context.torch_device, dtype)
                .contiguous(memory_format=torch.channels_last)
                for a, axes in ((x, (0, 3, 1, 2)), (w, (3, 2, 0, 1)), (dy, (0, 3, 1, 2))))

    def backward(dx, dw):
        return torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1,
                                                   [dx, dw, False])

    with their_precision(name, context.torch_device), torch.no_grad():
        return {"forward": watch.milliseconds(lambda: torch.nn.functional.conv2d(x, w, padding=1)),
                "dx": watch.milliseconds(lambda: backward(True, False)),
                "dW": watch.milliseconds(lambda: backward(False, True))}


# --- a step taken apart ----------------------------------------------------------------------------------------------


def _step_by_launch(report, context, watch, name, side, limits):
    """Our kernels and cuBLAS's products in a step, with an event before and after each."""
    with computing(name):
        step(side)
        context.xp.cuda.Device().synchronize()
        watch.hold(context.size(0.3, 0))  # the program gets ahead: events take it longer than launches alone
        with Watched(context, watch) as watched:
            start = watch.mark()
            step(side)
            end = watch.mark()
        end.synchronize()
    whole, groups = watch.between(start, end), defaultdict(list)
    for launch in watched.launches:
        key = (launch.sizes, launch.dtype, launch.name) if launch.sizes else (launch.name, launch.dtype)
        groups[key].append((watched.milliseconds(launch), launch))
    kernels = {key: group for key, group in groups.items() if len(key) == 2}
    products = {key: group for key, group in groups.items() if len(key) == 3}
    sums = {text: sum(ms for group in some.values() for ms, _ in group)
            for text, some in (("our kernels", kernels), ("cuBLAS", products))}
    rest = whole - sum(sums.values())
    report.table([(f"a step in {name}", "ms", "of the step"),
                  *((text, f"{ms:.2f}", f"{100 * ms / whole:.1f}%")
                    for text, ms in (*sums.items(), ("CuPy's own kernels, copies, gaps", rest), ("all", whole)))])
    rows = [(f"kernel, {name}", "of", "launches", "ms", "of the step", "µs each", "GB/s", "of a copy's")]
    for (kernel, dtype), group in _longest_first(kernels):
        ms, moved = sum(ms for ms, _ in group), sum(launch.bytes for _, launch in group)
        rate = moved / max(ms, 1e-9) * 1e3
        rows.append((kernel, dtype, len(group), f"{ms:.3f}", f"{100 * ms / whole:.1f}%", f"{1e3 * ms / len(group):.1f}",
                     f"{rate / 1e9:.0f}", f"{100 * rate / limits['bytes']:.0f}%"))
    report.table(rows, left=(0, 1))
    _products(report, name, products, whole, limits)


def _products(report, name, products, whole, limits):
    """The products of a step that take longest, by their sizes."""
    rows = [(f"product, {name}: m×n×k × how many", "in", "calls", "ms", "of the step", "µs each", "TFLOP/s",
             "of a large one's", "GB/s")]
    for (sizes, dtype, _), group in _longest_first(products)[:LONGEST]:
        ms, each = sum(ms for ms, _ in group), group[0][1]
        seconds = max(ms, 1e-9) / len(group) / 1e3
        rows.append((f"{sizes[0]}×{sizes[1]}×{sizes[2]} × {sizes[3]}", dtype, len(group), f"{ms:.3f}",
                     f"{100 * ms / whole:.1f}%", f"{1e6 * seconds:.1f}", f"{each.flops / seconds / 1e12:.1f}",
                     f"{100 * each.flops / seconds / limits.get(dtype, float('inf')):.0f}%",
                     f"{each.bytes / seconds / 1e9:.0f}"))
    report.table(rows, left=(0, 1))
    if len(products) > LONGEST:
        report.say(f"and {len(products) - LONGEST} sizes more")


def _longest_first(groups):
    return sorted(groups.items(), key=lambda item: -sum(ms for ms, _ in item[1]))


# --- traces ----------------------------------------------------------------------------------------------------------


def _traces(report, context, name, sides):
    """Every kernel that a step starts, whoever starts it, as PyTorch's profiler sees them."""
    if context.torch_device != "cuda":
        report.say("no trace of all kernels: that takes PyTorch's profiler, and PyTorch sees no GPU")
        return
    for key, side in sides.items():
        with in_precision(side, name):
            found = traced(lambda side=side: step(side), context)
        if not found:
            report.say(f"the profiler saw no kernels of {key}")
            continue
        report.keep(f"kernels of a step of {key} in {name}: launches, µs", found)
        total, launches = sum(us for _, us in found.values()), sum(count for count, _ in found.values())
        report.say(f"A step of {key} in {name}: {launches} kernels and copies on the GPU, {total / 1e3:.2f} ms of "
                   "work; those that take longest:")
        rows = [(f"{key}, {name}", "launches", "ms", "of the work")]
        for kernel, (count, us) in sorted(found.items(), key=lambda item: -item[1][1])[:LONGEST]:
            rows.append((kernel[:100], count, f"{us / 1e3:.3f}", f"{100 * us / total:.1f}%"))
        report.table(rows)


def traced(work, context):
    """{kernel: (launches, µs)} of some work, empty where the profiler cannot see the GPU."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    for _ in range(2):  # the first time, the profiler itself has to start
        with torch.profiler.profile(activities=activities) as profile:
            work()
            context.xp.cuda.Device().synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.json")
        profile.export_chrome_trace(path)
        with open(path, encoding="utf-8") as file:
            return kernels_of(json.load(file))


def kernels_of(trace):
    """{kernel: (launches, µs)} of a trace as PyTorch's profiler writes it."""
    found = defaultdict(lambda: (0, 0.0))
    for event in trace["traceEvents"]:
        if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset"):
            count, us = found[event["name"]]
            found[event["name"]] = count + 1, us + event["dur"]
    return dict(found)
