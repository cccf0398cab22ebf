"""The training script as a person runs it: what it leaves behind, and what it says of bad input."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data.make_context import write_context
from PIL import Image

from minihgd import training

SCRIPT = Path(__file__).parents[2] / "examples" / "train_pcontext.py"
TINY = ["--backbone", "resnet18", "--form", "released", "--channels", "4", "--compressed", "4", "--codeword-channels",
        "4", "--codewords", "4", "--batch", "2", "--crop", "32", "--epochs", "4", "--lr", "0.01"]
VOC = "data/VOCdevkit/VOC2010"


def command(folder, *arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=120, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})


@pytest.fixture
def folder(tmp_path):
    """A folder with a tiny PASCAL Context in `data`."""
    (tmp_path / "data").mkdir()
    write_context(tmp_path / "data", forms=("mat",))
    return tmp_path


def test_a_run_from_start_to_pictures(folder):
    done = command(folder, "--data", "data", *TINY, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^step \d+/\d+  loss [\d.]+  lr [\d.]+  [\d.]+ images/s  0:\d\d left$", done.stdout, re.M)
    assert re.search(r"^pixel accuracy [\d.]+, mIoU [\d.]+ on \d held-out images$", done.stdout, re.M)
    assert sorted(os.listdir(folder / "out")) == [
        "checkpoint.npz", "codewords.png", "evaluation.csv", "predictions.png", "steps.csv"]
    for name in ("predictions.png", "codewords.png"):
        with Image.open(folder / "out" / name) as picture:
            assert picture.width > 200 and np.asarray(picture).std() > 20
    again = command(folder, "--data", "data", *TINY, "--out", "out")
    assert again.returncode == 1 and "already holds a run" in again.stderr and "Traceback" not in again.stderr
    other = command(folder, "--data", "data", *TINY, "--channels", "8", "--inputs", "bgr", "--out", "out", "--resume")
    assert other.returncode == 1 and "network.channels is 4 there and 8 here" in other.stderr
    assert "network.inputs is 'rgb' there and 'bgr' here" in other.stderr


def test_stopped_and_resumed_as_it_says(folder):
    arguments = ["--data", "data", *TINY, "--epochs", "4000", "--out", "out"]
    process = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], cwd=folder, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (folder / "out" / "evaluation.csv").exists():
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    saved = training.load(folder / "out" / "checkpoint.npz").step
    assert f"stopped after step {saved} of " in said
    assert f"go on with: python {SCRIPT} --data data" in said and said.rstrip().endswith("--out out --resume")


def test_sample_scenes_without_arguments(tmp_path):
    """The default data, numbered folders; a narrow model and few steps, for time."""
    few = [*TINY, "--epochs", "0.05"]
    for number in (1, 2):
        done = command(tmp_path, *few)
        assert done.returncode == 0, done.stderr
        assert f"200 training and 40 held-out images, 5 steps from step 0, 45,603 parameters, results in " \
               f"runs/pcontext-{number}" in done.stdout
    resumed = command(tmp_path, *few, "--resume", "--recompute")
    assert resumed.returncode == 0 and "5 steps from step 5" in resumed.stdout and "pcontext-2" in resumed.stdout


def one(folder):
    """The last file of a folder, a held-out one: it is read before the first step all the same."""
    return sorted(folder.iterdir())[-1]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def relabel(path, labels):
    scipy.io.savemat(path, labels)


BAD = [  # (what is done to the folder, arguments in its place, what the message says)
    (None, ["--data", "nowhere"], r"nowhere"),
    (None, ["--crop", "0"], r"crop: expected more than 0, found 0"),
    (None, ["--crop", "-5"], r"crop: expected more than 0, found -5"),
    (None, ["--device", "gpu"], r"device: found 'gpu'"),
    (None, ["--device", "cuda"], r"device: cuda"),
    (None, ["--backbone", "vgg16"], r"backbone: found 'vgg16'"),
    (None, ["--stride-in", "1x1"], r"stride_in: found '1x1', expected '3x3': depth 18"),
    (None, ["--weights", "none.npz"], r"none\.npz: cannot be read"),
    (None, ["--resume"], r"checkpoint\.npz: there is no checkpoint"),
    (lambda f: (f / VOC / "ImageSets/Main/train.txt").open("a").write("2008_999999\n"), [], r"2008_999999"),
    (lambda f: truncate(one(f / VOC / "JPEGImages")), [], r"2008_\d+\.jpg"),
    (lambda f: relabel(one(f / "data/trainval"), {"Label": np.ones((9, 14))}), [], r"2008_\d+\.mat.*LabelMap"),
    (lambda f: relabel(one(f / "data/trainval"), {"LabelMap": np.ones((3, 4), np.uint16)}), [],
     r"2008_\d+\.jpg: found a label map of 4×3"),
    (lambda f: relabel(one(f / "data/trainval"), {"LabelMap": np.full((9, 14), 460)}), [], r"2008_\d+\.mat.*460"),
    (None, ["--evaluate-every", "0"], r"evaluate_every: expected more than 0"),
]


@pytest.mark.parametrize("spoil, arguments, message", BAD, ids=[message for _, _, message in BAD])
def test_bad_input_is_named_and_nothing_is_written(folder, spoil, arguments, message):
    if spoil:
        spoil(folder)
    before = sorted(p for p in folder.rglob("*"))
    done = command(folder, "--data", "data", *TINY, "--out", "out", *arguments)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert re.match(r"error: .*" + message, done.stderr), done.stderr
    assert sorted(p for p in folder.rglob("*")) == before
