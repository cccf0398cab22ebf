"""The design's floors: who may import whom, what stands at the top level, how long a file is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ["errors", "files", "backend", "processes", "autograd", "ops", "gradcheck", "nn", "models", "weights", "data",
          "training", "evaluation", "report"]
SOURCES = sorted((ROOT / "minihgd").rglob("*.py"))
ALLOWED = {"numpy", "scipy", "PIL", "cupy", "cupyx", "ml_dtypes", "mpi4py", "minihgd"}


def floor(path):
    """The part of the package a file belongs to; None for minihgd/__init__.py."""
    parts = path.relative_to(ROOT / "minihgd").with_suffix("").parts
    return None if parts == ("__init__",) else parts[0]


def imports(path):
    """Absolute dotted names that a file imports, relative ones resolved."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield ".".join([*base, alias.name])


def test_every_part_has_a_floor():
    assert {floor(path) for path in SOURCES} - {None} == set(FLOORS)


@pytest.mark.parametrize("path", [p for p in SOURCES if floor(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_upwards(path):
    import sys
    own = FLOORS.index(floor(path))
    for name in imports(path):
        top, *rest = name.split(".")
        assert top in ALLOWED or top in sys.stdlib_module_names, f"{name} is no dependency of the library"
        if top == "minihgd" and rest and rest[0] in FLOORS:
            assert FLOORS.index(rest[0]) <= own, f"{floor(path)} must not import {rest[0]}"


@pytest.mark.parametrize("path", [p for p in SOURCES if "cupy" in p.read_text(encoding="utf-8")],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_backend_imports_cupy(path):
    assert floor(path) == "backend" or not any(name.startswith("cupy") for name in imports(path))


@pytest.mark.parametrize("path", [p for p in SOURCES if "mpi4py" in p.read_text(encoding="utf-8")],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_group_of_ranks_imports_mpi(path):
    assert path.name == "ranks.py" or not any(name.startswith("mpi4py") for name in imports(path))


def test_ops_do_not_ask_which_device():
    for path in (ROOT / "minihgd" / "ops").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "cuda" not in text and "is cpu" not in text and "isinstance(x, np.ndarray)" not in text, path.name


@pytest.mark.parametrize("path", [*SOURCES, *sorted((ROOT / "examples").glob("*.py"))],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_read_in_one_sitting(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)), "a file begins with a sentence that says what it is for"


def test_top_level():
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert found - {"runs", "build", "dist", "minihgd.egg-info", "__pycache__"} == {
        "minihgd", "examples", "docs", "tests", "setup.py", "README.md", "LICENSE"}
