"""Weights files: read as stored, loaded into a backbone with layouts converted, refused where they do not fit."""

import json
import struct

import numpy as np
import pytest

from minihgd import models, weights
from minihgd.errors import WeightsError


def pytorch_state(model, prefix=""):
    """A backbone's state in PyTorch's layout, with what its files have beside it."""
    state = {prefix + name: a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for name, a in model.state_dict().items()}
    return state | {prefix + "bn1.num_batches_tracked": np.array(7), prefix + "fc.weight": np.ones((10, 32))}


def write_safetensors(path, arrays, header=None):
    names = {np.dtype("float32"): "F32", np.dtype("int64"): "I64", np.dtype("float64"): "F64"}
    entries, data = {"__metadata__": {"format": "pt"}}, b""
    for name, a in arrays.items():
        entries[name] = {"dtype": names[a.dtype], "shape": list(a.shape),
                         "data_offsets": [len(data), len(data) + a.nbytes]}
        data += np.ascontiguousarray(a).tobytes()
    text = json.dumps(header(entries) if header else entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        write_safetensors(path, arrays)


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_a_backbone_comes_back(tmp_path, ending, prefix):
    source = models.resnet(18, width=4, seed=1)
    path = tmp_path / f"resnet{ending}"
    write(path, pytorch_state(source, prefix))
    stored = weights.read(path)
    assert stored[prefix + "conv1.weight"].shape == (4, 3, 7, 7)
    model = models.build("efficientfcn", "resnet18", 3, 4, width=4, compressed=4, codeword_channels=4)
    decoder = model.decoder.base.weight.data.copy()
    report = weights.load(model, path)
    assert len(report.matched) == len(source.state_dict()) and not report.missing and not report.unexpected
    for name, array in source.state_dict().items():
        assert np.array_equal(model.state_dict()["backbone." + name], array), name
    assert np.array_equal(model.decoder.base.weight.data, decoder)
    weights.load(models.resnet(18, width=4), path)


def test_partial_files(tmp_path):
    state = pytorch_state(models.resnet(18, width=4, seed=1))
    del state["layer4.0.conv1.weight"]
    state["extra.weight"] = np.ones(3, np.float32)
    write(tmp_path / "a.npz", state)
    model = models.resnet(18, width=4)
    before = {name: a.copy() for name, a in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"1 missing \(layer4.0.conv1.weight\), 1 unexpected \(extra.weight\)"):
        weights.load(model, tmp_path / "a.npz")
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())
    report = weights.load(model, tmp_path / "a.npz", strict=False)
    assert report.missing == ["layer4.0.conv1.weight"] and report.unexpected == ["extra.weight"]
    assert np.array_equal(model.state_dict()["layer4.0.conv1.weight"], before["layer4.0.conv1.weight"])


def safetensors(**change):
    def make(path):
        write_safetensors(path, {"a": np.ones((2, 3), np.float32)}, lambda entries: entries | {
            "a": entries["a"] | change})
    return make


@pytest.mark.parametrize("name, make, message", [
    ("a.npz", lambda path: path.write_bytes(b"PK nothing"), "cannot be read as .npz"),
    ("a.npz", lambda path: None, "No such file"),
    ("a.npz", lambda path: np.savez(path, a=np.array([{}], object)), "allow_pickle"),
    ("a.safetensors", lambda path: path.write_bytes(b""), "cannot be read"),
    ("a.safetensors", lambda path: path.write_bytes(b"\xff" * 20), "header claims"),
    ("a.safetensors", safetensors(shape=[2, 4]), r"a claims bytes 0 to 24 for shape \[2, 4\]"),
    ("a.safetensors", safetensors(data_offsets=[24, 48]), "claims bytes 24 to 48"),
    ("a.safetensors", safetensors(data_offsets=[-24, 0]), "claims bytes"),
    ("a.safetensors", safetensors(dtype="C64"), "dtype C64"),
    ("a.txt", lambda path: path.write_text("x"), "expected a file ending in .npz or .safetensors"),
])
def test_broken_files(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(WeightsError, match=message) as error:
        weights.read(tmp_path / name)
    assert name in str(error.value)


def test_another_network(tmp_path):
    write(tmp_path / "a.npz", pytorch_state(models.resnet(18, width=8)))
    with pytest.raises(WeightsError, match=r"bn1.bias has shape \(8,\).*expects \(4,\)"):
        weights.load(models.resnet(18, width=4), tmp_path / "a.npz", strict=False)
    np.savez(tmp_path / "b.npz", other=np.ones(3))
    with pytest.raises(WeightsError, match="0 arrays matched"):
        weights.load(models.resnet(18, width=4), tmp_path / "b.npz", strict=False)
