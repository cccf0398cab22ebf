"""The training script as a person runs it: what it leaves behind, and what it says of bad input."""

import argparse
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data.make_context import write_context
from PIL import Image

from minihgd import data, models, training, weights
from minihgd.errors import SettingError, WeightsError

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
    (None, ["--data", "nowhere", "--device", "tpu"], r"device: found 'tpu'"),  # before anything is read
    (None, ["--epochs", "inf"], r"epochs: expected a finite number, found inf"),
    (None, ["--scales", "1e6", "1e6"], r"scales: expected .* at most 100"),
    (None, ["--weights", "a", "--init", "b"], r"--weights: found --init beside it"),
    (None, ["--weights", "a", "--resume"], r"--weights: found --resume beside it"),
    (None, ["--init", "a", "--resume"], r"--init: found --resume beside it"),
    (None, ["--partial"], r"--partial: found no --weights"),
    (None, ["--out", "data/VOCdevkit/VOC2010/ImageSets/Main/train.txt/run"], r".*train\.txt.*: Not a directory"),
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


@pytest.mark.parametrize("arguments, message", [
    (["--split", "val"], "--split: found val without --data"), (["--val-split", "test"], "--val-split: found test"),
    (["--labels", "png"], "--labels: found png"), (["--png-order", "sorted"], "--png-order: found sorted"),
    (["--classes", "60"], "--classes: found 60 without --data; the sample scenes have no choice of it")])
def test_flags_that_the_sample_scenes_would_ignore(tmp_path, arguments, message):
    done = command(tmp_path, *TINY, *arguments)
    assert done.returncode == 1 and done.stderr.startswith(f"error: {message}"), done.stderr
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_painted_is_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = command(tmp_path, *TINY, "--cache", "file")
    assert done.returncode == 1 and done.stderr == "error: file: File exists\n"


def test_nobody_reads_on(folder):
    """As behind `| head -1`."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), "--data", "data", *TINY, "--epochs", "40", "--out", "out"],
                               cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(120) == 0
    assert (folder / "out" / "codewords.png").exists()


# --- parts of the script ---------------------------------------------------------------------------------------


@pytest.fixture
def common(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("train_common")


@pytest.mark.parametrize("model, form, given, clip", [
    ("efficientfcn", "paper", None, 1), ("efficientfcn", "released", None, 0), ("fcn32s", "paper", None, 0),
    ("efficientfcn", "paper", 0.0, 0), ("efficientfcn", "released", 2.5, 2.5)])
def test_the_paper_form_is_clipped(common, model, form, given, clip):
    assert common.clip(argparse.Namespace(model=model, form=form, clip=given)) == clip


def test_folders_are_numbered_behind_the_last(common, tmp_path):
    base = str(tmp_path / "runs" / "voc")
    assert common.numbered_folder(base, existing=True) == f"{base}-1"
    for name in ("voc-1", "voc-4", "voc-10", "voc-x", "other-20"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert common.numbered_folder(base, existing=True) == f"{base}-10"
    with ThreadPoolExecutor(8) as pool:  # all at the same moment
        folders = list(pool.map(common.new_folder, 8 * [base]))
    assert sorted(folders) == sorted(f"{base}-{number}" for number in range(11, 19))


def test_a_split_without_labels(common):
    class Unlabelled(data.Dataset):
        labelled, split = False, "test"

    common.check_labelled(data.Dataset())
    with pytest.raises(SettingError, match="the split test has no labels"):
        common.check_labelled(data.Dataset(), Unlabelled())


def start(common, path, **options):
    """What --init does, for a tiny network of three classes."""
    network = dict(name="efficientfcn", backbone="resnet18", codewords=4, channels=4, compressed=4,
                   codeword_channels=4) | options
    args = argparse.Namespace(init=str(path), weights=None)
    return common.start_from(args, models.build(num_classes=3, **network), network)


def test_init_takes_the_same_network_with_other_classes(common, tmp_path):
    network = dict(name="efficientfcn", backbone="resnet18", codewords=4, channels=4, compressed=4, codeword_channels=4)
    model = models.build(num_classes=5, **network)
    path = tmp_path / "checkpoint.npz"
    training.save(path, training.Checkpoint(1, model.state_dict(), {}, {"network": network}))
    assert all(name.startswith("decoder.classifier.") for name in start(common, path).left)
    with pytest.raises(WeightsError, match="of another network: inputs is 'rgb' there and 'bgr' here"):
        start(common, path, inputs="bgr")
    with pytest.raises(WeightsError, match="only the classifier may differ"):
        start(common, path, codewords=8)
    weights.save(model.backbone, tmp_path / "backbone.npz")
    with pytest.raises(WeightsError, match="found no decoder, expected a checkpoint of the same network"):
        start(common, tmp_path / "backbone.npz")
