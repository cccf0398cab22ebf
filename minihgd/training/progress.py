"""What long work says while it goes on: one line that is rewritten on a terminal, plain lines elsewhere.

Used by the loop of docs/13-training.md.
"""

import os
import sys
import time


class Progress:
    """Reports steps of a run, or other things that are counted: how many, images per second, time left.

    steps: how many there are in all. batch: images in each. first: how many were done before. out: a text file, None
    for standard output. every: seconds between reports where that is no terminal; on one they come five times a second.
    what: the word for one step. Where nobody reads on, such as behind `| head -3`, the work does, without a word. The
    loop of docs/13-training.md reports so.
    """

    def __init__(self, steps, batch=1, first=0, out=None, every=10.0, what="step"):
        self.steps, self.batch, self.what = steps, batch, what
        self.out = out or sys.stdout
        self.live = self.out.isatty()
        self.every = 0.2 if self.live else every  # seconds between reports
        self.started = self.reported = time.monotonic()
        self.first, self.paused = first, 0.0

    def step(self, done, loss, lr):
        """Report the loss and the learning rate after step number `done` of training: see `report`."""
        return self.report(done, f"loss {loss:.4f}  lr {lr:.5f}  ")

    def report(self, done, text=""):
        """Report `text` after number `done` (counted from 1), if it is time to; returns images per second so far."""
        now = time.monotonic()
        seconds = max(1e-9, now - self.started - self.paused)
        rate = (done - self.first) * self.batch / seconds
        if now - self.reported >= self.every or done == self.steps:
            self.reported = now
            left = (self.steps - done) * seconds / (done - self.first)
            self._write(f"{self.what} {done}/{self.steps}  {text}{rate:.1f} images/s  {clock(left)} left")
        return rate

    def say(self, text):
        """A line of its own, which stays."""
        self._print(f"\r\033[K{text}\n" if self.live else f"{text}\n")

    def pause(self, seconds):
        """Leave seconds that were not spent on steps, such as an evaluation's, out of the rate and the time left."""
        self.paused += seconds

    def _write(self, text):
        self._print(f"\r\033[K{text}" if self.live else f"{text}\n")

    def _print(self, text):
        try:
            self.out.write(text)
            self.out.flush()
        except OSError:
            self.out = open(os.devnull, "w", encoding="utf-8")


def clock(seconds):
    """Seconds as m:ss, or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
