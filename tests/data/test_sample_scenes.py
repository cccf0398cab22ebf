"""The sample scenes: reproducible, balanced, with pairs of classes that only their surroundings tell apart."""

from collections import defaultdict

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from minihgd.data import sample_scenes, scene_objects, scenes
from minihgd.data.canvas import Canvas
from minihgd.data.context_classes import CLASSES, IDS, NAME_OF
from minihgd.data.sample_scenes import SampleScenes, sample, write
from minihgd.errors import DataError

ID = dict(CLASSES)
EVERY_CLASS = {"sky", "building", "road", "grass", "tree", "mountain", "water", "snow", "ground", "track",
               "bus", "train", "car", "boat", "cow", "bird", "aeroplane"}


@pytest.fixture(scope="module")
def painted():
    """120 scenes as (image, ids, names of the classes in it)."""
    pairs = [sample(seed=0, split_number=0, index=index) for index in range(120)]
    return [(image, ids, {NAME_OF[number] for number in np.unique(ids)}) for image, ids in pairs]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of 7 + 2 scenes on disk."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    write(root, seed=3, train=7, val=2)
    return root


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# --- the pictures

def test_the_seed_decides_everything():
    first, again, other = (scenes.paint(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("scene", scenes.SCENES)
@pytest.mark.parametrize("height, width", [(96, 128), (97, 131), (131, 97)])
def test_sizes_and_kinds(scene, height, width):
    image, ids = scenes.paint(np.random.default_rng(1), height, width, scene)
    assert image.shape == (height, width, 3) and image.dtype == np.uint8
    assert ids.shape == (height, width) and ids.dtype == np.uint16
    assert set(np.unique(ids)) <= set(IDS)  # and so every pixel has a class


def test_every_class_is_frequent_and_large(painted):
    areas = defaultdict(list)
    for _, ids, names in painted:
        for name in names:
            areas[name].append((ids == ID[name]).mean())
    assert set(areas) == EVERY_CLASS
    for name, shares in areas.items():
        assert len(shares) >= 0.12 * len(painted), name
        assert np.median(shares) >= 0.02, name  # of the image: no specks


def test_images_are_no_flat_colours(painted):
    """Within a class of one image the colours vary."""
    image, ids, _ = painted[0]
    for number in np.unique(ids):
        assert image[ids == number].std(axis=0).mean() > 3, NAME_OF[number]


# --- the look-alikes

def colour_difference(painted, one, other):
    """The largest difference of two classes' mean colours, in standard errors: one mean colour a scene."""
    means = [np.array([image[ids == ID[name]].mean(axis=0) for image, ids, names in painted if name in names])
             for name in (one, other)]  # two of scenes×3
    error = np.sqrt(sum(colours.var(axis=0, ddof=1) / len(colours) for colours in means))
    return np.max(np.abs(means[0].mean(axis=0) - means[1].mean(axis=0)) / error)


@pytest.mark.parametrize("one, other", [("bus", "train"), ("aeroplane", "bird"), ("snow", "ground")])
def test_look_alikes_have_the_same_colours(painted, one, other):
    assert colour_difference(painted, one, other) < 3  # no more than chance


@pytest.mark.parametrize("one, other", [("road", "grass"), ("water", "ground"), ("road", "track"), ("bird", "sky")])
def test_other_classes_have_other_colours(painted, one, other):
    assert colour_difference(painted, one, other) > 6


@pytest.mark.parametrize("name, painter", [("bus", "carriage_side"), ("bus", "carriage_front"), ("aeroplane", "flyer")])
def test_look_alikes_are_painted_with_the_same_pixels(name, painter):
    """The painters do nothing with the name but write it into the label."""
    twins = []
    for label in (name, {"bus": "train", "aeroplane": "bird"}[name]):
        canvas = Canvas(np.random.default_rng(2), 96, 128)
        getattr(scene_objects, painter)(canvas, label, 0.6, 0.7)
        twins.append(canvas)
    assert np.array_equal(twins[0].image, twins[1].image)
    assert np.array_equal(twins[0].ids > 0, twins[1].ids > 0) and (twins[0].ids > 0).sum() > 200


def test_the_surroundings_tell_look_alikes_apart(painted):
    for _, _, names in painted:
        if "bus" in names:
            assert "road" in names and "track" not in names
        if "train" in names:
            assert "track" in names and "road" not in names
        if "aeroplane" in names:
            assert "road" in names
        if "bird" in names:
            assert not names & {"road", "building"} and names & {"grass", "water"}
        if "ground" in names:
            assert "water" in names
        if "snow" in names:
            assert "water" not in names


# --- the files

def test_the_official_layout(folder):
    found = set(files(folder))
    names = [f"2008_{number:06d}" for number in range(1, 10)]
    assert found == {
        "59_labels.txt", "labels.txt", "sample_scenes.txt",
        "VOCdevkit/VOC2010/ImageSets/Main/train.txt", "VOCdevkit/VOC2010/ImageSets/Main/val.txt",
        *(f"VOCdevkit/VOC2010/JPEGImages/{name}.jpg" for name in names), *(f"trainval/{name}.mat" for name in names),
    }
    assert (folder / "VOCdevkit/VOC2010/ImageSets/Main/val.txt").read_text().split() == names[7:]
    assert (folder / "59_labels.txt").read_text().splitlines()[::58] == ["1: aeroplane", "59: wood"]
    assert "431: unknown" in (folder / "labels.txt").read_text().splitlines()


def test_what_was_painted_is_what_is_on_disk(folder):
    image, ids = sample(seed=3, split_number=1, index=0)
    label_map = loadmat(folder / "trainval" / "2008_000008.mat")["LabelMap"]
    assert label_map.dtype == np.uint16 and np.array_equal(label_map, ids)
    with Image.open(folder / "VOCdevkit/VOC2010/JPEGImages/2008_000008.jpg") as picture:
        assert np.abs(np.asarray(picture).astype(int) - image).mean() < 6  # JPEG


def test_read_as_pascal_context(folder):
    train, val = (SampleScenes(folder, split, seed=3, train=7, val=2) for split in ("train", "val"))
    assert (len(train), len(val)) == (7, 2) and train.notes() == []
    _, ids = sample(seed=3, split_number=0, index=4)
    image, label = train[4]
    assert image.shape == (*label.shape, 3) and image.dtype == label.dtype == np.uint8
    assert np.array_equal(np.array(IDS)[label], ids)  # label k is class k of 59_labels.txt
    assert "bus" in train.classes and len({train[i][1].shape for i in range(7)}) > 1
    assert len(SampleScenes(folder, "val", seed=3, train=7, val=2, classes=60).classes) == 60


def test_same_seed_same_files(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("time.asctime", lambda: "another day")  # what savemat writes into its files
    write(tmp_path / "again", seed=3, train=7, val=2)
    assert files(tmp_path / "again") == files(folder)
    write(tmp_path / "other", seed=4, train=1, val=1)
    jpeg = "VOCdevkit/VOC2010/JPEGImages/2008_000001.jpg"
    assert files(tmp_path / "other")[jpeg] != files(folder)[jpeg]


def test_scenes_that_are_there_are_not_painted_again(folder, monkeypatch):
    monkeypatch.setattr(sample_scenes, "paint", None)
    assert len(SampleScenes(folder, "train", seed=3, train=7, val=2)) == 7


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "scenes").mkdir()
    assert len(SampleScenes(tmp_path / "scenes", "val", train=1, val=1)) == 1


def test_nothing_is_left_behind_when_painting_fails(tmp_path, monkeypatch):
    calls = []

    def paint_two(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return scenes.paint(*arguments)

    monkeypatch.setattr(sample_scenes, "paint", paint_two)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "scenes", train=3, val=1)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once(tmp_path, monkeypatch):
    """Whoever is second finds the scenes in place when its own are painted, and drops them."""
    def paint_after_the_other(*arguments):
        monkeypatch.setattr(sample_scenes, "paint", scenes.paint)
        write(tmp_path / "scenes", train=1, val=1)
        return scenes.paint(*arguments)

    monkeypatch.setattr(sample_scenes, "paint", paint_after_the_other)
    write(tmp_path / "scenes", train=1, val=1)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"] and len(files(tmp_path / "scenes")) == 9


@pytest.mark.parametrize("setting", [{"seed": 4}, {"train": 8}, {"val": 1}])
def test_other_scenes_are_refused(folder, setting):
    before = files(folder)
    with pytest.raises(DataError, match="seed 3, train 7, val 2.*expected") as refused:
        SampleScenes(folder, "train", **({"seed": 3, "train": 7, "val": 2} | setting))
    assert str(folder) in str(refused.value)
    assert files(folder) == before


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="other than sample scenes"):
        SampleScenes(tmp_path, "train")
    with pytest.raises(DataError, match="other than sample scenes"):
        write(tmp_path / "thesis.txt")
    assert files(tmp_path) == {"thesis.txt": b"precious"}


@pytest.mark.parametrize("setting", [{"seed": -1}, {"seed": 0.5}, {"train": 0}, {"val": "40"}])
def test_settings_out_of_range_are_refused(tmp_path, setting):
    with pytest.raises(DataError, match=next(iter(setting))):
        write(tmp_path / "scenes", **setting)
    assert not (tmp_path / "scenes").exists()
