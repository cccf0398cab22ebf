"""Figures of single layers, of the check and of the schedule: matrices with their numbers, and curves.

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
from minihgd.backend import windows
from minihgd.backend.resampling import Resizing
from minihgd.gradcheck import numerical_gradient
from minihgd.ops.convolution import Conv2d
from minihgd.ops.pooling import MaxPool2d
from minihgd.ops.softmax_pooling import SoftmaxPool, softmax_over_pixels
from minihgd.report.timing import op_times

DOCS = Path(__file__).parent
COLOURS = ("cold", "warm", "green", "violet")


def sign(value):
    """The class of a matrix's cell: warm for what is negative."""
    return "warm-cell" if value < 0 else "cold-cell"


# --- convolution -----------------------------------------------------------------------------------------------

MAP = np.array([[1.0, 2, 1, 3], [2, 3, 1, 1], [1, 1, 2, 3], [3, 2, 1, 2]])
KERNEL = np.arange(1.0, 10).reshape(3, 3)


def window_matrix():
    """A map of 4×4 pixels, its 16 windows as the rows of G, times the kernel as a column: y, row by row."""
    size = len(MAP)
    G = windows.gather_windows(MAP.reshape(1, size, size, 1), windows.Window((3, 3), padding=(1, 1)), slice(0, size))
    y = ops.conv2d(MAP.reshape(1, size, size, 1), KERNEL.reshape(3, 3, 1, 1), padding=1).data.reshape(size, size)
    d = Drawing(752, 470, "A 4×4 map in a frame of zeros; its sixteen 3×3 windows written out as the rows of a matrix "
                          "G, times the kernel as a column, is the convolution y")
    cell, top, left = 25, 56, 226
    marked = {0: "warm-line", 6: "green-line"}
    d.text(96, 20, "x in its frame of zeros")
    draw_padded(d, 12, top, 28, marked)
    d.text(96, 270, "kernel W")
    d.matrix(96 - 1.5 * cell, 288, KERNEL, cell, number, "violet-cell", kernel_strength)
    titled(d, left, top, G, cell, "G, a window in each row", "cold-cell", map_strength)
    middle = top + len(G) * cell / 2
    d.text(left + 9.75 * cell, middle, "·", "large")
    titled(d, left + 10.5 * cell, middle - 4.5 * cell, KERNEL.reshape(9, 1), cell, "W", "violet-cell", kernel_strength)
    d.text(left + 12.25 * cell, middle, "=", "large")
    titled(d, left + 13 * cell, top, y.reshape(16, 1), cell, "y", "green-cell", lambda v: v / y.max())
    d.arrow((left + 14 * cell + 8, middle), (left + 14 * cell + 42, middle))
    titled(d, left + 16 * cell, middle - 2 * cell, y, cell, "y as a map", "green-cell", lambda v: v / y.max())
    for row, kind in marked.items():
        i, j = divmod(row, size)
        for x, y, count in ((left, top + row * cell, 9), (left + 13 * cell, top + row * cell, 1),
                            (left + (16 + j) * cell, middle + (i - 2) * cell, 1)):
            d.rectangle(x, y, count * cell, cell, kind)
    return d


def titled(d, x, y, rows, cell, name, kind, strength):
    """A matrix with its name and its size above it."""
    d.matrix(x, y, rows, cell, number, kind, strength)
    d.text(x + len(rows[0]) * cell / 2, y - 36, name)
    d.text(x + len(rows[0]) * cell / 2, y - 16, "×".join(map(str, np.shape(rows))), "small faint")


def map_strength(value):
    return value / MAP.max() * 0.8


def kernel_strength(value):
    return value / KERNEL.max()


def draw_padded(d, x, y, cell, marked):
    """MAP with a ring of zeros, and around the windows of some output pixels a line each."""
    width = len(MAP) + 2
    d.matrix(x, y, np.zeros((width, width)), cell)
    d.matrix(x + cell, y + cell, MAP, cell, number, "cold-cell", map_strength)
    for ring in np.argwhere(np.pad(np.zeros(MAP.shape), 1, constant_values=1)):
        d.text(x + (ring[1] + 0.5) * cell, y + (ring[0] + 0.5) * cell, "0", "small faint")
    for pixel, kind in marked.items():
        row, column = divmod(pixel, len(MAP))
        d.rectangle(x + column * cell, y + row * cell, 3 * cell, 3 * cell, kind, round=3)


def convolution_matrix():
    """The same convolution as a matrix A on the flattened map, and its backward pass as another: Aᵀ."""
    size = len(MAP)
    units = np.eye(size * size).reshape(-1, size, size, 1)
    op, W = Conv2d(padding=1), KERNEL.reshape(3, 3, 1, 1)
    A = op.forward(units, W).reshape(len(units), -1).T
    back = op.backward(units)[0].reshape(len(units), -1).T
    assert (back == A.T).all()
    d = Drawing(740, 448, "A 3×3 convolution of a 4×4 map as a 16×16 matrix A of shifted copies of the kernel, and "
                          "its backward pass, whose matrix is the transpose: its rows hold the kernel turned over")
    cell, top = 21, 56
    sides = ((22, "y = A x", "column q: the convolution of a map that is 1 at pixel q", A),
             (382, "x̄ = Aᵀ ȳ", "column q: the backward pass of a ȳ that is 1 at pixel q", back))
    for left, name, about, matrix in sides:
        d.text(left + 8 * cell, 18, name)
        d.text(left + 8 * cell, 38, about, "small faint")
        d.matrix(left, top, matrix, cell, number, "violet-cell", kernel_strength)
        for part in range(size + 1):
            at = part * size * cell
            d.line([(left, top + at), (left + 16 * cell, top + at)], "line thin")
            d.line([(left + at, top), (left + at, top + 16 * cell)], "line thin")
    pixel = 5
    d.rectangle(22, top + pixel * cell, 16 * cell, cell, "warm-line")
    d.rectangle(382 + pixel * cell, top, cell, 16 * cell, "warm-line")
    d.rectangle(382, top + pixel * cell, 16 * cell, cell, "green-line")
    d.text(22 + 8 * cell, top + 16 * cell + 24, "orange: the kernel, where window 5 lies", "small")
    d.text(382 + 8 * cell, top + 16 * cell + 24, "orange: the same, now a column", "small")
    d.text(382 + 8 * cell, top + 16 * cell + 42, "green: the kernel turned over", "small")
    return d


# --- pooling ---------------------------------------------------------------------------------------------------

POOLED = np.array([[1.0, 5, 2, 0], [3, 5, 4, 1], [0, 2, 6, 6], [7, 1, 0, 6]])  # page 6's


def pooling_windows():
    """Four overlapping windows of a 4×4 map, the pixel that wins each, and the gradient that goes back to it."""
    op, x = MaxPool2d(3, 2, 1), POOLED.reshape(1, 4, 4, 1)
    y, dy = op.forward(x).reshape(2, 2), 10.0 ** np.arange(4).reshape(2, 2)
    dx = op.backward(dy.reshape(1, 2, 2, 1)).reshape(4, 4)
    winners = [int(op.backward(unit.reshape(1, 2, 2, 1)).argmax()) for unit in np.eye(4)]  # a pixel for each window
    d = Drawing(756, 280, "Max pooling of a 4×4 map with 3×3 windows, stride 2 and padding 1: four overlapping "
                          "windows, the pixel that wins each, and the gradient that each window sends to its winner")
    cell, top, left = 42, 52, 16
    middle = top + 2.5 * cell
    d.text(left + 2.5 * cell, top - 28, "x and its four windows")
    draw_pool_map(d, left, top, cell, winners)
    for x, name, values in ((296, "y", y), (420, "ȳ", dy)):
        d.text(x + cell, middle - cell - 18, name)
        for window, (i, j) in enumerate(np.ndindex(2, 2)):
            shared_cell(d, x + j * cell, middle + (i - 1) * cell, cell, number(values[i, j]), [window])
    d.arrow((left + 5 * cell + 12, middle), (290, middle))
    d.text(264, middle - 14, "largest", "small faint")
    d.arrow((512, middle), (562, middle))
    d.text(537, middle - 14, "back", "small faint")
    d.text(568 + 2 * cell, middle - 2 * cell - 18, "x̄")
    for pixel, (i, j) in enumerate(np.ndindex(4, 4)):
        shared_cell(d, 568 + j * cell, middle + (i - 2) * cell, cell, number(dx[i, j]), won_by(pixel, winners))
    twice = max(winners, key=winners.count)
    parts = " + ".join(number(dy.flat[window]) for window in won_by(twice, winners))
    d.text(568 + 2 * cell, middle + 2 * cell + 22, f"won twice: {parts} = {number(dx.flat[twice])}", "small")
    return d


def won_by(pixel, winners):
    """The windows that a pixel has won."""
    return [window for window, winner in enumerate(winners) if winner == pixel]


def shared_cell(d, x, y, cell, text, windows):
    """A cell with a text, in the colours of some windows side by side."""
    for place, window in enumerate(windows):
        d.rectangle(x + place * cell / len(windows), y, cell / len(windows), cell, f"{COLOURS[window]}-cell",
                    stroke_opacity=0)
    d.rectangle(x, y, cell, cell, "line thin")
    d.text(x + cell / 2, y + cell / 2, text, "" if windows else "faint")


def draw_pool_map(d, x, y, cell, winners):
    """POOLED with the padding that its windows see, winners in their windows' colours, and the windows as lines."""
    for i, j in np.ndindex(5, 5):
        inside = min(i, j) > 0
        text = number(POOLED[i - 1, j - 1]) if inside else "−∞"
        won = won_by(4 * (i - 1) + j - 1, winners) if inside else []
        shared_cell(d, x + j * cell, y + i * cell, cell, text, won)
    for window, (i, j) in enumerate(np.ndindex(2, 2)):
        d.rectangle(x + 2 * j * cell + 4, y + 2 * i * cell + 4, 3 * cell - 8, 3 * cell - 8,
                    f"{COLOURS[window]}-line", round=6)


# --- resampling ------------------------------------------------------------------------------------------------

SIGNAL = {4: np.array([2.0, 5, 3, 8]), 8: np.array([2.0, 4, 7, 5, 3, 2, 6, 8])}


def resampling():
    """R for 4 to 8 pixels, for the same with aligned corners, and for 8 to 4; beneath each, a row before and after."""
    d = Drawing(752, 488, "The matrices that resize a row of 4 pixels to 8, without and with align_corners, and one of "
                          "8 to 4: two weights in each row; beneath, a row of pixels before and after")
    cases = (("4 → 8", Resizing(4, 8)), ("4 → 8, align_corners", Resizing(4, 8, align_corners=True)),
             ("8 → 4", Resizing(8, 4)))
    for place, (name, resizing) in enumerate(cases):
        middle, R = 132 + 244 * place, resizing.matrix
        d.text(middle, 18, name)
        d.text(middle, 37, f"R is {R.shape[0]}×{R.shape[1]}", "small faint")
        across, down = R.shape[1] * 29, R.shape[0] * 29
        d.matrix(middle - across / 2, 54 + 116 - down / 2, R, 29, number, "cold-cell")
        draw_signal(d, middle - 105, resizing)
    for x, kind, radius, text in ((262, "cold-dot", 6, "before: x"), (402, "warm-dot", 3.5, "after: y = R x")):
        d.dot(x, 470, kind, radius)
        d.text(x + 14, 470, text, "small", "start")
    return d


def draw_signal(d, left, resizing):
    """A row of pixels (blue) as heights over their places, the line through them, and what R makes of it (orange)."""
    x = SIGNAL[resizing.size_in]
    y = resizing.matrix @ x
    axes = Axes(d, (left, 320, 210, 110), (0, 1), (0, 9))
    axes.ticks_up((0, 4, 8), number)
    before, after = (list(zip(places(resizing, count), values, strict=True)) for count, values in
                     ((len(x), x), (len(y), y)))
    axes.curve(before, "line thin dashed")
    axes.dots(before, "cold-dot", 6)
    axes.dots(after, "warm-dot", 3.5)
    axes.border()


def places(resizing, count):
    """Where the centres of a row's pixels lie between 0 and 1: its edges, or with aligned corners its end centres."""
    return np.linspace(0, 1, count) if resizing.align_corners else (np.arange(count) + 0.5) / count


# --- softmax ---------------------------------------------------------------------------------------------------


def softmax_jacobian():
    """A column z of A, its softmax a, and how a moves with z: a matrix whose columns add up to zero."""
    z = np.log([1.0, 2, 4, 2, 1])
    a = softmax_over_pixels(z.reshape(1, 1, 5, 1)).ravel()
    op = SoftmaxPool()
    op.forward(z.reshape(1, 1, 5, 1), np.eye(5).reshape(1, 1, 5, 5))  # with unit vectors to average, c is a itself
    J = np.stack([op.backward(unit.reshape(1, 1, 5))[0].ravel() for unit in np.eye(5)])
    d = Drawing(740, 340, "A column z of five positions, its softmax a, and the Jacobian diag(a) - a aᵀ: positive on "
                          "the diagonal, negative elsewhere, and each column adds up to zero")
    cell, top, left = 48, 62, 450
    for x, name, about, column, kind in ((50, "z", "a column of A", z, "box"),
                                         (202, "a", "the column of Ã", a, "green-cell")):
        d.text(x + cell / 2, 20, name)
        d.text(x + cell / 2, 40, about, "small faint")
        d.matrix(x, top, column.reshape(5, 1), cell, None, kind, lambda v, kind=kind: 1 if kind == "box" else 2 * v)
        for p, value in enumerate(column):
            d.text(x + cell / 2, top + (p + 0.5) * cell, number(value), "small")
    d.arrow((50 + cell + 10, top + 2.5 * cell), (192, top + 2.5 * cell))
    d.text(146, top + 2.5 * cell - 14, "softmax", "small faint")
    for p, value in enumerate(a):
        d.rectangle(202 + cell + 8, top + (p + 0.5) * cell - 7, 240 * value, 14, "green-cell")
    d.text(202 + cell / 2, top + 5 * cell + 20, f"sum {number(a.sum())}", "small faint")
    d.text(left + 2.5 * cell, 20, "∂a/∂z = diag(a) − a aᵀ")
    d.text(left + 2.5 * cell, 40, "row p: how a(p) moves, column q: with z(q)", "small faint")
    d.matrix(left, top, J, cell, number, sign, lambda v: abs(v) / J.max())
    for q, total in enumerate(J.sum(axis=0)):
        d.text(left + (q + 0.5) * cell, top + 5 * cell + 20, number(total), "small")
    d.text(left - 12, top + 5 * cell + 20, "sum", "small faint", "end")
    return d


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
    upper.names("", "loss ℓ = −log p₁")
    lower.names("z₁ − z₂, the label's logit over the other", "gradient ∂ℓ/∂z₁ = p₁ − 1")
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


FIGURES = {"windows.svg": window_matrix, "convolution-matrix.svg": convolution_matrix,
           "pooling-windows.svg": pooling_windows, "resampling.svg": resampling,
           "softmax-jacobian.svg": softmax_jacobian, "loss.svg": loss, "schedule.svg": schedule,
           "step-size.svg": step_size, "roofline.svg": roofline}
