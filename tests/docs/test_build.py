"""The site that docs/build.py writes: whole, with every link and formula, and without anything from a network."""

import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

for package in ("pypandoc", "pygments", "ziamath"):
    pytest.importorskip(package, reason="the site needs the extra: pip install -e '.[docs]'")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import build  # noqa: E402

VOID = {"meta", "img", "br", "hr", "input", "col"}


class Page(HTMLParser):
    """What a page holds: its tags, ids, links and pictures; `open` is what was not closed."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.ids, self.links, self.pictures, self.open, self.current = [], set(), [], [], [], 0
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.ids.add(attributes.get("id"))
        self.links += [attributes["href"]] if tag == "a" and "href" in attributes else []
        self.pictures += [attributes] if tag == "img" else []
        self.current += "aria-current" in attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("docs") / "site"
    build.main(["--out", str(out)])
    return out


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_is_there_and_whole(site, pages):
    texts = {site / f"{page.stem}.html": page.read_text(encoding="utf-8") for page in build.pages()}
    assert len(texts) == 17 and (site / "index.html") in pages and (site / "results.html") in pages
    for path, text in texts.items():
        page = pages[path]
        assert not page.open and page.current == 1
        assert page.tags.count("h1") == 1 and page.tags.count("h2") == text.count("\n## ")
        assert page.tags.count("math") == text.count("```math\n")
        assert page.tags.count("pre") >= text.count("```python\n")
        assert page.tags.count("details") == text.count("<details>\n")
        assert len(page.pictures) == text.count("![") and all(picture["alt"] for picture in page.pictures)
        assert "<msup><mo minsize" not in page.text, "\\Big) with an exponent is drawn too small: \\left, \\right"
        assert "merror" not in page.text and "$$" not in page.text and "```" not in page.text


def test_links_lead_to_a_page_and_a_place_in_it(pages):
    count = 0
    for path, page in pages.items():
        for link in page.links:
            target, _, place = link.partition("#")
            if not target.startswith(("https://", "http://")):
                found = (path.parent / target).resolve() if target else path
                assert found in pages, f"{path.name}: {link}"
                assert not place or place in pages[found].ids, f"{path.name}: {link}"
                count += 1
    assert count > 1000


def test_nothing_comes_from_a_network(pages):
    for path, page in pages.items():
        assert not {"script", "link", "iframe", "object", "video"} & set(page.tags), path.name
        assert all(picture["src"].startswith("data:image/") for picture in page.pictures), path.name
        head = page.text.partition("</style>")[0]
        assert head.count("url(") == 1 and "url(math.ttf)" in head and "@import" not in head


def test_excerpts_lead_to_their_lines(site, pages):
    first, last = build.lines("minihgd/ops/softmax_pooling.py", "SoftmaxPool.backward")
    assert f"source/minihgd/ops/softmax_pooling.py.html#L{first}" in pages[site / "08-softmax-pooling.html"].links
    text = pages[site / "source" / "minihgd" / "ops" / "softmax_pooling.py.html"].text.split("\n")
    line, = [line for line in text if f'id="L{first}"' in line]
    assert "backward" in line and last > first


def test_a_formula_that_cannot_be_read_is_an_error():
    with pytest.raises(RuntimeError, match="TeX"):
        build.html("```math\n\\frac{1\n```\n")


@pytest.mark.parametrize("target", ["nothing.md", "../../outside.md", "figures/reach.png"])
def test_a_link_that_leads_nowhere_is_an_error(target, tmp_path):
    made = build.Site(tmp_path / "site")
    with pytest.raises(build.PageError, match=f"page.md: a link leads to {target}"):
        made.linked(f'<a href="{target}">x</a>', build.DOCS / "page.md")


@pytest.mark.parametrize("name", ["math.ttf", "letter.txt"])
def test_a_folder_of_something_else_is_not_replaced(name, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("dear")
    with pytest.raises(SystemExit, match="name another folder"):
        build.main(["--out", str(out)])
    with pytest.raises(SystemExit, match="name another folder"):
        build.main(["--out", str(out / name)])
    assert (out / name).read_text() == "dear" and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_goes_wrong_leaves_the_old_site(site, monkeypatch):
    monkeypatch.setattr(build.Site, "page", lambda self, page: 1 / 0)
    before = {path: path.read_bytes() for path in site.rglob("*.html")}
    with pytest.raises(ZeroDivisionError):
        build.main(["--out", str(site)])
    assert {path: path.read_bytes() for path in site.rglob("*.html")} == before
    assert [path.name for path in site.parent.iterdir()] == ["site"]
