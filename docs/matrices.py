"""Figures of single layers: windows, pooling, resampling and softmax as matrices with their numbers.

All that is seen is computed by the library when the figure is drawn.
"""

import numpy as np
from axes import Axes, number
from drawing import Drawing

from minihgd import ops
from minihgd.backend import windows
from minihgd.backend.resampling import Resizing
from minihgd.ops.convolution import Conv2d
from minihgd.ops.pooling import MaxPool2d
from minihgd.ops.softmax_pooling import SoftmaxPool, softmax_over_pixels

COLOURS = ("cold", "warm", "green", "violet")


def sign(value):
    """The class of a matrix's cell: warm for what is negative."""
    return "warm-cell" if value < 0 else "cold-cell"


# --- convolution -----------------------------------------------------------------------------------------------

MAP = np.array([[1.0, 2, 1, 3], [2, 3, 1, 1], [1, 1, 2, 3], [3, 2, 1, 2]])
KERNEL = np.arange(1.0, 10).reshape(3, 3)


def window_matrix():
    """A map of 4×4 pixels, its 16 windows as the rows of U, times the kernel as a column: y, row by row."""
    size = len(MAP)
    U = windows.gather_windows(MAP.reshape(1, size, size, 1), windows.Window((3, 3), padding=(1, 1)), slice(0, size))
    y = ops.conv2d(MAP.reshape(1, size, size, 1), KERNEL.reshape(3, 3, 1, 1), padding=1).data.reshape(size, size)
    d = Drawing(752, 470, "A 4×4 map in a frame of zeros; its sixteen 3×3 windows written out as the rows of a matrix "
                          "U, times the kernel as a column, is the convolution y")
    cell, top, left = 25, 56, 226
    marked = {0: "warm-line", 6: "green-line"}
    d.text(96, 20, "x in its frame of zeros")
    draw_padded(d, 12, top, 28, marked)
    d.text(96, 270, "kernel w")
    d.matrix(96 - 1.5 * cell, 288, KERNEL, cell, number, "violet-cell", kernel_strength)
    titled(d, left, top, U, cell, "U, a window in each row", "cold-cell", map_strength)
    middle = top + len(U) * cell / 2
    d.text(left + 9.75 * cell, middle, "·", "large")
    titled(d, left + 10.5 * cell, middle - 4.5 * cell, KERNEL.reshape(9, 1), cell, "w", "violet-cell", kernel_strength)
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
    """The same convolution as a matrix T on the flattened map, and its backward pass as another: Tᵀ."""
    size = len(MAP)
    units = np.eye(size * size).reshape(-1, size, size, 1)
    op, w = Conv2d(padding=1), KERNEL.reshape(3, 3, 1, 1)
    T = op.forward(units, w).reshape(len(units), -1).T
    back = op.backward(units)[0].reshape(len(units), -1).T
    assert (back == T.T).all()
    d = Drawing(740, 448, "A 3×3 convolution of a 4×4 map as a 16×16 matrix T of shifted copies of the kernel, and "
                          "its backward pass, whose matrix is the transpose: its rows hold the kernel turned over")
    cell, top = 21, 56
    sides = ((22, "y = T x", "column q: the convolution of a map that is 1 at pixel q", T),
             (382, "x̄ = Tᵀ ȳ", "column q: the backward pass of a ȳ that is 1 at pixel q", back))
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


FIGURES = {"windows.svg": window_matrix, "convolution-matrix.svg": convolution_matrix,
           "pooling-windows.svg": pooling_windows, "resampling.svg": resampling,
           "softmax-jacobian.svg": softmax_jacobian}
