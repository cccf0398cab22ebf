"""Ranks without MPI: threads of one process that exchange arrays, and what they train in the tests."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from minihgd import data, models, training
from minihgd.backend import threads
from minihgd.processes import Alone

TIMEOUT = 60  # seconds


class Member(Alone):
    """A rank of `size`, a thread. calls: the kinds of exchanges it took part in."""

    def __init__(self, rank, size, barrier, slots):
        self.rank, self.size, self.barrier_, self.slots, self.calls, self.gpus = rank, size, barrier, slots, [], None

    def _all(self, array, kind):
        """Everyone's array, in the order of the ranks; all must have called the same."""
        self.calls.append(kind)
        self.slots[self.rank] = (kind, array.shape, array.dtype), array.copy()
        self.barrier_.wait(TIMEOUT)
        kinds, arrays = zip(*self.slots, strict=True)
        assert len(set(kinds)) == 1, kinds
        self.barrier_.wait(TIMEOUT)
        return arrays

    def all_reduce_sum(self, array):
        if not isinstance(array, np.ndarray):
            return self.gpus.all_reduce_sum(array)
        array[...] = sum(self._all(array, "sum"))
        return array

    def all_gather(self, vector):
        if not isinstance(vector, np.ndarray):
            return self.gpus.all_gather(vector)
        return np.stack(self._all(vector, "gather"))

    def broadcast(self, array):
        if not isinstance(array, np.ndarray):
            return self.gpus.broadcast(array)
        array[...] = self._all(array, "broadcast")[0]
        return array

    def barrier(self):
        self._all(np.zeros(0), "barrier")


def together(size, work):
    """[work(group) of every rank], each in a thread of its own. The first error is raised."""
    barrier, slots = threading.Barrier(size), [None] * size

    def one(rank):
        try:
            with threads.alone():
                return work(Member(rank, size, barrier, slots))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(one, rank) for rank in range(size)]
    errors = [future.exception() for future in futures if future.exception()]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [future.result() for future in futures]


class Noise(data.Dataset):
    """Random pixels and labels; some images have few labelled pixels, some none."""

    classes = ("a", "b", "c")

    def __init__(self, count=12):
        self.ids = [str(i) for i in range(count)]

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        label = rng.choice(np.array([0, 1, 2, 255], np.uint8), (50, 60))
        label[: 25 * (index % 3)] = 255
        return rng.integers(0, 256, (50, 60, 3), np.uint8), label


def run(folder, group, recompute=False, dataset=None, device="cpu", dtype=np.float64, **settings):
    """A Run of a tiny network with dropout, clipping and two learning rates, in float64."""
    model = models.build("efficientfcn", "resnet18", 3, 4, "released", channels=4, compressed=4, codeword_channels=6,
                         dropout=0.3, recompute=recompute).to(device, dtype)
    settings = dict(epochs=10, batch=6, crop=48, lr=0.01, clip=0.5) | settings
    return training.Run(model, dataset or Noise(), training.Settings(**settings), folder, group=group)


def steps(run, number=20):
    """name -> array: the losses of so many steps, and the weights, statistics and velocities after them."""
    run.model.train()
    losses = [run.step(step, images, labels, 0.01) for step, images, labels in run.batches.from_step(0, number)]
    return {"losses": np.array(losses), **run.model.state_dict(),
            **{f"velocity of {name}": v for name, v in run.optimiser.state_dict().items()}}


def furthest(found, expected):
    """The largest difference of two dictionaries of arrays, each over the largest value of its array."""
    assert found.keys() == expected.keys()
    return max(np.abs(found[name] - a).max() / max(1e-6, np.abs(a).max()) for name, a in expected.items())
