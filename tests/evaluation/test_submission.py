"""What servers take: written as they want it, and every way in which it can be wrong is found."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from minihgd.errors import DataError, SettingError
from minihgd.evaluation import submission


class Images:
    """Two images of different sizes."""

    ids = ["a", "b"]

    def __init__(self, folder):
        self.folder = folder
        for name, size in (("a", (7, 5)), ("b", (4, 9))):
            Image.new("RGB", size).save(folder / f"{name}.jpg")

    def image_path(self, name):
        return self.folder / f"{name}.jpg"


FORMS = {"voc": (submission.voc("comp5"), "results/VOC2012/Segmentation/comp5_test_cls/"),
         "ade": (submission.ade20k(), "")}


def labels(form, height, width):
    return np.random.default_rng(height).integers(0, form.classes, (height, width))


def written(folder, form):
    """An archive of right pictures; returns the data set, the paths of the pictures and the archive's."""
    images, paths = Images(folder), {name: folder / f"{name}.png" for name in Images.ids}
    submission.save(labels(form, 5, 7), paths["a"], form)
    submission.save(labels(form, 9, 4), paths["b"], form)
    archive = folder / f"sent{form.suffix}"
    submission.pack(paths, archive, form)
    return images, paths, archive


@pytest.mark.parametrize("form, folder", FORMS.values(), ids=FORMS)
def test_what_is_written(tmp_path, form, folder):
    images, _, archive = written(tmp_path, form)
    submission.verify(archive, images, form)
    if form.mode == "P":
        with tarfile.open(archive, "r:gz") as opened:
            contents = {m.name: opened.extractfile(m).read() for m in opened.getmembers()}
    else:
        with zipfile.ZipFile(archive) as opened:
            contents = {name: opened.read(name) for name in opened.namelist()}
    assert sorted(contents) == [f"{folder}a.png", f"{folder}b.png"]
    with Image.open(io.BytesIO(contents[f"{folder}b.png"])) as picture:
        assert picture.mode == form.mode and picture.size == (4, 9)
        assert np.array_equal(np.asarray(picture), labels(form, 9, 4) + (form.mode == "L"))
        if form.mode == "P":
            assert picture.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    assert sorted(os.listdir(tmp_path)) == sorted(["a.jpg", "a.png", "b.jpg", "b.png", archive.name])


def grey_palette(path):
    picture = Image.open(path)
    picture.putpalette(bytes(range(256)) * 3)
    picture.save(path)


BROKEN = {
    "missing": (lambda paths: paths.pop("b"), r"b.png is missing"),
    "too many": (lambda paths: paths.update(c=paths["a"]), r"c.png does not belong there"),
    "another size": (lambda paths: paths.update(b=paths["a"]), r"b.png: 7×5 pixels, its image has 4×9"),
    "another mode": (lambda paths: Image.open(paths["a"]).convert("RGB").save(paths["a"]), "a.png: a PNG of mode RGB"),
    "another kind": (lambda paths: Image.new("L", (7, 5), 1).save(paths["a"], format="GIF"), "a.png: a GIF of mode"),
    "no picture": (lambda paths: paths["a"].write_text("x"), "a.png: not a picture"),
    "truncated": (lambda paths: paths["a"].write_bytes(paths["a"].read_bytes()[:-30]), "a.png: not a picture"),
}


@pytest.mark.parametrize("form", [form for form, _ in FORMS.values()], ids=FORMS)
@pytest.mark.parametrize("spoil, message", BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_found(tmp_path, form, spoil, message):
    images, paths, archive = written(tmp_path, form)
    spoil(paths)
    submission.pack(paths, archive, form)
    with pytest.raises(DataError, match=f"sent.*{message}"):
        submission.verify(archive, images, form)


def test_pictures_are_called_by_their_paths(tmp_path):
    form = FORMS["ade"][0]
    images, paths, archive = written(tmp_path, form)
    paths["a"].write_text("x")
    submission.pack(paths, archive, form)
    with pytest.raises(DataError, match=f"{paths['a']}: not a picture$"):
        submission.verify(archive, images, form, paths)


@pytest.mark.parametrize("form, value, message", [
    (FORMS["voc"][0], 21, "values 21 to 21, expected 0 to 20"), (FORMS["voc"][0], 255, "values 255 to 255"),
    (FORMS["ade"][0], 150, "values 151 to 151, expected 1 to 150"), (FORMS["ade"][0], -1, "values 0 to 0, expected 1")])
def test_values_outside_the_classes(tmp_path, form, value, message):
    images, paths, archive = written(tmp_path, form)
    submission.save(np.full((5, 7), value), paths["a"], form)
    submission.pack(paths, archive, form)
    with pytest.raises(DataError, match=message):
        submission.verify(archive, images, form)


def test_another_palette(tmp_path):
    images, paths, archive = written(tmp_path, FORMS["voc"][0])
    grey_palette(paths["a"])
    submission.pack(paths, archive, FORMS["voc"][0])
    with pytest.raises(DataError, match="a.png: another palette than VOC's"):
        submission.verify(archive, images, FORMS["voc"][0])


def test_there_are_two_competitions():
    with pytest.raises(SettingError, match="expected comp5 or comp6, found 'comp4'"):
        submission.voc("comp4")
