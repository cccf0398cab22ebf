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
from reading_time import minutes  # noqa: E402

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


def anchors(page):
    """What GitHub makes of a page's headings: lower case, hyphens for spaces, without punctuation."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, DOCS / "results.md", DOCS.parent / "README.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target, place in re.findall(r"\]\(([^)#:]*?)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        found = page.parent / target if target else page
        assert found.exists(), target
        assert not place or place in anchors(found), f"{target}#{place}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_read_in_ten_minutes(page):
    assert minutes(page.read_text(encoding="utf-8")) <= 10


def test_what_takes_time():
    page = "word " * 250 + "\n```python\n" + ">>> x\n" * 40 + "```\n\n```math\nx\n```\n"  # 1 min + 1 min + 10 s
    assert minutes(page) == pytest.approx(2 + 1 / 6, abs=0.01)
    assert minutes(page + "<details>\n" + page + "</details>\n\n## Exercises\n" + page) == minutes(page)


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
