"""Training on VOC and on one's own images, and what is done with the trained model, as a person runs it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from data.make_context import write_context
from data.make_voc import write_sbd, write_voc
from PIL import Image

from minihgd import data, training

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = ["--backbone", "resnet18", "--form", "released", "--channels", "4", "--compressed", "4", "--codeword-channels",
        "4", "--codewords", "4", "--batch", "2", "--crop", "32", "--epochs", "1", "--lr", "0.01"]


def command(folder, script, *arguments, status=0):
    done = subprocess.run([sys.executable, str(EXAMPLES / script), *map(str, arguments)], cwd=folder, text=True,
                          capture_output=True, timeout=120, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
    return done.stdout if status == 0 else done.stderr


def begun(folder, script, *arguments):
    """A script that goes on; it hears Ctrl-C even where the tests run in a shell's background, which does not."""
    return subprocess.Popen([sys.executable, str(EXAMPLES / script), *arguments], cwd=folder, text=True, bufsize=1,
                            stdout=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    """A folder with VOC in `data`, and a run on it in `run`."""
    folder = tmp_path_factory.mktemp("voc")
    write_voc(folder / "data")
    write_sbd(folder / "data")
    said = command(folder, "train_voc.py", "--data", "data", *TINY, "--out", "run")
    assert "note: PascalVOC: split trainaug has 5 images, the published one 10,582" in said
    assert "5 training and 2 held-out images" in said
    return folder


CHECKPOINT = ["run/checkpoint.npz", "--data", "data"]


def test_evaluate(voc):
    said = command(voc, "evaluate.py", *CHECKPOINT, "--scales", "0.5", "1", "--flip", "--state", "count.json")
    header, row, last = said.splitlines()[-3:]
    assert "image 2/2  mIoU so far" in said
    assert header.split() == ["Method", "aero", "bike", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
                              "table", "dog", "horse", "mbike", "person", "plant", "sheep", "sofa", "train", "tv",
                              "mIoU%"]
    mean = float(re.fullmatch(r"21 classes: pixel accuracy [\d.]+, mIoU ([\d.]+)", last)[1])
    assert row.split()[0] == "run" and abs(float(row.split()[-1]) - 100 * mean) < 0.06
    again = command(voc, "evaluate.py", *CHECKPOINT, "--scales", "0.5", "1", "--flip", "--state", "count.json")
    assert again.splitlines()[-3:] == [header, row, last] and "image 2/2" not in again
    assert "2 of 2 images were counted before, in count.json" in again
    other = command(voc, "evaluate.py", *CHECKPOINT, "--state", "count.json", status=1)
    assert "count.json: the count of another evaluation: views is" in other


def test_each_evaluation_has_its_own_count(voc):
    """Of another split, of other views, and of labels that have changed; none is left when it is finished."""
    before = sorted(os.listdir(voc / "run"))
    said = [command(voc, "evaluate.py", *CHECKPOINT, *more)
            for more in ([], ["--split", "train"], ["--split", "trainaug"], ["--flip"])]
    assert not any("counted before" in one for one in said)
    assert len({one.splitlines()[-1] for one in said[:3]}) == 3 and sorted(os.listdir(voc / "run")) == before


def test_a_count_of_labels_that_have_changed(voc, tmp_path):
    shutil.copytree(voc / "data", tmp_path / "data")
    flags = [voc / "run/checkpoint.npz", "--data", "data", "--state", "count.json"]
    command(tmp_path, "evaluate.py", *flags)
    path = tmp_path / "data/VOCdevkit/VOC2012/SegmentationClass/2007_000033.png"
    os.utime(path, (1, 1))
    assert "another evaluation: labels is" in command(tmp_path, "evaluate.py", *flags, status=1)
    (tmp_path / "data").rename(tmp_path / "other")
    flags[2] = "other"
    assert "another evaluation: data is" in command(tmp_path, "evaluate.py", *flags, status=1)


def test_evaluate_without_a_place_for_the_count(voc):
    said = command(voc, "evaluate.py", *CHECKPOINT, "--state", "none/count.json")
    assert "note: none/count.json: the count cannot be kept (No such file or directory)" in said
    assert "21 classes: " in said


def test_evaluate_without_labels(voc, tmp_path):
    said = command(voc, "evaluate.py", *CHECKPOINT, "--split", "test", status=1)
    assert said == "error: --split test: its labels are not public, expected a split that can be scored\n"
    shutil.copytree(voc / "data", tmp_path / "data")
    for path in (tmp_path / "data/VOCdevkit/VOC2012/SegmentationClass").iterdir():
        with Image.open(path) as label:
            size = label.size
        Image.new("L", size, 255).save(path)
    said = command(tmp_path, "evaluate.py", voc / "run/checkpoint.npz", "--data", "data", status=1)
    assert said == "error: data: no labelled pixel in the 2 images of split val, so there is nothing to score\n"


def test_evaluate_says_which_file_is_no_checkpoint(voc):
    (voc / "net.safetensors").write_bytes(bytes(8) + b"{}")
    assert command(voc, "evaluate.py", "net.safetensors", "--data", "data", status=1) == (
        "error: net.safetensors: this is a weights file, not a checkpoint of a run; give it to --weights\n")


def test_predict(voc):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(pixels).save(voc / "turned.jpg", exif=exif)
    Image.fromarray(pixels[:, :, 0]).save(voc / "grey.png")
    Image.fromarray(np.dstack([pixels, pixels[:, :, :1]])).save(voc / "clear.png")
    Image.fromarray(pixels).convert("CMYK").save(voc / "four.tif")
    Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200).save(voc / "deep.png")
    (voc / "broken.jpg").write_bytes(b"no picture")
    names = ["turned.jpg", "grey.png", "clear.png", "four.tif", "deep.png"]
    command(voc, "predict.py", "run/checkpoint.npz", *names, "--out", "out")
    for name in names:
        stem, size = name.split(".")[0], (20, 31) if name == "turned.jpg" else (31, 20)
        out = voc / "out" / stem
        with Image.open(f"{out}-labels.png") as labels, Image.open(f"{out}-overlay.png") as overlay:
            assert labels.mode == "P" and labels.size == size and np.asarray(labels).max() < 21
            assert labels.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
            assert overlay.mode == "RGB" and overlay.width >= size[0] and overlay.height > size[1]
    said = subprocess.run([sys.executable, str(EXAMPLES / "predict.py"), "run/checkpoint.npz", "broken.jpg",
                           "grey.png"], cwd=voc, capture_output=True, text=True, timeout=60)
    assert said.returncode == 1 and "error: broken.jpg: expected a complete image file" in said.stderr
    assert "labelled/grey-labels.png" in said.stdout
    assert "several images are called grey" in command(voc, "predict.py", "run/checkpoint.npz", "grey.png",
                                                       "a/grey.jpg", status=1)
    assert command(voc, "predict.py", "run/checkpoint.npz", "grey.png", "--out", "deep.png",
                   status=1) == "error: deep.png: File exists\n"


def test_predict_is_interrupted(voc):
    Image.new("RGB", (200, 300)).save(voc / "slow.png")
    process = begun(voc, "predict.py", "run/checkpoint.npz", "slow.png", "--out", "slow", "--scales", *["4"] * 40)
    while not (voc / "slow").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and said == "\nstopped; 0 of 1 photographs are labelled, in slow\n"


def test_nobody_reads_the_output(voc):
    command_line = [sys.executable, str(EXAMPLES / "predict.py"), "run/checkpoint.npz", "read.png", "--out", "unread"]
    Image.new("RGB", (20, 30)).save(voc / "read.png")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command_line, cwd=voc, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert done.returncode == 141 and done.stderr == ""


def test_visualize_codewords(voc):
    command(voc, "train_voc.py", "--data", "data", *TINY, "--model", "fcn32s", "--out", "fcn")
    said = command(voc, "visualize_codewords.py", *CHECKPOINT, "--beside", "fcn/checkpoint.npz", "--out", "seen")
    files = {"codewords.png", "predictions.png", "decoder-2007_000033.png", "decoder-2007_000042.png"}
    assert {line.split("/")[-1] for line in said.splitlines()} == files == set(os.listdir(voc / "seen"))
    with Image.open(voc / "seen/predictions.png") as sheet, Image.open(voc / "seen/codewords.png") as codewords:
        assert sheet.width == 8 + 4 * 228  # image, truth, both networks
        assert codewords.width == 8 + 5 * 168  # four codewords is all there are
    Image.new("RGB", (200, 100)).save(voc / "view.png")
    command(voc, "visualize_codewords.py", "run/checkpoint.npz", "view.png", "--longest", "64", "--out", "photo")
    with Image.open(voc / "photo/predictions.png") as sheet:
        assert sheet.width == 8 + 2 * 228  # no truth
    command(voc, "visualize_codewords.py", *CHECKPOINT, "2007_000042", "--codewords", "2", "--out", "one")
    assert sorted(os.listdir(voc / "one")) == ["codewords.png", "decoder-2007_000042.png", "predictions.png"]
    for arguments, message in (
            (["fcn/checkpoint.npz", "view.png"], "expected an EfficientFCN, found fcn32s, which has no codewords"),
            (["run/checkpoint.npz"], "expected photographs, or --data"),
            ([*CHECKPOINT, "2008"], "2008: expected an image of the split val, such as 2007_000033"),
            (["run/checkpoint.npz", "none.png"], "none.png")):
        assert message in command(voc, "visualize_codewords.py", *arguments, "--out", "none", status=1)
    assert not (voc / "none").exists()


def test_submission(voc):
    said = command(voc, "voc_submission.py", *CHECKPOINT, "--competition", "comp5", "--out", "sent")
    assert "sent.tar.gz: 2 pictures" in said
    with tarfile.open(voc / "sent.tar.gz") as archive:
        assert sorted(archive.getnames()) == [f"results/VOC2012/Segmentation/comp5_test_cls/{name}.png"
                                              for name in ("2008_000006", "2008_000011")]
    os.remove(voc / "sent/2008_000006.png")
    assert "2 images, 1 of them to be labelled" in command(voc, "voc_submission.py", *CHECKPOINT, "--out", "sent")
    assert "sent: holds pictures of another checkpoint" in command(
        voc, "voc_submission.py", *CHECKPOINT, "--flip", "--out", "sent", status=1)
    (voc / "sent/2008_000011.png").write_text("x")
    said = command(voc, "voc_submission.py", *CHECKPOINT, "--out", "sent", status=1)
    assert "sent/2008_000011.png: not a picture; delete what is wrong" in said and len(said.splitlines()) == 1
    assert not (voc / "sent.tar.gz").exists()
    (voc / "sent/made-from.json").write_text("{")
    assert "error: sent/made-from.json: expected" in command(voc, "voc_submission.py", *CHECKPOINT, "--out", "sent",
                                                             status=1)


@pytest.mark.parametrize("out, message", [
    ("", "--out: expected the name of a folder for the PNGs alone, found ''"), (".", "--out: expected"),
    ("run/..", "--out: expected"), ("run", "run: expected a new or empty folder")])
def test_submission_leaves_other_folders_alone(voc, out, message):
    before = sorted(os.listdir(voc)), sorted(os.listdir(voc / "run"))
    assert f"error: {message}" in command(voc, "voc_submission.py", *CHECKPOINT, "--out", out, status=1)
    assert (sorted(os.listdir(voc)), sorted(os.listdir(voc / "run"))) == before


def test_init_takes_all_but_the_classifier(voc):
    """From VOC's 21 classes to a data set of 3."""
    own = voc / "own"
    for i, name in enumerate(["a", "b", "c", "d", "e"]):
        for kind, values in (("images", (40, 50, 3)), ("masks", (40, 50))):
            (own / kind).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(i).integers(0, 3 if kind == "masks" else 256, values).astype(np.uint8)
            Image.fromarray(pixels).save(own / kind / f"{name}.png")
    (own / "train.txt").write_text("a\nb\nc\n")
    (own / "val.txt").write_text("d\ne\n")
    (own / "classes.txt").write_text("one\ntwo\nthree\n")
    flags = ["--data", "own", *TINY, "--lr", "1e-12", "--out", "own-run"]
    said = command(voc, "train_folder.py", *flags, "--init", "run/checkpoint.npz")
    assert "2 of another shape (decoder.classifier.weight" in said
    before, after = (training.load(voc / run / "checkpoint.npz").weights for run in ("run", "own-run"))
    assert after["decoder.classifier.weight"].shape[3] == 3
    assert np.allclose(before["backbone.conv1.weight"], after["backbone.conv1.weight"], atol=1e-6)
    flags[flags.index("own-run")] = "second-run"
    assert "only the classifier may differ" in command(voc, "train_folder.py", *flags, "--codewords", "8", "--init",
                                                       "run/checkpoint.npz", status=1)
    said = command(voc, "evaluate.py", "own-run/checkpoint.npz", "--data", "own")
    assert "3 classes: pixel accuracy" in said
    assert "the model has 3 classes, one, two, three" in command(
        voc, "evaluate.py", "own-run/checkpoint.npz", "--data", "data", "--dataset", "voc", status=1)


def test_context_is_scored_on_59_and_on_60_classes(tmp_path):
    write_context(tmp_path / "data", forms=("mat",))
    command(tmp_path, "train_pcontext.py", "--data", "data", *TINY, "--out", "run")
    said = command(tmp_path, "evaluate.py", *CHECKPOINT, "--state", "count.json").splitlines()
    assert re.fullmatch(r"59 classes, the background left out: pixel accuracy [\d.]+, mIoU [\d.]+", said[-2])
    assert re.fullmatch(r"60 classes, the background one of them: pixel accuracy [\d.]+, mIoU [\d.]+", said[-1])
    count = np.array(json.loads((tmp_path / "count.json").read_text())["confusion"])
    dataset, of59 = data.PascalContext(tmp_path / "data", "val", classes=60), 0
    assert count.shape == (60, 60) and count[:, 0].sum() == 0  # never said by a model of 59 classes
    labels = np.concatenate([dataset[i][1].ravel() for i in range(len(dataset))])
    assert count.sum(axis=1).tolist() == np.bincount(labels[labels < 60], minlength=60).tolist()
    of59 = np.trace(count[1:, 1:]) / count[1:].sum()
    assert f"pixel accuracy {of59:.4f}" in said[-2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_evaluation_is_interrupted(voc, number):
    """Ctrl-C, or what a cluster sends, as soon as it has begun."""
    (voc / "slow.json").unlink(missing_ok=True)
    process = begun(voc, "evaluate.py", *CHECKPOINT, "--state", "slow.json", "--scales", *["20"] * 40)
    assert "note" in process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped; the same command goes on, the count is in slow.json" in said
    assert json.loads((voc / "slow.json").read_text())["done"] <= 1


def test_interrupted_anywhere():
    """Outside the loops, too."""
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import time, script_common; " \
           "script_common.run(lambda seconds: print('begun', flush=True) or time.sleep(seconds), 60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said == "\nstopped\n"


def test_the_same_images_are_held_out(voc):
    """Those of the training, however many it held out."""
    own = voc / "many"
    for kind, size in (("images", (20, 24, 3)), ("masks", (20, 24))):
        (own / kind).mkdir(parents=True)
        for i in range(10):
            pixels = np.random.default_rng(i).integers(0, 2 if kind == "masks" else 256, size).astype(np.uint8)
            Image.fromarray(pixels).save(own / kind / f"{i}.png")
    said = command(voc, "train_folder.py", "--data", "many", *TINY, "--holdout", "0.6", "--out", "many-run")
    held_out = int(re.search(r"and (\d+) held-out images", said)[1])
    assert held_out > 4
    said = command(voc, "evaluate.py", "many-run/checkpoint.npz", "--data", "many")
    assert f"image {held_out}/{held_out}" in said
