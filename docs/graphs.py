"""The figures of the tape: what minihgd recorded, as boxes in layers, for a small computation and for the decoder."""

import random
from typing import NamedTuple

import numpy as np
from diagrams import SIZE, WIDTH, legend, subscripted, times
from drawing import Drawing

from minihgd import Tensor, autograd, models, nn, no_grad, ops
from minihgd.models import hgd
from minihgd.ops.bilinear import ResizeBilinear
from minihgd.ops.shapes import Cut, Reshape

# ---------------------------------------------------------------- the tape


def tape():
    """The tape of y = a·b + a at a = 2, b = 3: its two ops, values forwards, gradients backwards."""
    a, b = (Tensor(np.array(value), requires_grad=True) for value in (2.0, 3.0))
    c = a * b
    y = c + a
    first, last, dy, handed = c.op, y.op, np.ones_like(y.data), walked(y)
    drawing = Drawing(WIDTH, 322, "The tape of a·b + a at a = 2 and b = 3: values go forwards through a product and a "
                      "sum, gradients go back, and the two that reach a add up.")
    to_a = " + ".join(f"{handed[op, a]:g}" for op in (last, first))
    drawing.box(16, 28, 150, 64, [f"b = {b.data:g}", f"b̄ = {b.grad:g}"], "soft")
    drawing.box(16, 150, 150, 122, [f"a = {a.data:g}", f"ā = {to_a} = {a.grad:g}"], "soft")
    for x, op, text in ((238, first, f"c = a·b = {c.data:g}"), (440, last, f"y = c + a = {y.data:g}")):
        drawing.box(x, 28, 130, 64, [f"op {op.number - first.number}: {type(op).__name__}", text])
    drawing.box(642, 28, 102, 64, [f"y = {y.data:g}", f"ȳ = {dy:g}"], "soft")
    for start, end, tensor, gradient in (
            ((166, 60), (238, 60), b, handed[first, b]), ((166, 182), (303, 92), a, handed[first, a]),
            ((166, 240), (505, 92), a, handed[last, a]), ((368, 60), (440, 60), c, handed[last, c]),
            ((570, 60), (642, 60), y, dy)):
        both_ways(drawing, start, end, f"{tensor.data:g}", f"{gradient:g}")
    for x, kind, text in ((16, "cold-line", "values: forwards, in the order of the ops' numbers"),
                          (390, "warm-line dashed", "gradients: backwards, from the last op to the first")):
        drawing.line([(x, 304), (x + 28, 304)], kind)
        drawing.text(x + 36, 304, text, "small", "start")
    return drawing


def both_ways(drawing, start, end, value, gradient):
    """An arrow to the right, and up where `end` is higher, with a value; beside it one back, with a gradient."""
    (x, y), (u, v) = start, end
    if y == v:
        there, back = [(x, y - 6), (u - 1, y - 6)], [(u, y + 6), (x + 1, y + 6)]
    else:
        there, back = [(x, y - 6), (u - 6, y - 6), (u - 6, v + 1)], [(u + 6, v), (u + 6, y + 6), (x + 1, y + 6)]
    drawing.line(there, "cold-line", arrow=True)
    drawing.line(back, "warm-line dashed", arrow=True)
    drawing.text(x + 36, y - 17, value, "cold-dot")
    drawing.text(x + 36, y + 18, gradient, "warm-dot")


def walked(y):
    """Walk the tape behind y backwards -> (op, input) -> the gradient that the op hands to this input."""
    handed, waiting = {}, {y.op: np.ones_like(y.data)}
    for op in autograd._newest_first(y.op):
        dy = waiting.pop(op)
        for tensor, dx in zip(op.inputs, op.input_gradients(dy), strict=True):
            handed[op, tensor] = dx
            autograd._hand_on(tensor, np.asarray(dx), dy, waiting)
    return handed


# ---------------------------------------------------------------- the decoder's graph, as recorded


class Node(NamedTuple):
    """An op, or an input of the decoder: lines of text, a class for its colour, and the nodes that it reads."""

    lines: list
    kind: str
    reads: list


def recorded(by_parts):
    """The nodes of the paper's decoder at full size, in the order of the tape; and all multiply-accumulates."""
    decoder = nn.initialise(hgd.PaperDecoder(models.resnet(101).channels[1:], num_classes=60), 0)
    decoder.plain = not by_parts
    rng = np.random.default_rng(0)
    maps = [Tensor(rng.standard_normal((1, SIZE // s, SIZE // s, e.weight.shape[2]), dtype=np.float32))
            for s, e in ((8, decoder.e8), (16, decoder.e16), (32, decoder.e32))]
    y = decoder(maps)
    letters, names = letters_of(decoder, maps), {id(p): name for name, p in decoder.named_parameters()}
    nodes = {id(c): Node([subscripted(f"c{s}"), times(c.shape)], "green", [])
             for s, c in zip(hgd.SCALES, maps, strict=True)}
    tape = autograd._newest_first(y.op)[::-1]
    outputs = {t.op: t for op in tape for t in op.inputs if t is not None} | {y.op: y}
    for op in tape:
        if not hands_on(op, outputs[op]):
            nodes[id(outputs[op])] = node(op, outputs[op], letters, names)
    places = {key: i for i, key in enumerate(nodes)}
    macs = sum(map(work, tape))
    return [Node(n.lines, n.kind, [places[key] for key in n.reads if key in places]) for n in nodes.values()], macs


def hands_on(op, output):
    """Whether an op's output is its input as it is, or a part of it: such ops are not drawn."""
    return isinstance(op, (Cut, Reshape)) or isinstance(op, ResizeBilinear) and output.shape == op.inputs[0].shape


def node(op, output, letters, names):
    """What is written into an op's box: its class, what it makes, with which weight, and how much work that is."""
    lines, reads = [type(op).__name__], []
    letter = next((name for name, value in letters.items() if same(value, output.data)), "")
    lines.append(f"{letter} {times(output.shape)}".strip())
    for tensor in op.inputs:
        part = ""
        while tensor is not None and tensor.op is not None and hands_on(tensor.op, tensor):
            part = f"[{tensor.op.start}:{tensor.op.stop}]" if isinstance(tensor.op, Cut) else part
            tensor = tensor.op.inputs[0]
        reads.append(id(tensor))
        if names.get(id(tensor), "").endswith(".weight"):
            lines.append(names[id(tensor)].removesuffix(".weight") + part)
    macs = work(op)
    kind = "warm" if macs > 1e9 else "soft" if macs else "box"
    return Node(lines + [f"{macs / 1e9:.3g} GMAC"] * (macs > 0), kind, reads)


def work(op):
    """The multiply-accumulates of a recorded op."""
    return op.macs(*(None if t is None else t.shape for t in op.inputs))


def letters_of(decoder, maps):
    """The paper's letters -> arrays, computed one by one: whatever on a tape is equal to one of them is called so."""
    with no_grad():
        e, A, B, C = decoder.collect(maps)
        (G, W), mean = decoder.guide(e, B), decoder.mean(B)
        f = ops.assemble(W, C)
        found = {"m₃₂": decoder.fuse(e, hgd.SCALES, to=32), "m₈": decoder.fuse(e, hgd.SCALES, to=8), "A": A, "B": B,
                 "mean B": mean, "C": C, "G": G, "G⁺": G + mean, "W": W, "f̃₈": f, "f̂₈": ops.concatenate([f, G]),
                 "logits": decoder.as_printed(e, B, C)}
    return {name: y.data for name, y in found.items()} | {subscripted(f"e{s}"): e[s].data for s in e}


def same(x, y):
    """Whether two arrays are equal but for rounding in another order."""
    return x.shape == y.shape and np.abs(x - y).max() <= 1e-3 * np.abs(x).max()


def decoder_graph():
    """The ops of the paper's decoder as it is printed, in layers, each below what it reads."""
    return graph(False, "The graph of the decoder in the paper's order, as the tape recorded it: most of the work is "
                 "the convolution of m₈ to G.")


def decoder_graph_by_parts():
    """The ops of the paper's decoder as it is computed: coarse maps are convolved before they are enlarged."""
    return graph(True, "The graph of the decoder by parts, as the tape recorded it: convolutions come before the maps "
                 "are enlarged, and the classifier acts on the codebook; m₈ and f̃₈ are never formed.")


BELOW, WIDE_NODE, BEND, ASIDE = 40, 144, 12, 12  # pixels: the gap below a box, its width, a passing line's, the gap


def graph(by_parts, title):
    """The drawing of `recorded(by_parts)`."""
    nodes, macs = recorded(by_parts)
    layers, edges, paths = layered([n.reads for n in nodes])
    wide = [WIDE_NODE] * len(nodes) + [BEND] * (max(map(max, layers)) + 1 - len(nodes))
    layers = untangled(layers, edges, wide)
    x = beside(layers, edges, wide)
    heights = [max(high(nodes[v]) for v in layer if v < len(nodes)) for layer in layers]
    tops = [14 + sum(heights[:i]) + BELOW * i for i in range(len(layers))]
    drawing = Drawing(WIDTH, tops[-1] + heights[-1] + 78, title)
    spans = {v: (tops[i], tops[i] + heights[i]) for i, layer in enumerate(layers) for v in layer}
    for path in paths:
        connect(drawing, path, nodes, x, spans, paths)
    for v, n in enumerate(nodes):
        drawing.box(x[v] - WIDE_NODE / 2, spans[v][0], WIDE_NODE, high(n), n.lines, n.kind)
    rows = "; [512:1024]: those rows of it" if by_parts else ""
    legend(drawing, f"Together {macs / 1e9:.2f} GMAC. Blue: ops that multiply; orange: those of more than 1 GMAC.",
           f"Under an op's shape: the layer whose weight it has{rows}. A letter: its output is equal",
           "to this quantity of the paper. Ops that hand on their input, or a part of it, are not drawn.")
    return drawing


def connect(drawing, path, nodes, x, spans, paths):
    """An arrow from a node to one that reads it, through the bends between them."""
    first, last = path[0], path[-1]
    begin = port(x, first, [p[1] for p in paths if p[0] == first], path[1])
    points = [(begin, spans[first][0] + high(nodes[first])), (begin, spans[first][1])]
    for bend in path[1:-1]:
        points += [(x[bend], spans[bend][0]), (x[bend], spans[bend][1])]
    points.append((port(x, last, [p[-2] for p in paths if p[-1] == last], path[-2]), spans[last][0] - 1))
    drawing.curve(points, arrow=True)


def high(one):
    """The height of a node's box."""
    return 17 * len(one.lines) + 8


def port(x, v, others, other):
    """Where on the edge of box v its arrow from or to `other` begins or ends: they stand side by side."""
    others = sorted(others, key=lambda u: x[u])
    return x[v] + 28 * (others.index(other) - (len(others) - 1) / 2)


def layered(reads):
    """Nodes with the earlier nodes that each reads -> layers, edges between neighbouring layers, paths of the arrows.

    A node is one layer below the lowest that it reads, and then as far down as its readers allow, where it has not more
    inputs than readers; but the first two layers stay. An arrow past a layer gets a bend there: a node of its own,
    numbered after the others.
    """
    count, layer = len(reads), []
    for inputs in reads:
        layer.append(1 + max((layer[u] for u in inputs), default=-1))
    for u in reversed(range(count)):
        readers = [v for v in range(count) if u in reads[v]]
        if layer[u] > 1 and readers and len(readers) >= len(reads[u]):
            layer[u] = min(layer[v] for v in readers) - 1
    layers, paths = [[v for v in range(count) if layer[v] == i] for i in range(max(layer) + 1)], []
    for v, inputs in enumerate(reads):
        for u in dict.fromkeys(inputs):
            bends = []
            for i in range(layer[u] + 1, layer[v]):
                bends.append(count)
                layers[i].append(count)
                count += 1
            paths.append((u, *bends, v))
    return layers, [edge for path in paths for edge in zip(path, path[1:], strict=False)], paths


def crossings(layers, edges):
    """How many pairs of edges cross."""
    place = {v: i for layer in layers for i, v in enumerate(layer)}
    row = {v: i for i, layer in enumerate(layers) for v in layer}
    return sum(row[u] == row[p] and (place[u] - place[p]) * (place[v] - place[q]) < 0
               for i, (u, v) in enumerate(edges) for p, q in edges[:i])


def untangled(layers, edges, wide):
    """The order with the fewest crossings, then shortest arrows, found from random ones; the first layer stays."""

    def long(order):
        x = beside(order, edges, wide)
        return crossings(order, edges), sum(abs(x[u] - x[v]) for u, v in edges)

    shuffle = random.Random(0).sample
    starts = ([layers[0], *(shuffle(layer, len(layer)) for layer in layers[1:])] for _ in range(24))
    return min((improved(start, edges) for start in starts), key=long)


def improved(layers, edges):
    """The layers in a better order: by their neighbours' middle, down and up; then pairs swapped while that helps."""
    best = layers
    for sweep in range(12):
        layers = [list(layer) for layer in layers]
        for layer in layers[:0:-1] if sweep % 2 else layers[1:]:
            place = {v: i / len(one) for one in layers for i, v in enumerate(one)}
            layer.sort(key=lambda v: np.mean([place[p] if q == v else place[q] for p, q in edges if v in (p, q)]))
        best = min(best, layers, key=lambda order: crossings(order, edges))
    while True:
        better = min(swapped(best), key=lambda order: crossings(order, edges))
        if crossings(better, edges) >= crossings(best, edges):
            return best
        best = better


def swapped(layers):
    """All orders that differ in one pair of one layer, which is not the first."""
    for i, layer in enumerate(layers[1:], 1):
        for k in range(len(layer)):
            for m in range(k):
                other = list(layer)
                other[k], other[m] = layer[m], layer[k]
                yield [*layers[:i], other, *layers[i + 1:]]


def beside(layers, edges, wide):
    """Each node's x, in pixels: near those of its neighbours, in the order of its layer, nowhere overlapping."""
    count = len(wide)
    x, near = [WIDTH / 2] * count, [[] for _ in wide]
    for u, v in edges:
        weight = (1, 3, 12)[(wide[u] == BEND) + (wide[v] == BEND)]  # long arrows are to be straight
        near[u].append((v, weight))
        near[v].append((u, weight))
    for sweep in range(200):
        for layer in layers if sweep % 2 else layers[::-1]:
            wanted = [sum(x[u] * w for u, w in near[v]) / sum(w for _, w in near[v]) for v in layer]
            for v, place in zip(layer, spread(wanted, [wide[v] for v in layer]), strict=True):
                x[v] = place
    left, right = (min(x[v] - w / 2 for v, w in enumerate(wide)), max(x[v] + w / 2 for v, w in enumerate(wide)))
    return [place + (WIDTH - left - right) / 2 for place in x]


def spread(wanted, wide):
    """The places nearest to the wanted ones (least squares) at which boxes of these widths stand side by side."""
    offsets = np.cumsum([0] + [(a + b) / 2 + ASIDE for a, b in zip(wide, wide[1:], strict=False)])
    groups = []  # of boxes that touch: the sum of what they want, less their offsets, and how many they are
    for place in np.subtract(wanted, offsets):
        groups.append((place, 1))
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            (a, m), (b, n) = groups[-2:]
            groups[-2:] = [(a + b, m + n)]
    places = np.concatenate([np.full(n, total / n) for total, n in groups])
    low, high = 10 + wide[0] / 2, WIDTH - 10 - wide[-1] / 2 - offsets[-1]
    return np.clip(places, low, max(low, high)) + offsets


FIGURES = {"tape.svg": tape, "decoder-graph.svg": decoder_graph, "decoder-graph-by-parts.svg": decoder_graph_by_parts}
