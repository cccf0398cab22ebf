"""Runs: the same weights to the bit when resumed, stops that save, files that are whole or not there."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minihgd import data, evaluation, models, training
from minihgd.errors import CheckpointError, SettingError, TrainingError
from minihgd.files import written_aside
from minihgd.training import checkpoint
from minihgd.training.claim import claimed
from minihgd.training.loop import StopRequest

SETTINGS = dict(epochs=3, batch=3, crop=33, lr=0.01, decoder_factor=2, seed=5)


class Stripes(data.Dataset):
    """Images whose left part is dark and class 0, the right part bright and class 1."""

    classes = ("dark", "bright")

    def __init__(self, count=8):
        self.ids = [f"stripe{i}" for i in range(count)]

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        label = np.zeros((40, 50), np.uint8)
        label[:, rng.integers(10, 40):] = 1
        image = (label * 150 + 50)[:, :, None] + rng.integers(0, 40, (40, 50, 3))
        return image.astype(np.uint8), label


def run(folder, settings=SETTINGS, about=None, **options):
    """A run of a tiny network with dropout and batch normalisation."""
    model = models.build("efficientfcn", "resnet18", 2, 4, "released", channels=4, compressed=4, codeword_channels=4)
    return training.Run(model, Stripes(), training.Settings(**settings), folder, about or {"model": "tiny"},
                        save_minutes=0, out=open(os.devnull, "w"), **options)


def same(a, b):
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_a_run_learns_logs_and_saves(tmp_path):
    stripes = Stripes()
    r = run(tmp_path / "run", {**SETTINGS, "epochs": 12, "lr": 0.1},
            evaluate=lambda model: evaluation.evaluate(model, stripes))
    assert r.steps == 32 and r.train()
    steps = (tmp_path / "run" / "steps.csv").read_text().splitlines()
    assert steps[0] == "step,loss,lr,images_per_second" and len(steps) == 33
    losses = [float(line.split(",")[1]) for line in steps[1:]]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    scores = (tmp_path / "run" / "evaluation.csv").read_text().splitlines()
    assert scores[0] == "step,epoch,pixel_accuracy,mean_iou" and len(scores) == 13
    assert r.score.mean_iou > 0.5
    saved = checkpoint.load(r.path)
    assert saved.step == 32 and same(saved.weights, r.model.state_dict())
    assert sorted(os.listdir(tmp_path / "run")) == ["checkpoint.npz", "evaluation.csv", "steps.csv"]


def test_a_run_clips_its_gradients(tmp_path):
    """A clip that is never reached changes nothing, a small one does; none is not named, as before there was one."""
    weights = {}
    for clip in (0, 1e6, 1e-3):
        r = run(tmp_path / str(clip), {**SETTINGS, "clip": clip, "epochs": 1})
        assert r.about["settings"].get("clip") == (clip or None) and r.train()
        weights[clip] = r.model.state_dict()
    assert same(weights[0], weights[1e6]) and not same(weights[0], weights[1e-3])


@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_resumed_is_unbroken_to_the_bit(tmp_path, stop_after):
    whole, broken = run(tmp_path / "whole"), run(tmp_path / "broken")
    assert whole.train()
    step = broken.step

    def interrupted(number, *rest):
        if number == stop_after:
            raise InterruptedError
        return step(number, *rest)

    broken.step = interrupted
    with pytest.raises(InterruptedError):
        broken.train()
    again = run(tmp_path / "broken")
    again.resume()
    assert again.done == stop_after and again.train()
    assert same(whole.model.state_dict(), again.model.state_dict())
    assert same(whole.optimiser.state_dict(), again.optimiser.state_dict())
    rows = [[line.split(",")[:3] for line in (tmp_path / name / "steps.csv").read_text().splitlines()]
            for name in ("whole", "broken")]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_saves(tmp_path, number):
    r = run(tmp_path)
    step = r.step

    def signalled(at, *rest):
        if at == 2:
            os.kill(os.getpid(), number)
        return step(at, *rest)

    r.step = signalled
    assert r.train() is False
    assert checkpoint.load(r.path).step == r.done == 3
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # handlers are given back


def test_a_signal_in_an_evaluation_does_not_wait_for_its_end(tmp_path):
    def evaluate(model):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        raise AssertionError("it went on")

    r = run(tmp_path, evaluate=evaluate)
    assert r.train() is False
    assert checkpoint.load(r.path).step == r.done == 3 and r.score is None


@pytest.mark.parametrize("stopped_in", ["the evaluation", "the step before it"])
def test_an_evaluation_that_was_missed_is_made_up(tmp_path, stopped_in):
    def stop(model):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)

    first = run(tmp_path, evaluate=stop)
    step = first.step
    if stopped_in == "the step before it":
        first.step = lambda at, *rest: (at == 2 and os.kill(os.getpid(), signal.SIGTERM), step(at, *rest))[1]
    assert first.train() is False and first.done == 3 and not (tmp_path / "evaluation.csv").exists()
    for _ in range(2):  # the second time nothing is left to do
        again = run(tmp_path, evaluate=lambda model: evaluation.evaluate(model, Stripes()))
        again.resume()
        assert again.train()
        rows = (tmp_path / "evaluation.csv").read_text().splitlines()
        assert [row.split(",")[0] for row in rows] == ["step", "3", "6", "8"]


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path):
    first, second = run(tmp_path / "run"), run(tmp_path / "run")
    step, refused = first.step, []

    def meanwhile(*rest):
        with pytest.raises(TrainingError, match=f"run: another run, process {os.getpid()}, is writing in this folder"):
            second.train()
        refused.append(True)
        return step(*rest)

    first.step = meanwhile
    assert first.train() and len(refused) == 8 and not (tmp_path / "run" / "running").exists()


def test_what_a_killed_run_left_is_no_claim(tmp_path):
    for name in ("running", "checkpoint.npz.123.part"):
        (tmp_path / name).write_text("123")
    assert run(tmp_path, {**SETTINGS, "epochs": 0.5}).train()
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.npz", "steps.csv"]


def test_a_claim_leaves_no_empty_folder(tmp_path):
    with claimed(tmp_path / "new"):
        assert (tmp_path / "new" / "running").read_text() == str(os.getpid())
    assert not (tmp_path / "new").exists()


def test_a_broken_pipe_does_not_end_the_training(tmp_path):
    read, write = os.pipe()
    os.close(read)
    r = run(tmp_path)
    r.out = open(write, "w")
    assert r.train()
    with contextlib.suppress(BrokenPipeError):
        r.out.close()


def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: '.*full\.txt'"):
        with written_aside(tmp_path / "full.txt", "w"):
            raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_other_images_are_another_run(tmp_path):
    first = run(tmp_path, {**SETTINGS, "epochs": 0.5})
    first.train()
    other = Stripes()
    other.ids = other.ids[::-1]
    second = training.Run(first.model, other, first.settings, tmp_path, {"model": "tiny"})
    with pytest.raises(CheckpointError, match=r"of another run: images is \[8, \d+\] there and \[8, \d+\] here"):
        second.resume()


def test_a_second_ctrl_c_stops_at_once():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    r = run(tmp_path)
    step = r.step

    def poisoned(at, *rest):
        if at == 4:
            r.model.decoder.classifier.bias.data[0] = np.nan
        return step(at, *rest)

    r.step = poisoned
    with pytest.raises(TrainingError, match=r"the loss is nan at step 5, learning rate 0.00\d+; the last good .*npz"):
        r.train()
    kept = checkpoint.load(r.path)
    assert kept.step == 4 and all(np.isfinite(a).all() for a in kept.weights.values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    r = run(tmp_path)
    step = r.step

    def poisoned(at, *rest):
        loss = step(at, *rest)
        if at == 4:
            r.model.decoder.classifier.bias.data[0] = np.inf
        return loss

    r.step = poisoned
    with pytest.raises(TrainingError, match=r"decoder.classifier.bias is no longer finite after step 5; the last good"):
        r.train()
    assert checkpoint.load(r.path).step == 4


def test_void_batches_are_no_accident(tmp_path):
    class Void(Stripes):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, np.full_like(label, 255)

    r = run(tmp_path)
    r.batches.dataset = Void()
    assert r.train()
    assert all(np.isfinite(a).all() for a in r.model.state_dict().values())


def test_other_runs_are_refused(tmp_path):
    first = run(tmp_path, {**SETTINGS, "epochs": 0.5})
    first.train()
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(CheckpointError, match="already holds a run"):
        run(tmp_path).train()
    with pytest.raises(CheckpointError, match=r"of another run: settings.lr is 0.01 there and 0.5 here$"):
        run(tmp_path, {**SETTINGS, "epochs": 0.5, "lr": 0.5}).resume()
    with pytest.raises(CheckpointError, match="model is 'tiny' there and 'huge' here"):
        run(tmp_path, {**SETTINGS, "epochs": 0.5}, {"model": "huge"}).resume()
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        run(tmp_path / "elsewhere").resume()
    assert (tmp_path / "checkpoint.npz").read_bytes() == before and not (tmp_path / "elsewhere").exists()


def test_a_checkpoint_of_another_model(tmp_path):
    first = run(tmp_path, {**SETTINGS, "epochs": 0.5})
    first.train()
    other = models.build("efficientfcn", "resnet18", 2, 8, "released", channels=4, compressed=4, codeword_channels=4)
    with pytest.raises(CheckpointError, match=r"of another model: decoder.attention.0.weight has shape "
                                              r"\(1, 1, 16, 4\), expected \(1, 1, 16, 8\)"):
        checkpoint.restore(first.path, other, training.SGD(other), first.about)


@pytest.mark.parametrize("break_it", [
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: path.write_bytes(b"no archive"),
    lambda path: path.write_bytes(b""),
    lambda path: np.savez(open(path, "wb"), a=np.ones(1)),
    lambda path: np.savez(open(path, "wb"), header=np.array('{"format": "other", "step": 1, "about": {}}')),
])
def test_broken_checkpoints(tmp_path, break_it):
    first = run(tmp_path, {**SETTINGS, "epochs": 0.5})
    first.train()
    break_it(tmp_path / "checkpoint.npz")
    with pytest.raises(CheckpointError, match="checkpoint.npz"):
        run(tmp_path, {**SETTINGS, "epochs": 0.5}).resume()


def test_a_failing_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    first = run(tmp_path, {**SETTINGS, "epochs": 0.5})
    first.train()
    before = (tmp_path / "checkpoint.npz").read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with pytest.raises(OSError):
        first.save()
    assert (tmp_path / "checkpoint.npz").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.npz", "steps.csv"]


@pytest.mark.parametrize("settings, message", [
    (dict(lr=0), "lr: expected more than 0, found 0"), (dict(crop=0), "crop: expected more than 0"),
    (dict(epochs=-1), "epochs: expected more than 0"), (dict(momentum=-0.1), "momentum: expected at least 0"),
    (dict(batch=float("nan")), "batch: expected more than 0, found nan"),
    (dict(epochs=float("inf")), "epochs: expected a finite number, found inf"),
    (dict(epochs=1e300), "epochs: expected at most 1,000,000"), (dict(lr=float("inf")), "lr: expected a finite"),
    (dict(scales=(1e6, 1e6)), "scales: expected .* at most 100, found 1000000.0 1000000.0"),
    (dict(scales=(2, 1)), "scales: expected a lowest and a highest factor")])
def test_settings_out_of_range(settings, message):
    with pytest.raises(SettingError, match=message):
        training.Settings(**settings)


KILLED = """
import sys
sys.path[:0] = [{tests!r}]
from training.test_run import run
r = run({folder!r}, {settings!r})
if len(sys.argv) > 1:
    r.resume()
print("started", flush=True)
assert r.train()
"""


@pytest.mark.slow
def test_killed_at_five_random_moments_and_resumed(tmp_path):
    """SIGKILL, wherever it falls: in a step, in a save, in an evaluation."""
    settings = {**SETTINGS, "epochs": 100}
    whole = run(tmp_path / "whole", settings)
    assert whole.train()
    folder = tmp_path / "killed"
    script = KILLED.format(tests=os.path.dirname(os.path.dirname(__file__)), folder=str(folder), settings=settings)
    moments = random.Random(0)
    kills = 0
    while kills < 5:
        resume = ["resume"] if (folder / "checkpoint.npz").exists() else []
        process = subprocess.Popen([sys.executable, "-c", script, *resume], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(moments.uniform(0.05, 0.6))
        assert process.poll() is None, "the run ended before it was killed: make it longer"
        process.kill()
        process.wait()
        kills += 1
    subprocess.run([sys.executable, "-c", script, "resume"], check=True, stdout=subprocess.DEVNULL)
    assert same(checkpoint.load(folder / "checkpoint.npz").weights, whole.model.state_dict())
