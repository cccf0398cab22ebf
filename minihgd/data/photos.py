"""Photographs as people have them: turned by a note in the file, grey, see-through, printed in four colours, 16-bit.

What is predicted for them: docs/14-evaluation.md.
"""

from PIL import ImageOps

from .dataset import decode, to_rgb


def read_photo(path):
    """The picture in the file `path` as H×W×3 uint8 RGB, upright. Raises DataError for a missing or broken file.

    What is transparent shows white. For the images of a data set there is `read_image`, which turns nothing. What is
    predicted for it: docs/14-evaluation.md.
    """
    return decode(path, lambda picture: to_rgb(ImageOps.exif_transpose(picture)))  # as its EXIF orientation says
