"""Pictures of what a model sees: inputs, truths and predictions side by side, and the weighting maps of Fig. 3."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data import VOID, voc_palette
from ..files import written_aside

MARGIN, LINE, INK, PAPER = 8, 22, (30, 30, 30), (255, 255, 255)
NATURAL = {  # classes that cover large fields, in colours one knows them by
    "sky": (135, 190, 235), "water": (40, 105, 180), "grass": (125, 185, 80), "tree": (40, 110, 60),
    "road": (130, 95, 145), "snow": (235, 240, 250), "ground": (205, 175, 125), "mountain": (140, 115, 105),
    "building": (180, 110, 85), "track": (95, 75, 70), "sidewalk": (180, 170, 175), "wall": (215, 200, 175),
    "floor": (170, 130, 95), "rock": (110, 105, 100), "ceiling": (225, 220, 205),
}


def colour_table(classes):
    """256×3 uint8: NATURAL colours, or the PASCAL VOC palette's next one; void is light grey."""
    table = voc_palette()
    if classes[0] != "background":  # whose colour is the first, black
        table = np.roll(table, -1, axis=0)
    for k, name in enumerate(classes):
        table[k] = NATURAL.get(name, table[k])
    table[VOID] = 225
    return table


def coloured(labels, classes):
    """Labels H×W -> H×W×3 uint8 in the colours of `colour_table`."""
    return colour_table(classes)[labels]


def side_by_side(rows, classes, width=220):
    """A picture with a row (input H×W×3, truth H×W, prediction H×W) for each image, and a legend of what occurs.

    Void pixels of the truth are light grey. width: of each column, in pixels.
    """
    cells = [[image, coloured(truth, classes), coloured(prediction, classes)] for image, truth, prediction in rows]
    occurring = np.unique(np.concatenate([np.ravel(labels) for row in rows for labels in row[1:]]))
    legend = [("not labelled" if k == VOID else classes[k], tuple(coloured(k, classes).tolist())) for k in occurring]
    return _sheet(cells, ["image", "truth", "prediction"], width, legend)


def overlay_with_legend(image, labels, classes, strength=0.6):
    """A Pillow picture of an image H×W×3 under the colours of its labels H×W, edges drawn, with a legend below.

    The legend names the classes that occur, the largest first, with their shares of the pixels. What a class named
    "background" covers stays as it is. In bytes throughout: a photograph of today has tens of millions of pixels.
    """
    height, width = labels.shape
    scale = max(1, round(width / 700))  # of letters and edges
    plain, colours = Image.fromarray(image), palette_picture(labels, classes).convert("RGB")
    mixed = Image.blend(plain, colours, strength)
    if "background" in classes:
        mixed.paste(plain, mask=Image.fromarray(labels == classes.index("background")))
    edge = np.zeros(labels.shape, bool)
    for step in range(1, scale + 1):  # pixels whose neighbour on the left or above is of another class
        edge[:, step:] |= labels[:, step:] != labels[:, :-step]
        edge[step:] |= labels[step:] != labels[:-step]
    mixed.paste(colours.point(lambda value: value * 0.4), mask=Image.fromarray(edge))
    names, counts = np.unique(labels, return_counts=True)
    legend = [(f"{classes[k]} {share(count / labels.size)}", tuple(coloured(k, classes).tolist()))
              for k, count in sorted(zip(names, counts, strict=True), key=lambda pair: -pair[1])]
    below = Legend(legend, width, scale)
    sheet = Image.new("RGB", (max(width, below.width), height + below.height), PAPER)
    sheet.paste(mixed)
    below.draw(sheet, height + MARGIN)
    return sheet


def share(part):
    """A share in percent; what is there is never 0%."""
    return f"{part:.0%}" if part >= 0.005 else "<1%"


def palette_picture(labels, classes):
    """Labels H×W as a Pillow palette picture: its values are the labels, its colours those of `coloured`."""
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(colour_table(classes).tobytes())
    return picture


def weighting_sheet(images, weights, least=0, width=160, count=5):
    """The weighting maps Ã over their images, as in the paper's Fig. 3: a row for each image, a column for each map.

    images: list of H×W×3 uint8. weights: list of h×w×n arrays, each map adding up to one; they cover the images padded
    to sides of at least `least`. The same `count` maps are shown for every image, chosen to differ from one another;
    brightness is relative to each map's own maximum.
    """
    chosen = different_maps(weights, count)
    cells = [[image, *(overlay(image, w[:, :, i], least) for i in chosen)]
             for image, w in zip(images, weights, strict=True)]
    return _sheet(cells, ["image"] + [f"codeword {i}" for i in chosen], width, [])


def different_maps(weights, count):
    """Indices of `count` maps that differ: the most concentrated one, then always the least like those chosen."""
    flat = np.concatenate([w.reshape(-1, w.shape[2]) / w.reshape(-1, w.shape[2]).max(axis=0) for w in weights])
    flat = flat - flat.mean(axis=0)  # pixels×n
    flat /= np.linalg.norm(flat, axis=0) + 1e-12
    likeness = np.abs(flat.T @ flat)  # n×n, the correlations
    peaks = sum(w.reshape(-1, w.shape[2]).max(axis=0) for w in weights)
    chosen = [int(np.argmax(peaks))]
    while len(chosen) < min(count, len(likeness)):
        nearest = likeness[chosen].max(axis=0)
        nearest[chosen] = np.inf
        chosen.append(int(np.argmin(nearest)))
    return chosen


def overlay(image, weight, least=0):
    """An image H×W×3 uint8, darkened and greyed where the map h×w is low and glowing where it is high."""
    height, width = image.shape[:2]
    size = max(width, least), max(height, least)
    heat = Image.fromarray((weight / weight.max()).astype(np.float32)).resize(size, Image.BICUBIC)
    heat = np.clip(np.asarray(heat)[:height, :width], 0, 1)[:, :, None]  # H×W×1
    grey = image.mean(axis=2, keepdims=True) * 0.5  # H×W×1
    glow = np.array([255, 170, 30])
    return (grey * (1 - heat) + (0.45 * image + 0.55 * glow) * heat).astype(np.uint8)


def save(picture, path):
    """Write a Pillow image as PNG, aside and then renamed."""
    with written_aside(path) as file:
        picture.save(file, format="PNG")


class Legend:
    """(name, colour) pairs beside and below one another, in a picture of a width in pixels. scale: of the letters."""

    def __init__(self, entries, width, scale=1):
        self.entries, self.scale, self.font = entries, scale, ImageFont.load_default(13 * scale)
        longest = max((self.font.getlength(name) for name, _ in entries), default=0)
        self.step = max(110 * scale, round(longest) + 36 * scale)  # from one entry to the next
        self.columns = max(1, (width - MARGIN) // self.step)
        self.width = MARGIN + self.step * min(self.columns, max(1, len(entries)))
        self.height = -(-len(entries) // self.columns) * LINE * scale + MARGIN

    def draw(self, sheet, y):
        """Draw it on a Pillow picture, from line y on."""
        draw, s = ImageDraw.Draw(sheet), self.scale
        for i, (name, colour) in enumerate(self.entries):
            x, line = MARGIN + i % self.columns * self.step, y + i // self.columns * LINE * s
            draw.rectangle((x, line + 2 * s, x + 14 * s, line + 16 * s), colour, INK)
            draw.text((x + 20 * s, line), name, INK, self.font)


def _sheet(cells, titles, width, legend):
    """A grid of pictures under column titles, with a legend of (name, colour) below."""
    pictures = [[_fit(cell, width) for cell in row] for row in cells]
    heights = [max(picture.height for picture in row) for row in pictures]
    total_width, top = MARGIN + len(titles) * (width + MARGIN), 24
    below = Legend(legend, total_width)
    sheet = Image.new("RGB", (max(total_width, below.width), top + sum(heights) + MARGIN * len(heights) + below.height),
                      PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((MARGIN + column * (width + MARGIN), 4), title, INK, below.font)
    y = top
    for row, height in zip(pictures, heights, strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (MARGIN + column * (width + MARGIN), y))
        y += height + MARGIN
    below.draw(sheet, y)
    return sheet


def _fit(array, width):
    """An H×W×3 array as a Pillow image `width` pixels wide, or three times as high as that and narrower."""
    picture = Image.fromarray(np.ascontiguousarray(array))
    factor = min(width / picture.width, 3 * width / picture.height)
    size = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize(tuple(size), Image.BICUBIC)
