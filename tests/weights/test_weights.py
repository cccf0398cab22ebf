"""Weights of others in a model of ours: names, layouts, what does not fit; and ours in a file for others."""

import json
import os

import numpy as np
import pytest
from helpers import random, relative

from minihgd import Tensor, models, weights
from minihgd.errors import WeightsError
from minihgd.training import checkpoint

SMALL = dict(channels=4, compressed=4, codeword_channels=4)


def backbone(depth=18, seed=1, classes=10, **options):
    """A small ResNet whose every array is random, running statistics too."""
    model = models.resnet(depth, channels=4, seed=seed, classes=classes, **options)
    for i, (name, array) in enumerate(model.state_dict().items()):
        values = random(*array.shape, seed=i)
        array[...] = np.abs(values) if name.endswith("var") else values
    return model


def network(seed=1, form="released", backbone="resnet18", stem="deep32"):
    model = models.build("efficientfcn", backbone, 3, 4, form, stem=stem, seed=seed, **SMALL)
    for i, array in enumerate(model.state_dict().values()):
        array[...] = np.abs(random(*array.shape, seed=i))
    return model


def stored(model, rename=lambda name: name):
    """A model's arrays in PyTorch's layout under other names, with the counters that PyTorch keeps."""
    arrays = {}
    for name, array in model.state_dict().items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, range(array.ndim))
        arrays[rename(name)] = np.ascontiguousarray(array.transpose(axes))
        if name.endswith("running_var"):
            arrays[rename(name).replace("running_var", "num_batches_tracked")] = np.array(7)
    return arrays


def same(model, other, prefix=""):
    """Every array of `other` is in the model, to the bit."""
    own = model.state_dict()
    for name, array in other.state_dict().items():
        if prefix + name in own:
            assert np.array_equal(own[prefix + name], array), name


# --- names -----------------------------------------------------------------------------------------------------


def hugging_face(name):
    part, *rest = name.split(".")
    kind = {"conv": "convolution", "bn": "normalization"}
    if part == "fc":
        return f"classifier.1.{rest[0]}"
    if part in ("conv1", "bn1"):
        return f"resnet.embedder.embedder.{kind[part[:-1]]}.{rest[0]}"
    block, layer, *rest = rest
    where = f"resnet.encoder.stages.{int(part[5:]) - 1}.layers.{block}"
    if layer == "downsample":
        return f"{where}.shortcut.{['convolution', 'normalization'][int(rest[0])]}.{rest[1]}"
    return f"{where}.layer.{int(layer[-1]) - 1}.{kind[layer[:-1]]}.{rest[0]}"


def released(name):
    parts = {"decoder.e32": "head.conv50", "decoder.e16": "head.conv40", "decoder.base": "head.hgdmodule0.conv_cat",
             "decoder.attention": "head.hgdmodule0.conv_center", "decoder.guidance": "head.hgdmodule0.conv_affinity0",
             "decoder.coefficients": "head.hgdmodule0.conv_affinity1", "decoder.fusion": "head.hgdmodule0.conv_up",
             "decoder.classifier": "head.conv_pred3.1", "backbone": "pretrained"}
    for own, theirs in parts.items():
        if name.startswith(own + "."):
            return theirs + name.removeprefix(own)
    raise AssertionError(name)


RENAMES = {"torchvision": lambda name: name, "several GPUs": lambda name: f"module.{name}",
           "compiled": lambda name: f"_orig_mod.{name}", "a part": lambda name: f"backbone.{name}",
           "Hugging Face": hugging_face, "Hugging Face without a head": lambda name: hugging_face(name).removeprefix(
               "resnet.")}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("rename", RENAMES.values(), ids=RENAMES)
def test_backbones_of_others(tmp_path, ending, depth, rename):
    source, path = backbone(depth), tmp_path / f"resnet{ending}"
    weights.write(path, stored(source, rename))
    own = models.resnet(depth, channels=4, classes=10)
    report = weights.load(own, path)
    assert report.matched == list(own.state_dict()) and report.fits and not report.skipped
    same(own, source)
    model = models.build("efficientfcn", f"resnet{depth}", 3, 4, **SMALL)
    decoder = model.decoder.base.weight.data.copy()
    report = weights.load(model, path)
    assert sorted(name.removeprefix("backbone.") for name in report.skipped) == ["fc.bias", "fc.weight"]
    same(model, source, "backbone.")
    assert np.array_equal(model.decoder.base.weight.data, decoder)


def test_stems_and_shortcuts_of_timm(tmp_path):
    source = backbone(50, stem="deep32")
    arrays = stored(source)
    assert {"conv1.0.weight", "conv1.1.running_var", "conv1.3.weight", "conv1.4.bias", "conv1.6.weight",
            "layer1.0.downsample.1.weight", "layer2.0.downsample.2.running_mean"} <= arrays.keys()
    weights.write(tmp_path / "d.npz", arrays)
    own = models.resnet(50, "deep32", channels=4, classes=10)
    assert weights.load(own, tmp_path / "d.npz").fits
    same(own, source)


@pytest.mark.parametrize("rename", [released, lambda name: f"module.{released(name)}", lambda name: name])
def test_the_released_network(tmp_path, rename):
    source, path = network(), tmp_path / "net.safetensors"
    arrays = stored(source, rename)
    if rename is released:
        assert {"pretrained.conv1.0.weight", "head.conv50.1.running_mean", "head.hgdmodule0.conv_affinity1.4.bias",
                "head.conv_pred3.1.bias"} <= arrays.keys()
    weights.write(path, arrays)
    model = models.build("efficientfcn", "resnet18", 3, 4, "released", stem="deep32", **SMALL)
    report = weights.load(model, path)
    assert report.fits and len(report.matched) == len(model.state_dict())
    same(model, source)
    alone = models.resnet(18, "deep32", channels=4)
    report = weights.load(alone, path)
    assert report.fits and all(name.startswith("decoder.") for name in report.skipped) and report.skipped
    same(alone, source.backbone)


def test_checkpoints_of_minihgd(tmp_path):
    source, path = network(), tmp_path / "checkpoint.npz"
    state = source.state_dict()
    checkpoint.save(path, checkpoint.Checkpoint(3, state, {name: a + 1 for name, a in state.items()}, {}))
    model = models.build("efficientfcn", "resnet18", 3, 4, "released", stem="deep32", **SMALL)
    assert weights.load(model, path).fits
    same(model, source)


def test_two_arrays_of_one_name(tmp_path):
    arrays = stored(backbone())
    for prefix, message in (("module.", "fc.bias and module.fc.bias both stand for fc.bias"),
                            ("backbone.", r"1 unexpected \(backbone.fc.bias\)")):
        weights.write(tmp_path / "a.npz", arrays | {f"{prefix}fc.bias": arrays["fc.bias"]})
        with pytest.raises(WeightsError, match=f"a.npz: .*{message}"):
            weights.load(models.resnet(18, channels=4, classes=10), tmp_path / "a.npz")


# --- what does not fit -----------------------------------------------------------------------------------------


def spoil(name, change):
    def spoiled(arrays):
        arrays[name] = change(arrays[name])
        return arrays
    return spoiled


NAN, BELOW = float("nan"), np.float32(-1)
MISFITS = {  # how the file differs, what the report says, the group it goes to
    "an array less": (lambda a: {k: v for k, v in a.items() if k != "layer4.0.conv1.weight"},
                      r"1 missing \(layer4.0.conv1.weight\)", "missing", "layer4.0.conv1.weight"),
    "an array more": (lambda a: a | {"extra.weight": np.ones(3, np.float32)},
                      r"1 unexpected \(extra.weight\)", "unexpected", "extra.weight"),
    "another shape": (spoil("fc.bias", lambda a: a[:7]),
                      r"1 of another shape \(fc.bias is 7 there and 10 here\)", "conflicts", "fc.bias"),
    "a number that is none": (spoil("bn1.weight", lambda a: np.where(np.arange(4) == 1, NAN, a)),
                              r"1 not finite, or variances below zero \(bn1.weight\)", "broken", "bn1.weight"),
    "an infinite number": (spoil("layer1.0.conv1.weight", lambda a: np.full_like(a, np.inf)),
                           "not finite", "broken", "layer1.0.conv1.weight"),
    "too large for float32": (spoil("layer1.0.conv1.weight", lambda a: a.astype(np.float64) + 1e300),
                              "not finite", "broken", "layer1.0.conv1.weight"),
    "a negative variance": (spoil("bn1.running_var", lambda a: a * BELOW),
                            "not finite, or variances below zero", "broken", "bn1.running_var"),
    "text": (spoil("bn1.bias", lambda a: np.array(["a", "b", "c", "d"])), "not finite", "broken", "bn1.bias"),
}


@pytest.mark.parametrize("change, message, group, name", MISFITS.values(), ids=MISFITS)
def test_misfits(tmp_path, change, message, group, name):
    path = tmp_path / "a.npz"
    weights.write(path, change(stored(backbone())))
    model = models.resnet(18, channels=4, classes=10)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(WeightsError, match=f"a.npz: does not fit this model.*a ResNet-18.*{message}"):
        weights.load(model, path)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
    report = weights.load(model, path, strict=False)
    assert list(getattr(report, group)) == [name] and report.left == ([] if group == "unexpected" else [name])
    source = backbone().state_dict()
    for own, array in model.state_dict().items():
        assert np.array_equal(array, before[own] if own in report.left else source[own]), own


def test_another_number_of_classes(tmp_path):
    """What a network trained on 3 classes gives to one with 5: all but its classifier."""
    weights.save(network(), tmp_path / "coco.safetensors")
    model = models.build("efficientfcn", "resnet18", 5, 4, "released", stem="deep32", **SMALL)
    report = weights.load(model, tmp_path / "coco.safetensors", strict=False)
    assert report.left == ["decoder.classifier.bias", "decoder.classifier.weight"]


@pytest.mark.parametrize("arrays", [{"other": np.ones(3)}, {}])
def test_nothing_fits(tmp_path, arrays):
    weights.write(tmp_path / "b.npz", arrays)
    with pytest.raises(WeightsError, match="b.npz: .*no network that is known here; 0 arrays matched"):
        weights.load(models.resnet(18, channels=4), tmp_path / "b.npz", strict=False)


# --- folded normalisation --------------------------------------------------------------------------------------


def folded(model):
    """The model's arrays with every normalisation multiplied into the convolution before it, in float64."""
    arrays = {name: array.astype(np.float64) for name, array in model.state_dict().items()}
    pairs = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "downsample.0": "downsample.1"}
    for name in [name for name in arrays if name.endswith("weight") and arrays[name].ndim == 4]:
        conv = next(own for own in pairs if name.endswith(f"{own}.weight"))
        norm = name.removesuffix(f"{conv}.weight") + pairs[conv]
        scale = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"] + 1e-5)
        arrays[name] *= scale
        arrays[f"{norm}.bias"] -= scale * arrays[f"{norm}.running_mean"]
        arrays[f"{norm}.weight"][...], arrays[f"{norm}.running_mean"][...] = 1, 0
        arrays[f"{norm}.running_var"][...] = 1 - 1e-5
    return arrays


@pytest.mark.parametrize("depth", [18, 50])
def test_unfold(depth):
    """Folded away, and measured again: the same in evaluation, and in training what it is in evaluation."""
    source = backbone(depth).to(dtype=np.float64).eval()
    images = Tensor(random(2, 64, 96, 3))
    weights.unfold(source, images)
    expected = source(images).data
    model = models.resnet(depth, channels=4, classes=10).to(dtype=np.float64).eval()
    model.load_state_dict(folded(source))
    assert relative(model(images).data, expected) < 1e-9
    assert relative(model.train()(images).data, expected) > 0.01
    model.load_state_dict(folded(source))
    weights.unfold(model, images)
    assert not model.training and relative(model(images).data, expected) < 1e-9
    assert relative(model.train()(images).data, expected) < 1e-9


def test_the_report_says_that_a_file_is_folded(tmp_path):
    model = models.resnet(18, channels=4)
    weights.save(model, tmp_path / "fresh.npz")
    assert not weights.load(model, tmp_path / "fresh.npz").folded
    model.load_state_dict(folded(backbone(classes=None)))
    weights.save(model, tmp_path / "folded.npz")
    report = weights.load(models.resnet(18, channels=4), tmp_path / "folded.npz")
    assert report.folded and "folded into the convolutions" in str(report)
    weights.save(backbone(classes=None), tmp_path / "trained.npz")
    assert not weights.load(model, tmp_path / "trained.npz").folded


# --- what a file holds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    dict(depth=18), dict(depth=34, classes=7), dict(depth=50, classes=10), dict(depth=50, width=8),
    dict(depth=101, stem="deep32"), dict(depth=152), dict(depth=50, shortcut="avgpool"),
    dict(depth=18, stem="deep32", shortcut="conv"), dict(depth=50, stem="deep64", classes=3),
    dict(depth=18, stem="deep64")], ids=str)
def test_the_settings_of_a_file(tmp_path, options):
    expected = {"stem": "7x7", "channels": 4, "width": 4, **options}
    expected.setdefault("shortcut", "avgpool" if expected["stem"] == "deep32" else "conv")
    weights.save(models.resnet(**{"channels": 4, **options}), tmp_path / "a.npz")
    found = weights.find(tmp_path / "a.npz")
    assert weights.describe(found) == expected
    assert weights.describe({f"backbone.{name}": pair for name, pair in found.items()}) == expected
    models.resnet(**weights.describe(found))


def test_the_settings_of_another_file(tmp_path):
    assert weights.describe({}) == {}
    weights.save(backbone(), tmp_path / "a.npz")
    found = weights.find(tmp_path / "a.npz")
    assert weights.describe({name: pair for name, pair in found.items() if "layer3" not in name}) == {}


# --- the way back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_save(tmp_path, ending):
    source, path = backbone(), tmp_path / f"mine{ending}"
    weights.save(source, path)
    arrays = weights.read(path)
    assert arrays.keys() == source.state_dict().keys()
    assert arrays["conv1.weight"].shape == (4, 3, 7, 7) and arrays["fc.weight"].shape == (10, 32)
    assert np.array_equal(arrays["conv1.weight"][1, 2], source.state_dict()["conv1.weight"][:, :, 2, 1])
    assert np.array_equal(arrays["fc.weight"], source.fc.weight.data.T)
    own = models.resnet(18, channels=4, classes=10)
    weights.load(own, path)
    same(own, source)
    assert os.listdir(tmp_path) == [path.name]


def test_save_says_which_endings_there_are(tmp_path):
    with pytest.raises(WeightsError, match="a.pth: expected a name that ends in .safetensors or .npz"):
        weights.save(backbone(), tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f4"])
def test_safetensors(tmp_path, dtype):
    arrays = {"a": (random(3, 4) * 50).astype(dtype), "b": np.asfortranarray(random(2, 5).astype(dtype)),
              "empty": np.zeros((0, 2), dtype), "one": np.ones((), dtype)}
    weights.write(tmp_path / "a.safetensors", arrays)
    found = weights.read(tmp_path / "a.safetensors")
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].dtype == np.dtype(dtype).newbyteorder("<"), name

    length = int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little")
    header = json.loads((tmp_path / "a.safetensors").read_bytes()[8 : 8 + length])
    assert length % 8 == 0 and header["__metadata__"] == {"format": "pt"}


def test_a_header_whose_length_begins_like_a_pickle(tmp_path):
    """80 in hexadecimal is the first byte of both."""
    for n in range(1, 64):
        weights.write(tmp_path / "a.safetensors", {"x" * n: np.ones(3, np.float32)})
        if (tmp_path / "a.safetensors").read_bytes()[0] == 0x80:
            assert np.array_equal(weights.read(tmp_path / "a.safetensors")["x" * n], np.ones(3))
            return
    raise AssertionError("no such length was met")


def test_safetensors_has_no_complex_numbers(tmp_path):
    with pytest.raises(WeightsError, match="a: safetensors has no complex128"):
        weights.write(tmp_path / "a.safetensors", {"a": np.ones(2, complex)})
    assert not list(tmp_path.iterdir())
