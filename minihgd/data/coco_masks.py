"""COCO's run lengths, plain and compressed, decoded to masks.

A mask is read column after column, top to bottom, as runs of 0, 1, 0, 1, ...; the first run may have length 0. The
plain form lists the lengths. The compressed form writes every length as characters of six bits each (code − 48): five
bits of the number, lowest first, and one that says whether another character follows. From the fourth length on, what
is written is the difference from the length two before (runs of one kind resemble each other), so that numbers have a
sign: the fifth bit of the last character.
"""

import numpy as np

from ..errors import DataError


def decode_mask(segmentation, where="segmentation"):
    """The mask H×W of bool of {"size": [H, W], "counts": list of lengths or compressed string}.

    Raises DataError, beginning with `where`, for anything else and for lengths that do not add up to H·W.
    """
    size, counts = parts_of(segmentation, where)
    lengths = counts if isinstance(counts, list) else uncompress(counts, where)
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
        if fits and isinstance(counts, (list, str, bytes)):
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
