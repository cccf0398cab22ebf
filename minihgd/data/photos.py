"""Photographs as people have them: turned by a note in the file, grey, see-through, printed in four colours, 16-bit."""

import numpy as np
from PIL import Image, ImageOps

from .dataset import decode


def read_photo(path):
    """A picture as H×W×3 uint8 RGB, upright. Raises DataError for a missing or broken file.

    What is transparent shows white. For the images of a data set there is `read_image`, which turns nothing.
    """
    return decode(path, upright_rgb)


def upright_rgb(picture):
    """A Pillow picture of any mode -> H×W×3 uint8 RGB, turned as its EXIF orientation says."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):  # more than 8 bits of grey
        values = np.asarray(picture, np.float64)  # H×W
        top = 65535 if values.max(initial=0) > 255 else 255
        picture = Image.fromarray(np.clip(values * (255 / top) + 0.5, 0, 255).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))
