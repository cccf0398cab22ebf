"""The training loop: batches in, weights out, resumable to the bit.

Everything random in a step — the batch, its augmentation, dropout — depends on the seed and the step's number only,
and a checkpoint holds the rest: weights, running statistics, velocities, the step. So a run that was stopped, or
killed, goes on from its last checkpoint as if nothing had happened.
"""

import contextlib
import glob
import math
import os
import signal
import threading
import time
import zlib
from dataclasses import asdict, dataclass

import numpy as np

from ..data import Batches, as_input
from ..errors import CheckpointError, DivergedError, SettingError
from . import checkpoint
from .claim import claimed
from .log import Log
from .progress import Progress
from .schedule import poly
from .sgd import SGD

MOST_EPOCHS, MOST_SCALE = 1_000_000, 100  # beyond them is a slip of the keys


@dataclass(frozen=True)
class Settings:
    """What a run's result depends on, beside the model and the data (section 4.1 of the paper)."""

    epochs: float = 120
    batch: int = 16
    crop: int = 512  # pixels
    lr: float = 0.001  # of the backbone, at the first step
    decoder_factor: float = 10  # the decoder learns this many times faster than a pretrained backbone
    momentum: float = 0.9
    weight_decay: float = 1e-4
    power: float = 0.9  # of the poly schedule
    clip: float = 0  # gradients that are longer are shortened to this; 0: none is
    scales: tuple = (0.5, 2.0)  # the long side, over the image's own
    flip: float = 0.5  # probability
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch", "crop", "lr"):
            if not getattr(self, name) > 0:
                raise SettingError(f"{name}: expected more than 0, found {getattr(self, name)}")
        for name in ("decoder_factor", "momentum", "weight_decay", "power", "clip", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingError(f"{name}: expected at least 0, found {getattr(self, name)}")
        for name, value in asdict(self).items():
            if value == math.inf:
                raise SettingError(f"{name}: expected a finite number, found {value}")
        if self.epochs > MOST_EPOCHS:
            raise SettingError(f"epochs: expected at most {MOST_EPOCHS:,}, found {self.epochs}")
        if not (len(self.scales) == 2 and 0 < self.scales[0] <= self.scales[1] <= MOST_SCALE):
            raise SettingError(f"scales: expected a lowest and a highest factor, above 0 and at most {MOST_SCALE}, "
                               f"found {' '.join(map(str, self.scales))}")

    def steps(self, images):
        """Steps in the whole run over a data set of that many images."""
        return max(1, round(self.epochs * images / self.batch))


class Run:
    """A training run in a folder.

    model: its `loss(images N×h×w×3, labels N×h×w)` is a scalar tensor; its `inputs` say what images it takes (see
    `data.as_input`). folder: gets `checkpoint.npz`, `steps.csv` (step, loss, lr, images_per_second) and
    `evaluation.csv` (step, epoch, pixel_accuracy, mean_iou). about: JSON values that say which model and data this is;
    a checkpoint with others is refused. evaluate: a function of the model that returns a Score, or None; called every
    `evaluate_every` epochs, when the checkpoint is written too (and every `save_minutes`).
    """

    def __init__(self, model, dataset, settings, folder, about=None, evaluate=None, evaluate_every=1, workers=2,
                 save_minutes=10, out=None):
        self.model, self.dataset, self.settings, self.folder = model, dataset, settings, str(folder)
        self.about = {**(about or {}), "settings": _plain(asdict(settings)),
                      "images": [len(dataset), zlib.crc32("\n".join(dataset.ids).encode(errors="surrogateescape"))]}
        self.evaluate, self.evaluate_every, self.save_minutes, self.out = evaluate, evaluate_every, save_minutes, out
        self.optimiser = SGD(model, settings.momentum, settings.weight_decay, {"decoder.": settings.decoder_factor},
                             settings.clip)
        if not evaluate_every > 0:
            raise SettingError(f"evaluate_every: expected more than 0, found {evaluate_every}")
        self.steps, self.done = settings.steps(len(dataset)), 0
        self.batches = Batches(dataset, settings.batch, settings.crop, settings.seed, workers,
                               scales=settings.scales, flip=settings.flip)
        self.score = None

    @property
    def path(self):
        """Of the checkpoint."""
        return os.path.join(self.folder, "checkpoint.npz")

    def resume(self):
        """Go back to the folder's checkpoint. Raises CheckpointError if it is missing, broken or another run's."""
        self.done = checkpoint.restore(self.path, self.model, self.optimiser, self.about)

    def train(self):
        """Train to the last step. True when it was reached, False when Ctrl-C or SIGTERM asked to stop before.

        Either way the checkpoint is written. Raises DivergedError where the loss is not finite (the last good
        checkpoint stays), TrainingError where another process is writing in the folder, CheckpointError where it
        holds another run.
        """
        with claimed(self.folder), StopRequest() as stop:
            return self._train_here(stop)

    def _train_here(self, stop):
        if not self.done and os.path.exists(self.path):
            raise CheckpointError(f"{self.path}: the folder already holds a run; resume it, choose another folder, "
                                  "or delete it")
        for left in glob.glob(f"{glob.escape(self.path)}.*.part"):  # by a run that was killed
            os.remove(left)
        steps_log = Log(os.path.join(self.folder, "steps.csv"),
                        ["step", "loss", "lr", "images_per_second"], self.done)
        scores_log = Log(os.path.join(self.folder, "evaluation.csv"),
                         ["step", "epoch", "pixel_accuracy", "mean_iou"], self.done)
        self.progress = Progress(self.steps, self.settings.batch, self.done, self.out)
        with contextlib.closing(steps_log), contextlib.closing(scores_log):
            return self._train(steps_log, scores_log, stop)

    def _train(self, steps_log, scores_log, stop):
        self.model.train()
        if self.done and self._evaluation_due() and not scores_log.has(self.done):
            self._evaluate(scores_log, stop)  # the run was stopped before it, or in it
            if stop.requested:
                return self._stopped()
        saved = time.monotonic()
        with contextlib.closing(self.batches.from_step(self.done, self.steps)) as batches:
            for step, images, labels in batches:
                lr = poly(step, self.steps, self.settings.lr, self.settings.power)
                loss = self.step(step, images, labels, lr)
                self.done = step + 1
                rate = self.progress.step(self.done, loss, lr)
                steps_log.write(self.done, f"{loss:.6g}", f"{lr:.6g}", f"{rate:.2f}")
                if stop.requested or self._evaluation_due() or time.monotonic() - saved > 60 * self.save_minutes:
                    self.save()
                    saved = time.monotonic()
                if self._evaluation_due() and not stop.requested:
                    self._evaluate(scores_log, stop)
                if stop.requested:
                    return self._stopped()
        return True

    def _stopped(self):
        self.progress.say(f"stopped after step {self.done} of {self.steps}; saved {self.path}")
        return False

    def step(self, step, images, labels, lr):
        """One step on images N×h×w×3 uint8 and labels N×h×w; returns the loss, a float."""
        self.model.reseed(self.settings.seed, step)
        x = as_input(self.model, images)  # N×h×w×3
        loss = self.model.loss(x, labels)
        value = float(loss.data)
        if not np.isfinite(value):
            raise DivergedError(f"the loss is {value} at step {step + 1}, learning rate {lr:.6g}; {self._kept()}")
        if loss.requires_grad:
            loss.backward()
        self.optimiser.step(lr)
        return value

    def save(self):
        """Write the checkpoint of the steps done. Raises DivergedError for one that no run could go on from."""
        weights, velocity = self.model.state_dict(), self.optimiser.state_dict()
        for name, array in [*weights.items(), *velocity.items()]:
            if not np.isfinite(array).all():
                raise DivergedError(f"{name} is no longer finite after step {self.done}; {self._kept()}")
        checkpoint.save(self.path, checkpoint.Checkpoint(self.done, weights, velocity, self.about))

    def _kept(self):
        if os.path.exists(self.path):
            return f"the last good checkpoint is {self.path}"
        return "nothing was saved yet"

    def _evaluation_due(self):
        """Whether the last step was the run's last, or completed `evaluate_every` epochs of the stream of samples."""
        images = len(self.dataset) * self.evaluate_every
        before, after = (s * self.settings.batch // images for s in (self.done - 1, self.done))
        return after > before or self.done == self.steps

    def _evaluate(self, log, stop):
        if self.evaluate is None:
            return
        started, self.score = time.monotonic(), None
        try:
            with stop.at_once():
                self.score = self.evaluate(self.model)
        except KeyboardInterrupt:
            return
        epoch = round(self.done * self.settings.batch / len(self.dataset), 2)
        accuracy, iou = self.score.pixel_accuracy, self.score.mean_iou
        log.write(self.done, epoch, f"{accuracy:.4f}", f"{iou:.4f}")
        self.progress.say(f"epoch {epoch:g}: pixel accuracy {accuracy:.3f}, mIoU {iou:.3f}")
        self.progress.pause(time.monotonic() - started)


class StopRequest:
    """Ctrl-C and SIGTERM ask to stop after the step; a second one stops at once. Only the main thread can listen."""

    requested = False
    waits = True

    def __enter__(self):
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    @contextlib.contextmanager
    def at_once(self):
        """What can be left in the middle: a request inside raises KeyboardInterrupt."""
        self.waits = False
        try:
            yield
        finally:
            self.waits = True

    def _ask(self, number, frame):
        again, self.requested = self.requested, True
        if again or not self.waits:
            raise KeyboardInterrupt

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)


def _plain(settings):
    """Settings as JSON gives them back: tuples become lists. A clip of 0 is not named: there was none once."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()
            if key != "clip" or value}
