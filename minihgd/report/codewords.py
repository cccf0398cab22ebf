"""Pictures of the codewords: where each is collected (Fig. 3), where it is used, and the decoder at a glance."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .pictures import INK, LINE, MARGIN, PAPER, Legend, coloured, fit, sheet

GLOW, COLD = (255, 170, 30), (90, 170, 255)  # where a map is above zero, and below


def weighting_sheet(images, weights, least=0, width=160, count=5):
    """The weighting maps Ã over their images, as in the paper's Fig. 3: a row for each image, a column for each map.

    images: list of H×W×3 uint8. weights: list of h×w×n arrays, each map adding up to one; they cover the images padded
    to sides of at least `least`. The same `count` maps are shown for every image, chosen to differ from one another;
    brightness is relative to each map's own maximum.
    """
    chosen = different_maps(weights, count)
    cells = [[image, *(overlay(image, w[:, :, i], least) for i in chosen)]
             for image, w in zip(images, weights, strict=True)]
    return sheet(cells, ["image"] + [f"codeword {i}" for i in chosen], width)


def codeword_sheet(images, insides, least=0, width=160, count=5):
    """Of each image two rows: where codewords are collected, Ã, and where the same codewords are used, W.

    images: list of H×W×3 uint8. insides: list of their `evaluation.holistic`, with the same `least`. The first cell of
    the second row has a colour for the codeword that is nearest to f̃ at each pixel. Where a coefficient is negative the
    glow is blue.
    """
    chosen = different_maps([inside.maps for inside in insides], count)
    rows, captions = [], []
    for image, inside in zip(images, insides, strict=True):
        rows.append([image, *(overlay(image, inside.maps[:, :, i], least) for i in chosen)])
        captions.append("weighting maps, OS 32: where a codeword is collected")
        rows.append([by_codeword(image, nearest_codeword(inside), len(inside.codebook), least),
                     *(overlay(image, inside.coefficients[:, :, i], least) for i in chosen)])
        captions.append("the nearest codeword of each pixel, and coefficients, OS 8: where a codeword is used")
    return sheet(rows, ["image"] + [f"codeword {i}" for i in chosen], width, captions=captions)


def decoder_picture(image, inside, labels, classes, least=0, count=4):
    """The decoder at a glance, from left to right, as a Pillow picture: what equations (1) to (3) do to one image.

    The image; the weighting maps Ã of the `count` codewords that are foremost in the most pixels; the codewords, a
    stroke for each channel; their coefficients W, blue where negative; the foremost codeword of f̃ at each pixel; the
    prediction `labels` H×W. A codeword keeps its colour throughout.
    """
    n, D = inside.codebook.shape
    colours, foremost = hues(n), foremost_codeword(inside)
    chosen = np.argsort(-np.bincount(foremost.ravel(), minlength=n), kind="stable")[:count]
    maps, W = ([overlay(image, values[:, :, i], least, colours[i]) for i in chosen]
               for values in (inside.maps, inside.coefficients))
    codewords = [strokes(inside.codebook[i], colours[i], image.shape[:2]) for i in chosen]
    columns = [  # what it is, in two lines; the pictures; their width; the sign before them
        ("the image, of which\na ResNet makes e8, e16, e32", [image], 200, ""),
        ("(1) weighting maps, from m32:\nwhere each is collected", maps, 150, "→"),
        (f"(2) {len(chosen)} of {n} codewords,\n{D} channels each", codewords, 150, "→"),
        ("(3) coefficients, from m8:\nwhere each is used", W, 150, "×"),
        ("f = sum of W c: of each\npixel the foremost codeword", [by_codeword(image, foremost, n, least)], 200, "→"),
        ("1x1 convolution, enlarged:\nthe prediction", [coloured(labels, classes)], 200, "→"),
    ]
    return flow(columns, [(classes[k], tuple(coloured(k, classes).tolist())) for k in np.unique(labels)])


def strokes(codeword, colour, size):
    """A codeword's D values as vertical strokes, H×W×3 uint8 of an image's size H×W: the larger, the stronger."""
    strength = np.abs(codeword) / (np.abs(codeword).max() + 1e-12)  # D
    channel = np.arange(size[1]) * len(codeword) // size[1]  # W, which channel each column shows
    line = 255 - strength[channel, None] * (255 - colour)  # W×3
    return np.broadcast_to(line, (*size, 3)).astype(np.uint8)


def flow(columns, legend, gap=34):
    """Columns of (text of two lines, arrays H×W×3, width, sign before each) side by side, as a Pillow picture."""
    columns = [(text, [fit(array, width) for array in arrays], width, sign) for text, arrays, width, sign in columns]
    heights = [sum(picture.height + MARGIN for picture in pictures) - MARGIN for _, pictures, *_ in columns]
    top, height = 2 * LINE + MARGIN, max(heights)
    width = 2 * MARGIN + sum(width for *_, width, _ in columns) + gap * (len(columns) - 1)
    below = Legend(legend, width)
    out = Image.new("RGB", (max(width, below.width), top + height + 2 * MARGIN + below.height), PAPER)
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
    """For each pixel at OS 8 the number of the codeword whose direction is nearest to that of f̃: H/8×W/8."""
    C = inside.codebook / (np.linalg.norm(inside.codebook, axis=1, keepdims=True) + 1e-12)  # n×D
    return (inside.assembled @ C.T).argmax(axis=2)  # H/8×W/8, the largest cosine: f̃'s own length is the same for all


def foremost_codeword(inside):
    """For each pixel at OS 8 the number of the codeword with the largest part in f̃ = Σ W_i c_i: H/8×W/8."""
    return (np.abs(inside.coefficients) * np.linalg.norm(inside.codebook, axis=1)).argmax(axis=2)


def hues(n):
    """n×3 uint8: colours, neighbours in number far apart in hue."""
    turns = np.arange(n) * 0.618034  # the golden ratio never comes near the same hue soon
    return np.array([colorsys.hsv_to_rgb(turn % 1, 0.6 + 0.3 * (i % 2), 0.95) for i, turn in enumerate(turns)]) * 255


def by_codeword(image, numbers, n, least=0):
    """Numbers of codewords H/8×W/8, of n, in colours over the image's brightness: H×W×3."""
    colours = spread(hues(n)[numbers], image.shape[:2], least, Image.NEAREST)
    return (0.8 * colours + 0.2 * image.mean(axis=2, keepdims=True)).astype(np.uint8)


def spread(values, size, least, how=Image.BICUBIC):
    """A map h×w or h×w×3 at the image's size H×W: it covers the image padded to sides of at least `least`."""
    height, width = size
    padded = max(width, least), max(height, least)
    if values.ndim == 3:
        return np.stack([spread(channel, size, least, how) for channel in np.moveaxis(values, 2, 0)], axis=2)
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(padded, how))[:height, :width]


def overlay(image, values, least=0, glow=GLOW):
    """An image H×W×3 uint8, grey where the map h×w is zero, glowing where it is high, blue where it is below zero.

    On the scale of the map's own largest value.
    """
    heat = spread(values / (np.abs(values).max() + 1e-12), image.shape[:2], least)
    heat = np.clip(heat, -1, 1)[:, :, None]  # H×W×1
    grey = image.mean(axis=2, keepdims=True) * 0.5  # H×W×1
    bright = 0.45 * image + 0.55 * np.where(heat < 0, COLD, glow)
    heat = np.abs(heat)
    return (grey * (1 - heat) + bright * heat).astype(np.uint8)
