"""Ways to spoil a good data set below `root`.

Each gives a maker, which does it and returns the arguments with which the data set is then opened, if any.
"""

import shutil

from PIL import Image


def arguments(**given):
    return lambda root: given


def no_root(root):
    return {"root": root / "nowhere"}


def without(*paths, **given):
    def maker(root):
        for path in paths:
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
        return given

    return maker


def text(path, content, **given):
    def maker(root):
        (root / path).write_text(content)
        return given

    return maker


def truncated(path, **given):
    def maker(root):
        (root / path).write_bytes((root / path).read_bytes()[:-60])
        return given

    return maker


def picture(path, size, value, mode="L", **given):
    """A picture of one value; size is (width, height)."""

    def maker(root):
        Image.new(mode, size, value).save(root / path)
        return given

    return maker


def all_of(*makers):
    def maker(root):
        return {key: value for make in makers for key, value in (make(root) or {}).items()}

    return maker
