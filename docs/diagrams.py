"""The figures of the networks and of the tape, drawn from what minihgd counts and records."""

import random
from typing import NamedTuple

import numpy as np
from drawing import Drawing

from minihgd import Tensor, autograd, models, nn, no_grad, ops, report
from minihgd.models import hgd
from minihgd.ops.bilinear import ResizeBilinear
from minihgd.ops.shapes import Cut, Reshape

SIZE = 512  # pixels of the image, in height and width
WIDTH = 760  # of a page
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def times(shape):
    """(1, 64, 64, 512) -> "64×64×512": a shape without the images."""
    return "×".join(map(str, shape[1:]))


def subscripted(name):
    """"c8" -> "c₈"."""
    return name.translate(SUBSCRIPTS)


# ---------------------------------------------------------------- four ways to a fine map


SIDE, WIDE = 400, 0.55  # pixels of the drawing for the image's side, and for the root of a channel


class Placed(NamedTuple):
    """Where a map is in the drawing; y: its middle."""

    left: float
    right: float
    top: float
    bottom: float
    y: float


class Row:
    """A network in a row of the drawing: maps beside each other, each as high as it is, on a line at height y."""

    def __init__(self, drawing, y):
        self.drawing, self.y = drawing, y

    def map(self, x, shape, name, kind="soft", y=None, below=60):
        """A map N×H×W×C around x: as high as its share of the image, as wide as the root of its channels."""
        y, high, wide = y or self.y, SIDE * shape[1] / SIZE, WIDE * shape[3] ** 0.5
        self.drawing.rectangle(x - wide / 2, y - high / 2, wide, high, kind)
        for i, text in enumerate((name, str(shape[3]))):
            self.drawing.text(x, y + below + 16 * i, text, "small faint" if i else "small")
        return Placed(x - wide / 2, x + wide / 2, y - high / 2, y + high / 2, y)

    def encoder(self, rows):
        """The four maps of a ResNet, which the rows of its cost name."""
        shapes = [next(row.shape for row in reversed(rows) if row.name.startswith(f"backbone.layer{stage}"))
                  for stage in (1, 2, 3, 4)]
        maps = [self.map(x, shape, f"OS {SIZE // shape[1]}", "box")
                for x, shape in zip((206, 250, 294, 344), shapes, strict=True)]
        for before, after in zip(maps, maps[1:], strict=False):
            self.join(before, after)
        return maps

    def join(self, before, after):
        """An arrow from a map to the next."""
        self.drawing.arrow((before.right, before.y), (after.left - 1, after.y))

    def over(self, before, after, y):
        """An arrow from the top of a map over others to the top of a later one."""
        x, u = ((placed.left + placed.right) / 2 for placed in (before, after))
        self.drawing.arrow((x, before.top), (x, y), (u, y), (u, after.top - 1))

    def codewords(self, x, y, shape, lines=8, gap=5):
        """The codebook around (x, y): vectors as wide as a map of their channels, which lie nowhere in the image."""
        wide, high = WIDE * shape[2] ** 0.5, gap * lines
        for i in range(lines):
            self.drawing.rectangle(x - wide / 2, y + gap * i - high / 2, wide, gap - 2, "warm")
        self.drawing.text(x, y + 32, "C", "small")
        self.drawing.text(x, y + 48, times(shape), "small faint")
        return Placed(x - wide / 2, x + wide / 2, y - high / 2, y + high / 2, y)

    def finish(self, logits, rows):
        """The last enlargement, and by which factor it is."""
        (before, after), x = (row.shape for row in (rows[-2], rows[-1])), WIDTH - 12
        self.drawing.arrow((logits.right, logits.y), (x, logits.y))
        self.drawing.text((logits.right + x) / 2, logits.y - 12, f"×{after[1] // before[1]}", "small")


def architectures():
    """Four networks as rows of maps: FCN-32s, dilatedFCN-8s, U-Net and EfficientFCN, with what each costs."""
    drawing = Drawing(WIDTH, 726, "Four ways to a fine map. FCN-32s stays coarse, dilatedFCN-8s never shrinks, U-Net "
                      "enlarges step by step, EfficientFCN assembles the fine map from codewords.")
    parts = (("(a) FCN-32s", "fcn32s", straight, 0),
             ("(b) dilatedFCN-8s", "dilatedfcn8s", straight, 160),
             ("(c) U-Net, bilinear", "unet_bilinear", u_shaped, 320),
             ("(d) EfficientFCN", "efficientfcn", holistic, 480))
    costs = [report.cost(models.build(name), SIZE, SIZE) for _, name, _, _ in parts]
    for (title, _, draw, top), cost in zip(parts, costs, strict=True):
        if top:
            drawing.line([(12, top + 4), (WIDTH - 12, top + 4)], "grid")
        costs_beside(drawing, top, title, cost, max(map(all_macs, costs)))
        draw(Row(drawing, top + 72 + 12 * (draw is holistic)), cost.rows)
    legend(drawing, "Height: a map's pixels, as a share of the image's. Width: its channels, whose number is below it.",
           f"×32, ×8: enlarged bilinearly to {SIZE}×{SIZE}. The bar: MACs, as a share of those of (b).")
    return drawing


def legend(drawing, *lines):
    """Lines of small text at the foot of a drawing."""
    for i, line in enumerate(lines):
        drawing.text(14, drawing.size[1] - 14 - 18 * (len(lines) - 1 - i), line, "small faint", "start")


def all_macs(cost):
    """The multiply-accumulates of a model."""
    return cost.conv_macs + cost.matmul_macs


def costs_beside(drawing, top, title, cost, most):
    """A network's name, multiply-accumulates (as a bar, too) and parameters, at the left of its row."""
    drawing.text(14, top + 30, title, "large", "start")
    drawing.text(14, top + 58, f"{all_macs(cost) / 1e9:.1f} G MACs", "", "start")
    drawing.rectangle(14, top + 70, 130, 8, "box")
    drawing.rectangle(14, top + 70, 130 * all_macs(cost) / most, 8, "warm")
    drawing.text(14, top + 98, f"{cost.params / 1e6:.1f} M parameters", "", "start")


def straight(row, rows):
    """FCN's head: a 3×3 convolution and the classifier on the last map of the encoder."""
    last = row.encoder(rows)[-1]
    shape = {r.name: r.shape for r in rows}
    fused = row.map(470, shape["decoder.fusion.0"], "3×3")
    logits = row.map(590, shape["decoder.classifier"], "logits", "green")
    row.join(last, fused)
    row.join(fused, logits)
    row.finish(logits, rows)


def u_shaped(row, rows):
    """U-Net: enlarged by two, the encoder's map beside it, convolved; and once more."""
    _, c8, c16, c32 = row.encoder(rows)
    shape = {r.name: r.shape for r in rows}
    d32 = row.map(404, shape["decoder.e32.0"], "1×1")
    d16 = row.map(464, shape["decoder.fuse16.0"], "3×3")
    d8 = row.map(534, shape["decoder.fuse8.0"], "3 of 3×3")
    logits = row.map(610, shape["decoder.classifier"], "logits", "green")
    for before, after in ((c32, d32), (d32, d16), (d16, d8), (d8, logits)):
        row.join(before, after)
    row.over(c16, d16, row.y - 34)
    row.over(c8, d8, row.y - 46)
    row.finish(logits, rows)


def holistic(row, rows):
    """EfficientFCN: codewords from the map of OS 32, put together at OS 8 as the finer maps say."""
    _, *maps = row.encoder(rows)
    found, upper, lower = quantities(rows), row.y - 36, row.y + 56
    m8, G, W, f, logits = (row.map(x, found[name], name, kind, upper, 37) for x, name, kind in (
        (412, "m₈", "soft"), (472, "G", "soft"), (526, "W", "soft"), (628, "f̂₈", "soft"), (688, "logits", "green")))
    m32 = row.map(412, found["m₃₂"], "m₃₂", y=lower, below=32)
    for c in maps:
        x = (c.left + c.right) / 2
        row.drawing.line([(x, c.top), (x, upper)])
        if c is not maps[0]:
            row.drawing.dot(x, upper, "head", 2.5)
    row.drawing.arrow(((maps[0].left + maps[0].right) / 2, upper), (m8.left - 1, upper))
    row.drawing.dot(380, upper, "head", 2.5)
    row.drawing.arrow((380, upper), (380, lower), (m32.left - 1, lower))
    codebook = row.codewords(526, lower, found["C"])
    row.join(m32, codebook)
    row.drawing.text((m32.right + codebook.left) / 2, lower - 12, "average", "small")
    for before, after in ((m8, G), (G, W), (f, logits)):
        row.join(before, after)
    row.over(G, f, upper - 35)
    row.drawing.arrow((W.right, upper), (567, upper))
    row.drawing.arrow((codebook.right, lower), (576, lower), (576, upper + 10))
    row.drawing.arrow((585, upper), (f.left - 1, upper))
    row.drawing.dot(576, upper, "warm", 9)
    row.drawing.text(576, upper, "×")
    row.finish(logits, rows)


# ---------------------------------------------------------------- EfficientFCN and its quantities


def quantities(rows):
    """The paper's letters -> shapes, from the rows of the cost of EfficientFCN in the paper's form."""
    named = {row.name.removeprefix("decoder."): row.shape for row in rows}
    m32, m8, f = (row.shape for row in rows if row.kind == "Concatenate")
    maps = {f"c{8 * 2**i}": next(row.shape for row in reversed(rows) if row.name.startswith(f"backbone.layer{i + 2}"))
            for i in range(3)}
    found = {"m₃₂": m32, "m₈": m8, "f̂₈": f, "A": named["attention"], "Ã": named["attention"], "B": named["base"],
             "mean B": named["Mean"], "C": named["SoftmaxPool"], "G": named["guidance"], "G⁺": named["Add"],
             "W": named["coefficients"], "f̃₈": named["Assemble"], "logits": named["classifier"], "out": rows[-1].shape}
    return found | {subscripted(k): v for k, v in maps.items()} | {
        subscripted(k): named[k] for k in ("e8", "e16", "e32")}


class Placing:
    """Boxes of quantities in a drawing, by name, and arrows between their edges."""

    def __init__(self, drawing, shapes):
        self.drawing, self.shapes, self.boxes = drawing, shapes, {}

    def add(self, name, x, y, wide, text=None, kind="box", high=46):
        """A box around (x, y): a quantity's letter or what it is made from, and its shape."""
        self.drawing.box(x - wide / 2, y - high / 2, wide, high, [text or name, times(self.shapes[name])], kind)
        self.boxes[name] = (x - wide / 2, x + wide / 2, y - high / 2, y + high / 2)

    def down(self, upper, lower, x=None, label=None, side=1):
        """An arrow straight down from a box to another, at x or in the middle of the lower, with a word beside it."""
        x = x or sum(self.boxes[lower][:2]) / 2
        top, bottom = self.boxes[upper][3], self.boxes[lower][2]
        self.drawing.arrow((x, top), (x, bottom - 1))
        if label:
            self.drawing.text(x + 7 * side, (top + bottom) / 2, label, "small", "start" if side > 0 else "end")


def efficientfcn():
    """EfficientFCN from the image to the logits: its three parts, each quantity's letter and shape."""
    drawing = Drawing(WIDTH, 904, "EfficientFCN: the encoder's last three maps are fused at two sizes; the coarse one "
                      "gives a codebook, the fine one the coefficients with which each pixel is put together from it.")
    rows = report.cost(models.build("efficientfcn"), SIZE, SIZE).rows
    for box, (x, y), anchor, title in (
            ((12, 197, 736, 187), (385, 338), "middle", ("Multi-scale", "feature fusion")),
            ((396, 396, 352, 308), (410, 640), "start", ("Holistic", "codebook", "generation")),
            ((12, 396, 372, 496), (370, 420), "end", ("Codeword", "assembly"))):
        drawing.rectangle(*box, "line thin", round=8, stroke_opacity=0.5)
        for i, line in enumerate(title):
            drawing.text(x, y + 20 * i, line, "large", anchor)
    shapes = quantities(rows) | {"image": (1, SIZE, SIZE, 3)}
    placing = Placing(drawing, shapes)
    encoder_and_fusion(drawing, placing)
    codebook(drawing, placing)
    assembly(drawing, placing)
    return drawing


def encoder_and_fusion(drawing, placing):
    """From the image to m₈ and m₃₂."""
    placing.add("image", 380, 33, 130)
    drawing.line([(380, 56), (380, 84)])
    drawing.text(390, 70, "ResNet-101, not dilated", "small", "start")
    drawing.line([(140, 84), (620, 84)])
    for scale, x in (("₈", 140), ("₁₆", 380), ("₃₂", 620)):
        placing.add("c" + scale, x, 132, 120)
        drawing.arrow((x, 84), (x, 108))
        placing.add("e" + scale, x, 238, 120, kind="soft")
        placing.down("c" + scale, "e" + scale, label="1×1")
        drawing.line([(x, 261), (x, 284)])
        drawing.dot(x, 284, "head", 3)
    drawing.line([(140, 284), (620, 284)])
    placing.add("m₈", 198, 348, 200, "m₈ = [e₈; e₁₆↑; e₃₂↑]", "soft")
    placing.add("m₃₂", 572, 348, 200, "m₃₂ = [e₈↓; e₁₆↓; e₃₂]", "soft")
    for x, text in ((198, "enlarged bilinearly"), (572, "made smaller bilinearly")):
        drawing.arrow((x, 284), (x, 324))
        drawing.text(x + 7, 304, text, "small", "start")


def codebook(drawing, placing):
    """From m₃₂ to the codewords."""
    placing.add("B", 500, 470, 120, kind="warm")
    placing.add("A", 658, 470, 120, kind="warm")
    placing.down("m₃₂", "B", 520, "1×1", -1)
    placing.down("m₃₂", "A", 640, "1×1")
    placing.add("mean B", 466, 568, 100, kind="warm")
    placing.add("Ã", 658, 568, 160, "Ã = softmax A\N{EM SPACE}(1)", kind="warm")
    placing.down("B", "mean B", 466)
    placing.down("A", "Ã", label="over positions", side=-1)
    placing.add("C", 600, 666, 150, "C = Ãᵀ B\N{EM SPACE}(2)", kind="warm")
    placing.down("B", "C", 545)
    placing.down("Ã", "C", 642)


def assembly(drawing, placing):
    """From m₈ and the codewords to the logits of the image's size."""
    placing.add("G", 198, 470, 120, kind="green")
    placing.down("m₈", "G", label="1×1")
    placing.add("G⁺", 198, 568, 150, "G⁺ = G + mean B", kind="green")
    placing.down("G", "G⁺")
    drawing.arrow((416, 568), (274, 568))
    placing.add("W", 198, 666, 120, kind="green")
    placing.down("G⁺", "W", label="1×1")
    placing.add("f̃₈", 198, 764, 150, "f̃₈ = W C\N{EM SPACE}(3)", kind="green")
    placing.down("W", "f̃₈")
    drawing.arrow((600, 689), (600, 764), (274, 764))
    placing.add("f̂₈", 198, 856, 150, "f̂₈ = [f̃₈; G]", kind="green")
    placing.down("f̃₈", "f̂₈")
    drawing.arrow((138, 470), (60, 470), (60, 856), (122, 856))
    placing.add("logits", 480, 856, 110)
    placing.add("out", 670, 856, 110, "logits")
    for x, u, text in ((273, 424, "1×1"), (535, 614, "bilinear")):
        drawing.arrow((x, 856), (u, 856))
        drawing.text((x + u) / 2 - 3, 844, text, "small")


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


FIGURES = {"architectures.svg": architectures, "efficientfcn.svg": efficientfcn, "tape.svg": tape,
           "decoder-graph.svg": decoder_graph, "decoder-graph-by-parts.svg": decoder_graph_by_parts}
