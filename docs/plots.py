"""Figures with curves: the loss, the schedule, the check's step, and the roofline.

All that is seen is computed by the library when the figure is drawn; times and speeds are read off page 16.
"""

import inspect
import re
import sys
from pathlib import Path

import numpy as np
from axes import Axes, number, power
from drawing import Drawing

from minihgd import Tensor, data, gradcheck, ops, training
from minihgd.gradcheck import numerical_gradient
from minihgd.report.timing import op_times

DOCS = Path(__file__).parent


# --- the loss --------------------------------------------------------------------------------------------------


def loss():
    """Two classes, the label the first: cross-entropy over the difference of the logits, beneath it its gradient."""
    differences = np.linspace(-6, 6, 121)
    z = Tensor(np.stack([differences, np.zeros(121)], axis=1).reshape(1, 1, 121, 2), requires_grad=True)
    losses = [ops.cross_entropy(z.data[:, :, i : i + 1], np.zeros((1, 1, 1), int)).data for i in range(121)]
    ops.cross_entropy(z, np.zeros((1, 1, 121), int)).backward()
    gradient = z.grad[0, 0, :, 0] * 121  # of each pixel's own loss, not of the mean
    d = Drawing(640, 500, "The cross-entropy of two classes falls like a straight line where the label's logit is the "
                          "lower one and flattens out where it is the higher one; its slope goes from -1 to 0")
    upper = Axes(d, (60, 46, 540, 210), (-6, 6), (0, 6))
    lower = Axes(d, (60, 316, 540, 120), (-6, 6), (-1, 0))
    for axes, heights in ((upper, range(0, 7, 2)), (lower, (-1, -0.5, 0))):
        axes.ticks_across(range(-6, 7, 2), number if axes is lower else lambda value: "")
        axes.ticks_up(heights, number)
        axes.border()
    upper.names("", "loss ℓ = −log π₁")
    lower.names("z₁ − z₂, the label's logit over the other", "gradient ∂ℓ/∂z₁ = π₁ − 1")
    upper.curve([(-6, 6), (0, 0)], "line thin dashed")
    upper.curve(zip(differences, losses, strict=True), "cold-line")
    lower.curve(zip(differences, gradient, strict=True), "warm-line")
    even = len(differences) // 2
    for axes, values, kind, name in ((upper, losses, "cold-dot", "log 2 at even logits"),
                                     (lower, gradient, "warm-dot", "−1/2")):
        axes.dots([(0, values[even])], kind, 4.5)
        x, y = axes.at(0, values[even])
        d.text(x + 12, y + (-8 if axes is upper else 10), name, "small", "start")
    x, y = upper.at(-3.4, 3.4)
    d.text(x - 10, y + 20, "−(z₁ − z₂)", "small faint", "end")
    return d


# --- the schedule ----------------------------------------------------------------------------------------------


def schedule():
    """The learning rates of backbone and decoder over a run on PASCAL Context, beside straight lines."""
    settings = training.Settings()
    images = data.PascalContext.official["train"]
    steps = settings.steps(images)
    shown = np.linspace(0, steps - 1, 121).round()
    d = Drawing(720, 400, "The learning rate of the backbone and, ten times as high, of the decoder: from the first "
                          "step to the last they fall almost in a straight line to zero")
    top = settings.lr * settings.decoder_factor
    axes = Axes(d, (76, 46, 600, 280), (0, steps), (0, top))
    axes.ticks_across(range(0, steps, 5000), "{:,}".format)
    axes.ticks_up([top * part / 5 for part in range(6)], lambda value: number(value, 4))
    axes.border()
    axes.names(f"step, of {steps:,} ({settings.epochs:g} epochs of {images:,} images, {settings.batch} at a time)",
               "learning rate")
    for factor, kind, name in ((settings.decoder_factor, "warm", "decoder"), (1, "cold", "backbone")):
        first = settings.lr * factor
        axes.curve([(0, first), (steps, 0)], "line thin dashed")
        axes.curve([(s, training.poly(s, steps, first, settings.power)) for s in shown], f"{kind}-line")
        x, y = axes.at(0.3 * steps, training.poly(0.3 * steps, steps, first, settings.power))
        d.text(x + 12, y - 14, f"{name}: {first:g} (1 − s/T)^{settings.power:g}", "", "start")
    x, y = axes.at(0.42 * steps, 0.58 * top)
    d.text(x - 8, y + 12, "a straight line", "small faint", "end")
    return d


# --- the check -------------------------------------------------------------------------------------------------


def step_size():
    """How far central differences of x³ are from its backward pass, for each step h, in two precisions."""
    steps = [float(f"{digits}e{exponent}") for exponent in range(-12, 0) for digits in (1, 1.8, 3.2, 5.6)] + [1.0]
    d = Drawing(720, 462, "The error of the central difference of x³ over its step, on scales of powers of ten: it "
                          "falls to a least value, at a smaller step in float64 than in float32, and rises again")
    axes = Axes(d, (66, 46, 620, 350), (1e-12, 1), (1e-13, 1e2), "xy", grain=1)
    axes.ticks_across(10.0 ** np.arange(-12, 1, 2), power)
    axes.ticks_up(10.0 ** np.arange(-12, 3, 2), power)
    axes.border()
    axes.names("step h", "error of the measured gradient of x³, over its size")
    draw_check_limits(d, axes)
    axes.curve([(cube_root(np.float64), cube_root(np.float64) ** 2), (1, 1)], "line thin dashed")
    for dtype, kind, place in ((np.float32, "warm", (0, -18)), (np.float64, "cold", (-34, 16))):
        eps, first = np.finfo(dtype).eps, max(steps[0], np.finfo(dtype).eps)
        axes.curve([(first, eps / first), (cube_root(dtype), cube_root(dtype) ** 2)], "line thin dashed")
        axes.dots([(h, difference_error(dtype, h)) for h in steps], f"{kind}-dot", 3)
        x, y = axes.at(1e-10, difference_error(dtype, 1e-10))
        d.text(x + place[0], y + place[1], np.dtype(dtype).name)
    for x, y, text, anchor in ((1e-8, np.finfo(np.float64).eps / 1e-8, "ε / h", "start"), (1e-4, 1e-8, "h²", "end"),
                               (1e-6, np.finfo(np.float32).eps / 1e-6, "ε / h", "start")):
        x, y = axes.at(x, y)
        d.text(x + (8 if anchor == "start" else -8), y - 10, text, "small faint", anchor)
    x, y = axes.at(1e-11, 1)
    d.text(x, y + 16, "x ± h is x", "small faint")
    return d


def cube_root(dtype):
    """The step at which h² and ε / h are equal."""
    return np.finfo(dtype).eps ** (1 / 3)


def draw_check_limits(d, axes):
    """The step that gradcheck takes and the error that it allows."""
    settings = {name: parameter.default for name, parameter in inspect.signature(gradcheck).parameters.items()}
    step, tol = settings["step"], settings["tol"]
    axes.curve([(step, 1e-13), (step, 1e2)], "green-line thin")
    axes.curve([(1e-12, tol), (1, tol)], "green-line thin")
    x, y = axes.at(step, 1e2)
    d.text(x + 8, y + 14, f"gradcheck's step, {power(step)}", "small", "start")
    x, y = axes.at(1, tol)
    d.text(x - 8, y + 13, f"what it allows, {power(tol)}", "small", "end")


def difference_error(dtype, h, points=200):
    """The error of central differences of step h for x³, over the gradient: roots of mean squares over some x.

    Each x is measured by itself, as the last digits of a sum would differ between machines, and at a step of its own,
    up to a fifth beside h, as otherwise all x + h of one size would be rounded alike.
    """
    rng = np.random.default_rng(0)
    places, own_steps = (0.5 + rng.random(points) / 2).astype(dtype), h * (0.8 + 0.4 * rng.random(points))
    x = Tensor(places.astype(float), requires_grad=True)
    (x * x * x).backward(np.ones(points))
    measured = [numerical_gradient(cube, place, dtype(step))[0]
                for place, step in zip(places.reshape(-1, 1), own_steps, strict=True)]
    return np.linalg.norm(measured - x.grad) / np.linalg.norm(x.grad)


def cube(x):
    """x³ of an array of one number, computed by the library."""
    x = Tensor(x)
    return (x * x * x).data[0]


# --- speed -----------------------------------------------------------------------------------------------------

CASE = "train-r101"  # of examples/benchmark.py, whose table is on page 16
NOTES = {"Add": "hands its gradient on as it is", "Cut": "forward, nothing moves",
         "UpsampledCrossEntropy": "few bytes: the large logits stay in the cache"}


def roofline():
    """Kinds of op of a training step under the roof, by operations a byte; beneath, those that only move bytes."""
    flops_per_second, bytes_per_second, milliseconds = times_of_page_16()
    work = work_of_a_step()
    d = Drawing(752, 668, "The speed of each kind of op over its operations a byte, beneath a roof of two lines: "
                          "memory's speed, rising, and that of a matrix product; below, the ops that only move bytes, "
                          "most of them well short of memory's speed")
    products = {name: (flops / moved, flops / milliseconds[name] / 1e6)
                for name, (flops, moved) in work.items() if name in milliseconds and flops}
    moves = {name: moved / milliseconds[name] / 1e6
             for name, (flops, moved) in work.items() if name in milliseconds and not flops}
    draw_roof(d, flops_per_second / 1e9, bytes_per_second / 1e9, products)
    draw_moves(d, bytes_per_second / 1e9, moves)
    return d


def times_of_page_16(least=1.0):
    """Of its table: operations and bytes a second, and the milliseconds of each kind of op that takes that many."""
    page = next(DOCS.glob("16-*.md")).read_text(encoding="utf-8")
    table = page[page.index(f"$ python examples/benchmark.py parts --cases {CASE}"):]
    table = table[: table.index("```")]
    speed, bandwidth = re.search(r"all, at (\d+) GFLOP/s and (\d+) GB/s", table).groups()
    rows = re.findall(r"^(\S.*?)  +([\d.]+) +([\d.]+) +[\d.]+% +[\d.]+$", table, re.MULTILINE)
    times = {name: float(forward) + float(backward) for name, forward, backward in rows}
    return 1e9 * int(speed), 1e9 * int(bandwidth), {name: time for name, time in times.items() if time >= least}


def work_of_a_step():
    """kind of op -> (operations, bytes) of one training step, counted while it runs (a few seconds)."""
    sys.path.append(str(DOCS.parent / "examples"))
    from benchmark import CASES

    model, (images, labels) = CASES[CASE].build().train(), next(CASES[CASE].batches("runs"))
    with op_times() as done:
        model.loss(data.as_input(model, images), labels).backward()
    totals = {}
    for (name, _), work in done.items():
        flops, moved = totals.get(name, (0, 0))
        totals[name] = flops + work.flops, moved + work.bytes
    return totals


def draw_roof(d, speed, bandwidth, products):
    """The roof and the points (operations a byte, GFLOP/s) beneath it, by name."""
    axes, ridge = Axes(d, (56, 46, 676, 250), (3, 500), (3 * bandwidth, 500), "xy"), speed / bandwidth
    axes.ticks_across((3, 10, 30, 100, 300), str)
    axes.ticks_up((100, 200, 300, 400, 500), str)
    axes.border()
    axes.names("operations for each byte that is moved", "GFLOP/s")
    axes.curve([(3, 3 * bandwidth), (ridge, speed), (500, speed)], "line")
    x, y = axes.at(ridge / 2, speed / 2)
    d.text(x + 12, y + 4, f"memory: {bandwidth:g} GB/s", "small", "start")
    x, y = axes.at(500, speed)
    d.text(x - 4, y - 14, f"a large matrix product: {speed:g} GFLOP/s", "small", "end")
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in (axes.at(*point) for point in products.values())]
    for name, point in products.items():
        axes.dots([point], "cold-dot", 5)
        label_beside(d, *axes.at(*point), name, taken)


def label_beside(d, x, y, text, taken):
    """A point's name on its right, or where that meets one of the boxes `taken`, on its left; its box joins them."""
    length = 7 * len(text)
    right, left = (x + 10, y - 8, x + 10 + length, y + 8), (x - 10 - length, y - 8, x - 10, y + 8)
    is_free = not any(right[0] < b[2] and b[0] < right[2] and right[1] < b[3] and b[1] < right[3] for b in taken)
    d.text(x + 10 if is_free else x - 10, y, text, "small", "start" if is_free else "end")
    taken.append(right if is_free else left)


def draw_moves(d, bandwidth, moves):
    """A line for each op without products: the GB/s that it reaches, beside memory's."""
    axes = Axes(d, (206, 406, 526, 26 * len(moves)), (0.05, 100), (len(moves), 0), "x")
    axes.ticks_across((0.1, 1, 10, 100), "{:g}".format)
    axes.border()
    axes.names("GB/s", "ops without products")
    axes.curve([(bandwidth, 0), (bandwidth, len(moves))], "line")
    d.text(axes.at(bandwidth, 0)[0], 390, f"memory: {bandwidth:g} GB/s", "small")
    for line, (name, rate) in enumerate(sorted(moves.items(), key=lambda item: -item[1])):
        x, y = axes.at(rate, line + 0.5)
        d.text(196, y, name, "small", "end")
        axes.dots([(rate, line + 0.5)], "warm-dot", 5)
        if name in NOTES and rate < bandwidth:
            d.text(x + 12, y, NOTES[name], "small faint", "start")
        elif name in NOTES:
            d.text(axes.at(bandwidth, 0)[0] - 12, y, NOTES[name], "small faint", "end")


FIGURES = {"loss.svg": loss, "schedule.svg": schedule, "step-size.svg": step_size, "roofline.svg": roofline}
