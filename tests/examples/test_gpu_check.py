"""examples/gpu_check.py on the stand-in for CuPy: it goes through, and notices what is wrong."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from on_device import needs_compiler

TESTS = Path(__file__).parents[1]
EXAMPLES = TESTS.parent / "examples"
SCRIPT = str(EXAMPLES / "gpu_check.py")
STANDIN = str(TESTS / "cupy_standin.py")
TITLES = ["Device and kernels", "Errors, op by op", "Training steps beside the CPU's", "The step that counts",
          "Where the time goes", "Input", "Prediction"]
PLANTED = """
import sys
sys.path[:0] = [{tests!r}, {examples!r}]
import cupy_standin
with cupy_standin.installed():
    import gpu_check
    from minihgd.backend import gpu_maps
    right = gpu_maps.max_pool_backward
    gpu_maps.max_pool_backward = lambda *arguments: right(*arguments) * 2
    gpu_check.SECTIONS["device"] = ("Device and kernels", lambda report, context: 1 / 0, False, 0)
    sys.argv[1:] = ["--small", "--out", "out", "--sections", "device", "errors"]
    sys.exit(gpu_check.main())
"""


def run(folder, *command, **environment):
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, text=True, capture_output=True, timeout=300,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment})


def report_of(folder):
    return (folder / "out/report.md").read_text(encoding="utf-8"), json.loads((folder / "out/report.json").read_text())


@needs_compiler
@pytest.mark.slow
def test_every_section(tmp_path):
    done = run(tmp_path, STANDIN, SCRIPT, "--small", "--out", "out")
    text, report = report_of(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [section["title"] for section in report["sections"]] == TITLES
    assert all(section["checks"] for section in report["sections"] if section["title"] != "Where the time goes")
    assert report["failed"] == 0 and f"{report['passed']} checks passed, 0 failed" in text
    assert done.stdout.splitlines()[-1] == f"{report['passed']} checks passed, 0 failed; out/report.md"
    head = text.partition("## ")[0]
    assert all(f"\n- {fact}: " in head for fact in ("date", "command", "device", "CUDA", "CuPy", "NumPy", "PyTorch"))
    assert "| gather_windows | " in text and "| max_pool2d | 3, stride 2, ties | " in text
    assert "FAILED" not in text and "left out" not in text.replace("left out: ml_dtypes", "")


@needs_compiler
def test_a_wrong_gradient_and_an_error_are_noticed(tmp_path):
    done = run(tmp_path, "-c", PLANTED.format(tests=str(TESTS), examples=str(EXAMPLES)))
    text, report = report_of(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    failures = [check["text"] for section in report["sections"] for check in section["checks"] if not check["passed"]]
    assert failures[0] == "Device and kernels: ZeroDivisionError: division by zero"
    assert len(failures) > 1 and all(failure.startswith("max_pool2d, ") for failure in failures[1:])
    assert "lambda report, context: 1 / 0" in text or "ZeroDivisionError: division by zero\n```" in text
    assert f"{len(failures)} failed" in done.stdout.splitlines()[-1]


def test_what_there_is_no_time_for_is_left_out(tmp_path):
    done = run(tmp_path, STANDIN, SCRIPT, "--minutes", "0", "--out", "out")
    text, report = report_of(tmp_path)
    assert done.returncode == 0, done.stderr
    assert [section["title"] for section in report["sections"]] == TITLES
    assert text.count("left out for want of time: this section") == len(TITLES)


def test_without_a_gpu_it_says_so_in_a_line(tmp_path):
    done = run(tmp_path, SCRIPT, "--out", "out", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert done.stderr.startswith("no GPU was found: ") and len(done.stderr.splitlines()) == 1


def test_a_trace_is_read(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    kernels_of = runpy.run_path(str(EXAMPLES / "gpu_check_parts.py"))["kernels_of"]
    events = [dict(cat="kernel", name="a", dur=2), dict(cat="kernel", name="a", dur=3.5), dict(cat="cpu_op", name="b"),
              dict(cat="gpu_memcpy", name="Memcpy HtoD", dur=1), dict(ph="M", name="process_name")]
    assert kernels_of({"traceEvents": events}) == {"a": (2, 5.5), "Memcpy HtoD": (1, 1.0)}
