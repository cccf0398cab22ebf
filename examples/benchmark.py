"""How fast minihgd is, beside PyTorch (if it is installed) and beside the machine's own matrix product, in one run.

    python examples/benchmark.py
    python examples/benchmark.py models --cases train-r101 --rounds 11 --json result.json

Five sections, all by default: `models` (whole steps), `parts` (where the time of a step goes), `memory` (its peak),
`ops` (single layers, forward and backward), `gemm` (one large matrix product, which the other sections name as the
limit). Whatever is compared is run in turns, and a figure is the median of the turns; float32 throughout. PyTorch runs
the rebuild of tests/oracle, eager, with the same weights, in both of its memory formats: the faster one counts.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmark_layers import as_theirs, layers, ours_both_ways, their_both_ways

from minihgd import backend, data, models, no_grad, report
from minihgd.errors import MinihgdError
from minihgd.report.tables import aligned
from minihgd.report.timing import Work, op_times
from minihgd.training.sgd import SGD

try:
    import torch
    from torch.nn import functional as F
except ImportError:
    torch = None
else:
    torch.backends.cudnn.allow_tf32 = False
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from oracle import torch_models

FORMATS = {"PyTorch N×C×H×W": False, "PyTorch channels last": True}
SMALL = dict(channels=32, compressed=64, codeword_channels=128)  # the sample scenes' model, as in train_pcontext.py


@dataclass(frozen=True)
class Case:
    """A model at work: training steps (forward, loss, backward, SGD) or prediction, on random images."""

    text: str
    form: str
    backbone: str
    size: int
    batch: int
    train: bool = True
    classes: int = 60
    codewords: int = 256
    options: dict = field(default_factory=dict)
    scenes: bool = False  # batches painted, augmented and prepared by threads meanwhile

    @property
    def stem(self):
        return "deep32" if self.form == "released" and not self.options else "7x7"

    def build(self, recompute=False):
        return models.build("efficientfcn", self.backbone, self.classes, self.codewords, self.form, stem=self.stem,
                            recompute=recompute, **self.options)

    def macs(self, model):
        """Multiply-accumulates of a step, as the paper's text prescribes them; a training step is three times those."""
        cost = report.cost(model, self.size, self.size)
        return (cost.conv_macs + cost.matmul_macs) * self.batch * (3 if self.train else 1)

    def batches(self, folder):
        """An endless stream of images N×H×W×3 uint8 and labels N×H×W uint8."""
        if self.scenes:
            scenes = data.Cached(data.SampleScenes(os.path.join(folder, "scenes-0"), "train", 0))
            for _, images, labels in data.Batches(scenes, self.batch, self.size, 0, scales=(0.9, 1.2)).from_step():
                yield images, labels
        rng, shape = np.random.default_rng(0), (self.batch, self.size, self.size)
        while True:
            yield (rng.integers(0, 256, (*shape, 3), np.uint8), rng.integers(0, self.classes, shape, np.uint8))


CASES = {
    "train-r50": Case("training step, paper form, ResNet-50, 2 × 256²", "paper", "resnet50", 256, 2),
    "train-r101": Case("training step, released form, ResNet-101, 1 × 512²", "released", "resnet101", 512, 1),
    "predict-r50": Case("prediction, paper form, ResNet-50, 1 × 512²", "paper", "resnet50", 512, 1, train=False),
    "default": Case("a step of train_pcontext.py's default run, 8 × 128²", "released", "resnet18", 128, 8,
                    classes=59, codewords=32, options=SMALL, scenes=True),
}


# --- the two sides ---------------------------------------------------------------------------------------------


class Ours:
    """minihgd's step on a batch."""

    def __init__(self, case, device, recompute=False):
        self.case, self.model = case, case.build(recompute).train(case.train).to(device)
        self.optimiser = SGD(self.model)
        self.xp = backend.module(device).xp
        self.synchronise = _waiter(device)

    def __call__(self, images, labels):
        x = data.as_input(self.model, images)
        if self.case.train:
            self.model.loss(x, self.xp.asarray(labels)).backward()
            self.optimiser.step(1e-6)
        else:
            with no_grad():
                self.model(x)
        self.synchronise()


class Theirs:
    """PyTorch's step on a batch of the same stream: the same weights, eager, in one of its two memory formats."""

    def __init__(self, case, device, channels_last, weights=None):
        self.case, self.device = case, torch.device(device)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        model = torch_models.build(case.backbone, case.form, case.classes, case.codewords, case.stem, **case.options)
        if weights:
            torch_models.load(model, weights)
        self.model = model.train(case.train).to(self.device, memory_format=self.format)
        self.optimiser = torch.optim.SGD(self.model.parameters(), 1e-6, momentum=0.9, weight_decay=1e-4)
        self.mean, self.std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in
                               ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def __call__(self, images, labels):
        x = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).contiguous(memory_format=self.format)
        x = (x / 255 - self.mean) / self.std
        if self.case.train:
            self.optimiser.zero_grad()
            labels = torch.from_numpy(labels).to(self.device).long()
            F.cross_entropy(self.model(x), labels, ignore_index=255).backward()
            self.optimiser.step()
        else:
            with torch.no_grad():
                self.model(x)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _waiter(device):
    """A function that waits for the device; nothing on the CPU."""
    return (lambda: None) if device == "cpu" else backend.module(device).xp.cuda.get_current_stream().synchronize


def in_turns(functions, rounds):
    """Seconds of each function, {name: [one for each round]}; one round before the first is not counted."""
    seconds = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            time.sleep(0.02)  # OpenMP's threads go on spinning after their work is done
            started = time.perf_counter()
            function()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def matrix_product(device, size=2048):
    """A function that multiplies two large float32 matrices, and its floating-point operations."""
    primitives = backend.module(device)
    a, b = (primitives.xp.ones((size, size), "float32") for _ in range(2))
    out, wait = primitives.xp.empty_like(a), _waiter(device)
    return lambda: (primitives.matmul(a, b, out=out), wait()), 2 * size**3


def memory_copy(device, size=1 << 25):
    """A function that copies a large array, all threads together, and the bytes that it moves."""
    primitives, wait = backend.module(device), _waiter(device)
    source, target = (primitives.xp.ones(size, "float32") for _ in range(2))
    parts = [slice(start, start + (size >> 4)) for start in range(0, size, size >> 4)]

    def copy_part(part):
        target[part] = source[part]

    return lambda: (primitives.each(copy_part, parts), wait()), 8 * size


# --- the sections ----------------------------------------------------------------------------------------------


def gemm(args):
    """What one large product reaches: the limit of everything else."""
    product, flops = matrix_product(args.device)
    functions = {"minihgd's BLAS": product}
    if torch:
        a = torch.ones(2048, 2048, device=args.device)
        functions["PyTorch's"] = lambda: (a @ a, args.device == "cpu" or torch.cuda.synchronize(args.device))
    seconds = in_turns(functions, args.rounds)
    rows = [("one product 2048³", "GFLOP/s", "range")]
    for name, times in seconds.items():
        rate = [flops / t / 1e9 for t in times]
        rows.append((name, f"{np.median(rate):.0f}", f"{min(rate):.0f}–{max(rate):.0f}"))
    return rows, {name: [flops / t for t in times] for name, times in seconds.items()}


def whole_models(args):
    """Whole steps: seconds, the ratio to PyTorch, and the speed as a share of a large matrix product's meanwhile.

    The share once for the multiply-accumulates of the paper's order, three times those of forward in training, and
    once for those that the library really does, after the decoder's algebra and without the gradient of the image.
    """
    rows = [("", "minihgd s", "PyTorch s", "ratio", "as printed", "done", "images/s")]
    results = {}
    for name in args.cases:
        case = CASES[name]
        ours, batches = Ours(case, args.device), case.batches(args.cache)
        macs, state = case.macs(ours.model), ours.model.state_dict()
        product, flops = matrix_product(args.device)
        functions = {"minihgd": lambda step=ours, b=batches: step(*next(b)), "product": product}
        for text, channels_last in FORMATS.items() if torch else ():
            theirs = Theirs(case, args.device, channels_last, state)
            functions[text] = lambda step=theirs, b=batches: step(*next(b))
        seconds = in_turns(functions, args.rounds)
        with op_times() as work:
            ours(*next(batches))
        batches.close()
        middle = {key: float(np.median(times)) for key, times in seconds.items()}
        shares = [count / middle["minihgd"] / (flops / middle["product"])
                  for count in (2 * macs, sum(w.flops for w in work.values()))]
        best = min((middle[key] for key in middle if key.startswith("PyTorch")), default=None)
        ratio = best and middle["minihgd"] / best  # None without PyTorch
        rows.append((case.text, f"{middle['minihgd']:.3f}", f"{best:.3f}" if best else "–",
                     f"{ratio:.2f}" if best else "–", *(f"{100 * share:.0f}%" for share in shares),
                     f"{case.batch / middle['minihgd']:.2f}"))
        results[name] = dict(seconds=seconds, ratio=ratio, flops_per_step=2 * macs, of_a_product=shares)
    return rows, results


def parts(args):
    """Where the time of a step goes, by kind of op, beside the least that the work could take."""
    case = CASES[args.cases[0]]
    step, batches = Ours(case, args.device), case.batches(args.cache)
    batch = next(batches)
    step(*batch)
    product, flops = matrix_product(args.device)
    copy, moved = memory_copy(args.device)
    limits = in_turns({"product": product, "copy": copy}, args.rounds)
    flops, moved = flops / np.median(limits["product"]), moved / np.median(limits["copy"])
    started = time.perf_counter()
    with op_times(step.synchronise) as done:
        for _ in range(args.rounds):
            step(*batch)
    total = (time.perf_counter() - started) / args.rounds
    batches.close()
    rows = [(case.text, "forward ms", "backward ms", "of the step", "roofline ms")]
    kinds = {name: [done.get((name, way), Work()) for way in ("forward", "backward")] for name, _ in list(done)}
    for name, ways in sorted(kinds.items(), key=lambda item: -sum(work.seconds for work in item[1])):
        rows.append((name, *(f"{1e3 * work.seconds / args.rounds:.1f}" for work in ways),
                     f"{100 * sum(work.seconds for work in ways) / args.rounds / total:.1f}%",
                     f"{1e3 * sum(work.roofline(flops, moved) for work in ways) / args.rounds:.1f}"))
    inside, least = (sum(f(work) for work in done.values()) / args.rounds
                     for f in (lambda w: w.seconds, lambda w: w.roofline(flops, moved)))
    rows.append(("tape, SGD, the rest", "", f"{1e3 * (total - inside):.1f}", f"{100 * (1 - inside / total):.1f}%", ""))
    rows.append((f"all, at {flops / 1e9:.0f} GFLOP/s and {moved / 1e9:.0f} GB/s", "", f"{1e3 * total:.1f}", "100%",
                 f"{1e3 * least:.1f}"))
    return rows, dict(case=args.cases[0], seconds=total, flops_per_second=flops, bytes_per_second=moved, ops={
        f"{name}, {way}": {key: value / args.rounds for key, value in vars(work).items()}
        for (name, way), work in done.items()})


def memory(args):
    """Peak memory of a process that makes two steps; each is a process of its own."""
    if args.device != "cpu" or not sys.platform.startswith("linux"):
        return [("memory", "is measured on the CPU, under Linux only")], {}
    rows, results = [("peak of two steps", "MiB", "MiB above the imports")], {}
    for name in args.cases:
        sides = ["minihgd"] + ["minihgd, recompute"] * CASES[name].train + (list(FORMATS) if torch else [])
        for side in sides:
            command = [sys.executable, __file__, "memory", "--cases", name, "--child", side, "--cache", args.cache]
            peak, imports = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            rows.append((f"{side}: {CASES[name].text}", f"{peak / 2**20:.0f}", f"{(peak - imports) / 2**20:.0f}"))
            results[f"{name}, {side}"] = dict(peak=peak, imports=imports)
    return rows, results


def child(args):
    """What `memory` runs in a process of its own: prints [peak, what the imports took], bytes."""
    imports, case = peak_memory(), CASES[args.cases[0]]
    ours = args.child not in FORMATS
    step = Ours(case, "cpu", "recompute" in args.child) if ours else Theirs(case, "cpu", FORMATS[args.child])
    batches = case.batches(args.cache)
    for _ in range(2):
        step(*next(batches))
    batches.close()
    print(json.dumps([peak_memory(), imports]))


def peak_memory():
    """The process's largest resident size so far, bytes. Linux only: elsewhere a child inherits its parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def single_ops(args):
    """Layers by themselves: forward and backward, every input's gradient."""
    rows, results = [("forward and backward", "minihgd ms", "PyTorch ms", "ratio", "GFLOP/s")], {}
    for text, macs, ours, theirs, shapes in layers():
        rng = np.random.default_rng(0)
        arrays = [backend.to_device(rng.standard_normal(shape, np.float32), args.device) for shape in shapes]
        wait = _waiter(args.device)
        functions = {"minihgd": lambda f=ours, a=arrays, w=wait: (ours_both_ways(f, a), w())}
        if torch:
            for way in (torch.contiguous_format, torch.channels_last):
                tensors = [as_theirs(array, way, args.device, kernel=i == 1 and "convolution" in text)
                           for i, array in enumerate(arrays)]
                functions[f"PyTorch {way}"] = lambda f=theirs, t=tensors: their_both_ways(f, t)
        seconds = in_turns(functions, args.rounds)
        middle = {key: float(np.median(times)) for key, times in seconds.items()}
        best = min((middle[key] for key in middle if key != "minihgd"), default=None)
        rows.append((text, f"{1e3 * middle['minihgd']:.2f}", f"{1e3 * best:.2f}" if best else "–",
                     f"{middle['minihgd'] / best:.2f}" if best else "–",
                     f"{6 * macs / middle['minihgd'] / 1e9:.0f}" if macs else ""))
        results[text] = seconds
    return rows, results


SECTIONS = {"gemm": gemm, "models": whole_models, "parts": parts, "memory": memory, "ops": single_ops}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"some of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES),
                        help="models to measure; `parts` takes the first (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="turns whose median is taken (default: 7)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--json", help="also write every single time to this file")
    parser.add_argument("--cache", default="runs", help="where the sample scenes are painted (default: runs)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args)
    if unknown := set(args.sections) - set(SECTIONS):
        parser.error(f"unknown sections {', '.join(sorted(unknown))}; expected some of {', '.join(SECTIONS)}")
    if args.rounds < 1:
        parser.error(f"--rounds: expected at least 1, found {args.rounds}")
    if args.json:
        Path(args.json).touch()  # a path that cannot be written is better known now
    result = dict(machine=platform.processor() or platform.machine(), python=platform.python_version(),
                  numpy=np.__version__, torch=torch.__version__ if torch else None, device=args.device,
                  threads=backend.module(args.device).count(),
                  OPENBLAS_CORETYPE=os.environ.get("OPENBLAS_CORETYPE"), rounds=args.rounds)
    print("  ".join(f"{key} {value}" for key, value in result.items()))
    if result["OPENBLAS_CORETYPE"]:
        print("OPENBLAS_CORETYPE holds BLAS to the kernels of one processor; PyTorch's convolutions do not heed it")
    for name in args.sections or SECTIONS:
        rows, result[name] = SECTIONS[name](args)
        print("", *aligned(rows), sep="\n", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MinihgdError as error:
        sys.exit(f"error: {error}")
