"""Batches for training and images for evaluation, prepared by threads ahead of the step that uses them.

Threads are enough: decoding and resizing happen in Pillow, which lets other threads run meanwhile.

What a batch holds depends on the seed and the number of its step only, not on the threads or on where a run began:
so a run that is resumed at step 1000 sees what it would have seen. The samples form one endless stream of epochs, and
sample g is the (g mod n)-th of the n images in the order drawn for epoch g // n. Step s takes the samples from
s·batch on, so no batch is ever partial, not even of a data set smaller than a batch. Several processes share a batch:
rank r of P takes the r-th of its P equal parts, and together they see what one would.

Shown in docs/13-training.md.
"""

import math
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import count, islice

import numpy as np

from ..errors import DataError, SettingError
from .augmentation import augment, check_scales, check_whole

# Random streams of one seed are told apart by (seed, purpose, number). All have three parts, since NumPy fills shorter
# ones up with zeros: (seed, 1) would be the stream (seed, 1, 0).
SHUFFLE, AUGMENT = 0, 1


class Batches:
    """An endless stream of augmented training batches of a data set.

    dataset: of `len()` images and their `ids`, `[i]` → image H×W×3 uint8 and label H×W uint8. batch: samples a step,
    of all processes together. crop: side of the samples in pixels. seed: whole number, 0 or more. workers: threads.
    ahead: how many batches are prepared before they are asked for; the stream never holds more than ahead + 1. scales,
    flip: see `augment`. rank, size: which process this is, from 0 on, of how many; each takes an equal part of a batch.

        for step, images, labels in Batches(dataset, 16, 512, seed=0).from_step(0, 1000): ...

    Raises DataError for a setting out of range, and for a broken sample, whose id it names; SettingError for a batch
    that cannot be divided by the size. Why a resumed run sees the same samples: docs/13-training.md.
    """

    def __init__(self, dataset, batch, crop, seed, workers=2, ahead=2, scales=(0.5, 2.0), flip=0.5, rank=0, size=1):
        for name, value in (("batch", batch), ("crop", crop), ("workers", workers), ("ahead", ahead)):
            check_whole(name, value, 1)
        check_whole("seed", seed, 0)
        check_scales(scales)
        if len(dataset) == 0:
            raise DataError("Batches: the data set is empty, expected at least one image")
        if batch % size:
            raise SettingError(f"batch: found {batch} images a step for {size} processes, expected a multiple of "
                               f"{size}: each takes as many")
        self.dataset, self.batch, self.crop, self.seed = dataset, batch, crop, seed
        self.workers, self.ahead, self.scales, self.flip = workers, ahead, scales, flip
        self.rank, self.own = rank, batch // size  # samples of a step that are this process's

    def whole(self):
        """The `Batches` of the same stream with nothing taken by other processes."""
        return Batches(self.dataset, self.batch, self.crop, self.seed, self.workers, self.ahead, self.scales, self.flip)

    def from_step(self, first=0, last=None):
        """Yield (step, images, labels) for the steps first, first + 1, ... up to but not including `last`, if given.

        images: N×crop×crop×3 uint8, labels: N×crop×crop uint8 with 255 = void; N is the batch, or this process's part
        of it. The threads end when the loop does, however it ends. Raises DataError for a `first` that is no step, and
        for a broken sample when its turn comes.
        """
        check_whole("first", first, 0)
        steps = count(first) if last is None else range(first, last)
        starts = (step * self.batch + self.rank * self.own for step in (count(first) if last is None else steps))
        numbers = (start + j for start in starts for j in range(self.own))
        samples = prefetch(self.sample, numbers, self.workers, self.ahead * self.own)
        try:
            for step in steps:
                images = np.empty((self.own, self.crop, self.crop, 3), np.uint8)
                labels = np.empty((self.own, self.crop, self.crop), np.uint8)
                for j in range(self.own):
                    images[j], labels[j] = next(samples)
                yield step, images, labels
        finally:
            samples.close()

    def sample(self, number):
        """Sample `number` of the stream: image crop×crop×3 uint8 and label crop×crop uint8."""
        epoch, position = divmod(number, len(self.dataset))
        index = epoch_order(len(self.dataset), self.seed, epoch)[position]
        rng = np.random.default_rng((self.seed, AUGMENT, number))
        with naming(self.dataset.ids[index]):
            image, label = self.dataset[index]
            return augment(image, label, self.crop, rng, self.scales, self.flip)


def one_by_one(dataset, workers=1, ahead=2, start=0):
    """Yield (id, image H×W×3, label H×W) of each image of `dataset` in its order, whole and unchanged: for evaluation.

    workers: threads that read. ahead: how many images are read before they are asked for. start: number of the first.
    Raises DataError, naming the image, for a broken one. Training draws otherwise: docs/13-training.md.
    """
    return prefetch(lambda index: _named(dataset, index), range(start, len(dataset)), workers, ahead)


def _named(dataset, index):
    with naming(dataset.ids[index]):
        return dataset.ids[index], *dataset[index]


def read_all(dataset, workers=2, seconds=math.inf):
    """Read every image and label of `dataset` once, so that a broken one is known before a long run begins.

    workers: threads that read. seconds: after so many, enough of a large one has been seen; the order is random, but
    always the same. Raises DataError, naming the first that is broken. Such orders: docs/13-training.md.
    """
    started = time.monotonic()
    for _ in prefetch(lambda index: _named(dataset, index), epoch_order(len(dataset), 0, 0), workers, 2 * workers):
        if time.monotonic() - started > seconds:
            break


def prefetch(work, jobs, workers, ahead):
    """Yield work(job) for each job, in order, done by threads that run up to `ahead` jobs ahead of the one yielded."""
    jobs = iter(jobs)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="minihgd-data")
    try:
        waiting = deque(pool.submit(work, job) for job in islice(jobs, ahead))
        while waiting:
            waiting.extend(pool.submit(work, job) for job in islice(jobs, 1))
            yield waiting.popleft().result()  # an error of the job is raised here
    finally:  # also when whoever asks stops asking: what has not begun never will
        pool.shutdown(wait=True, cancel_futures=True)


@lru_cache(maxsize=8)
def epoch_order(length, seed, epoch):
    """The order of an epoch: a random permutation of 0 .. length - 1."""
    return np.random.default_rng((seed, SHUFFLE, epoch)).permutation(length)


@contextmanager
def naming(name):
    """Whatever goes wrong inside becomes a DataError that names the sample."""
    try:
        yield
    except Exception as error:
        raise DataError(f"sample {name}: {error if isinstance(error, DataError) else repr(error)}") from error
