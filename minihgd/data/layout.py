"""Finding the parts of a data set below the folder somebody names, which may be any of the nested official ones.

What training makes of them: docs/13-training.md.
"""

import os
from contextlib import contextmanager

from ..errors import DataError


def check_choice(argument, found, choices):
    """Raise DataError unless an argument is one of its choices."""
    if found not in choices:
        raise DataError(f"{argument}={found!r}, expected one of {', '.join(map(repr, choices))}")


def search_folders(root, data_set, *inner):
    """The folders in which parts may lie, outermost first: root, and `inner` below it, whether they are there or not.

    Raises DataError, naming the data set, if root is no folder.
    """
    if not os.path.isdir(root):
        raise DataError(f"{root}: expected the folder of {data_set}, found no such folder")
    return [root, *(root / path for path in inner)]


@contextmanager
def readable(folder):
    """A folder that cannot be listed becomes a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: expected a folder that can be read, found: {error.strerror or error}") from error


def folders_in(folder):
    """The names of the folders in a folder, sorted."""
    with readable(folder), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def find(folders, *parts, required=True):
    """The first existing path of a part in the folders; None, or DataError if required, where there is none."""
    paths = [folder / part for part in parts for folder in folders]
    for path in paths:
        if path.exists():
            return path
    if required:
        raise DataError(f"{folders[0]}: looked for {' or '.join(parts)}, found none of {', '.join(map(str, paths))}")
    return None


def find_lists(folders, places, split):
    """The text files with a split's ids: its own, or for trainval those of train and val; [] where there are none.

    places: the folders, below one of `folders`, that lists may be in; the first that has the split's is taken.
    """
    for place in places:
        for names in ((split,), halves(split)):
            paths = [find(folders, f"{place}/{name}.txt", required=False) for name in names]
            if all(paths):
                return paths
    return []


def halves(split):
    """The splits that one is made of: itself, or for trainval the two."""
    return ("train", "val") if split == "trainval" else (split,)
