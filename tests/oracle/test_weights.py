"""Files that PyTorch wrote, read without it; and ours, read by PyTorch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the oracle needs PyTorch: pip install -e '.[oracle]'")
safetensors_torch = pytest.importorskip("safetensors.torch", reason="needs safetensors: pip install -e '.[oracle]'")

from minihgd import Tensor, models, no_grad, weights  # noqa: E402
from oracle import torch_models  # noqa: E402

DEPTHS = (18, 34, 50, 101, 152)
WRITERS = {"archive.pth": torch.save,
           "stream.pth": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
           "tensors.safetensors": safetensors_torch.save_file}


def random_resnet(depth, **options):
    """A ResNet of PyTorch whose running statistics, scales and shifts are drawn at random."""
    torch.manual_seed(depth)
    model = torch_models.ResNet(f"resnet{depth}", classes=1000, **options)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif name.endswith("running_var") or tensor.ndim == 1 and name.endswith("weight"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("bn3.weight"):
                tensor.mul_(0.3)  # so that a sum of fifty blocks stays of a size
    return model.eval()


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module", params=DEPTHS)
def resnet(request):
    return request.param, random_resnet(request.param)


@pytest.mark.parametrize("name", WRITERS)
def test_resnets_of_pytorch(tmp_path, resnet, name):
    depth, theirs = resnet
    WRITERS[name](theirs.state_dict(), tmp_path / name)
    stored = weights.read(tmp_path / name)
    assert stored.keys() == theirs.state_dict().keys()
    for key, tensor in theirs.state_dict().items():
        assert stored[key].dtype == tensor.numpy().dtype and np.array_equal(stored[key], tensor.numpy()), key
    images = np.random.default_rng(0).standard_normal((2, 64, 96, 3))
    for dtype, tol in ((np.float32, 1e-4), (np.float64, 1e-9)):
        model = models.resnet(depth, classes=1000).to(dtype=dtype).eval()
        report = weights.load(model, tmp_path / name)
        assert report.fits and len(report.matched) == len(model.state_dict()) and not report.skipped
        with no_grad(), torch.no_grad():
            x = torch.tensor(images.astype(dtype)).permute(0, 3, 1, 2)
            expected = theirs.to(x.dtype)(x).numpy()
            assert relative(model(Tensor(images.astype(dtype))).data, expected) < tol
    theirs.float()


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_every_kind(tmp_path, legacy):
    base = torch.arange(24.0).reshape(4, 6)
    state = {"half": base.half(), "bfloat16": base.bfloat16() / 3, "double": base.double(), "long": base.long(),
             "int": base.int(), "short": base.short(), "char": base.char(), "byte": base.byte(), "bool": base > 5,
             "whole": base, "transposed": base.T, "row": base[2], "every second": base[::2, 1::3],
             "one": torch.tensor(3.5), "empty": torch.zeros(0, 3), "expanded": torch.ones(1).expand(4, 3),
             "parameter": torch.nn.Parameter(base + 1)}
    torch.save({"epoch": 7, "best": 0.3, "model": {f"module.{k}": v for k, v in state.items()}, "note": "a\u2082",
                "optimizer": {"state": {0: {"step": 3, "buffer": base}}, "param_groups": [{"lr": 0.1, "params": [0]}]}},
               tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    found = weights.read(tmp_path / "a.pt")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        expected = tensor.detach().float() if name == "bfloat16" else tensor.detach()
        assert np.array_equal(found[name], expected.numpy()) and found[name].shape == tuple(tensor.shape), name
        assert found[name].dtype == expected.numpy().dtype, name
    assert np.shares_memory(found["whole"], found["transposed"]) and np.shares_memory(found["whole"], found["row"])


@pytest.mark.parametrize("options", [dict(stem="deep32", shortcut="avgpool"), dict(width=128)], ids=str)
def test_our_resnets_in_pytorch(tmp_path, options):
    model = models.resnet(50, seed=3, classes=1000, **options).eval()
    weights.save(model, tmp_path / "ours.safetensors")
    theirs = torch_models.ResNet("resnet50", classes=1000, **options).eval()
    theirs.load_state_dict(safetensors_torch.load_file(tmp_path / "ours.safetensors"))
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3), np.float32)
    with no_grad(), torch.no_grad():
        expected = theirs(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
        assert relative(model(Tensor(images)).data, expected) < 1e-4


def test_a_whole_model_goes_there_and_back(tmp_path):
    model = models.build("efficientfcn", "resnet18", 7, 16, "released", stem="deep32", seed=2)
    weights.save(model, tmp_path / "ours.safetensors")
    theirs = torch_models.build("resnet18", "released", 7, 16, "deep32")
    theirs.load_state_dict(safetensors_torch.load_file(tmp_path / "ours.safetensors"))
    torch.save({"state_dict": theirs.state_dict(), "epoch": 3}, tmp_path / "theirs.pth")
    again = models.build("efficientfcn", "resnet18", 7, 16, "released", stem="deep32")
    assert weights.load(again, tmp_path / "theirs.pth").fits
    for name, array in model.state_dict().items():
        assert np.array_equal(again.state_dict()[name], array), name
