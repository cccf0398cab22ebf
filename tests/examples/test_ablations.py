"""The ablations' script: a table from few steps, gone on with, and what it says of the paper's order."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "ablations.py"
TINY = ["--epochs", "0.02", "--batch", "2", "--crop", "32", "--channels", "4", "--compressed", "4", "--codewords", "4"]


def command(folder, *arguments):
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=300, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def ablations():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec = importlib.util.spec_from_file_location("ablations", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(SCRIPT.parent))


def test_a_table_and_the_same_again(tmp_path):
    first = command(tmp_path, "--table", "1", "--seeds", "1", *TINY)
    assert first.returncode == 0, first.stderr
    assert sum("seed 0: pixAcc" in line for line in first.stdout.splitlines()) == 5
    assert "FCN-32s below dilatedFCN-8s: " in first.stdout and "variant" in first.stdout
    again = command(tmp_path, "--table", "1", "--seeds", "1", *TINY)
    table = first.stdout[first.stdout.index("variant"):]
    assert again.stdout.endswith(table) and "images/s" not in again.stdout  # nothing was trained
    other = command(tmp_path, "--table", "1", "--seeds", "1", *TINY, "--lr", "0.01")
    assert other.returncode == 1 and "settings.lr is 0.05 there and 0.01 here" in other.stderr


def test_means_and_ranges(ablations):
    rows = {"without": [(80.0, 50.0, 1), (82.0, 54.0, 2)], "with": [(84.0, 60.0, 0.5), (86.0, 56.0, 0.5)]}
    header, *lines = ablations.table("transfer", rows)
    assert [line.split() for line in lines] == [
        ["without", "54.2", "81.0", "80.0", "to", "82.0", "52.0", "50.0", "to", "54.0", "1.50"],
        ["with", "55.3", "85.0", "84.0", "to", "86.0", "58.0", "56.0", "to", "60.0", "0.50"]]


@pytest.mark.parametrize("better, said", [
    ([55, 57], "as in the paper (+4.0)"), ([40, 42], "does not show here (-11.0)"),
    ([53, 57], "as in the paper in the mean, the seeds overlap (+3.0)")])
def test_the_papers_order(ablations, better, said):
    rows = {"with": [(0, iou, 1) for iou in better], "without": [(0, 50, 1), (0, 54, 1)]}
    assert list(ablations.order("transfer", rows)) == [f"without below with: {said}"]


def test_the_variants_are_the_papers(ablations):
    assert {name: len(variants) for name, variants in ablations.TABLES.items()} == {
        "1": 5, "2": 3, "3": 3, "4": 6, "transfer": 2, "decoders": 4}
    assert [iou for _, iou, _ in ablations.TABLES["4"].values()] == [54.5, 54.9, 55.0, 55.3, 55.5, 55.1]


def test_a_variant_that_diverged_is_reported(ablations):
    rows = {"without": None, "with": [(84.0, 60.0, 0.5)]}
    assert ablations.table("transfer", rows)[1].split() == ["without", "54.2", "diverged"]
    assert list(ablations.order("transfer", rows)) == []


def test_the_others_go_on_where_one_diverges(tmp_path):
    said = command(tmp_path, "--table", "transfer", "--seeds", "1", *TINY, "--lr", "1e30", "--epochs", "0.05")
    assert said.returncode == 0 and said.stdout.count("diverged") == 2 and "the loss is " in said.stdout


@pytest.mark.parametrize("flags, clip", [
    (["--table", "1"], 0), (["--table", "decoders"], 1), (["--table", "1", "--form", "paper"], 1),
    (["--table", "decoders", "--clip", "0"], 0)])
def test_the_paper_form_is_clipped(ablations, monkeypatch, flags, clip):
    monkeypatch.setattr(sys, "argv", ["ablations.py", *flags])
    assert ablations.arguments().clip == clip


def test_variants_of_one_printed_number_are_not_compared(ablations):
    rows = {variant: [(0, iou, 1)] for variant, iou in
            {"FCN-32s": 1, "UNet-Bilinear": 2, "EfficientFCN, paper": 5, "EfficientFCN, released": 1.5}.items()}
    assert [line.split(":")[0] for line in ablations.order("decoders", rows)] == [
        "FCN-32s below UNet-Bilinear", "UNet-Bilinear below EfficientFCN, paper",
        "UNet-Bilinear below EfficientFCN, released"]
