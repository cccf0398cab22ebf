"""Photographs as people have them: turned by a note in the file, grey, see-through, printed in four colours, 16-bit."""

from PIL import ImageOps

from .dataset import decode, to_rgb


def read_photo(path):
    """A picture as H×W×3 uint8 RGB, upright. Raises DataError for a missing or broken file.

    What is transparent shows white. For the images of a data set there is `read_image`, which turns nothing.
    """
    return decode(path, lambda picture: to_rgb(ImageOps.exif_transpose(picture)))  # as its EXIF orientation says
