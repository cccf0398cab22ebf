"""Pictures of what a model sees: inputs, truths and predictions side by side, and the weighting maps of Fig. 3."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data import VOID
from ..files import written_aside

MARGIN, INK, PAPER = 8, (30, 30, 30), (255, 255, 255)
NATURAL = {  # classes that cover large fields, in colours one knows them by
    "sky": (135, 190, 235), "water": (40, 105, 180), "grass": (125, 185, 80), "tree": (40, 110, 60),
    "road": (130, 95, 145), "snow": (235, 240, 250), "ground": (205, 175, 125), "mountain": (140, 115, 105),
    "building": (180, 110, 85), "track": (95, 75, 70), "sidewalk": (180, 170, 175), "wall": (215, 200, 175),
    "floor": (170, 130, 95), "rock": (110, 105, 100), "ceiling": (225, 220, 205),
}


def palette():
    """The PASCAL VOC colours, 256×3 uint8: bits 0, 1, 2 of a label are the top bits of R, G, B, then the next three."""
    colours = np.zeros((256, 3), np.uint8)
    for label in range(256):
        rest = label
        for bit in range(7, -1, -1):
            for channel in range(3):
                colours[label, channel] |= (rest >> channel & 1) << bit
            rest >>= 3
    return colours


def coloured(labels, classes):
    """Labels H×W -> H×W×3 uint8: NATURAL colours, or the PASCAL VOC palette's next one; void is light grey."""
    table = palette() if classes[0] == "background" else np.roll(palette(), -1, axis=0)  # 0 is for the background
    for k, name in enumerate(classes):
        table[k] = NATURAL.get(name, table[k])
    table[VOID] = 225
    return table[labels]


def side_by_side(rows, classes, width=220):
    """A picture with a row (input H×W×3, truth H×W, prediction H×W) for each image, and a legend of what occurs.

    Void pixels of the truth are light grey. width: of each column, in pixels.
    """
    cells = [[image, coloured(truth, classes), coloured(prediction, classes)] for image, truth, prediction in rows]
    occurring = np.unique(np.concatenate([np.ravel(labels) for row in rows for labels in row[1:]]))
    legend = [(classes[k], tuple(coloured(k, classes).tolist())) for k in occurring if k != VOID]
    return _sheet(cells, ["image", "truth", "prediction"], width, legend)


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
    total_width = MARGIN + len(titles) * (width + MARGIN)
    per_line = max(1, (total_width - MARGIN) // 110)
    legend_lines = -(-len(legend) // per_line)
    top = 24
    sheet = Image.new("RGB", (total_width, top + sum(heights) + MARGIN * len(heights) + legend_lines * 22 + MARGIN),
                      PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((MARGIN + column * (width + MARGIN), 4), title, INK, font)
    y = top
    for row, height in zip(pictures, heights, strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (MARGIN + column * (width + MARGIN), y))
        y += height + MARGIN
    for i, (name, colour) in enumerate(legend):
        x, line = MARGIN + i % per_line * 110, y + i // per_line * 22
        draw.rectangle((x, line + 2, x + 14, line + 16), colour, INK)
        draw.text((x + 20, line), name, INK, font)
    return sheet


def _fit(array, width):
    """An H×W×3 array as a Pillow image `width` pixels wide."""
    picture = Image.fromarray(np.ascontiguousarray(array))
    return picture.resize((width, round(picture.height * width / picture.width)), Image.BICUBIC)
