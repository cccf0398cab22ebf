"""Pictures of the codewords: where each is collected (Fig. 3), where it is used, and the decoder at a glance.

Explained in docs/01-what-the-network-computes.md.
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .pictures import INK, LINE, MARGIN, PAPER, Legend, coloured, fit, sheet

GLOW, COLD = (255, 170, 30), (90, 170, 255)  # where a map is above zero, and below


def weighting_sheet(images, weights, width=160, count=5):
    """The weighting maps Ã over their images, as in the paper's Fig. 3: a row for each image, a column for each map.

    images: list of H×W×3 uint8. weights: list of H/32×W/32×n arrays, the `maps` of `evaluation.holistic`. The same
    `count` maps are shown for every image, chosen to differ from one another; brightness is relative to each map's own
    maximum. width: of each column, in pixels. A Pillow picture. See docs/01-what-the-network-computes.md.
    """
    chosen = different_maps(weights, count)
    cells = [[image, *(over(image, w[:, :, i], 32) for i in chosen)] for image, w in zip(images, weights, strict=True)]
    return sheet(cells, ["image"] + [f"codeword {i}" for i in chosen], width)


def codeword_sheet(images, insides, width=160, count=5):
    """Of each image two rows: where codewords are collected, Ã, and where the same codewords are used, W.

    images: list of H×W×3 uint8. insides: list of their `evaluation.holistic`. The first cell of the second row has a
    colour for the codeword that is nearest to f̃ at each pixel. Where a coefficient is negative the glow is blue.
    width: of each column, in pixels. count: how many codewords. A Pillow picture. See
    docs/01-what-the-network-computes.md.
    """
    chosen = different_maps([inside.maps for inside in insides], count)
    rows, captions = [], []
    for image, inside in zip(images, insides, strict=True):
        rows.append([image, *(over(image, inside.maps[:, :, i], 32) for i in chosen)])
        captions.append("weighting maps, OS 32: where a codeword is collected")
        nearest = by_codeword(image, nearest_codeword(inside), hues(len(inside.codebook)))
        rows.append([nearest, *(over(image, inside.coefficients[:, :, i], 8) for i in chosen)])
        captions.append("the nearest codeword of each pixel, and coefficients, OS 8: where a codeword is used")
    return sheet(rows, ["image"] + [f"codeword {i}" for i in chosen], width, captions=captions)


def decoder_picture(image, inside, labels, classes, count=4):
    """The decoder at a glance, from left to right, as a Pillow picture: what equations (1) to (3) do to one image.

    The image H×W×3 uint8; the weighting maps Ã of the `count` codewords that are foremost in the most pixels; those
    codewords, their channels as strokes; their coefficients W, blue where negative; the foremost codeword of f̃ at each
    pixel; the prediction `labels` H×W. A codeword keeps its colour throughout; those that are not shown are pale.
    inside: what `evaluation.holistic` gives. classes: their names, for the legend. See
    docs/01-what-the-network-computes.md.
    """
    n, D = inside.codebook.shape
    foremost = foremost_codeword(inside)
    chosen = np.argsort(-np.bincount(foremost.ravel(), minlength=n), kind="stable")[:count]
    colours = 0.3 * hues(n) + 0.7 * 160  # n×3
    colours[chosen] = hues(len(chosen))
    maps = [over(image, inside.maps[:, :, i], 32, colours[i]) for i in chosen]
    codewords = [strokes(inside.codebook[i], colours[i], image.shape[:2]) for i in chosen]
    W = [over(image, inside.coefficients[:, :, i], 8, colours[i]) for i in chosen]
    columns = [  # what it is, in two lines; the pictures; their width; the sign before them
        ("the image, of which\na ResNet makes e8, e16, e32", [image], 200, ""),
        ("(1) weighting maps, from m32:\nwhere each is collected", maps, 150, "→"),
        (f"(2) {len(chosen)} of {n} codewords,\n{D} channels each", codewords, 150, "→"),
        ("(3) coefficients, from m8:\nwhere each is used", W, 150, "×"),
        ("f = sum of W c: of each\npixel the foremost codeword", [by_codeword(image, foremost, colours)], 200, "→"),
        ("1x1 convolution, enlarged:\nthe prediction", [coloured(labels, classes)], 200, "→"),
    ]
    return flow(columns, [(classes[k], tuple(coloured(k, classes).tolist())) for k in np.unique(labels)])


# Which codewords.

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


def nearest_codeword(inside):
    """For each pixel at OS 8 the number of the codeword whose direction is nearest to that of f̃ = W C: H/8×W/8."""
    C = inside.codebook  # n×D
    directions = C / (np.linalg.norm(C, axis=1, keepdims=True) + 1e-12)
    # The largest cosine: f̃'s own length is the same for all. f̃ itself, D wide, is not needed.
    return (inside.coefficients @ (C @ directions.T)).argmax(axis=2)


def foremost_codeword(inside):
    """For each pixel at OS 8 the number of the codeword with the largest part in f̃ = Σ W_i c_i: H/8×W/8."""
    return (np.abs(inside.coefficients) * np.linalg.norm(inside.codebook, axis=1)).argmax(axis=2)


# In which colours.

def hues(n):
    """n×3 colours in 0..255, neighbours in number far apart in hue: a turn by the golden ratio from one to the next."""
    return np.array([colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.6 + 0.3 * (i % 2), 0.95) for i in range(n)]) * 255


def over(image, values, stride, glow=GLOW):
    """An image H×W×3 uint8, grey where a map of a stride is zero, glowing where it is high, blue where below zero.

    On the scale of the map's own largest value. The cells of a map at OS 32 lie around what they sample, the pixels
    32 i; those at OS 8 where the network puts their logits when it enlarges them, from 8 i to 8 i + 8.
    """
    heat = spread(values / (np.abs(values).max() + 1e-12), image.shape[:2], stride, before=16 if stride == 32 else 0)
    heat = np.clip(heat, -1, 1)[:, :, None]  # H×W×1
    grey = image.mean(axis=2, keepdims=True) * 0.5  # H×W×1
    bright = 0.45 * image + 0.55 * np.where(heat < 0, COLD, glow)
    return (grey * (1 - np.abs(heat)) + bright * np.abs(heat)).astype(np.uint8)


def by_codeword(image, numbers, colours):
    """Numbers of codewords H/8×W/8 in their colours n×3, over the image's brightness: H×W×3 uint8."""
    height, width = image.shape[:2]
    blocks = colours[numbers].repeat(8, axis=0).repeat(8, axis=1)[:height, :width]  # H×W×3
    return (0.8 * blocks + 0.2 * image.mean(axis=2, keepdims=True)).astype(np.uint8)


def spread(values, size, stride, before=0):
    """A map h×w at an image's size H×W: cell i covers the pixels from stride·i - before on, the last one all others."""
    (height, width), (h, w) = size, values.shape
    large = Image.fromarray(values.astype(np.float32)).resize((w * stride, h * stride), Image.BICUBIC)
    large = np.pad(np.asarray(large)[before:, before:], ((0, before), (0, before)), mode="edge")
    return large[:height, :width]


def strokes(codeword, colour, size):
    """A codeword's D values as vertical strokes, H×W×3 uint8 of an image's size H×W: the larger, the stronger.

    Where there are more channels than columns a column shows the mean of several.
    """
    strength = Image.fromarray(np.abs(codeword)[None].astype(np.float32)).resize((size[1], 1), Image.BOX)
    strength = np.asarray(strength)[0] / (np.max(strength) + 1e-12)  # W
    return np.broadcast_to(255 - strength[:, None] * (255 - colour), (*size, 3)).astype(np.uint8)


# Side by side.

def flow(columns, legend, gap=34):
    """Columns of (text of two lines, arrays H×W×3, width, sign before each) side by side, as a Pillow picture."""
    columns = [(text, [fit(array, width) for array in arrays], width, sign) for text, arrays, width, sign in columns]
    heights = [sum(picture.height + MARGIN for picture in pictures) - MARGIN for _, pictures, *_ in columns]
    top, height = 2 * LINE + MARGIN, max(heights)
    total = 2 * MARGIN + sum(width for *_, width, _ in columns) + gap * (len(columns) - 1)
    below = Legend(legend, total)
    out = Image.new("RGB", (max(total, below.width), top + height + 2 * MARGIN + below.height), PAPER)
    draw, x = ImageDraw.Draw(out), MARGIN
    for (text, pictures, width, sign), own in zip(columns, heights, strict=True):
        draw.multiline_text((x, MARGIN // 2), text, INK, ImageFont.load_default(12))
        y = top + (height - own) // 2
        for picture in pictures:
            draw_sign(draw, sign, x - gap + 5, x - 5, y + picture.height // 2)
            out.paste(picture, (x, y))
            y += picture.height + MARGIN
        x += width + gap
    below.draw(out, top + height + MARGIN)
    return out


def draw_sign(draw, sign, start, end, y):
    """An arrow from x = start to x = end, or a cross between them."""
    if sign == "→":
        draw.line((start, y, end, y), INK, 2)
        draw.polygon((end, y, end - 7, y - 4, end - 7, y + 4), INK)
    elif sign == "×":
        x = (start + end) // 2
        draw.line((x - 5, y - 5, x + 5, y + 5), INK, 2)
        draw.line((x - 5, y + 5, x + 5, y - 5), INK, 2)
