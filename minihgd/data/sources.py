"""Where the images and labels of a data set come from: folders of files, each listed once and then known by name.

A source knows the `names()` it has something for, says in words `where` it looked, and has the `file(name)` or can
`read(name)` it. What is read becomes samples in docs/13-training.md.
"""

import os
from pathlib import Path

import numpy as np
import scipy.io

from ..errors import DataError
from .dataset import composed, read_index_png
from .layout import readable


class Files:
    """The files of one kind in one or more folders, by their names without suffix.

    suffixes: those of the kind, in small letters; on disk they may be in capitals. Of several folders the first that
    has a name gives its file. name_of: turns what stands before the suffix into the name.

    `several`: {name: its files' names}, for names that more than one file of a folder has.
    """

    def __init__(self, *folders, suffixes, name_of=None):
        self.path = folders[0]
        self.where = f"({', '.join(suffixes)}) in {' or '.join(map(str, folders))}"
        self.files, self.several = {}, {}
        for folder in folders:
            files = listing(folder, suffixes, name_of or (lambda stem: stem))
            self.several |= {name: [path.name for path in paths] for name, paths in files.items() if len(paths) > 1}
            self.files = {name: paths[0] for name, paths in files.items()} | self.files

    def names(self):
        """Of the images that there is a file for, as a set."""
        return self.files.keys()

    def file(self, name):
        """The path of a name's file."""
        return self.files[name]


class PngLabels(Files):
    """PNG files whose pixels are numbers, one file an image.

    meaning: {number in the files: label}; a number that is not in it is an error. Without it every number is a label.
    """

    def __init__(self, *folders, meaning=None, name_of=None):
        super().__init__(*folders, suffixes=(".png",), name_of=name_of)
        self.take(meaning or {number: number for number in range(256)})

    def take(self, meaning):
        """Read the files with this meaning of their numbers from now on."""
        self.expected = spans(meaning)
        self.known = np.zeros(256, bool)
        self.known[list(meaning)] = True
        self.table = np.zeros(256, np.min_scalar_type(max(meaning.values())))
        self.table[list(meaning)] = list(meaning.values())

    def read(self, name):
        """The label map H×W, uint8 unless labels are larger. Raises DataError for a number without meaning."""
        path = self.file(name)
        numbers = read_index_png(path)
        known = self.known[numbers]  # H×W
        if not known.all():
            raise DataError(f"{path}: found label {numbers[~known][0]}, expected {self.expected}")
        return self.table[numbers]


def listing(folder, suffixes, name_of):
    """{name: paths} of the files in a folder that end in one of the suffixes; hidden ones are passed over."""
    files = {}
    with readable(folder), os.scandir(folder) as entries:
        for file in sorted(entry.name for entry in entries):
            stem, suffix = os.path.splitext(file)
            if suffix.lower() in suffixes and not file.startswith("."):
                files.setdefault(name_of(composed(stem)), []).append(Path(folder, file))
    return files


def spans(numbers):
    """Whole numbers in words: "0 to 20 or 255"."""
    numbers = sorted(numbers)
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return " or ".join(str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def read_mat(path, key):
    """The variable `key` of a MATLAB file. Raises DataError for a file that is none, or has no such variable."""
    try:
        content = scipy.io.loadmat(path, appendmat=False, variable_names=[key])
    except Exception as error:  # SciPy raises errors of many kinds on files that are not MATLAB's, or cut short
        raise DataError(f"{path}: expected a MATLAB file with {key}, found: {error}") from error
    if key not in content:
        keys = [name for name, _, _ in scipy.io.whosmat(path, appendmat=False)]
        raise DataError(f"{path}: expected the key {key}, found {keys}")
    return content[key]
