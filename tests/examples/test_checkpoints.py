"""The scripts about checkpoints, and training that starts from one, as a person runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data.make_context import write_context
from PIL import Image

from minihgd import models, training, weights
from minihgd.errors import CheckpointError

EXAMPLES = Path(__file__).parents[2] / "examples"


def command(folder, script, *arguments):
    return subprocess.run([sys.executable, str(EXAMPLES / script), *arguments], cwd=folder, capture_output=True,
                          text=True, timeout=120, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})


def folded_resnet(path):
    """A ResNet-18 of 4 channels without one of its arrays, every normalisation an identity with a shift."""
    model = models.resnet(18, channels=4, classes=5)
    model.bn1.bias.data += 0.5
    weights.write(path, {name: weights.torch_layout(name, array) for name, array in model.state_dict().items()
                         if name != "layer4.0.conv1.weight"} | {"bn1.num_batches_tracked": np.array(3)})
    return model


def test_convert(tmp_path):
    model = folded_resnet(tmp_path / "in.npz")
    done = command(tmp_path, "convert_resnet.py", "in.npz", "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("in.npz: a ResNet-18: stem 7x7, shortcuts conv, 4 channels, 5 classes\n"
                                  "missing: layer4.0.conv1.weight (3, 3, 16, 32)\n")
    assert re.search(r"^conv1 +conv1.weight +1 +588 +float32 +-[\d.]+ +[\d.]+$", done.stdout, re.M)
    assert re.search(r"^bn1 +bn1.weight, … +4 +16 +float32 +0 +1$", done.stdout, re.M)
    assert "skipped: 1 of 102 arrays in the file\n  bn1.num_batches_tracked ()\nwritten: out.safetensors" in done.stdout
    out = weights.read(tmp_path / "out.safetensors")
    assert len(out) == 101
    assert np.array_equal(out["conv1.weight"], model.state_dict()["conv1.weight"].transpose(3, 2, 0, 1))
    every = command(tmp_path, "convert_resnet.py", "in.npz", "out.npz", "--all")
    assert re.search(r"^layer4.0.conv2.weight +layer4.0.conv2.weight +3×3×32×32 +9,216 ", every.stdout, re.M)
    assert weights.read(tmp_path / "out.npz").keys() == out.keys()


def test_convert_takes_the_backbone_of_a_run(tmp_path):
    model = models.build("efficientfcn", "resnet18", 3, 4, channels=4, compressed=4, codeword_channels=4)
    training.save(tmp_path / "checkpoint.npz", training.Checkpoint(1, model.state_dict(), {}, {}))
    for flags, expected in (([], model), (["--backbone"], model.backbone)):
        done = command(tmp_path, "convert_resnet.py", "checkpoint.npz", "out.npz", *flags)
        assert done.returncode == 0, done.stderr
        assert weights.read(tmp_path / "out.npz").keys() == expected.state_dict().keys()


@pytest.mark.parametrize("arguments, message", [
    (["none.pth", "out.npz"], "none.pth: cannot be read"),
    (["none.pth", "out.pth"], "out.pth: expected a name that ends"),
    (["in.npz", "none/out.npz"], "none/out.npz: there is no folder none"),
    (["empty.npz", "out.npz"], "empty.npz: expected arrays of numbers, found none among 0 arrays"),
    (["words.npz", "out.npz"], "words.npz: expected arrays of numbers, found none among 1 arrays"),
    (["decoder.npz", "out.npz", "--backbone"], "decoder.npz: expected a model with a backbone, found 1 arrays of no"),
    (["text.pth", "out.npz"], "text.pth: cannot be read as weights: found a file that begins with b'some tex'")])
def test_convert_says_what_is_wrong(tmp_path, arguments, message):
    folded_resnet(tmp_path / "in.npz")
    (tmp_path / "text.pth").write_text("some text")
    weights.write(tmp_path / "empty.npz", {})
    weights.write(tmp_path / "words.npz", {"names": np.array(["a", "b"])})
    weights.write(tmp_path / "decoder.npz", {"decoder.x": np.zeros(3)})
    before = sorted(os.listdir(tmp_path))
    done = command(tmp_path, "convert_resnet.py", *arguments)
    assert done.returncode == 1 and done.stderr.startswith(f"error: {message}"), done.stderr
    assert sorted(os.listdir(tmp_path)) == before


def test_convert_passes_over_text(tmp_path):
    """And whole numbers, and arrays without any, have a range."""
    weights.write(tmp_path / "in.npz", {"names": np.array(["a"]), "counts": np.array([3, 7]), "none": np.zeros((0, 2)),
                                        "flags": np.array([True])})
    done = command(tmp_path, "convert_resnet.py", "in.npz", "out.npz")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^counts +counts +1 +2 +int64 +3 +7$", done.stdout, re.M)
    assert "skipped: 1 of 4 arrays in the file\n  names (1,)" in done.stdout
    assert weights.read(tmp_path / "out.npz").keys() == {"counts", "none", "flags"}


def test_classify(tmp_path):
    """A model that prefers class 3, then 1, whatever it sees."""
    model = models.resnet(50, channels=4, width=8, classes=6)
    model.fc.weight.data[...] = 0
    model.fc.bias.data[...] = np.log([1, 20, 4, 60, 12, 3])
    weights.save(model, tmp_path / "net.safetensors")
    Image.new("L", (50, 30), 90).save(tmp_path / "photo.png")
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\ndog\neel\nfox\n")
    done = command(tmp_path, "classify.py", "net.safetensors", "photo.png", "--names", "names.txt", "--size", "64")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["photo.png", "   60.0%     3  dog", "   20.0%     1  bee",
                                            "   12.0%     4  eel", "    4.0%     2  cat", "    3.0%     5  fox"]
    (tmp_path / "names.txt").write_text("ant\n")
    done = command(tmp_path, "classify.py", "net.safetensors", "photo.png", "--names", "names.txt")
    assert done.returncode == 1 and "names.txt: found 1 names for 6 classes" in done.stderr
    weights.save(models.resnet(18, channels=4), tmp_path / "maps.npz")
    done = command(tmp_path, "classify.py", "maps.npz", "photo.png")
    assert done.returncode == 1 and "expected a ResNet with its classification layer, found a ResNet-18" in done.stderr


def test_classify_goes_on_and_says_what_is_random(tmp_path):
    folded_resnet(tmp_path / "net.npz")
    Image.new("L", (50, 30), 90).save(tmp_path / "photo.png")
    (tmp_path / "broken.png").write_text("x")
    done = command(tmp_path, "classify.py", "net.npz", "broken.png", "photo.png", "--size", "32")
    assert done.returncode == 1 and done.stderr.startswith("error: broken.png: ")
    assert "note: 1 arrays of the model were not taken from the file and are random" in done.stdout
    assert "photo.png\n" in done.stdout
    done = command(tmp_path, "classify.py", "net.npz", "photo.png", "--size", "0")
    assert done.returncode == 1 and done.stderr == "error: --size: expected at least 1 pixel, found 0\n"


def test_a_file_that_is_no_checkpoint(tmp_path):
    """Whatever is wrong with it, the message says so in a line, and has no advice of NumPy's."""
    path = tmp_path / "checkpoint.npz"
    training.save(path, training.Checkpoint(1, {"w": np.arange(1000.0)}, {}, {}))
    whole = path.read_bytes()
    header = '{"format": "minihgd checkpoint 1", "step": 1, "about": []}'
    contents = {"cut": whole[:-300], "empty": b"", "text": b"some text", "method": whole.replace(b"PK\1\2\x2d\3\x2d\0"
                b"\0\0\0\0", b"PK\1\2\x2d\3\x2d\0\0\0\x63\0"), "encrypted": whole.replace(
                b"PK\1\2\x2d\3\x2d\0\0\0", b"PK\1\2\x2d\3\x2d\0\1\0"), "pickle": b"\x80\2}q\0."}
    for content in contents.values():
        path.write_bytes(content)
        refused(path, "checkpoint.npz: ")
    np.savez(path, header=np.array([{}], object))
    refused(path, "it holds Python objects")
    np.savez(path, header=np.array(header))
    refused(path, "a damaged checkpoint")
    np.savez(path, weight=np.zeros(3))
    refused(path, "found no header, expected a checkpoint")


def refused(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        training.load(path)
    assert "allow_pickle" not in str(caught.value) and "\n" not in str(caught.value)


def test_training_starts_from_a_file(tmp_path):
    """Refused while something is missing, and taken with --partial; its normalisation is measured on the images."""
    (tmp_path / "data").mkdir()
    write_context(tmp_path / "data", forms=("mat",))
    folded_resnet(tmp_path / "net.npz")
    arguments = ["--data", "data", "--backbone", "resnet18", "--form", "released", "--channels", "4",
                 "--compressed", "4", "--codeword-channels", "4", "--codewords", "4", "--batch", "2", "--crop", "64",
                 "--epochs", "0.1", "--lr", "1e-9", "--out", "out", "--weights", "net.npz"]
    done = command(tmp_path, "train_pcontext.py", *arguments)
    assert done.returncode == 1 and "1 missing (backbone.layer4.0.conv1.weight)" in done.stderr
    assert not (tmp_path / "out").exists()
    done = command(tmp_path, "train_pcontext.py", *arguments, "--partial")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^net.npz: a ResNet-18: .*folded into the convolutions; 99 arrays matched, 1 missing",
                     done.stdout, re.M)
    state = training.load(tmp_path / "out" / "checkpoint.npz").weights
    assert np.ptp(state["backbone.layer1.0.bn1.weight"]) > 0.01  # one for all channels in the file
    assert np.all(state["decoder.base.1.weight"] == 1)
