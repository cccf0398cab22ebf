"""How long a training step and a prediction take on a GPU, and their memory: minihgd and eager PyTorch in turns."""

import statistics
import time
from dataclasses import replace

import numpy as np
from benchmark import CASES, Case
from gpu_check_tools import (
    Watched,
    computing,
    is_out_of_memory,
    our_peaks,
    their_peaks,
    their_precision,
    torch,
)

from minihgd import backend, data, evaluation, no_grad
from minihgd.backend.hosted import Hosted
from minihgd.training.sgd import SGD

if torch:
    from oracle import torch_models  # benchmark.py has made tests/ known
    from torch.nn import functional as F

BATCH = 16
TINY = Case("a tiny network, for a trial", "released", "resnet18", 32, 2, classes=5, codewords=4,
            options=dict(channels=4, compressed=8, codeword_channels=8))
PHASES = ("forward", "backward", "update")


def case_of(context):
    """The step that counts: the released form on ResNet-101, 512² pixels."""
    return TINY if context.small else replace(CASES["train-r101"], batch=BATCH)


def random_batch(case, seed=0):
    """Images N×H×W×3 and labels N×H×W, uint8, a few pixels void."""
    rng, shape = np.random.default_rng(seed), (case.batch, case.size, case.size)
    labels = rng.integers(0, case.classes, shape).astype(np.uint8)
    labels[:, : case.size // 16] = 255
    return rng.integers(0, 256, (*shape, 3), np.uint8), labels


class Ours:
    """minihgd's training step on a batch that is on the GPU, in three parts."""

    def __init__(self, case):
        self.model = case.build().train().to("cuda")
        self.optimiser = SGD(self.model)

    def load(self, images, labels):
        self.images, self.labels = backend.to_device(images, "cuda"), Hosted(labels, backend.to_device(labels, "cuda"))

    def forward(self):
        self.loss = self.model.loss(data.as_input(self.model, self.images), self.labels)

    def backward(self):
        self.loss.backward()
        self.loss = self.loss.data

    def update(self):
        self.optimiser.step(1e-6)


class Theirs:
    """The same step in eager PyTorch, of the same weights, channels last."""

    def __init__(self, case, device, weights):
        model = torch_models.build(case.backbone, case.form, case.classes, case.codewords, case.stem, **case.options)
        torch_models.load(model, weights)
        self.device = device
        self.model = model.train().to(device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(self.model.parameters(), 1e-6, momentum=0.9, weight_decay=1e-4)
        self.mean, self.std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in
                               ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def load(self, images, labels):
        self.images = torch.from_numpy(images).to(self.device)
        self.labels = torch.from_numpy(labels).to(self.device)

    def logits(self):
        x = self.images.permute(0, 3, 1, 2)  # in memory as it was: channels last
        return self.model((x / 255 - self.mean) / self.std)

    def forward(self):
        self.optimiser.zero_grad()
        self.loss = F.cross_entropy(self.logits(), self.labels.long(), ignore_index=255)

    def backward(self):
        self.loss.backward()
        self.loss = self.loss.detach()

    def update(self):
        self.optimiser.step()


def step(side):
    for phase in PHASES:
        getattr(side, phase)()


def sides_of(context, batch=None):
    """{name: Ours or Theirs} with a batch on the GPU; the networks are built once."""
    case = case_of(context)
    case = replace(case, batch=batch or context.kept.get("batch", case.batch))
    if "sides" not in context.kept:
        sides = {"minihgd": Ours(case)}
        if context.torch_device:
            sides["PyTorch"] = Theirs(case, context.torch_device, sides["minihgd"].model.state_dict())
        context.kept["sides"] = sides
    for side in context.kept["sides"].values():
        side.loss = None
        side.load(*random_batch(case))
    return context.kept["sides"]


def in_precision(side, name):
    return computing(name) if isinstance(side, Ours) else their_precision(name, side.device)


# --- the step --------------------------------------------------------------------------------------------------------


def steps(report, context, watch):
    """The training step in every precision, both libraries in turns."""
    case = case_of(context)
    report.say(f"{case.text.partition(', 1 ×')[0]}, {case.size}², {case.classes} classes; medians of steps that follow "
               "one another. Python: until the program had queued a step, the GPU idle before (it waits where the "
               "queue is full), and a whole step of two images of 64² pixels, which is nearly all Python. In use: the "
               "peak of the arrays alive (minihgd: a hook on CuPy's pool; PyTorch: max_memory_allocated). Taken: what "
               "the pools took from the GPU (pool.total_bytes, max_memory_reserved); cuBLAS's workspace is in "
               "PyTorch's only. PyTorch: eager, channels last, cudnn.benchmark, autocast for bfloat16.")
    if not context.torch_device:
        report.say("PyTorch is not installed, or sees no GPU: there is nothing to compare with.")
    rows = [("precision", "", "batch", *(f"{phase} ms" for phase in PHASES), "step ms", "images/s", "in use GiB",
             "taken GiB", "Python ms", "64² ms", "our kernels", "cuBLAS calls", "loss")]
    ratios, batch = [("minihgd / PyTorch", "step", "memory in use", "memory taken", "target", "")], case.batch
    for name in context.precisions:
        if not context.has_time(report, f"training steps in {name}", 40):
            break
        with report.part(f"training steps in {name}"):
            found, batch = _with_memory(report, context, watch, name, batch)
            report.keep(f"step in {name}, {batch} images: seconds, bytes, counts", found)
            rows += [_row(name, side, batch, of) for side, of in found.items()]
            _conclusions(report, name, found, ratios)
    report.table(rows, left=(0, 1))
    if len(ratios) > 1:
        report.table(ratios)


def _row(name, side, batch, of):
    seconds = [f"{1e3 * of[what]:.2f}" for what in (*PHASES, "step")]
    memory = [f"{of[what] / 2**30:.2f}" for what in ("in use", "taken")]
    return (name, side, batch, *seconds, f"{batch / of['step']:.1f}", *memory, f"{1e3 * of['host']:.1f}",
            f"{1e3 * of['alone']:.1f}", of.get("kernels", "–"), of.get("products", "–"), f"{of['loss']:.4f}")


def _conclusions(report, name, found, ratios):
    ours = found["minihgd"]
    limit = "Python" if ours["alone"] > 0.9 * ours["step"] else "the GPU"
    report.say(f"{name}: {1e3 * ours['step']:.1f} ms a step, of which Python needs {1e3 * ours['alone']:.1f}: "
               f"{limit} is the limit.")
    report.verify(f"the loss in {name} is a number: {ours['loss']:.4f}", np.isfinite(ours["loss"]))
    if "PyTorch" not in found:
        return
    theirs = found["PyTorch"]
    report.check(f"the first losses of minihgd and PyTorch in {name}, {ours['loss']:.4f} and {theirs['loss']:.4f}, "
                 "each with its own dropout, differ relatively by", abs(ours["loss"] / theirs["loss"] - 1), 0.1)
    time_ratio = ours["step"] / theirs["step"]
    memory = [ours[key] / theirs[key] if theirs[key] else float("nan") for key in ("in use", "taken")]
    reached = time_ratio <= 1 and memory[0] <= 1
    ratios.append((name, f"{time_ratio:.2f}", *(f"{m:.2f}" for m in memory), "≤ 1.00",
                   "reached" if reached else "not reached"))


def _with_memory(report, context, watch, name, batch):
    """({side: what was measured}, the batch that it was measured with): half as many images where they do not fit."""
    while True:
        try:
            return _measured(context, watch, name, sides_of(context, batch)), context.kept.setdefault("batch", batch)
        except Exception as error:
            if not is_out_of_memory(error) or batch == 1:
                raise
            report.say(f"{batch} images do not fit into memory in {name} ({str(error).splitlines()[0]})")
        batch //= 2
        context.kept["batch"] = batch
        context.free()


def _measured(context, watch, name, sides):
    """{side: {what: seconds, bytes or a number}}"""
    found = {side: {} for side in sides}
    for key, side in sides.items():
        with in_precision(side, name):
            side.forward()
            found[key]["loss"] = float(side.loss.data)
            side.backward()
            side.update()
            step(side)  # all workspaces are there, all algorithms chosen
            peaks = our_peaks if isinstance(side, Ours) else their_peaks
            found[key]["in use"], found[key]["taken"] = peaks(lambda side=side: step(side), context)
    turns = {side: [] for side in sides}
    for _ in range(context.size(3, 1)):
        for key, side in sides.items():
            with in_precision(side, name):
                turns[key].append(_turn(context, watch, side))
    for key, side in sides.items():
        found[key].update({what: statistics.median(turn[what] for turn in turns[key]) for what in turns[key][0]})
        with in_precision(side, name):
            found[key]["alone"] = _python_alone(context, side)
    with Watched(context) as watched, computing(name):
        step(sides["minihgd"])
    products = sum(bool(launch.sizes) for launch in watched.launches)
    found["minihgd"].update(kernels=len(watched.launches) - products, products=products)
    return found


def _turn(context, watch, side, count=4):
    """Seconds of the phases and of a step, medians of some that follow one another; of the program for one."""
    context.free()
    for _ in range(2):  # until the pools have what a step takes
        step(side)
    context.xp.cuda.Device().synchronize()
    started = time.perf_counter()
    step(side)
    host = time.perf_counter() - started
    context.xp.cuda.Device().synchronize()
    marks = [watch.mark()]
    for _ in range(count):
        for phase in PHASES:
            getattr(side, phase)()
            marks.append(watch.mark())
    marks[-1].synchronize()
    spans = [watch.between(*pair) / 1e3 for pair in zip(marks, marks[1:], strict=False)]
    whole = [sum(spans[i : i + len(PHASES)]) for i in range(0, len(spans), len(PHASES))]
    return dict(zip(PHASES, (statistics.median(spans[i :: len(PHASES)]) for i in range(len(PHASES))), strict=True),
                step=statistics.median(whole), host=host)


def _python_alone(context, side, rounds=5):
    """Seconds of a step of two small images, for which the GPU has little to do; then the batch is what it was."""
    before = side.images, side.labels
    if torch:
        torch.backends.cudnn.benchmark = False  # a size of its own: no algorithms are tried for it
    side.load(*random_batch(replace(case_of(context), batch=2, size=context.size(64, 32))))
    step(side)
    found = []
    for _ in range(context.size(rounds, 1)):
        context.xp.cuda.Device().synchronize()
        started = time.perf_counter()
        step(side)
        context.xp.cuda.Device().synchronize()
        found.append(time.perf_counter() - started)
    side.images, side.labels = before
    return statistics.median(found)


# --- input -----------------------------------------------------------------------------------------------------------


def inputs(report, context):
    """Steps with batches that come from the host, against one that is on the GPU already."""
    from minihgd.backend.uploads import Uploads  # it imports CuPy

    side = sides_of(context)["minihgd"]
    case = replace(case_of(context), batch=len(side.images))
    batches = [random_batch(case, seed) for seed in range(context.size(6, 2))]
    uploads = Uploads(), Uploads()

    def there(images, labels):
        """What was loaded first stays."""

    def copied(images, labels):
        side.images, side.labels = context.xp.asarray(images), labels

    def uploaded(images, labels):
        side.images, side.labels = uploads[0](images), uploads[1](labels)

    name = context.precisions[-1]
    rows = [(f"batch of {case.batch}, {name}", "step ms")]
    with computing(name):
        for text, bring in (("on the GPU already", there), ("copied by the program", copied),
                            ("uploaded beside the step before (Uploads)", uploaded)):
            seconds = [_seconds_of_steps(context, side, bring, batches) for _ in range(context.size(3, 2))]
            rows.append((text, f"{1e3 * statistics.median(seconds[1:]):.2f}"))
        losses = [[_loss(side, bring, number, batch) for number, batch in enumerate(batches)]
                  for bring in (copied, uploaded)]
    report.table(rows)
    report.verify("uploaded batches have the losses of those that the program copies, to the bit",
                  [float(loss) for loss in losses[0]] == [float(loss) for loss in losses[1]])


def _seconds_of_steps(context, side, bring, batches):
    """Seconds of a step, the mean over the batches."""
    context.xp.cuda.Device().synchronize()
    started = time.perf_counter()
    for batch in batches:
        bring(*batch)
        step(side)
    context.xp.cuda.Device().synchronize()
    return (time.perf_counter() - started) / len(batches)


def _loss(side, bring, number, batch):
    """The loss of a batch, forward only: nothing waits for it, so that uploads go on beside it."""
    side.model.reseed(0, number)
    bring(*batch)
    with no_grad():
        side.forward()
    return side.loss.data


# --- prediction ------------------------------------------------------------------------------------------------------


def prediction(report, context, watch):
    """One image: the network alone, and all of evaluation.predict, with what it does on the host."""
    sides = sides_of(context, 1)
    ours, theirs = sides["minihgd"], sides.get("PyTorch")
    image = random_batch(replace(case_of(context), batch=1))[0][0]
    rows = [(f"one image {image.shape[0]}×{image.shape[1]}, ms", "network to logits at the image's size",
             "evaluation.predict", "PyTorch to logits", "network ratio")]
    ours.model.eval()
    try:
        for name in context.precisions:
            with computing(name):
                network = watch.milliseconds(lambda: _predicted(ours))
                whole = _checked_prediction(report, context, name, ours.model, image)
            their = _their_prediction(theirs, name, watch) if theirs else None
            rows.append((name, f"{network:.2f}", whole, f"{their:.2f}" if theirs else "–",
                         f"{network / their:.2f}" if theirs else "–"))
    finally:
        ours.model.train()
    report.table(rows)


def _predicted(side):
    with no_grad():
        return side.model(data.as_input(side.model, side.images))


def _checked_prediction(report, context, name, model, image):
    """Milliseconds of evaluation.predict, as text."""
    try:
        p = evaluation.predict(model, image)
        ms = _median_ms(lambda: evaluation.predict(model, image), context)
    except Exception as error:  # the other precisions and PyTorch are measured all the same
        report.verify(f"evaluation.predict in {name}: {type(error).__name__}: {error}", False)
        return "–"
    report.verify(f"probabilities in {name} add up to one", np.abs(p.sum(axis=2) - 1).max() < 1e-2)
    return f"{ms:.2f}"


def _their_prediction(side, name, watch):
    side.model.eval()
    try:
        with their_precision(name, side.device), torch.no_grad():
            return watch.milliseconds(side.logits)
    finally:
        side.model.train()


def _median_ms(work, context):
    found = []
    for _ in range(context.size(5, 1)):
        started = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found)
