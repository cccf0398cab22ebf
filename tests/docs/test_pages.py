"""The pages of docs/: their code runs, in their order, and prints what they say; excerpts are the source's."""

import doctest
import re
import sys
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

import excerpts  # noqa: E402

PAGES = excerpts.pages()
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_prints_what_stands_there(page):
    text = page.read_text(encoding="utf-8").replace("\n```\n", "\n\n```\n")  # a block's end is not what it prints
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) == text.count("```python"), "a block that is indented, or does not end"
    code = "\n".join(blocks)
    test = doctest.DocTestParser().get_doctest(code, {}, page.stem, str(page), 0)
    said = []
    with np.printoptions():  # a page sets its own
        doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_excerpts_are_the_source(page):
    text = page.read_text(encoding="utf-8")
    assert excerpts.up_to_date(text) == text, f"{page.name}: python docs/excerpts.py"
    assert text.count("<!-- from ") == len(excerpts.EXCERPT.findall(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_a_page_that_is_wrong_is_noticed(tmp_path):
    for old in ("old\n", ""):
        new = excerpts.up_to_date(f"<!-- from minihgd/ops/loss.py: targets -->\n```python\n{old}```\nafter")
        assert new.count("\n") > 5 and new.endswith("\n```\nafter") and "old" not in new
    with pytest.raises(KeyError, match="there is no nothing"):
        excerpts.source("minihgd/ops/loss.py", "nothing")
    page = tmp_path / "00-wrong.md"
    page.write_text("```python\n>>> 1 + 1\n3\n```\n")
    with pytest.raises(AssertionError, match="Expected:"):
        test_the_code_prints_what_stands_there(page)
