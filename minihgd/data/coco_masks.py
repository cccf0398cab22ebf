"""COCO's segmentations, on the way to pixels: polygons, and run lengths, plain and compressed.

Polygons are lists of numbers x, y, x, y, ... in pixels, (0, 0) being the upper left corner of the first pixel; an
instance is all of its polygons together. Pillow fills them: it moves every corner to the centre of the pixel it lies
in, and takes the pixels of the outline too, whereas COCO's own code takes those whose centre lies inside. So a region
reaches about half a pixel farther here: that is 12% more area for random stars with a diameter of 20 pixels, 1.6% with
150. Moving the corners by half a pixel first would bring the masks no nearer to COCO's.

For run lengths a mask is read column after column, top to bottom, as runs of 0, 1, 0, 1, ...; the first run may have
length 0. The plain form lists the lengths. The compressed form writes every length as characters of six bits each
(code − 48): five bits of the number, lowest first, and one that says whether another character follows. From the
fourth length on, what is written is the difference from the length two before (runs of one kind resemble each other),
so that numbers have a sign: the fifth bit of the last character.

The labels made of them are scored in docs/14-evaluation.md.
"""

from array import array

import numpy as np
from PIL import Image, ImageDraw

from ..errors import DataError

FAR = 1e6  # pixels; coordinates beyond are no coordinates, and might not fit the whole numbers Pillow makes of them


def paint(picture, segmentation, value, where="segmentation"):
    """Set all pixels of a segmentation, in any of the three forms, to `value` in a Pillow picture of mode L.

    Polygons of fewer than three corners enclose nothing and are left out: COCO has some.
    Raises DataError, beginning with `where`, for anything else and for run lengths of another size than the picture's.
    """
    if isinstance(segmentation, list):
        draw = ImageDraw.Draw(picture)
        for polygon in segmentation:
            numbers = checked_numbers(polygon, where)
            if len(numbers) >= 6:
                draw.polygon(numbers, fill=value)
    elif isinstance(segmentation, dict):
        mask = decode_mask(segmentation, where)
        if mask.shape != picture.size[::-1]:
            raise DataError(f"{where}: found a mask of size {mask.shape}, expected the image's {picture.size[::-1]}")
        picture.paste(value, mask=Image.fromarray(mask))
    else:
        raise DataError(f"{where}: expected a list of polygons, or run lengths {{size, counts}}, "
                        f"found {str(segmentation)[:80]}")


def checked_numbers(polygon, where):
    """A polygon's numbers x, y, x, y, ... as a list; DataError, beginning with `where`, unless they are that."""
    try:
        numbers = np.asarray(polygon)
        fits = numbers.ndim == 1 and numbers.dtype.kind in "iuf" and (abs(numbers) < FAR).all()  # NaN is not
    except ValueError:  # lists of several lengths
        fits = False
    if not fits:
        raise DataError(f"{where}: expected a polygon as a list of numbers x, y, x, y, ..., found {str(polygon)[:80]}")
    if len(numbers) % 2:
        raise DataError(f"{where}: expected a polygon of pairs x, y, found {len(numbers)} numbers")
    return numbers.tolist()


def decode_mask(segmentation, where="segmentation"):
    """The mask H×W of bool of {"size": [H, W], "counts": list or array of lengths, or compressed string}.

    Raises DataError, beginning with `where`, for anything else and for lengths that do not add up to H·W.
    """
    size, counts = parts_of(segmentation, where)
    lengths = uncompress(counts, where) if isinstance(counts, (str, bytes)) else list(counts)
    if not all(isinstance(length, int) and length >= 0 for length in lengths):
        raise DataError(f"{where}: expected run lengths that are whole and not negative, found {str(lengths)[:80]}")
    if sum(lengths) != size[0] * size[1]:
        raise DataError(f"{where}: expected run lengths of {size[0]}·{size[1]} pixels in all, found {sum(lengths)}")
    ones = np.arange(len(lengths)) % 2 == 1  # every second run, beginning with the second
    return np.repeat(ones, lengths).reshape(size[::-1]).T  # W×H, columns first -> H×W


def parts_of(segmentation, where):
    """(size, counts) of a segmentation that has them in COCO's form; DataError otherwise."""
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        fits = isinstance(size, list) and [type(side) for side in size] == [int, int] and min(size) > 0
        if fits and isinstance(counts, (list, array, str, bytes)):
            return size, counts
    raise DataError(f"{where}: expected run lengths, {{size: [height, width], counts: list or string}}, "
                    f"found {str(segmentation)[:80]}")


def uncompress(counts, where="counts"):
    """The list of run lengths in COCO's compressed string (str or bytes)."""
    lengths, number, shift = [], 0, 0
    for code in counts.encode() if isinstance(counts, str) else counts:
        bits = code - 48
        if not 0 <= bits < 64:
            raise DataError(f"{where}: found {chr(code)!r} in compressed run lengths, expected characters '0' to 'o'")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:  # another character of this number follows
            continue
        if bits & 16:  # negative: all the higher bits are ones
            number -= 1 << shift
        lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
        number, shift = 0, 0
    if shift:
        raise DataError(f"{where}: the compressed run lengths end in the middle of a number")
    return lengths
