"""A score on its way, kept in a file, so that a long evaluation can be stopped and gone on with."""

import json
import time

import numpy as np

from ..errors import CheckpointError
from ..files import written_aside
from .prediction import evaluate
from .score import Score


def evaluate_resumably(model, dataset, views, path, about, seen=None, first=0, every=30):
    """`evaluate`, with the count so far in the file `path`, written every so many seconds and when it is interrupted.

    about: JSON values that say which model, data and views these are. Where the file is there and says the same, the
    evaluation goes on behind the images that it has counted. It stays when all have been. Raises CheckpointError for a
    file that is no such count, or one of something else.
    """
    done, score = _read(path, about, len(dataset.classes))
    state, written = (done, score.confusion.copy()), time.monotonic()

    def keep(done, score):
        nonlocal state, written
        state = done, score.confusion.copy()  # one assignment: an interruption leaves the two together
        if time.monotonic() - written > every:
            _write(path, about, *state)
            written = time.monotonic()
        if seen:
            seen(done, score)

    try:
        return evaluate(model, dataset, views, score, keep, done, first)
    finally:
        _write(path, about, *state)


def _read(path, about, classes):
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        found, done, confusion = stored["about"], stored["done"], stored["confusion"]
        if type(done) is not int or np.shape(confusion) != (classes, classes):
            raise ValueError(f"expected a count of {classes}×{classes} pairs, found {np.shape(confusion)}")
        score = Score(classes, confusion=confusion)
    except FileNotFoundError:
        return 0, Score(classes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a count of an evaluation, or a damaged one ({error})") from None
    differ = [f"{key} is {found.get(key)!r} there and {value!r} here" for key, value in about.items()
              if found.get(key) != value]
    if differ:
        raise CheckpointError(f"{path}: the count of another evaluation: {'; '.join(differ)}; delete it, or name "
                              "another")
    return done, score


def _write(path, about, done, confusion):
    with written_aside(path, "w") as file:
        json.dump({"about": about, "done": done, "confusion": confusion.tolist()}, file)
