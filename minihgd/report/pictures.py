"""Pictures of what a model says: inputs, truths and predictions side by side, labels over an image.

How predictions are made and scored: docs/14-evaluation.md.
"""

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


def side_by_side(rows, classes, width=220, titles=("image", "truth", "prediction")):
    """A picture with a row (input H×W×3, then labels H×W: truth, prediction) for each image, and a legend.

    A Pillow picture. rows: a list of these. classes: their names; the legend names what occurs. Void pixels of the
    truth are light grey. width: of each column, in pixels. titles: of the columns. See docs/14-evaluation.md.
    """
    cells = [[image, *(coloured(one, classes) for one in labels)] for image, *labels in rows]
    occurring = np.unique(np.concatenate([np.ravel(labels) for row in rows for labels in row[1:]]))
    legend = [("not labelled" if k == VOID else classes[k], tuple(coloured(k, classes).tolist())) for k in occurring]
    return sheet(cells, titles, width, legend)


def overlay_with_legend(image, labels, classes, strength=0.6):
    """A Pillow picture of an image H×W×3 under the colours of its labels H×W, edges drawn, with a legend below.

    The legend names the classes that occur, the largest first, with their shares of the pixels. What a class named
    "background" covers stays as it is. classes: the names. strength: the share of the colours, 0 to 1; the rest is the
    image's. In bytes throughout: a photograph of today has tens of millions of pixels. See docs/14-evaluation.md.
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
    """Labels H×W as a Pillow palette picture: its values are the labels, its colours those of `coloured`.

    classes: their names, which choose the colours. Palettes: docs/14-evaluation.md.
    """
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(colour_table(classes).tobytes())
    return picture


def save(picture, path):
    """Write a Pillow image as PNG, aside and then renamed: `path` is whole or not there. Raises OSError, naming it."""
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


def sheet(rows, titles, width, legend=(), captions=None):
    """A grid of arrays H×W×3, each `width` pixels wide, as a Pillow picture.

    titles: of the columns. captions: a line above each row. legend: (name, colour) pairs below.
    """
    pictures = [[fit(cell, width) for cell in row] for row in rows]
    over = LINE if captions else 0
    heights = [over + max(picture.height for picture in row) for row in pictures]
    total_width, top = MARGIN + len(titles) * (width + MARGIN), 24
    below = Legend(legend, total_width)
    out = Image.new("RGB", (max(total_width, below.width), top + sum(heights) + MARGIN * len(heights) + below.height),
                    PAPER)
    draw = ImageDraw.Draw(out)
    for column, title in enumerate(titles):
        draw.text((MARGIN + column * (width + MARGIN), 4), title, INK, below.font)
    y = top
    for number, (row, height) in enumerate(zip(pictures, heights, strict=True)):
        if captions:
            draw.text((MARGIN, y), captions[number], INK, below.font)
        for column, picture in enumerate(row):
            out.paste(picture, (MARGIN + column * (width + MARGIN), y + over))
        y += height + MARGIN
    below.draw(out, y)
    return out


def fit(array, width):
    """An H×W×3 array as a Pillow image `width` pixels wide, or three times as high as that and narrower."""
    picture = Image.fromarray(np.ascontiguousarray(array))
    factor = min(width / picture.width, 3 * width / picture.height)
    size = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize(tuple(size), Image.BICUBIC)
