"""The training loop: batches in, weights out, resumable to the bit.

Everything random in a step — the batch, its augmentation, dropout — depends on the seed and the step's number only,
and a checkpoint holds the rest: weights, running statistics, velocities, the step. So a run that was stopped, or
killed, goes on from its last checkpoint as if nothing had happened.

Several processes run the same loop, each on its share of every batch, and compute what one would of the whole batch:
labelled pixels are counted, gradients and statistics added up over all (see processes/). Rank 0 writes the folder. What
decides where the loop goes, they agree on: a signal that one of them got, what the clock says, what rank 0 finds there.

Explained in docs/13-training.md.
"""

import contextlib
import functools
import glob
import math
import os
import signal
import threading
import time
import zlib
from dataclasses import asdict, dataclass

import numpy as np

from .. import backend
from ..data import VOID, Batches, as_input
from ..errors import CheckpointError, DivergedError, SettingError, TrainingError
from ..processes import Alone
from . import checkpoint
from .claim import claimed
from .log import Log, NoLog
from .progress import Progress
from .schedule import poly
from .sgd import SGD

READ_EVERY = 20  # steps: to read a loss a program waits for the GPU, which then waits for the program
MOST_EPOCHS, MOST_SCALE = 1_000_000, 100  # beyond them is a slip of the keys


@dataclass(frozen=True)
class Settings:
    """What a run's result depends on, beside the model and the data (section 4.1 of the paper).

    epochs: passes over the data set. batch: images a step, over all processes. crop: side of a training image in
    pixels. lr: learning rate of the backbone at the first step, decoder_factor: how many times that the decoder has;
    power: of the poly schedule. momentum, weight_decay, clip: see `SGD`. scales: the range that an image's long side is
    drawn from, over its own. flip: the probability of a mirrored image. seed: of all that is random in a step. Raises
    SettingError naming the setting that is out of range. See docs/13-training.md.
    """

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
        """Steps in the whole run over a data set of that many images: epochs · images / batch, rounded, at least 1."""
        return max(1, round(self.epochs * images / self.batch))


class Run:
    """A training run in a folder.

    model: its `loss(images N×h×w×3, labels N×h×w)` is a scalar tensor; its `inputs` say what images it takes (see
    `data.as_input`). folder: gets `checkpoint.npz`, `steps.csv` (step, loss, lr, images_per_second) and
    `evaluation.csv` (step, epoch, pixel_accuracy, mean_iou). about: JSON values that say which model and data this is;
    a checkpoint with others is refused. evaluate: a function of the model that returns a Score, or None; called every
    `evaluate_every` epochs, when the checkpoint is written too (and every `save_minutes`). dataset: as `data.Batches`
    takes it. settings: the Settings. workers: threads that read and augment images. out: a text file for what the run
    says, None for standard output.

    group: of the processes that train together (see `processes.joined`). Each of them makes the same Run; the model's
    loss is a mean over the labelled pixels, and `evaluate` returns the Score of the rank's share of the images
    (`data.Share`). With any number of processes a run gives the same results, up to rounding, and goes on from the same
    checkpoints.

    Raises SettingError for an `evaluate_every` that is not above 0, a batch that cannot be divided by the processes,
    and a model without a `decoder`; DataError for an empty data set. Its methods raise CheckpointError for a folder
    with no run or another's, TrainingError where another process is writing there or the ranks' weights differ,
    DivergedError for a loss or weights that are not finite. See docs/13-training.md.
    """

    def __init__(self, model, dataset, settings, folder, about=None, evaluate=None, evaluate_every=1, workers=2,
                 save_minutes=10, out=None, group=None):
        self.model, self.dataset, self.settings, self.folder = model, dataset, settings, str(folder)
        self.about = {**(about or {}), "settings": _plain(asdict(settings)),
                      "images": [len(dataset), zlib.crc32("\n".join(dataset.ids).encode(errors="surrogateescape"))]}
        self.evaluate, self.evaluate_every, self.save_minutes, self.out = evaluate, evaluate_every, save_minutes, out
        self.group = group or Alone()
        self.optimiser = SGD(model.in_group(self.group), settings.momentum, settings.weight_decay,
                             {"decoder.": settings.decoder_factor}, settings.clip, self.group)
        if not evaluate_every > 0:
            raise SettingError(f"evaluate_every: expected more than 0, found {evaluate_every}")
        self.steps, self.done = settings.steps(len(dataset)), 0
        self.batches = Batches(dataset, settings.batch, settings.crop, settings.seed, workers,
                               scales=settings.scales, flip=settings.flip, rank=self.group.rank, size=self.group.size)
        self.score = None

    @property
    def path(self):
        """The path of the checkpoint."""
        return os.path.join(self.folder, "checkpoint.npz")

    def resume(self):
        """Go back to the folder's checkpoint. Raises CheckpointError if it is missing, broken or another run's."""
        if self.group.rank == 0:
            self.done = checkpoint.restore(self.path, self.model, self.optimiser, self.about)
        self._follow()

    def _follow(self):
        """All ranks are where rank 0 is: in the step, the weights, the running statistics and the velocities."""
        if self.group.size > 1:
            self.done = int(self.group.broadcast(np.array(self.done)))
            for array in (*self.model.arrays().values(), *self.optimiser.velocity.values()):
                self.group.broadcast(array)

    def train(self):
        """Train to the last step. True when it was reached, False when Ctrl-C or SIGTERM asked to stop before.

        Either way the checkpoint is written. Raises DivergedError where the loss is not finite (the last good
        checkpoint stays), TrainingError where another process is writing in the folder, CheckpointError where it
        holds another run.
        """
        writes = self.group.rank == 0
        with claimed(self.folder) if writes else contextlib.nullcontext(), StopRequest() as stop:
            logs = self._open_folder() if writes else (NoLog(), NoLog())
            self._follow()
            self.progress = Progress(self.steps, self.settings.batch, self.done, self.out)
            with contextlib.closing(logs[0]), contextlib.closing(logs[1]):
                return self._train(*logs, stop)

    def _open_folder(self):
        """The logs of steps and of evaluations. Raises CheckpointError where there is another run already."""
        if not self.done and os.path.exists(self.path):
            raise CheckpointError(f"{self.path}: the folder already holds a run; resume it, choose another folder, "
                                  "or delete it")
        for left in glob.glob(f"{glob.escape(self.path)}.*.part"):  # by a run that was killed
            os.remove(left)
        return (Log(os.path.join(self.folder, "steps.csv"),
                    ["step", "loss", "lr", "images_per_second"], self.done),
                Log(os.path.join(self.folder, "evaluation.csv"),
                    ["step", "epoch", "pixel_accuracy", "mean_iou"], self.done))

    def _train(self, steps_log, scores_log, stop):
        self.model.train()
        missed = bool(self.done) and self._evaluation_due() and not scores_log.has(self.done)
        if self._agreed(missed) and self._evaluate(scores_log, stop):  # the run was stopped before it, or in it
            return self._stopped()
        saved, unread, like = time.monotonic(), [], self.model.like
        every, step_on = 1, self.step
        if not isinstance(like, np.ndarray):
            every, step_on = READ_EVERY, functools.partial(self._step, read=False)
        with contextlib.closing(self.batches.from_step(self.done, self.steps)) as batches:
            for step, images, labels in uploaded(batches, like):
                lr = poly(step, self.steps, self.settings.lr, self.settings.power)
                loss = step_on(step, images, labels, lr)
                self.done = step + 1
                unread.append((self.done, lr, loss))
                late, stopping = time.monotonic() - saved > 60 * self.save_minutes, stop.requested
                late, stopping = self.group.any(late, stopping)
                due = stopping or self._evaluation_due() or late
                if due or len(unread) == every:
                    self._log(steps_log, unread)
                    unread = []
                if due:
                    self.save()
                    saved = time.monotonic()
                if self._evaluation_due() and not stopping:
                    stopping = self._evaluate(scores_log, stop)
                if stopping:
                    return self._stopped()
        return True

    def _log(self, log, unread):
        """Log steps: (number, learning rate, loss) each, the losses as `step` returns them."""
        losses = [loss for _, _, loss in unread]
        if not isinstance(losses[0], float):
            losses = self._read(losses, unread)
        done, lr, _ = unread[-1]
        rate = self.progress.step(done, losses[-1], lr)
        for (number, lr, _), loss in zip(unread, losses, strict=True):
            log.write(number, f"{loss:.6g}", f"{lr:.6g}", f"{rate:.2f}")

    def _read(self, parts, steps):
        """The losses of whole batches, floats, from this rank's parts. Raises DivergedError for one that is not finite.

        steps: (number, learning rate, …) of each.
        """
        own = backend.to_numpy(backend.of(parts[0]).xp.concatenate([part.reshape(1) for part in parts]))
        losses = self.group.all_reduce_sum(own.astype(np.float64)).tolist()
        for loss, (number, lr, *_) in zip(losses, steps, strict=True):
            if not np.isfinite(loss):
                raise DivergedError(f"the loss is {loss} at step {number}, learning rate {lr:.6g}; {self._kept()}")
        return losses

    def _agreed(self, flag):
        return self.group.any(flag)[0]

    def _stopped(self):
        self.progress.say(f"stopped after step {self.done} of {self.steps}; saved {self.path}")
        return False

    def step(self, step, images, labels, lr):
        """One step on images N×h×w×3 uint8 and labels N×h×w, this rank's; returns the loss of the whole batch, a float.

        step: its number, from 0, of which dropout is drawn. lr: the backbone's learning rate. Raises DivergedError for
        one that is not finite, before anything has moved.
        """
        return self._step(step, images, labels, lr, read=True)

    def _step(self, step, images, labels, lr, read):
        """The loss as `step` returns it or, unread, this rank's part of it, which a GPU need not have computed yet.

        A rank's loss and gradient are means over its own labelled pixels; its share of those makes them parts of sums.
        """
        self.model.reseed(self.settings.seed, step)
        x = as_input(self.model, images)  # N×h×w×3
        share = self._labelled_share(labels)
        loss = self.model.loss(x, labels)
        part = loss.data if share == 1 else loss.data * share
        if read:
            part, = self._read([part], [(step + 1, lr)])
        if loss.requires_grad:
            loss.backward(share)
        self.optimiser.step(lr)
        return part

    def _labelled_share(self, labels):
        """The labelled pixels of this rank's part of the batch, over those of the whole."""
        if self.group.size == 1:
            return 1.0
        own = np.count_nonzero(getattr(labels, "host", labels) != VOID)  # the host's, where a GPU has a copy
        return own / max(1, int(self.group.all_reduce_sum(np.array(own))))

    def save(self):
        """Write the checkpoint of the steps done. Raises DivergedError for one that no run could go on from."""
        weights, velocity = self.model.state_dict(), self.optimiser.state_dict()
        self._check_alike(weights)
        for name, array in [*weights.items(), *velocity.items()]:
            if not np.isfinite(array).all():
                raise DivergedError(f"{name} is no longer finite after step {self.done}; {self._kept()}")
        if self.group.rank == 0:
            checkpoint.save(self.path, checkpoint.Checkpoint(self.done, weights, velocity, self.about))

    def _check_alike(self, weights):
        """Raise TrainingError where the ranks no longer have the same weights: they would not train one model."""
        if self.group.size > 1:
            mark = 0
            for array in weights.values():
                mark = zlib.crc32(np.ascontiguousarray(array), mark)
            marks = self.group.all_gather(np.array([mark]))[:, 0].tolist()
            if len(set(marks)) > 1:
                raise TrainingError(f"the weights are no longer the same on all {self.group.size} processes after step "
                                    f"{self.done}; {self._kept()}")

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
        """Score the model and log it. Whether the run is to stop; then there may be no score."""
        if self.evaluate is None:
            return self._agreed(stop.requested)
        started, self.score, whole = time.monotonic(), None, False
        with contextlib.suppress(KeyboardInterrupt), stop.at_once():
            score, whole = self.evaluate(self.model), True
        if self._agreed(not whole):
            return True
        self.score = self._of_all_shares(score)
        epoch = round(self.done * self.settings.batch / len(self.dataset), 2)
        accuracy, iou = self.score.pixel_accuracy, self.score.mean_iou
        log.write(self.done, epoch, f"{accuracy:.4f}", f"{iou:.4f}")
        self.progress.say(f"epoch {epoch:g}: pixel accuracy {accuracy:.3f}, mIoU {iou:.3f}")
        self.progress.pause(time.monotonic() - started)
        return self._agreed(stop.requested)

    def measure(self):
        """The Score of the model as it is, over all images."""
        return self._of_all_shares(self.evaluate(self.model))

    def _of_all_shares(self, score):
        self.group.all_reduce_sum(score.confusion)
        return score


def uploaded(batches, like):
    """(step, images, labels) of batches, each on its way to the device of `like` while the one before is used."""
    images_there, labels_there = (backend.of(like).uploads() for _ in range(2))
    if images_there is None:
        yield from batches
        return
    last = None
    try:
        for step, images, labels in batches:
            coming = step, images_there(images), labels_there(labels)
            if last:
                yield last
            last = coming
        if last:
            yield last
    finally:  # also when the run stops before the last
        images_there.close()
        labels_there.close()


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
