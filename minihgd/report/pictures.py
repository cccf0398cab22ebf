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
    legend = [(classes[k], tuple(coloured(k, classes).tolist())) for k in occurring if k != VOID]
    return _sheet(cells, ["image", "truth", "prediction"], width, legend)


def overlay_with_legend(image, labels, classes, strength=0.6):
    """A Pillow picture of an image H×W×3 under the colours of its labels H×W, edges drawn, with a legend below.

    The legend names the classes that occur, the largest first, with their shares of the pixels. What a class named
    "background" covers stays as it is.
    """
    colours = coloured(labels, classes)  # H×W×3
    tint = strength * np.array([name != "background" for name in classes])[labels][:, :, None]  # H×W×1
    mixed = (1 - tint) * image + tint * colours
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    mixed[edge] = colours[edge] * 0.4
    names, counts = np.unique(labels, return_counts=True)
    legend = [(f"{classes[k]} {count / labels.size:.0%}", tuple(coloured(k, classes).tolist()))
              for k, count in sorted(zip(names, counts, strict=True), key=lambda pair: -pair[1])]
    height, width = labels.shape
    sheet = Image.new("RGB", (width, height + legend_height(legend, width)), PAPER)
    sheet.paste(Image.fromarray(mixed.astype(np.uint8)))
    draw_legend(sheet, legend, height + MARGIN)
    return sheet


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
        picture.save(file, format="PNG", optimize=True)


def _sheet(cells, titles, width, legend):
    """A grid of pictures under column titles, with a legend of (name, colour) below."""
    font = ImageFont.load_default(13)
    pictures = [[_fit(cell, width) for cell in row] for row in cells]
    heights = [max(picture.height for picture in row) for row in pictures]
    total_width, top = MARGIN + len(titles) * (width + MARGIN), 24
    size = total_width, top + sum(heights) + MARGIN * len(heights) + legend_height(legend, total_width)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((MARGIN + column * (width + MARGIN), 4), title, INK, font)
    y = top
    for row, height in zip(pictures, heights, strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (MARGIN + column * (width + MARGIN), y))
        y += height + MARGIN
    draw_legend(sheet, legend, y)
    return sheet


def legend_height(legend, width):
    """Pixels that `draw_legend` needs."""
    return -(-len(legend) // per_line(legend, width)) * LINE + MARGIN


def draw_legend(sheet, legend, y):
    """Draw (name, colour) pairs on a Pillow picture, from line y on, side by side as its width allows."""
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    count = per_line(legend, sheet.width)
    for i, (name, colour) in enumerate(legend):
        x, line = MARGIN + i % count * entry_width(legend), y + i // count * LINE
        draw.rectangle((x, line + 2, x + 14, line + 16), colour, INK)
        draw.text((x + 20, line), name, INK, font)


def entry_width(legend):
    """Pixels from one entry to the next: the longest name has room."""
    font = ImageFont.load_default(13)
    return max([110, *(36 + round(font.getlength(name)) for name, _ in legend)])


def per_line(legend, width):
    """Entries beside one another in a legend of a width."""
    return max(1, (width - MARGIN) // entry_width(legend))


def _fit(array, width):
    """An H×W×3 array as a Pillow image `width` pixels wide."""
    picture = Image.fromarray(np.ascontiguousarray(array))
    return picture.resize((width, round(picture.height * width / picture.width)), Image.BICUBIC)
