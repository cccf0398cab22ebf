"""The benchmarks run, and compare things that are equal."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minihgd.backend import conv, windows
from minihgd.ops.normalisation import BatchNorm

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def speed_tricks():
    return runpy.run_path(str(EXAMPLES / "speed_tricks.py"))


def test_the_plain_versions_are_the_fast_ones(speed_tricks):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 9, 7, 3)), rng.standard_normal((3, 3, 3, 4))
    window = windows.Window((3, 3), (1, 1), (1, 1))
    y = conv.convolve(x, weight, window)
    assert np.abs(speed_tricks["by_taps"](x, weight) - y).max() < 1e-12
    assert np.abs(speed_tricks["whole"](x, weight, window) - y).max() < 1e-12
    dy, gamma, beta = rng.standard_normal(y.shape), rng.standard_normal(4), rng.standard_normal(4)
    op = BatchNorm(np.zeros(4), np.ones(4), True, relu=True)
    expected = (op.forward(y, gamma, beta), *op.backward(dy))
    found = speed_tricks["plain_normalisation"](y, gamma, beta, dy)
    for a, b in zip(found, expected, strict=False):
        assert np.abs(a.reshape(b.shape) - b).max() < 1e-12


@pytest.mark.slow
def test_benchmark_measures_a_model_and_writes_json(tmp_path):
    command = [sys.executable, str(EXAMPLES / "benchmark.py"), "gemm", "models", "parts", "--cases", "predict-r50",
               "--rounds", "1", "--json", str(tmp_path / "result.json")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "prediction, paper form, ResNet-50" in printed
    assert "roofline" in printed
    result = json.loads((tmp_path / "result.json").read_text())
    case = result["models"]["predict-r50"]
    assert case["flops_per_step"] == 2 * (31_755_075_584 + 1_140_850_688)  # one product is two operations
    printed_order, done = case["of_a_product"]
    assert 0 < done < printed_order  # the decoder's algebra
    assert set(result["parts"]["ops"]["BatchNorm, forward"]) == {"seconds", "flops", "bytes"}
    assert all(t > 0 for times in case["seconds"].values() for t in times)


def test_unknown_sections_are_refused():
    command = [sys.executable, str(EXAMPLES / "benchmark.py"), "gem"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 2
    assert "unknown sections gem" in finished.stderr
