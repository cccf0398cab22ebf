"""The pages as a small static site: `python docs/build.py [--out build/site]`, with `pip install -e '.[docs]'` before.

Pandoc turns Markdown into HTML and formulas into MathML, which browsers draw by themselves; Pygments colours code. Each
page stands alone: style and figures are inside it, and nothing is loaded from a network. The README is index.html, and
the sources that a page links to lie in source/, with their lines numbered. math.ttf is used where the reader's machine
has no font for formulas; it is STIX Two, out of ziamath's package.
"""

import argparse
import base64
import importlib
import importlib.resources
import mimetypes
import re
import shutil
import sys
import tempfile
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from excerpts import DOCS, ROOT, lines, pages
from reading_time import minutes

MATH_FONT, FONT_FILE = "math.ttf", "STIXTwoMath-Regular.ttf"
MARKER = ".minihgd-site"  # an empty file in a site: it may be replaced
TEXTS = (".py", ".cu", ".h", ".md", "")  # what is shown as a source
LANGUAGES = {"": "text", "cu": "cuda", "md": "markdown", "sh": "bash"}  # Pygments' names where ours differ
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
FROM = re.compile(r"^<!-- from (\S+): ([\w.]+) -->$", re.M)
LINK = re.compile(r'\b(href|src)="([^"]*)"')


def coloured(code, language):
    """Code -> HTML for the inside of <pre>; a block with prompts is a session at them."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    name = "pycon" if code.startswith(">>>") else LANGUAGES.get(language, language)
    return highlight(code, get_lexer_by_name(name, stripnl=False), HtmlFormatter(nowrap=True))


def style():
    """The style sheet, with Pygments' colours for light and for dark."""
    from pygments.formatters import HtmlFormatter

    def colours(name):
        rules = HtmlFormatter(style=name).get_style_defs("pre").splitlines()
        return "\n".join(rule for rule in rules if rule.startswith("pre .") and "background" not in rule)

    dark = f"@media (prefers-color-scheme: dark) {{\n{colours('github-dark')}\n}}"
    return "\n".join([(DOCS / "site" / "style.css").read_text(encoding="utf-8"), colours("default"), dark])


def html(text):
    """Markdown without its title -> HTML of its body, and of the list of its sections."""
    import pypandoc

    def block(match):
        if match[1] == "math":
            return match[0]  # Pandoc's
        return f"<pre>{coloured(match[2], match[1])}</pre>"

    text = FENCED.sub(block, FROM.sub(excerpt_of, text))
    options = ["--mathml", "--wrap=preserve", "--toc", "--toc-depth=2", "--standalone",
               "--metadata=pagetitle=minihgd",
               f"--template={DOCS / 'site' / 'parts.html'}", "--fail-if-warnings"]  # as of TeX that it cannot read
    sections, body = pypandoc.convert_text(text, "html5", format="gfm", extra_args=options).split("<!-- body -->")
    return body, sections


def excerpt_of(match):
    """The caption of an excerpt: where it stands."""
    first, _ = lines(match[1], match[2])
    return f'<p class="from"><a href="/{match[1]}#L{first}">{match[1]}</a>, {match[2]}</p>\n'


class PageError(ValueError):
    """A page with something that cannot be turned into HTML: which page, and what."""


class Site:
    """`write()` fills the folder `out`; `sources` grows while pages are linked. Raises FileExistsError."""

    def __init__(self, out):
        self.out, self.style = Path(out).resolve(), style()
        empty = self.out.is_dir() and not any(self.out.iterdir())
        if self.out.exists() and not empty and not (self.out / MARKER).exists():
            raise FileExistsError(f"{out} is no site of these pages, and would be replaced: name another folder")
        self.pages = {ROOT / "README.md": "index.html"}
        self.pages |= {page: f"{page.stem}.html" for page in [*pages(), DOCS / "results.md"]}
        self.titles = {page: re.match(r"# (.*)", page.read_text(encoding="utf-8"))[1] for page in self.pages}
        self.sources = {}  # file or folder -> its place in the site

    def write(self):
        """Fill a folder aside, and put it in the place of `out`. Raises PageError, and OSError where none can be."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.out.parent, prefix=".site-") as aside:
            self._fill(Path(aside, "site"))
            if self.out.exists():
                shutil.rmtree(self.out)
            Path(aside, "site").rename(self.out)

    def _fill(self, folder):
        for page, place in self.pages.items():
            self._save(folder / place, self.page(page))
        waiting = dict(self.sources)
        while waiting:  # a folder's list leads to more
            for source, place in waiting.items():
                self._save(folder / place, self.source(source))
            waiting = {source: place for source, place in self.sources.items() if not (folder / place).exists()}
        with importlib.resources.as_file(importlib.resources.files("ziamath.fonts") / FONT_FILE) as font:
            shutil.copy(font, folder / MATH_FONT)
        (folder / MARKER).touch()

    def _save(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def page(self, page):
        """A page of docs/, or the README, as HTML."""
        _, _, text = page.read_text(encoding="utf-8").partition("\n")
        try:
            body, sections = html(text)
        except (RuntimeError, ValueError) as error:  # Pandoc's, and Pygments' of a language that it does not know
            raise PageError(f"{page.name}: {error}") from error
        if page in pages():
            about = "without the exercises and what is folded away"
            body = f'<p class="minutes">{minutes(text):.0f} minutes, {about}</p>\n{body}'
        return self.framed(self.titles[page], self.linked(body, page), sections, page)

    def source(self, path):
        """A file with its lines numbered, or the list of a folder, as HTML."""
        name = path.relative_to(ROOT).as_posix()
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.suffix in (".py", ".cu", ".md"))
            body = "<ul>" + "".join(f'<li><a href="/{name}/{p.name}">{p.name}</a></li>' for p in inside) + "</ul>"
        else:
            code = coloured(path.read_text(encoding="utf-8"), path.suffix[1:]).rstrip("\n").split("\n")
            body = "<pre>" + "\n".join(f'<span id="L{i}"><a class="line" href="#L{i}">{i}</a>{line}</span>'
                                       for i, line in enumerate(code, 1)) + "</pre>"
        return self.framed(name, self.linked(body, path), "", path)

    def framed(self, title, body, sections, path):
        """The body with the lists around it."""
        order = list(self.pages)
        items = "\n".join(f'<li><a href="{self.way(path, page)}"{" aria-current=page" * (page == path)}>'
                          f"{escape(self.titles[page])}</a></li>" for page in order)
        onwards = ""
        if path in order:
            i = order.index(path)
            before, after = order[i - 1 : i], order[i + 1 : i + 2]
            steps = [f'<a href="{self.way(path, p)}">{sign.format(escape(self.titles[p]))}</a>'
                     for sign, found in (("← {}", before), ("{} →", after)) for p in found]
            onwards = f'<div class="onwards">{"".join(steps)}</div>'
        frame = Template((DOCS / "site" / "page.html").read_text(encoding="utf-8"))
        kind = "page" if path in self.pages else "source"
        return frame.substitute(title=escape(title), kind=kind, style=self.style, pages=f"<ol>{items}</ol>", body=body,
                                onwards=onwards, sections=sections)

    def linked(self, body, path):
        """HTML whose links lead within the site, and whose pictures are inside it. Raises PageError."""
        def link(match):
            kind, (target, _, place) = match[1], match[2].partition("#")
            if not target or re.match(r"\w+:", target):
                return match[0]
            found = (ROOT / target[1:] if target.startswith("/") else path.parent / target).resolve()
            if not found.exists() or ROOT not in found.parents:
                raise PageError(f"{path.name}: a link leads to {target}, and there is none here")
            if kind == "src":
                return f'src="{data_of(found)}"'
            if found.is_file() and found.suffix not in TEXTS:
                raise PageError(f"{path.name}: a link leads to {target}, which is no text: show it as a picture")
            return f'href="{self.way(path, found)}{"#" + place if place else ""}"'

        return LINK.sub(link, body)

    def way(self, start, target):
        """The relative address of a page, file or folder, seen from another's place."""
        return quote("../" * self.place(start).count("/") + self.place(target))

    def place(self, path):
        if path in self.pages:
            return self.pages[path]
        name = path.relative_to(ROOT).as_posix()
        return self.sources.setdefault(path, f"source/{name}/index.html" if path.is_dir() else f"source/{name}.html")


def data_of(path):
    """A file as the address that contains it."""
    return f"data:{mimetypes.guess_type(path)[0]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="a folder, replaced as a whole")
    out = parser.parse_args(arguments).out
    try:
        needs = [importlib.import_module(name) for name in ("pypandoc", "pygments", "ziamath")]
        needs[0].get_pandoc_version()
        site = Site(out)
        site.write()
    except ImportError as error:
        sys.exit(f"build.py: there is no {error.name}: pip install -e '.[docs]'")
    except (OSError, PageError) as error:
        sys.exit(f"build.py: {error}")
    print(f"{len(site.pages)} pages: {out / 'index.html'}")


if __name__ == "__main__":
    main()
