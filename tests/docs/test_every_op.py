"""Every public op has a page that derives it, a plain version, a gradient check, and errors planted in its source."""

import sys
from pathlib import Path

import pytest
from ops.checks import CHECKS
from ops.test_checks import COVERED_BY
from ops.test_planted_errors import ERRORS

import minihgd
from minihgd import ops

DOCS = Path(minihgd.__file__).parents[1] / "docs"
PAGES = {3: ["add", "subtract", "multiply", "divide", "matmul", "reshape", "transpose", "sum", "cut", "concatenate",
             "dropout2d"],
         4: ["conv2d", "conv_transpose2d"], 5: ["batch_norm"], 6: ["relu", "max_pool2d", "avg_pool2d"],
         7: ["resize_bilinear"], 8: ["softmax_pool", "exp"], 9: ["assemble", "mean"],
         11: ["cross_entropy", "upsampled_cross_entropy", "log"]}
OF = {name: page for page, names in PAGES.items() for name in names}
SIMPLE = {"add", "subtract", "multiply", "divide", "exp", "log", "mean", "sum", "reshape", "transpose", "cut",
          "concatenate"}  # one call of NumPy each, which is the plain version
COMPOSED = {"upsampled_cross_entropy"}  # compared with the two ops that it is made of


def test_no_op_is_left_out():
    assert set(OF) == set(ops.__all__)


@pytest.mark.parametrize("name", ops.__all__)
def test_an_op_has_all_of_it(name):
    page, = DOCS.glob(f"{OF[name]:02}-*.md")
    assert name in page.read_text(encoding="utf-8"), f"{page.name} does not speak of {name}"
    check = COVERED_BY.get(name, name)
    assert check in CHECKS
    assert any(planted == check for _, planted, *_ in ERRORS), f"no error is planted for {check}"
    if name not in SIMPLE | COMPOSED:
        modules = [module for key, module in sys.modules.items() if key.startswith("minihgd.ops.")]
        assert any(hasattr(module, f"plain_{name}") for module in modules), f"there is no plain_{name}"
