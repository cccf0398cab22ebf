"""A score on its way, kept in a file, so that a long evaluation can be stopped and gone on with.

What is counted: docs/14-evaluation.md.
"""

import json
import time

import numpy as np

from ..errors import CheckpointError
from ..files import written_aside
from .prediction import evaluate
from .score import Score


class Count:
    """What an evaluation has counted so far, in the file `path`: images, and the K×K matrix of docs/14-evaluation.md.

    classes: K, how many classes there are. about: JSON values that say which model, data and views these are. A file
    that is there has to say the same; then its count is taken. `done`: images counted. `error`: the OSError where the
    file could not be written, or None; it is tried at once, so that this is known before the evaluation. Raises
    CheckpointError for a file that is no such count, or one of something else.
    """

    def __init__(self, path, about, classes):
        self.path, self.about = path, about
        self.state = _read(path, about, classes)  # images counted, confusion matrix
        self.write()

    @property
    def done(self):
        """How many images have been counted."""
        return self.state[0]

    def take(self, done, score):
        """Hold the score over the first `done` images."""
        self.state = done, score.confusion.copy()  # one assignment: an interruption leaves the two together

    def write(self):
        """Write the file; where that fails, say so in `error`, and leave the evaluation alone."""
        try:
            done, confusion = self.state
            with written_aside(self.path, "w") as file:
                json.dump({"about": self.about, "done": done, "confusion": confusion.tolist()}, file)
            self.error = None
        except OSError as error:
            self.error = error


def evaluate_resumably(model, dataset, views, count, seen=None, first=0, every=30):
    """`evaluate` behind the images that a Count holds, which goes on.

    model, dataset, views, seen, first: see `evaluate`. count: the Count, whose file is written every `every` seconds,
    when all is counted, and when the evaluation is interrupted. Raises SettingError for a count of more images than the
    data set has. See docs/14-evaluation.md.
    """
    done, confusion = count.state
    score, written = Score(len(dataset.classes), confusion=confusion), time.monotonic()

    def keep(done, score):
        nonlocal written
        count.take(done, score)
        if time.monotonic() - written > every:
            count.write()
            written = time.monotonic()
        if seen:
            seen(done, score)

    try:
        return evaluate(model, dataset, views, score, keep, done, first)
    finally:
        count.write()


def _read(path, about, classes):
    """(images counted, confusion matrix) in a file; nothing counted where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        found, done, confusion = stored["about"], stored["done"], stored["confusion"]
        if type(found) is not dict or type(done) is not int or done < 0 or np.shape(confusion) != (classes, classes):
            raise ValueError(f"expected a count of {classes}×{classes} pairs, found {np.shape(confusion)}")
        confusion = Score(classes, confusion=confusion).confusion
    except FileNotFoundError:
        return 0, Score(classes).confusion
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a count of an evaluation, or a damaged one ({error})") from None
    differ = [f"{key} is {found.get(key)!r} there and {value!r} here" for key, value in about.items()
              if found.get(key) != value]
    if differ:
        raise CheckpointError(f"{path}: the count of another evaluation: {'; '.join(differ)}; delete it, or name "
                              "another")
    return done, confusion
