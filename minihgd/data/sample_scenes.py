"""The built-in data set: sample scenes, painted from a seed and kept on disk in PASCAL Context's own layout.

So they come in through the same door as the real photographs: everything that reads, augments, trains and scores
PASCAL Context does so with these, and nothing needs to be downloaded first. How: docs/13-training.md.
"""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from scipy.io import savemat

from ..errors import DataError
from .context_classes import CLASSES, UNKNOWN
from .pascal_context import ALIASES, PascalContext
from .scenes import SCENES, paint

MARKER = "sample_scenes.txt"  # says what the folder holds
VERSION = 1  # of the painters: raise it when the same seed gives other pixels
SPLITS = ("train", "val")


class SampleScenes(PascalContext):
    """Painted landscapes with 17 of PASCAL Context's classes; images H×W×3 uint8, labels H×W uint8, 255 = void.

    Scenes are painted into `root` if nothing is there yet (`train` and `val` of them, from `seed`: see `write`), and
    then read as `PascalContext(root, split, **options)` reads the photographs: split "train", "val" or "trainval". What
    scenes.py says of its look-alike classes makes them a small test of whole-image context.

    Raises DataError if `root` holds other scenes or something else, or as PascalContext does. Training:
    docs/13-training.md.
    """

    official = {}  # those of the photographs do not count here

    def __init__(self, root, split, seed=0, train=200, val=40, **options):
        write(root, seed, train, val)
        super().__init__(root, split, **options)


def write(root, seed=0, train=200, val=40):
    """Paint `train` + `val` scenes into the folder `root`; where just these are already, do nothing.

    The same arguments give the same files. They are painted in a folder beside `root`, which takes its name when it
    is complete: an interrupted run leaves nothing behind, and of two processes at once one paints in vain.

    Raises DataError if `root` holds scenes of another seed, number or version, or anything else; nothing is written.
    """
    root, expected = Path(root), description(seed, train, val)
    if held(root, expected):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as beside:
        folder = Path(beside, "scenes")
        write_layout(folder, seed, (train, val))
        (folder / MARKER).write_text(expected, encoding="utf-8")
        try:
            if root.exists():
                root.rmdir()  # possible for an empty folder only
            folder.rename(root)
        except OSError:
            if not held(root, expected):  # where it does, another process was faster
                raise


def description(seed, train, val):
    """The marker's text: all that the scenes depend on. Raises DataError for a setting out of range."""
    for name, value, lowest in (("seed", seed, 0), ("train", train, 1), ("val", val, 1)):
        if not isinstance(value, (int, np.integer)) or value < lowest:
            raise DataError(f"SampleScenes: {name}={value!r}, expected a whole number, {lowest} or more")
    return f"sample scenes of minihgd, version {VERSION}: seed {seed}, train {train}, val {val}\n"


def held(root, expected):
    """Whether `root` holds the expected scenes; False where there is nothing, DataError for another thing."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    marker = root / MARKER
    if not marker.is_file():
        raise DataError(f"{root}: found something other than sample scenes, expected no such folder or an empty one")
    found = marker.read_text(encoding="utf-8", errors="replace")
    if found != expected:
        raise DataError(f"{root}: found {found.strip()!r}, expected {expected.strip()!r}; choose another folder, or "
                        "delete this one to have it painted anew")
    return True


def write_layout(folder, seed, counts):
    """The scenes of every split and the lists that go with them, where the official release has them."""
    images = folder / "VOCdevkit" / "VOC2010" / "JPEGImages"
    lists = folder / "VOCdevkit" / "VOC2010" / "ImageSets" / "Main"
    labels = folder / "trainval"
    for path in (images, lists, labels):
        path.mkdir(parents=True)
    first = 1
    for split_number, (split, count) in enumerate(zip(SPLITS, counts, strict=True)):
        names = [f"2008_{number:06d}" for number in range(first, first + count)]
        for index, name in enumerate(names):
            image, ids = sample(seed, split_number, index)
            Image.fromarray(image).save(images / f"{name}.jpg", quality=92)
            (labels / f"{name}.mat").write_bytes(mat_file(ids))
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        first += count
    write_names(folder)


def sample(seed, split_number, index):
    """Scene `index` of a split: image H×W×3 uint8, ids H×W uint16. The kinds of scene take turns."""
    rng = np.random.default_rng((seed, split_number, index))
    height, width = rng.integers(96, 113), rng.integers(128, 145)
    if rng.random() < 0.15:  # a portrait
        height, width = width, height
    return paint(rng, height, width, SCENES[index % len(SCENES)])


def mat_file(ids):
    """The bytes of a MATLAB file with the ids as its LabelMap."""
    file = BytesIO()
    savemat(file, {"LabelMap": ids}, do_compression=True)
    heading = b"MATLAB 5.0 MAT-file, a sample scene of minihgd".ljust(116)
    return heading + file.getvalue()[116:]  # savemat's own has the time in it, so that no two files would be the same


def write_names(folder):
    """The two name files: the 59 classes by number, and by their ids among the 459 (those that occur here only)."""
    short = [f"{number}: {name}\n" for number, (name, _) in enumerate(CLASSES, start=1)]
    (folder / "59_labels.txt").write_text("".join(short))
    full = {number: ALIASES.get(name, name) for name, number in CLASSES} | {UNKNOWN: "unknown"}
    (folder / "labels.txt").write_text("".join(f"{number}: {name}\n" for number, name in sorted(full.items())))
