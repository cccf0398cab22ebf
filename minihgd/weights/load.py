"""A file's arrays into a model, and a model's arrays into a file that PyTorch users can load.

Shown in docs/12-resnet-and-its-checkpoints.md.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import WeightsError
from . import files, names
from .describe import in_words
from .unfold import is_folded


@dataclass
class Report:
    """What `load` did, in names of the model.

    holds: what the file looks like. matched: loaded. missing: in the model, not in the file. unexpected: in the file,
    not in the model. conflicts: name -> (shape in the file, shape in the model). broken: numbers that are not finite,
    or a negative variance. skipped: in the file, of a part that was not to be loaded. folded: whether normalisation is
    folded into the convolutions (see `unfold`). `str(report)` says it in a sentence, as in
    docs/12-resnet-and-its-checkpoints.md.
    """

    holds: str = ""
    matched: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)
    conflicts: dict = field(default_factory=dict)
    broken: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    folded: bool = False

    @property
    def left(self):
        """Names of the model that kept their initial values though they were to be loaded."""
        return sorted([*self.missing, *self.conflicts, *self.broken])

    @property
    def fits(self):
        """Whether everything found its place."""
        return bool(self.matched) and not (self.left or self.unexpected)

    def __str__(self):
        shapes = [f"{name} is {_shape(found)} there and {_shape(own)} here"
                  for name, (found, own) in self.conflicts.items()]
        groups = [("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", shapes),
                  ("not finite, or variances below zero", self.broken), ("skipped", self.skipped)]
        parts = [f"{len(group)} {what} ({', '.join(group[:4])}{', …' if len(group) > 4 else ''})"
                 for what, group in groups if group]
        folded = ", normalisation folded into the convolutions" if self.folded else ""
        return ", ".join([f"{self.holds}{folded}; {len(self.matched)} arrays matched", *parts])


def load(model, path, strict=True):
    """Load the file `path`, which `read` can read, into a ResNet or a segmentation `model`; returns a Report.

    Names and layouts are converted (names.py) and numbers become the model's float type. A file of a backbone fills
    the backbone of a segmentation model. Skipped is what has no part to go to: a classification layer, or a decoder
    where the model is a backbone. With `strict`, every array of the model (or of its backbone) has to be in the file,
    with its shape and sound numbers, and nothing beside; without, what fits is loaded, and `Report.left` keeps its
    initial values. Raises WeightsError where that is not so, or nothing fits; then nothing was changed. Shown in
    docs/12-resnet-and-its-checkpoints.md.
    """
    report, arrays = match(model.state_dict(), find(path))
    if not report.matched or strict and not report.fits:
        raise WeightsError(f"{path}: does not fit this model. It holds {report}")
    model.load_state_dict({**model.state_dict(), **arrays})
    return report


def find(path):
    """own name -> (stored name, array in this library's layout) of the file `path`.

    Raises WeightsError for a file that `read` refuses, and where two of its names mean one. The layouts:
    docs/12-resnet-and-its-checkpoints.md.
    """
    stored = files.read(path)
    try:
        return names.convert(stored)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def match(own, found):
    """What of `found` (name -> (stored name, array), see `find`) fits `own` (name -> array).

    Returns a Report and the arrays that fit, name -> array, as `found` has them. A backbone's names find their place
    below a model's `backbone.`. Layouts and names: docs/12-resnet-and-its-checkpoints.md.
    """
    report = Report(in_words(found))
    prefix = "backbone." if any(name.startswith("backbone.") for name in own) else ""
    lacking = tuple(part for part in ("decoder.", f"{prefix}fc.") if not any(n.startswith(part) for n in own))
    placed, arrays = {}, {}
    for name, (_, array) in found.items():
        place = name if name.startswith("decoder.") else prefix + name.removeprefix("backbone.")
        if place.startswith(lacking):
            report.skipped.append(name)
        elif place in placed:
            report.unexpected.append(name)
        else:
            placed[place] = array
    whole = any(name.startswith("decoder.") for name in placed)
    expected = {name: array for name, array in own.items() if whole or not name.startswith("decoder.")}
    for name, array in expected.items():
        if name not in placed:
            report.missing.append(name)
        elif placed[name].shape != array.shape:
            report.conflicts[name] = placed[name].shape, array.shape
        elif not _is_sound(name, placed[name], array.dtype):
            report.broken.append(name)
        else:
            report.matched.append(name)
            arrays[name] = placed[name]
    report.folded = is_folded(arrays)
    report.unexpected += sorted(placed.keys() - expected.keys())
    return report, arrays


def save(model, path):
    """Write a model's arrays to a path that ends in .safetensors or .npz, in PyTorch's names and layout.

    A ResNet's are then torchvision's. Raises WeightsError for another ending; the file is whole or not there. What is
    in it: docs/12-resnet-and-its-checkpoints.md.
    """
    files.write(path, {name: names.torch_layout(name, array) for name, array in model.state_dict().items()})


def _is_sound(name, array, dtype):
    """Whether all numbers are finite in `dtype`, and variances not below zero."""
    if array.dtype.kind not in "fiub":
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        array = array.astype(dtype, copy=False)
    return bool(np.isfinite(array).all()) and not (name.endswith("running_var") and (array < 0).any())


def _shape(shape):
    return "×".join(map(str, shape)) or "a number"
