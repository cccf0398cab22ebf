"""Docstrings: every public name has one; an exported name's says its arguments, errors and the page that derives it."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from pathlib import Path

import pytest

import minihgd
from minihgd import errors, ops

ROOT = Path(minihgd.__file__).parents[1]
PAGE = re.compile(r"docs/\d\d-[a-z0-9-]+\.md")
FILES = sorted((ROOT / "minihgd").rglob("*.py"))


def modules():
    """Those that can be imported here: the GPU's need CuPy."""
    yield minihgd
    for found in pkgutil.walk_packages(minihgd.__path__, "minihgd."):
        try:
            yield importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            assert error.name.startswith(("cupy", "mpi4py")), error


MODULES = list(modules())
DEFINED = {f"{module.__name__}.{name}": value for module in MODULES for name, value in vars(module).items()
           if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__}
EXPORTED = {f"{module.__name__}.{name}": getattr(module, name) for module in MODULES
            for name in getattr(module, "__all__", []) if callable(getattr(module, name))}
EXPORTED |= {name: value for name, value in DEFINED.items()
             if name.rpartition(".")[0] in ("minihgd.nn", "minihgd.autograd", "minihgd.gradcheck") and callable(value)}


def mentioned(word, text):
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def arguments(value):
    """The names of the arguments that a caller writes; an error is not called by hand."""
    if inspect.isclass(value) and issubclass(value, Exception):
        return []
    return [p.name for p in inspect.signature(value).parameters.values()
            if p.name not in ("self", "cls") and not p.name.startswith("_")]


def raised(value):
    """The errors of the library, and Python's own, that a function or a class's methods raise by themselves."""
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(value)))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            found.add(node.exc.func.id)
    return {name for name in found if hasattr(errors, name) or name.endswith("Error")} - {"NotImplementedError"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_says_what_it_is_for_and_where_it_is_explained(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    pages = PAGE.findall(ast.get_docstring(tree) or "")
    assert pages, "its docstring names no page of docs/"
    assert all((ROOT / page).exists() for page in pages), pages
    bare = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and not node.name.startswith("_") and not ast.get_docstring(node)]
    assert not bare, f"without a docstring: {bare}"


@pytest.mark.parametrize("name", [name for name, value in DEFINED.items() if inspect.isclass(value)])
def test_every_public_method_has_a_docstring(name):
    bare = [method for method, function in vars(DEFINED[name]).items() if not method.startswith("_")
            and inspect.isfunction(function) and not inspect.getdoc(getattr(DEFINED[name], method))]
    assert not bare, f"without a docstring, here or in a class above: {bare}"


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_name_is_described(name):
    value, text = inspect.unwrap(EXPORTED[name]), EXPORTED[name].__doc__
    missing = [argument for argument in arguments(value) if not mentioned(argument, text)]
    assert not missing, f"arguments that the docstring does not speak of: {missing}"
    unsaid = [error for error in raised(value) if error not in text]
    assert not unsaid, f"errors that the docstring does not name: {unsaid}"
    pages = PAGE.findall(text)
    assert pages, "it names no page of docs/"
    short, file = name.rpartition(".")[2], Path(inspect.getsourcefile(value)).name
    for page in pages:
        words = (ROOT / page).read_text(encoding="utf-8")
        assert mentioned(short, words) or file in words, f"{page} speaks neither of {short} nor of {file}"


@pytest.mark.parametrize("name", ops.__all__)
def test_an_op_says_its_shapes_and_its_error(name):
    text = getattr(ops, name).__doc__
    assert "×" in text or "shape" in text
    assert re.search(r"Raises (Shape|Value)Error", text) or name in ("exp", "log", "relu"), "these take any array"


def test_the_check_would_notice():
    def forgetful(x, size):
        """x N×H×W×C, made smaller."""
        raise ValueError("no")

    assert arguments(forgetful) == ["x", "size"] and raised(forgetful) == {"ValueError"}
    assert mentioned("x", forgetful.__doc__) and not mentioned("size", forgetful.__doc__)
    assert not PAGE.findall("docs/page.md") and PAGE.findall("see docs/08-softmax-pooling.md.")
