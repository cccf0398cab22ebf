"""What evaluation servers take: a picture of labels for every image, in one archive; written, and checked.

    VOC     tar.gz of results/VOC2012/Segmentation/comp5_test_cls/<id>.png (or comp6): indices 0..20 with VOC's palette
    ADE20K  zip of <id>.png: grey, class + 1, so 1..150

Explained in docs/14-evaluation.md.
"""

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..data import voc_palette
from ..errors import DataError, SettingError
from ..files import written_aside


@dataclass(frozen=True)
class Form:
    """What a server expects: the mode of pictures, where they lie in the archive, the number of class 0, of classes."""

    mode: str
    folder: str
    first: int
    classes: int
    suffix: str  # of the archive
    pack: Callable  # (file, {name in the archive: path of its PNG}): writes the archive
    unpack: Callable  # path of an archive -> {name in it: bytes}


def voc(competition="comp6"):
    """VOC 2012's form; comp5: trained on VOC's own data only, comp6: on other data too. Raises SettingError."""
    if competition not in ("comp5", "comp6"):
        raise SettingError(f"competition: expected comp5 or comp6, found {competition!r}")
    return Form("P", f"results/VOC2012/Segmentation/{competition}_test_cls/", 0, 21, ".tar.gz", _pack_tar, _unpack_tar)


def ade20k():
    """ADE20K's form: grey pictures with the class + 1, in a zip."""
    return Form("L", "", 1, 150, ".zip", _pack_zip, _unpack_zip)


def picture(labels, form):
    """Labels H×W, integers -> the Pillow picture of a form."""
    picture = Image.fromarray((labels + form.first).astype(np.uint8))  # mode L
    if form.mode == "P":
        picture.putpalette(voc_palette().tobytes())
    return picture


def save(labels, path, form):
    """Write labels H×W as the PNG of a form; the file is whole or not there."""
    with written_aside(path) as file:
        picture(labels, form).save(file, format="PNG")


def pack(paths, archive, form):
    """Write {id: path of its PNG} as the archive of a form; the file is whole or not there."""
    with written_aside(archive) as file:
        form.pack(file, {f"{form.folder}{name}.png": path for name, path in paths.items()})


def verify(archive, dataset, form, paths=None):
    """Raise DataError, naming all that is wrong, unless an archive is what the server expects for a data set's ids.

    One picture for each id and nothing else, of the right mode, palette and size, with values of classes. A picture is
    called by its name in the archive or, given {id: path of its PNG}, by its path.
    """
    found = form.unpack(archive)
    expected = {f"{form.folder}{name}.png": name for name in dataset.ids}
    problems = [f"{entry} is missing" for entry in expected.keys() - found.keys()]
    problems += [f"{entry} does not belong there" for entry in found.keys() - expected.keys()]
    for entry in expected.keys() & found.keys():
        with Image.open(dataset.image_path(expected[entry])) as image:
            size = image.size
        called = paths[expected[entry]] if paths else entry
        problems += [f"{called}: {problem}" for problem in faults(found[entry], size, form)]
    if problems:
        problems.sort()
        more = f", and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"{archive}: {'; '.join(problems[:10])}{more}")


def faults(content, size, form):
    """What is wrong with a PNG's bytes, given the (width, height) of its image: a list of phrases."""
    try:
        with Image.open(io.BytesIO(content)) as it:
            it.load()
            kind, mode, palette, values = it.format, it.mode, it.getpalette(), np.asarray(it)
    except UnidentifiedImageError:  # its message names the buffer
        return ["not a picture"]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return [f"not a picture, or a damaged one ({error})"]
    found = []
    if kind != "PNG" or mode != form.mode:
        found.append(f"a {kind} of mode {mode}, expected a PNG of mode {form.mode}")
    elif mode == "P" and palette != voc_palette().ravel().tolist()[: len(palette)]:
        found.append("another palette than VOC's")
    if values.shape[1::-1] != size:
        found.append(f"{values.shape[1]}×{values.shape[0]} pixels, its image has {size[0]}×{size[1]}")
    if values.size and not form.first <= values.min() <= values.max() < form.first + form.classes:
        found.append(f"values {values.min()} to {values.max()}, expected {form.first} to "
                     f"{form.first + form.classes - 1}")
    return found


def _pack_tar(file, entries):
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, path in entries.items():
            archive.add(path, name, recursive=False)


def _unpack_tar(path):
    with tarfile.open(path, "r:gz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def _pack_zip(file, entries):
    with zipfile.ZipFile(file, "w") as archive:  # PNGs are compressed already
        for name, path in entries.items():
            archive.write(path, name)


def _unpack_zip(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
