"""Source excerpts in the pages, taken from the source itself: `python docs/excerpts.py` brings them up to date.

A page says what is to stand in the block that follows, a function, a class or a method of a file:

    <!-- from minihgd/ops/assembly.py: Assemble.forward -->
"""

import ast
import re
import sys
import textwrap
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
EXCERPT = re.compile(r"(<!-- from (\S+): ([\w.]+) -->\n```python\n)(?:.*?)(```)", re.S)


def pages():
    """The numbered pages, in reading order."""
    return sorted(DOCS.glob("[0-9][0-9]-*.md"))


def lines(path, name):
    """The first and the last line of a function, class or method (`Class.method`) of a file. Raises KeyError."""
    node = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for part in name.split("."):
        found = [n for n in node.body if getattr(n, "name", None) == part]
        if not found:
            raise KeyError(f"{path}: there is no {name}")
        node, = found
    return min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.end_lineno


def source(path, name):
    """The text of a function, class or method of a file, not indented. Raises KeyError."""
    first, last = lines(path, name)
    text = (ROOT / path).read_text(encoding="utf-8").splitlines()[first - 1 : last]
    return textwrap.dedent("\n".join(text)) + "\n"


def up_to_date(text):
    """A page's text with every excerpt as it stands in the source."""
    return EXCERPT.sub(lambda match: match[1] + source(match[2], match[3]) + match[4], text)


def main():
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if up_to_date(text) != text:
            page.write_text(up_to_date(text), encoding="utf-8")
            print(f"renewed: {page.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
