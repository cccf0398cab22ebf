"""Batches depend on seed and step only, arrive in order, and leave no thread behind."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from minihgd.data import Batches, Dataset, one_by_one
from minihgd.data.batches import AUGMENT, SHUFFLE, epoch_order, prefetch
from minihgd.errors import DataError


class Numbered(Dataset):
    """n images of 6×8; every pixel of image i is i + 1, and so is its label."""

    classes = ("a", "b")

    def __init__(self, n):
        self.ids = [f"image{i}" for i in range(n)]
        self.read = []

    def __getitem__(self, index):
        self.read.append(int(index))
        return np.full((6, 8, 3), index + 1, np.uint8), np.full((6, 8), index + 1, np.uint8)


class Broken(Numbered):
    def __getitem__(self, index):
        if self.ids[index] == "image3":
            raise self.error
        return super().__getitem__(index)


def images_seen(labels):
    """Which image every sample of a batch was cut from."""
    return [int(label[label != 255].max()) - 1 for label in labels]


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minihgd-data")]


@pytest.fixture(autouse=True)
def no_threads_are_left():
    yield
    gc.collect()
    assert loader_threads() == []


def test_a_batch_has_the_shapes_of_the_crop():
    for step, images, labels in Batches(Numbered(5), batch=3, crop=4, seed=0).from_step(2, 4):
        assert step in (2, 3)
        assert images.shape == (3, 4, 4, 3) and labels.shape == (3, 4, 4)
        assert images.dtype == labels.dtype == np.uint8
        np.testing.assert_array_equal(np.where(labels == 255, 0, labels), images[..., 0])


def test_every_epoch_has_every_image_once_in_another_order():
    batches = Batches(Numbered(10), batch=4, crop=4, seed=1)  # 4 does not divide 10: batches run over the ends
    seen = [i for _, _, labels in batches.from_step(0, 10) for i in images_seen(labels)]
    epochs = [seen[k : k + 10] for k in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert epochs[2] == epoch_order(10, 1, 2).tolist()


def test_a_data_set_smaller_than_a_batch_fills_it():
    ((_, _, labels),) = Batches(Numbered(2), batch=5, crop=4, seed=0).from_step(0, 1)
    seen = images_seen(labels)
    assert sorted(seen[:2]) == sorted(seen[2:4]) == [0, 1]


def test_batches_depend_on_seed_and_step_only():
    expected = list(Batches(Numbered(7), batch=3, crop=5, seed=4).from_step(0, 9))
    for workers, ahead, first in ((1, 1, 0), (4, 3, 0), (2, 2, 5), (3, 1, 8)):
        found = list(Batches(Numbered(7), 3, 5, seed=4, workers=workers, ahead=ahead).from_step(first, 9))
        assert [step for step, _, _ in found] == list(range(first, 9))
        for (_, images, labels), (_, same_images, same_labels) in zip(found, expected[first:], strict=True):
            np.testing.assert_array_equal(images, same_images)
            np.testing.assert_array_equal(labels, same_labels)
    other = list(Batches(Numbered(7), batch=3, crop=5, seed=5).from_step(0, 9))
    assert sum((a[2] != b[2]).any() for a, b in zip(expected, other, strict=True)) >= 7


def test_the_same_image_is_augmented_anew_every_time():
    batches = Batches(Numbered(1), batch=30, crop=5, seed=0)
    ((_, _, labels),) = batches.from_step(0, 1)
    assert len({label.tobytes() for label in labels}) >= 4  # of the crops that differ in what is padding


def test_random_streams_of_an_epoch_and_of_a_sample_differ():
    starts = {np.random.default_rng((3, purpose, k)).random() for purpose in (SHUFFLE, AUGMENT) for k in range(5)}
    assert len(starts) == 10


def test_without_a_last_step_the_stream_is_endless():
    batches = Batches(Numbered(3), batch=2, crop=4, seed=0)
    stream = batches.from_step(1000)
    for expected in batches.from_step(1000, 1005):
        for found, part in zip(next(stream), expected, strict=True):
            np.testing.assert_array_equal(found, part)
    stream.close()


def test_an_empty_range_of_steps_gives_nothing():
    assert list(Batches(Numbered(3), 2, 4, seed=0).from_step(5, 5)) == []


def test_no_more_is_read_ahead_than_asked_for():
    dataset = Numbered(8)
    for step, _, _ in Batches(dataset, batch=4, crop=4, seed=0, workers=3, ahead=2).from_step(0, 6):
        time.sleep(0.02)  # time enough for the threads to run on, if nothing stopped them
        assert len(dataset.read) == 4 * min(step + 1 + 2, 6)


def test_work_goes_on_while_the_consumer_computes():
    dataset = Numbered(8)
    stream = Batches(dataset, batch=2, crop=4, seed=0, workers=1, ahead=1).from_step(0)
    next(stream)
    deadline = time.monotonic() + 5
    while len(dataset.read) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(dataset.read) == 4
    stream.close()


def test_a_batch_is_let_go_when_the_next_is_asked_for():
    class Watching(Numbered):
        alive = []

        def __getitem__(self, index):
            if len(self.read) == 4:  # the first that is read for the second `next`
                self.alive.append(self.batch() is not None)
            return super().__getitem__(index)

    dataset = Watching(8)
    stream = Batches(dataset, batch=2, crop=4, seed=0, workers=1, ahead=1).from_step(0)
    images = next(stream)[1]
    dataset.batch = weakref.ref(images)
    del images
    next(stream)
    until = time.monotonic() + 10
    while not dataset.alive and time.monotonic() < until:
        time.sleep(0.01)  # the thread may be behind
    stream.close()
    assert dataset.alive == [False]


@pytest.mark.parametrize("error", [DataError("a.jpg: broken"), KeyError("x"), MemoryError("too large")])
def test_an_error_in_a_thread_arrives_with_the_sample_named(error):
    dataset = Broken(5)
    dataset.error = error
    with pytest.raises(DataError, match="sample image3: .*(a.jpg: broken|KeyError.*x|too large)") as caught:
        list(Batches(dataset, batch=2, crop=4, seed=0).from_step(0, 3))
    assert caught.value.__cause__ is error
    with pytest.raises(DataError, match="sample image3"):
        list(one_by_one(dataset))
    assert loader_threads() == []


def test_an_image_that_cannot_be_augmented_is_named_too():
    class Flat(Numbered):
        def __getitem__(self, index):
            return np.zeros((6, 8), np.uint8), np.zeros(48, np.uint8)

    with pytest.raises(DataError, match="sample image0: "):
        next(Batches(Flat(1), batch=2, crop=4, seed=0).from_step(0))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_threads_end_when_the_loop_does(error):
    started = time.monotonic()
    with pytest.raises(error):
        for step, _, _ in Batches(Numbered(50), batch=20, crop=4, seed=0, workers=4).from_step(0):
            assert loader_threads() != []
            if step == 2:
                raise error
    for _ in Batches(Numbered(50), batch=20, crop=4, seed=0, workers=4).from_step(0):
        break
    gc.collect()
    assert loader_threads() == [] and time.monotonic() - started < 5


def test_what_waits_is_dropped_when_the_loop_ends():
    begun = []

    def slow(job):
        begun.append(job)
        time.sleep(0.02)

    results = prefetch(slow, range(1000), workers=2, ahead=500)
    next(results)
    results.close()
    assert len(begun) < 20


def test_prefetch_keeps_the_order_of_its_jobs():
    def later_first(job):
        time.sleep(0.001 * (5 - job % 5))
        return job

    assert list(prefetch(later_first, range(20), workers=5, ahead=7)) == list(range(20))
    assert list(prefetch(later_first, [], workers=1, ahead=2)) == []


def test_one_by_one_is_the_data_set_in_its_order():
    dataset = Numbered(4)
    found = list(one_by_one(dataset))
    assert [name for name, _, _ in found] == dataset.ids
    assert [int(label[0, 0]) for _, _, label in found] == [1, 2, 3, 4]
    assert all(image.shape == (6, 8, 3) for _, image, _ in found)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"batch": 0}, "batch=0, expected a whole number of at least 1"),
        ({"crop": 2.5}, "crop=2.5, expected a whole number of at least 1"),
        ({"seed": -1}, "seed=-1, expected a whole number of at least 0"),
        ({"seed": None}, "seed=None"),
        ({"workers": 0}, "workers=0"),
        ({"ahead": 0}, "ahead=0"),
        ({"scales": (2, 1)}, r"scales=\(2, 1\)"),
        ({"dataset": Numbered(0)}, "the data set is empty"),
    ],
)
def test_settings_out_of_range_are_named(setting, message):
    with pytest.raises(DataError, match=message):
        Batches(**{"dataset": Numbered(3), "batch": 2, "crop": 4, "seed": 0, **setting})


def test_a_negative_first_step_is_named():
    with pytest.raises(DataError, match="first=-1, expected a whole number of at least 0"):
        next(Batches(Numbered(3), 2, 4, seed=0).from_step(-1))
