"""Figures of maps over scenes: what codewords look at, what is assembled of them, and how far a pixel reaches.

The scenes are painted, and the network learns them here, in a few seconds: it knows these three by heart, no others.
"""

import functools
import re

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from minihgd import data, evaluation, models, no_grad, report, training
from minihgd.data.context_classes import CLASSES
from minihgd.data.scenes import meadow, paint, railway, shore
from minihgd.report import codewords, pictures
from minihgd.report.pictures import INK, MARGIN, PAPER

WIDTH = 142  # of a cell: five fit on a page
SCENES = ((railway, (2, 2)), (shore, (3, 3)), (meadow, (7, 4)))  # painters, and a seed for each
GLOW = np.array([(48, 26, 84), (146, 44, 106), (236, 112, 52), (255, 240, 176)], float)  # from weak to strong
MARK = (90, 220, 255)
FLOOR = 1e-4  # a change that is less of the largest one is as dark as this, unless it is none
NONE = 1e-9  # rounding makes less


# The network.

@functools.cache
def scenes():
    """Images 3×256×320×3, their labels 3×256×320, and the names of the classes that occur, things before fields."""
    images, ids = zip(*(paint(np.random.default_rng(seed), 256, 320, scene) for scene, seed in SCENES), strict=True)
    names = {number: name for name, number in CLASSES}
    present = sorted(np.unique(ids), key=lambda number: names[number] in pictures.NATURAL)
    labels = np.argmax(np.stack(ids)[..., None] == present, axis=-1)
    return np.stack(images), labels, [names[number] for number in present]


@functools.cache
def trained(seed=1, steps=100):
    """A small EfficientFCN that has learned the three scenes, in float64 and in the released form.

    Its weights are rounded to 16 binary places after each step: where another machine adds up in another order, the
    last bits are not the same, and a hundred steps would make other pictures of that.
    """
    images, labels, classes = scenes()
    model = models.build("efficientfcn", "resnet18", len(classes), codewords=8, form="released", seed=seed, channels=12,
                         compressed=64, codeword_channels=64, dropout=0.0).to(dtype=np.float64)
    x, optimiser = data.as_input(model, images), training.SGD(model)
    for step in range(steps):
        model.loss(x, labels).backward()
        optimiser.step(training.poly(step, steps, base=0.05))
        for parameter in model.parameters():
            parameter.data[...] = np.round(parameter.data * 2**16) / 2**16
    return model.eval()


# The figures.

def weighting_maps():
    """Three scenes, and four weighting maps over each: where a codeword is collected, as in Fig. 3 of the paper."""
    images, *_ = scenes()
    weights = [evaluation.holistic(trained(), image).maps for image in images]
    return small(report.weighting_sheet(list(images), weights, WIDTH, count=4))


def assembly():
    """One scene on its way through equations (1) to (3): of four codewords Ã, c and W, then f̃, prediction and truth."""
    images, labels, classes = scenes()
    image, truth, inside = images[0], labels[0], evaluation.holistic(trained(), images[0])
    f, said = inside.coefficients @ inside.codebook, evaluation.predict_labels(trained(), image)
    last = [(directions(f), f"~f_8 = WC, {shape(f)}"),
            (pictures.coloured(said, classes), f"prediction, {shape(said)}"),
            (pictures.coloured(truth, classes), f"truth, {shape(truth)}")]
    legend = [(classes[k], tuple(pictures.coloured(k, classes).tolist())) for k in np.unique([said, truth])]
    return small(table([*equations(image, inside), ("", last)], legend))


def reach():
    """Which OS-8 logits change, and how much, with one pixel of c32: a patch of a U-Net's, all of EfficientFCN's."""
    found = [("U-Net", change("unet_bilinear")),
             ("EfficientFCN", change("efficientfcn", codewords=8, codeword_channels=32))]
    side, gap = 352, 40
    out = Image.new("RGB", (2 * side + gap + 2 * MARGIN, side + 100), PAPER)
    draw = ImageDraw.Draw(out)
    for column, (name, size) in enumerate(found):
        x, y = MARGIN + column * (side + gap), MARGIN + 24
        write(draw, x, MARGIN, f"{name}: {(size > NONE).mean():.1%} of {shape(size)} logits change", 15)
        out.paste(Image.fromarray(shaded(size)).resize((side, side), Image.NEAREST), (x, y))
        cell = side // 16  # of c32; pixel 8, 8 is the one
        draw.rectangle((x + 8 * cell, y + 8 * cell, x + 9 * cell, y + 9 * cell), outline=MARK, width=2)
    scale(out, draw, side + 50)
    return small(out)


FIGURES = {"weighting-maps.png": weighting_maps, "assembly.png": assembly, "reach.png": reach}


# What they are made of.

def equations(image, inside):
    """The rows of `assembly` that show Ã, C and W, of the four codewords that are nearest to the most pixels."""
    (maps, C, W), nearest = inside, codewords.nearest_codeword(inside)
    chosen = np.argsort(-np.bincount(nearest.ravel(), minlength=len(C)), kind="stable")[:4]
    colours = 0.25 * codewords.hues(len(C)) + 0.75 * 160  # those that are not shown are pale
    colours[chosen] = codewords.hues(4)
    collected = [(codewords.over(image, maps[:, :, i], 32, colours[i]), f"~A_{i}, {shape(maps[:, :, i])}")
                 for i in chosen]
    strokes = [(codewords.strokes(C[i], colours[i], (60, len(image[0]))), f"c_{i}, {shape(C[i])}") for i in chosen]
    used = [(codewords.over(image, W[:, :, i], 8, colours[i]), f"W_{i}, {shape(W[:, :, i])}") for i in chosen]
    by_colour = codewords.by_codeword(image, nearest, colours)
    return [(f"(1) ~A, {shape(maps)}: where in the image each codeword is collected",
             [(image, f"image, {shape(image)}"), *collected]),
            (f"(2) C, {shape(C)}: four of the {len(C)} codewords, a stroke for each channel", [None, *strokes]),
            (f"(3) W, {shape(W)}: how much of each codeword a pixel takes",
             [(by_colour, f"nearest c_i, {shape(nearest)}"), *used])]


def change(name, seed=0, **options):
    """The largest change of each OS-8 logit, 64×64, when pixel (8, 8) of c32 does: of a network as it was drawn."""
    net = models.build(name, "resnet18", 60, seed=seed, channels=8, compressed=16, **options)
    decoder, rng = net.to(dtype=np.float64).eval().decoder, np.random.default_rng(seed)
    maps = [rng.standard_normal((1, s, s, c)) for s, c in zip((64, 32, 16), (16, 32, 64), strict=True)]
    with no_grad():
        before = decoder(maps).data
        maps[2][0, 8, 8] += 1
        return np.abs(decoder(maps).data - before).max(axis=-1)[0]


def shaded(size):
    """Changes h×w as colours h×w×3: the brighter, the larger, by their logarithm; black where there is none."""
    relative = size / size.max()
    place = np.clip(1 - np.log(np.maximum(relative, FLOOR)) / np.log(FLOOR), 0, 1) * (len(GLOW) - 1)
    glow = np.stack([np.interp(place, range(len(GLOW)), channel) for channel in GLOW.T], axis=-1)
    return np.where(size[:, :, None] > NONE, glow, 0).astype(np.uint8)


def scale(out, draw, y):
    """What the colours and the square mean, below the maps of `reach`."""
    x, width = MARGIN + 200, 300
    write(draw, MARGIN, y, "change, of the largest one")
    out.paste(Image.fromarray(shaded(np.geomspace(FLOOR, 1, width)[None])).resize((width, 16)), (x, y))
    for i, tick in enumerate(np.geomspace(FLOOR, 1, 5)):
        at = x + i * (width - 1) / 4
        draw.line((at, y + 16, at, y + 21), INK)
        write(draw, at, y + 24, f"{tick:g}", 12, middle=True)
    for left, edge, text in ((x + width + 34, (0, 0, 0), "none"), (x + width + 114, MARK, "the pixel of c_32")):
        draw.rectangle((left, y, left + 16, y + 16), (0, 0, 0), edge, 2)
        write(draw, left + 24, y, text)


def directions(f):
    """A map H×W×D as colours H×W×3: its three main directions are red, green and blue."""
    rows = f.reshape(-1, f.shape[2])
    rows = rows - rows.mean(axis=0)
    _, _, Vt = np.linalg.svd(rows, full_matrices=False)
    Vt = Vt[:3] * np.sign(Vt[:3].sum(axis=1, keepdims=True))  # an SVD leaves the sign open
    along = rows @ Vt.T
    return np.clip(128 + 64 * along / along.std(axis=0), 0, 255).astype(np.uint8).reshape(*f.shape[:2], 3)


def shape(array):
    return "×".join(map(str, array.shape))


def small(picture):
    """A picture with 64 levels of each colour, for a file of half the size."""
    return picture.point(lambda value: round(value / 255 * 63) * 255 // 63)


def table(rows, legend):
    """Rows (what they are, cells: array H×W×3 and a line for below, or None) as a picture; the legend ends the last."""
    total, line, tops, y = MARGIN + 5 * (WIDTH + MARGIN), 20, [], MARGIN // 2
    drawn = [[cell and (pictures.fit(cell[0], WIDTH), cell[1]) for cell in cells] for _, cells in rows]
    for (title, _), cells in zip(rows, drawn, strict=True):
        tops.append(y + (line + 2 if title else 0))
        y = tops[-1] + max(cell[0].height for cell in cells if cell) + line + MARGIN
    out = Image.new("RGB", (total, y), PAPER)
    draw = ImageDraw.Draw(out)
    for (title, _), cells, top in zip(rows, drawn, tops, strict=True):
        write(draw, 2 * MARGIN + WIDTH, top - line - 2, title)
        for column, cell in enumerate(cells):
            if cell:
                x = MARGIN + column * (WIDTH + MARGIN)
                out.paste(cell[0], (x, top))
                write(draw, x + WIDTH / 2, top + cell[0].height + 1, cell[1], 13, middle=True)
    start = MARGIN + len(rows[-1][1]) * (WIDTH + MARGIN)
    below = Image.new("RGB", (total - start, y - tops[-1]), PAPER)
    pictures.Legend(legend, below.width).draw(below, 0)
    out.paste(below, (start, tops[-1]))
    return out


def write(draw, x, y, text, size=14, middle=False):
    """A line of text from x on, or around it. "~A" is an A with a tilde, "_8" a low 8: Pillow's font has neither."""
    font, low = ImageFont.load_default(size), ImageFont.load_default(12)
    parts = re.findall(r"~(.)|_(\d+|.)|([^~_]+)", text.replace("×", "x"))
    widths = [low.getlength(below) + 2 if below else font.getlength(hat + plain) for hat, below, plain in parts]
    x -= sum(widths) / 2 if middle else 0
    for (hat, below, plain), width in zip(parts, widths, strict=True):
        draw.text((x, y), hat + plain, INK, font)
        draw.text((x + 1, y + 5), below, INK, low)
        if hat:
            draw.text((x + width / 2, y + font.getbbox(hat)[1] - 3), "~", INK, font, anchor="mm")
        x += width
