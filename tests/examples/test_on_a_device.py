"""Every script with --device cuda, on the stand-in for CuPy: what it says is what it says on the CPU."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from data.make_context import write_context
from data.make_folder import write_pairs
from data.make_voc import write_sbd, write_voc
from on_device import needs_bfloat16, needs_compiler
from PIL import Image

from minihgd import models, weights

pytestmark = needs_compiler
TESTS = Path(__file__).parents[1]
EXAMPLES = TESTS.parent / "examples"
TINY = ["--backbone", "resnet18", "--channels", "4", "--compressed", "4", "--codewords", "4", "--batch", "4", "--crop",
        "64", "--epochs", "1"]


def command(folder, script, *arguments, device="cpu"):
    through = [] if device == "cpu" else [str(TESTS / "cupy_standin.py")]
    done = subprocess.run([sys.executable, *through, str(EXAMPLES / script), *map(str, arguments), "--device", device],
                          cwd=folder, text=True, capture_output=True, timeout=120,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """VOC in `data`, a photograph, weights of a classifier, and a run on the CPU in `run`."""
    folder = tmp_path_factory.mktemp("device")
    write_voc(folder / "data")
    write_sbd(folder / "data")
    Image.linear_gradient("L").resize((70, 50)).save(folder / "photo.png")
    weights.save(models.resnet(18, classes=5, channels=4), folder / "classifier.safetensors")
    command(folder, "train_voc.py", "--data", "data", *TINY, "--codeword-channels", "4", "--out", "run")
    return folder


@pytest.mark.parametrize("flags", [["--form", "paper"], ["--form", "released", "--recompute"],
                                   ["--model", "unet_deconv"]])
def test_training(folder, flags):
    """The first losses; later ones differ as float32 sums in another order do."""
    name = flags[1]
    for device in ("cpu", "cuda"):
        command(folder, "train_voc.py", "--data", "data", *TINY, "--codeword-channels", "4", *flags, "--out",
                f"{name}-{device}", device=device)
    one, other = ([float(row["loss"]) for row in csv.DictReader((folder / f"{name}-{device}/steps.csv").open())]
                  for device in ("cpu", "cuda"))
    assert len(one) == len(other) and abs(one[0] - other[0]) < 1e-5 * one[0]
    files = [sorted(os.listdir(folder / f"{name}-{device}")) for device in ("cpu", "cuda")]
    assert files[0] == files[1]


@needs_bfloat16
@pytest.mark.parametrize("script", ["train_voc.py", "train_pcontext.py", "train_folder.py"])
def test_training_with_another_precision(script, folder, tmp_path):
    """The loss of the first step, of each script, is float32's but for the digits that are missing."""
    root = {"train_voc.py": folder / "data", "train_pcontext.py": tmp_path / "context",
            "train_folder.py": tmp_path / "own"}[script]
    if script == "train_pcontext.py":
        write_context(root)
    if script == "train_folder.py":
        (root / "images").mkdir(parents=True)
        (root / "masks").mkdir()
        write_pairs(root / "images", root / "masks")
    losses = []
    for precision in ("float32", "tf32", "bfloat16"):
        said = command(tmp_path, script, "--data", root, *TINY, "--codeword-channels", "4", "--form", "released",
                       "--out", precision, "--precision", precision, device="cuda")
        assert "mIoU" in said
        with open(tmp_path / precision / "steps.csv") as log:
            losses.append(float(next(csv.DictReader(log))["loss"]))
    right, tf32, bfloat16 = losses
    assert abs(tf32 - right) < 1e-3 * right and 0 < abs(bfloat16 - right) < 1e-2 * right


def test_a_precision_needs_a_gpu(folder):
    done = subprocess.run([sys.executable, str(EXAMPLES / "train_voc.py"), "--data", "data", "--precision", "tf32"],
                          cwd=folder, text=True, capture_output=True)
    assert done.returncode == 1 and done.stderr == "error: precision: tf32 needs a GPU; on the CPU it is float32\n"


@pytest.mark.parametrize("script, arguments", [
    ("evaluate.py", ["run/checkpoint.npz", "--data", "data", "--scales", "0.5", "1", "--flip"]),
    ("predict.py", ["run/checkpoint.npz", "photo.png"]),
    ("visualize_codewords.py", ["run/checkpoint.npz", "photo.png", "--beside", "run/checkpoint.npz"]),
    ("voc_submission.py", ["run/checkpoint.npz", "--data", "data"]),
    ("classify.py", ["classifier.safetensors", "photo.png"]),
])
def test_with_a_trained_model(folder, script, arguments, tmp_path):
    said = {}
    for device in ("cpu", "cuda"):
        out = ["--out", "out"] if script not in ("evaluate.py", "classify.py") else []
        said[device] = command(folder, script, *arguments, *out, device=device)
        if out:
            (folder / "out").rename(tmp_path / device)
    assert said["cpu"].splitlines()[-1] == said["cuda"].splitlines()[-1]
    if out:
        names = [sorted(path.name for path in (tmp_path / device).iterdir()) for device in ("cpu", "cuda")]
        assert names[0] == names[1]


def test_ablations(folder):
    said = command(folder, "ablations.py", "--table", "transfer", "--seeds", "1", "--dataset", "voc", "--data", "data",
                   "--split", "trainaug", *TINY, device="cuda")
    assert "without below with: " in said
