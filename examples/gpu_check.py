"""Everything there is to check and to measure on a GPU, in one run of a few minutes that writes a report.

    python examples/gpu_check.py --out gpu-report

writes gpu-report/report.md and report.json, section by section: device and kernels, the errors of every op in every
precision, training steps beside the CPU's, time and memory of the step that counts beside PyTorch's, where that time
goes, input, prediction. What there is no time for is left out, and said to be. Exit status 1 if a check failed.
"""

import argparse
import importlib.util
import sys
import time

from gpu_check_device import kernels, versions
from gpu_check_errors import errors, training
from gpu_check_parts import parts
from gpu_check_report import Report
from gpu_check_steps import inputs, prediction, steps
from gpu_check_tools import PRECISIONS, Context, Stopwatch, torch

from minihgd import backend
from minihgd.errors import SettingError

SECTIONS = {  # name -> (title, the function, whether it takes a stopwatch, seconds that it needs at least)
    "device": ("Device and kernels", kernels, False, 0),
    "errors": ("Errors, op by op", errors, False, 20),
    "training": ("Training steps beside the CPU's", training, False, 20),
    "step": ("The step that counts", steps, True, 60),
    "parts": ("Where the time goes", parts, True, 40),
    "input": ("Input", inputs, False, 15),
    "prediction": ("Prediction", prediction, True, 15),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="gpu-report", help="folder of the report (default: gpu-report)")
    parser.add_argument("--minutes", type=float, default=8, help="what does not fit in is left out (default: 8)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="default: all")
    parser.add_argument("--small", action="store_true", help="tiny sizes: whether the script works, not how fast it is")
    args = parser.parse_args()
    started = time.perf_counter()
    try:
        gpu = backend.module("cuda")
    except SettingError as error:
        sys.exit(f"no GPU was found: {error}")
    context = Context(gpu, args.small, started + 60 * args.minutes, _precisions(), _torch_device(args.small))
    report = Report(args.out)
    report.facts.update(versions(context))
    print("\n".join(f"{key}: {value}" for key, value in report.facts.items()), flush=True)
    watch = None
    for name in args.sections:
        title, section, timed, least = SECTIONS[name]
        with report.section(title):
            if context.has_time(report, "this section", least):
                context.free()
                if timed and watch is None:
                    watch = Stopwatch(context)
                section(report, context, *[watch] * timed)
    passed, failed = report.checks()
    report.facts["took"] = f"{time.perf_counter() - started:.0f} seconds"
    report.write()
    print(f"\n{passed} checks passed, {failed} failed; {report.folder / 'report.md'}")
    return 1 if failed else 0


def _precisions():
    """Those that this machine has the packages for."""
    return PRECISIONS if importlib.util.find_spec("ml_dtypes") else PRECISIONS[:2]


def _torch_device(small):
    """Where PyTorch computes: on the GPU; with `small` on the CPU where it sees none; empty where there is no use."""
    if torch is None:
        return ""
    return "cuda" if torch.cuda.is_available() else "cpu" if small else ""


if __name__ == "__main__":
    sys.exit(main())
