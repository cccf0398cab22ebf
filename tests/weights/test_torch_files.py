"""Files of torch.save: every kind of number to the bit, views that share memory, and what wraps the tensors."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
from make_torch import FORMS, Assembler, Code, Tensor, tensor

from minihgd import weights
from minihgd.errors import WeightsError
from minihgd.weights.pickles import Machine, Stream

ARRAYS = {
    "float32": np.array([1.5, -0.0, np.inf, -np.inf, 1e-45, 3.4e38], np.float32),
    "a NaN with a message": np.array([0x7FC12345, 0xFFC00001], np.uint32).view(np.float32),
    "float64": np.array([[np.pi, -1e300], [5e-324, np.nan]]),
    "float16": np.array([65504, 6e-8, -1.5], np.float16),
    "int64": np.array([[-(2**63)], [2**63 - 1]]),
    "int32": np.array([-(2**31), 2**31 - 1], np.int32),
    "int16": np.array([-(2**15), 2**15 - 1], np.int16),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.array([[[0, 255, 7]]], np.uint8),
    "bool": np.array([True, False, True]),
    "a number": np.array(7),
    "an empty one": np.zeros((0, 3), np.float32),
    "empty in the middle": np.zeros((2, 0, 3), np.float32),
}
BASE = np.arange(24, dtype=np.float32)
VIEWS = {  # one storage; shape, strides, offset, what NumPy makes of it
    "all": ((4, 6), (6, 1), 0, BASE.reshape(4, 6)),
    "transposed": ((6, 4), (1, 6), 0, BASE.reshape(4, 6).T),
    "from the fifth on": ((3, 5), (5, 1), 5, BASE[5:20].reshape(3, 5)),
    "every second": ((12,), (2,), 1, BASE[1::2]),
    "expanded": ((5, 3), (0, 1), 2, np.broadcast_to(BASE[2:5], (5, 3))),
    "the last": ((), (), 23, BASE[23]),
    "windows": ((22, 3), (1, 1), 0, np.lib.stride_tricks.sliding_window_view(BASE, 3)),
    "of none": ((0, 5), (5, 1), 7, np.zeros((0, 5), np.float32)),
}
MEMORY = """
import re, sys, tracemalloc
from minihgd import weights
held = lambda: int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])
weights.read(sys.argv[2])
before = held()
arrays = weights.read(sys.argv[1])
total = sum(array[::64].sum(dtype=float) for array in arrays.values())
grown = held() - before
tracemalloc.start()
weights.read(sys.argv[1])
print(total, sum(array.nbytes for array in arrays.values()), grown << 10, tracemalloc.get_traced_memory()[1])
"""
OPTIMIZER = {"state": {0: {"momentum_buffer": tensor(np.ones(3, np.float32), "8")}, 94034: {"step": 7}},
             "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "nesterov": False, "params": [0, 94034]}]}


def views():
    return {name: Tensor("0", BASE, shape, strides, offset) for name, (shape, strides, offset, _) in VIEWS.items()}


def as_read(tmp_path, value, form="archive", **words):
    FORMS[form](tmp_path / "file.pth", value, **words)
    return weights.read(tmp_path / "file.pth")


def same(found, expected):
    """To the bit."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype, name
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("words", [{}, {"protocol": 4}, {"python2": True}], ids=["2", "4", "Python 2"])
@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_number(tmp_path, form, words):
    value = {name: tensor(array, str(i)) for i, (name, array) in enumerate(ARRAYS.items())}
    found = as_read(tmp_path, value, form, **words)
    same(found, ARRAYS)
    assert not any(array.flags.writeable for array in found.values())


@pytest.mark.parametrize("form", FORMS)
def test_views_share_their_storage(tmp_path, form):
    value = views() | {"other": tensor(BASE, "1")}
    found = as_read(tmp_path, value, form)
    same(found, {name: view[3] for name, view in VIEWS.items()} | {"other": BASE})
    for name, array in found.items():
        assert not array.flags.writeable
        assert np.shares_memory(array, found["all"]) == (name not in ("of none", "other")), name
    assert found["expanded"].strides == (0, 4)


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_becomes_float32(tmp_path, form):
    bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001, 0x8000, 0x7FC1], np.uint16)
    storage = dict(key="0", storage=bits, kind="BFloat16Storage")
    value = {"all": Tensor(shape=(2, 3), strides=(3, 1), **storage), "odd": Tensor(shape=(3,), strides=(2,), offset=1,
                                                                                   **storage)}
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    found = as_read(tmp_path, value, form)
    same(found, {"all": expected.reshape(2, 3), "odd": expected[1::2]})
    assert np.shares_memory(found["all"], found["odd"]) and not found["all"].flags.writeable


def test_an_archive_of_a_machine_with_the_other_order(tmp_path):
    value = {name: tensor(array, str(i)) for i, (name, array) in enumerate(ARRAYS.items())}
    found = as_read(tmp_path, value | {"half": tensor(np.array([0x3F80], np.uint16), "h", kind="BFloat16Storage")},
                    order="big")
    assert found.pop("half") == 1
    same({name: array.astype(ARRAYS[name].dtype) for name, array in found.items()}, ARRAYS)
    system = {"protocol_version": 1001, "little_endian": False}
    with pytest.raises(WeightsError, match="other order of bytes"):
        as_read(tmp_path, value, "stream", system=system)


def test_parts_of_storages_in_old_files(tmp_path):
    value = {"all": tensor(BASE, "0"), "part": Tensor("0", BASE, (2, 3), (3, 1), 1, part=(4, 7)),
             "late": Tensor("0", BASE, (2,), (1,), 0, part=(22, 2))}
    found = as_read(tmp_path, value, "stream")
    same(found, {"all": BASE, "part": BASE[5:11].reshape(2, 3), "late": BASE[22:]})
    assert np.shares_memory(found["part"], found["all"])
    for part in [(20, 5), (24, 2)], [(4, 6)]:
        with pytest.raises(WeightsError, match="claims more than its storage"):
            as_read(tmp_path, {"a": Tensor("0", BASE, (7,), (1,), 0, part=part[0])}, "stream")


@pytest.mark.parametrize("form", FORMS)
def test_state_dicts_and_parameters(tmp_path, form):
    state = OrderedDict(a=tensor(BASE, "0", parameter=True), b=tensor(BASE[:3], "1", function="_rebuild_tensor"))
    same(as_read(tmp_path, state, form), {"a": BASE, "b": BASE[:3]})  # with _metadata, which BUILD sets


@pytest.mark.parametrize("wrap", [
    lambda state: {"state_dict": state, "epoch": 3, "arch": "resnet20", "loss": [0.5, 0.25], "big": 1 << 40},
    lambda state: {"model": state, "optimizer": OPTIMIZER, "epoch": 3, "args": None, "amp": True},
    lambda state: {"best_prec1": tensor(np.array(92.6), "9"), "state_dict": state},
    lambda state: {"epoch": -1, "model": {"state_dict": state}},
    lambda state: {"net": {"width": 64}, "weights": state},
    lambda state: state | {"epoch": 3},
], ids=["epoch", "optimizer", "best_prec1", "twice", "settings", "beside"])
@pytest.mark.parametrize("form, words", [("archive", {}), ("stream", {"protocol": 4}), ("stream", {"python2": True})])
def test_the_state_dict_is_found(tmp_path, form, words, wrap):
    state = {"module.fc.weight": tensor(BASE.reshape(4, 6), "0"), "module.fc.bias": tensor(BASE[:4], "1")}
    same(as_read(tmp_path, wrap(state), form, **words), {"fc.weight": BASE.reshape(4, 6), "fc.bias": BASE[:4]})


def test_the_prefix_goes_only_where_all_have_it(tmp_path):
    value = {"module.a": tensor(BASE, "0"), "b": tensor(BASE, "0")}
    assert list(as_read(tmp_path, value)) == ["module.a", "b"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_beside_the_state_dict_is_not_read(tmp_path, form):
    """The optimizer's storage is broken, and nobody minds."""
    value = {"state_dict": {"a": tensor(BASE, "0")}, "optimizer": OPTIMIZER}
    wrong = {"archive": {"8": b"too short"}, "stream": {"0": (24, BASE.tobytes()), "8": (3, b"\xff" * 12)}}[form]
    same(as_read(tmp_path, value, form, storages=wrong), {"a": BASE})


@pytest.mark.parametrize("value, message", [
    ([tensor(BASE, "0")], "expected a dictionary of tensors, found a list"),
    (tensor(BASE, "0"), "expected a dictionary of tensors, found a TensorRecord"),
    ({}, "found nothing"),
    ({"epoch": 3, "loss": 0.5}, "expected a dictionary of named tensors, .*; found 'epoch', 'loss'"),
    ({"state_dict": {"epoch": 3}}, "expected a dictionary of named tensors, .*; found 'epoch'"),
])
@pytest.mark.parametrize("form", FORMS)
def test_no_state_dict(tmp_path, form, value, message):
    with pytest.raises(WeightsError, match=rf"file\.pth: cannot be read as .* of torch\.save: .*{message}"):
        as_read(tmp_path, value, form)


def test_the_folder_has_any_name(tmp_path):
    for folder in "resnet20", "a b/c", "ü":
        same(as_read(tmp_path, {"a": tensor(BASE, "0")}, folder=folder), {"a": BASE})


def test_containers_of_all_protocols(tmp_path):
    """What other versions of `pickle` write for sets, short tuples, single items and shared values."""
    beside = Code(b"(\x8f(K\1K\2\x90"  # a set
                  b"(K\3U\1a\x91"  # a frozenset
                  b"cbuiltins\nset\n](K\1K\1e\x85R"
                  b"K\1\x85K\1K\2\x86K\1K\2K\3\x87"
                  b"]K\1a}U\1aK\1s"
                  b"]q\0h\0r\1\0\0\0j\1\0\0\0"
                  b"(K\1l(U\1aK\1dN0(K\0011B\2\0\0\0abC\1a"
                  b"G\x3f\xf0\0\0\0\0\0\0I-4300000000\nM\1\2J\xff\xff\xff\xff2t")
    same(as_read(tmp_path, {"a": tensor(BASE, "0"), "beside": beside}), {"a": BASE})


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system has no /proc to ask for memory")
@pytest.mark.parametrize("form", FORMS)
def test_storages_are_not_held_in_memory(tmp_path, form):
    """Of a file of 200 MB, the process holds less than 4 MB that are not the file's own pages, now or ever."""
    path = tmp_path / "large.pth"
    FORMS[form](path, {str(i): tensor(np.zeros(25_000_000, np.float16), str(i)) for i in range(4)})
    FORMS[form](tmp_path / "small.pth", views())
    command = [sys.executable, "-c", MEMORY, path, tmp_path / "small.pth"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    finally:
        path.unlink()
    total, size, grown, peak = map(float, out.stdout.split())
    assert total == 0 and size == 200_000_000 and grown < 4e6 and peak < 4e6, out.stdout


@pytest.mark.parametrize("words", [{}, {"protocol": 4}, {"python2": True}], ids=["2", "4", "Python 2"])
def test_the_assembler_writes_what_pickle_reads(words):
    value = {"a": [1, -5, 1 << 40, 1 << 80, 2.5, "text", None, True, False, (), (1, ("b",))], "b": {3: {}}}
    program = Assembler(**words).program(value)
    assert pickle.loads(program) == Machine().run(Stream(program)) | {"b": {3: {}}} == value
