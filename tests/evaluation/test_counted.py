"""An evaluation that is interrupted and gone on with counts what one that runs through counts."""

import json
import os

import numpy as np
import pytest

from minihgd import evaluation, nn, ops
from minihgd.errors import CheckpointError
from minihgd.evaluation import Count

ABOUT = {"checkpoint": [1, 2], "views": "one"}


class Squares:
    """Ten random images, each with its own labels; remembers which were asked for."""

    classes, ids = ("a", "b", "c"), [str(i) for i in range(10)]

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 10

    def __getitem__(self, i):
        self.asked.append(i)
        rng = np.random.default_rng(i)
        return rng.integers(0, 256, (9, 7, 3), np.uint8), rng.integers(0, 3, (9, 7)).astype(np.uint8)


class Model(nn.Module):
    def __init__(self):
        self.weight = nn.Parameter(np.random.default_rng(0).standard_normal((1, 1, 3, 3)))

    def forward(self, x):
        return ops.conv2d(x, self.weight)


def evaluated(path, images=None, seen=None, **more):
    """The score, with the count in a file."""
    count = Count(path, ABOUT, 3)
    return evaluation.evaluate_resumably(Model(), images or Squares(), None, count, seen, **more)


def interrupted_after(count):
    def seen(done, score):
        if done == count:
            raise KeyboardInterrupt
    return seen


@pytest.mark.parametrize("every", [0, 1000])
def test_stopped_and_gone_on_with(tmp_path, every):
    expected, path = evaluation.evaluate(Model(), Squares()), tmp_path / "count.json"
    for count in (1, 4, 9):
        with pytest.raises(KeyboardInterrupt):
            evaluated(path, seen=interrupted_after(count), every=every)
        assert json.loads(path.read_text())["done"] == count
    rest, done = Squares(), []
    score = evaluated(path, rest, lambda n, score: done.append(n))
    assert np.array_equal(score.confusion, expected.confusion) and rest.asked == [9] and done == [10]
    again = Squares()
    score = evaluated(path, again)
    assert np.array_equal(score.confusion, expected.confusion) and not again.asked
    assert os.listdir(tmp_path) == ["count.json"]


@pytest.mark.parametrize("text, message", [
    ("", "not a count of an evaluation"), ("[]", "not a count"), ('{"about": {}, "done": 3}', "not a count"),
    ("[" * 100_000, "not a count"),
    (json.dumps({"about": [], "done": 3, "confusion": [[1] * 3] * 3}), "not a count"),
    (json.dumps({"about": ABOUT, "done": -1, "confusion": [[1] * 3] * 3}), "not a count"),
    (json.dumps({"about": ABOUT, "done": 3, "confusion": [[1, 2]] * 5}), "not a count"),
    (json.dumps({"about": {**ABOUT, "views": "two"}, "done": 3, "confusion": [[1] * 3] * 3}),
     "views is 'two' there and 'one' here")])
def test_another_file(tmp_path, text, message):
    path = tmp_path / "count.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=f"count.json: .*{message}"):
        Count(path, ABOUT, 3)
    assert path.read_text() == text


def test_a_file_that_cannot_be_written(tmp_path):
    """Is known at once, and the evaluation goes on without."""
    count = Count(tmp_path / "none" / "count.json", ABOUT, 3)
    assert isinstance(count.error, FileNotFoundError) and count.done == 0
    score = evaluation.evaluate_resumably(Model(), Squares(), None, count, every=0)
    assert np.array_equal(score.confusion, evaluation.evaluate(Model(), Squares()).confusion)
    assert count.done == 10
    (tmp_path / "none").mkdir()
    count.write()
    assert count.error is None and json.loads(count.path.read_text())["done"] == 10
