"""Hostile and broken files: each ends in a WeightsError (or a stated value) within a second and a quarter of a
gigabyte, and while it is read nothing is called, imported or opened but the file itself.

The files are read by a second process, which this file is the program of. It records what Python's audit hooks tell.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from hostile_files import FILES
from make_torch import FORMS, tensor

from minihgd import models, weights
from minihgd.errors import WeightsError
from minihgd.weights import torch_layout

SECONDS, MEMORY = 1, 1 << 28  # for one file
FIRST = "a sound", "archive: a sound", "UNICODE"  # files for which Python imports a codec when it first needs it


class Recorder:
    """What Python's audit hooks tell while a file is read, but for the opening of that file."""

    def __init__(self):
        self.path, self.events = None, []
        sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        if self.path and event != "mmap.__new__" and (event, arguments[:1]) != ("open", (self.path,)):
            self.events.append(f"{event} {arguments}"[:200])

    def read(self, path):
        """What `weights.read` ends in, with the processor's time and the memory it took and what it did."""
        before, start = memory(), time.process_time()
        self.path, self.events = path, []
        try:
            with warnings.catch_warnings(record=True) as found:
                outcome = {"value": len(weights.read(path))}
        except BaseException as error:
            outcome = {"error": type(error).__name__, "message": str(error)}
        self.path = None
        return outcome | {"seconds": time.process_time() - start, "memory": memory() - before,
                          "events": self.events, "warnings": len(found)}


def memory():
    """The most memory the process had since this was last asked, in bytes, or 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as status, open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
            return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) << 10
    except OSError:
        return 0


def main(paths):
    """Read every file and print what came of it, a line of JSON each. Where one takes 20 seconds, it is the end."""
    recorder = Recorder()
    for path in paths:
        print(path, flush=True)
        signal.alarm(20)
        found = recorder.read(path)
        if found["seconds"] > 0.5 * SECONDS:  # the machine may have been busy
            found["seconds"] = min(found["seconds"], recorder.read(path)["seconds"])
        print(json.dumps(found), flush=True)


def watched(folder, paths):
    """path -> what came of it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "always", __file__, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (lines[-1:], done.stderr)
    return {path: json.loads(line) for path, line in zip(lines[::2], lines[1::2], strict=True)}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """name -> what came of that file, and the path it had."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = {name: folder / f"{number}.pth" for number, name in enumerate(FILES)}
    for name, (make, _) in FILES.items():
        make(paths[name])
    (folder / "here").mkdir()
    first = [path for name, path in paths.items() if name.startswith(FIRST)]
    found = watched(folder / "here", [*first, *paths.values()])
    assert not list((folder / "here").iterdir())
    for path in paths.values():
        if path.is_file():
            path.unlink()
    return {name: (path, found[str(path)]) for name, path in paths.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_file_ends_in_an_error_or_a_value(results, name):
    path, found = results[name]
    message = FILES[name][1]
    assert ("value" in found) == (message is None), found
    if message:
        assert found["error"] == "WeightsError" and found["message"].startswith(f"{path}: cannot be read as "), found
        assert re.search(message, found["message"]) and len(found["message"]) < 1300, found["message"]
        assert found["message"].isprintable() and "MemoryError" not in found["message"]
    assert found["seconds"] < SECONDS and found["memory"] < MEMORY, (found["seconds"], found["memory"])
    assert not found["events"] and not found["warnings"], found


def test_the_recorder_hears(tmp_path):
    """What it would say if `pickle` itself ran one of the programs."""
    program = "import pickle, test_hostile as t; r = t.Recorder(); r.path = 'a'; pickle.loads({}); print(*r.events)"
    for code, events in [(b"cbuiltins\neval\n(X\1\0\0\x001tR.", ["pickle.find_class", "compile", "exec"]),
                         (b"cos\nsystem\n(X\4\0\0\0truetR.", ["pickle.find_class", "os.system"])]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", program.format(code)], capture_output=True, text=True, check=True,
                              env=environment)
        assert all(event in done.stdout for event in events), done.stdout


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, -1])
@pytest.mark.parametrize("form", FORMS)
def test_weights_that_are_no_numbers_are_not_loaded(tmp_path, form, number):
    source, model = models.resnet(18, channels=4, seed=1), models.resnet(18, channels=4)
    state = {name: torch_layout(name, array) for name, array in source.state_dict().items()}
    state["bn1.running_var"] = np.array([1, 2, number, 3], np.float32)
    value = {name: tensor(np.ascontiguousarray(array), name) for name, array in state.items()}
    FORMS[form](tmp_path / "file.pth", value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert weights.read(tmp_path / "file.pth")["bn1.running_var"].tolist()[3] == 3
        with pytest.raises(WeightsError, match=r"1 not finite, or variances below zero \(bn1\.running_var\)"):
            weights.load(model, tmp_path / "file.pth")


# --- random changes ------------------------------------------------------------------------------------------------


def changed(data, rng):
    """The bytes with one, two or three changes."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        start, size = rng.randrange(len(data) + 1), rng.choice([1, 1, 1, 2, 4, 8, 100])
        match rng.randrange(7):
            case 0 | 1:
                data[start : start + 1] = rng.randbytes(1)
            case 2:
                data[start : start + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in data[start : start + 1])
            case 3:
                data[start:start] = rng.randbytes(size)
            case 4:
                del data[start : start + size]
            case 5:
                other = rng.randrange(len(data) + 1)
                data[start : start + size] = data[other : other + size]
            case 6 if rng.random() < 0.2:
                del data[start:]
    return bytes(data)


def sound_file(path, kind):
    """A small file like those that people have: the first 25 arrays of a ResNet with few channels."""
    state = models.resnet(18, channels=2, seed=1).state_dict()
    arrays = {name: np.ascontiguousarray(torch_layout(name, array)) for name, array in state.items()
              if "layer" not in name or "layer1" in name}
    value = {"state_dict": {f"module.{name}": tensor(array, str(i)) for i, (name, array) in enumerate(arrays.items())},
             "epoch": 3, "best_prec1": tensor(np.array(92.6), "best"), "arch": "resnet18"}
    if kind in FORMS:
        FORMS[kind](path, value, protocol=2)
    else:
        weights.write(path.with_suffix(f".{kind}"), arrays)
        path.with_suffix(f".{kind}").rename(path)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [*FORMS, "safetensors", "npz"])
def test_random_changes(tmp_path, kind, count):
    path = tmp_path / "file.pth"
    sound_file(path, kind)
    data, rng, read = path.read_bytes(), random.Random(f"{kind} {count}"), 0
    assert len(weights.read(path)) == 25
    for number in range(count):
        part = len(data) if number % 2 else 3000  # the first bytes, which say what is where, but for zip files
        path.write_bytes(changed(data[:part], rng) + data[part:])
        start = time.process_time()
        try:
            read += len(weights.read(path)) > 0
        except WeightsError as error:
            assert str(error).startswith(f"{path}: cannot be read as ")
        assert time.process_time() - start < SECONDS
    assert count / 100 < read < count


if __name__ == "__main__":
    main(sys.argv[1:])
