"""The figures of the networks, drawn from what minihgd counts: the paper's Figs. 1 and 2."""

from typing import NamedTuple

from drawing import Drawing

from minihgd import models, report

SIZE = 512  # pixels of the image, in height and width
WIDTH = 760  # of a page
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def times(shape):
    """(1, 64, 64, 512) -> "64×64×512": a shape without the images."""
    return "×".join(map(str, shape[1:]))


def subscripted(name):
    """"c8" -> "c₈"."""
    return name.translate(SUBSCRIPTS)


def legend(drawing, *lines):
    """Lines of small text at the foot of a drawing."""
    for i, line in enumerate(lines):
        drawing.text(14, drawing.size[1] - 14 - 18 * (len(lines) - 1 - i), line, "small faint", "start")


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


FIGURES = {"architectures.svg": architectures, "efficientfcn.svg": efficientfcn}
