"""SVG for the figures: boxes, arrows, text, grids of numbers, in colours that are legible on light and on dark pages.

A class of `STYLE` says what a thing is (`box`, `soft`, `strong`, `line`, `faint`), not which colour it has: the
reader's colour scheme says that, in a browser and on GitHub. Coordinates are pixels, from the top left corner.
"""

from xml.sax.saxutils import escape

STYLE = """
text { font: 14px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 12px } .large { font-size: 16px; font-weight: 600 } .faint { fill: #59636e }
.paper { fill: #ffffff } .box { fill: #f2f4f7; stroke: #59636e } .soft { fill: #dbe9fb; stroke: #3a6ea5 }
.warm { fill: #fbe6d2; stroke: #b35c1e } .green { fill: #dcf1df; stroke: #3b7d46 }
.line { stroke: #59636e; stroke-width: 1.4; fill: none } .head { fill: #59636e; stroke: none }
.cold-line { stroke: #3a6ea5; stroke-width: 2; fill: none } .warm-line { stroke: #b35c1e; stroke-width: 2; fill: none }
.green-line { stroke: #3b7d46; stroke-width: 2; fill: none } .thin { stroke-width: 1 } .dashed { stroke-dasharray: 5 4 }
.cold-dot { fill: #3a6ea5 } .warm-dot { fill: #b35c1e } .green-dot { fill: #3b7d46 }
.violet-line { stroke: #7a4fb0; stroke-width: 2; fill: none } .violet-dot { fill: #7a4fb0 }
.cold-cell { fill: #8fbcf0; stroke: #59636e } .warm-cell { fill: #f0b07a; stroke: #59636e }
.green-cell { fill: #93d3a0; stroke: #59636e } .violet-cell { fill: #c5a8ea; stroke: #59636e }
.grid { stroke: #59636e; stroke-width: 1; stroke-opacity: 0.22; fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .faint { fill: #9aa4af }
.paper { fill: #0d1117 } .box { fill: #1c2129; stroke: #9aa4af } .soft { fill: #14304f; stroke: #6fa8e8 }
.warm { fill: #4a2a10; stroke: #e69a5c } .green { fill: #173a1e; stroke: #6cc07a }
.line { stroke: #9aa4af } .head { fill: #9aa4af } .cold-line { stroke: #6fa8e8 } .warm-line { stroke: #e69a5c }
.green-line { stroke: #6cc07a } .cold-dot { fill: #6fa8e8 } .warm-dot { fill: #e69a5c } .green-dot { fill: #6cc07a }
.violet-line { stroke: #b794f0 } .violet-dot { fill: #b794f0 }
.cold-cell { fill: #2c62a3; stroke: #9aa4af } .warm-cell { fill: #9a5420; stroke: #9aa4af }
.green-cell { fill: #2f7340; stroke: #9aa4af } .violet-cell { fill: #65459a; stroke: #9aa4af }
.grid { stroke: #9aa4af }
}
"""
HEADS = {"line": "head", "cold-line": "cold-dot", "warm-line": "warm-dot", "green-line": "green-dot",
         "violet-line": "violet-dot"}  # an arrow's head is of its line's colour
MARKER = ('<marker id="{0}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" orient="auto" '
          'markerUnits="userSpaceOnUse"><path class="{0}" d="M0 0 L8 4 L0 8 z"/></marker>')


class Drawing:
    """width, height in pixels, `title` for those who cannot see it -> `str(drawing)` is the SVG."""

    def __init__(self, width, height, title):
        self.size, self.title, self.parts = (width, height), title, []
        self.rectangle(0, 0, width, height, "paper")

    def _add(self, tag, kind, text=None, **attributes):
        shown = "".join(f' {name.replace("_", "-")}="{value:.5g}"' if isinstance(value, (int, float))
                        else f' {name.replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
        inside = "/>" if text is None else f">{escape(text)}</{tag}>"
        self.parts.append(f'<{tag} class="{kind}"{shown}{inside}')

    def rectangle(self, x, y, width, height, kind="box", round=0, **more):
        self._add("rect", kind, x=x, y=y, width=width, height=height, rx=round, **more)

    def text(self, x, y, text, kind="", anchor="middle"):
        """One line of text; y is its middle."""
        self._add("text", kind, text, x=x, y=y, text_anchor=anchor, dominant_baseline="central")

    def box(self, x, y, width, height, lines, kind="box"):
        """A box around lines of text: the first as it is, the others small."""
        self.rectangle(x, y, width, height, kind, round=5)
        lines = [lines] if isinstance(lines, str) else lines
        for i, line in enumerate(lines):
            self.text(x + width / 2, y + height / 2 + 17 * (i - (len(lines) - 1) / 2), line, "small faint" if i else "")

    def line(self, points, kind="line", arrow=False):
        """A line through points [(x, y), ...], with a head at its end if wanted."""
        self._path("M" + " L".join(f"{x:.5g} {y:.5g}" for x, y in points), kind, arrow)

    def curve(self, points, kind="line", arrow=False):
        """A smooth line from the top down through points [(x, y), ...]: it passes each of them vertically."""
        path = f"M{points[0][0]:.5g} {points[0][1]:.5g}"
        for (x, y), (u, v) in zip(points, points[1:], strict=False):
            path += f" C{x:.5g} {(y + v) / 2:.5g} {u:.5g} {(y + v) / 2:.5g} {u:.5g} {v:.5g}"
        self._path(path, kind, arrow)

    def _path(self, path, kind, arrow):
        head = HEADS.get(kind.split()[0], "head")
        self._add("path", kind, d=path, **({"marker_end": f"url(#{head})"} if arrow else {}))

    def arrow(self, *points):
        self.line(points, arrow=True)

    def dot(self, x, y, kind="cold-dot", radius=4):
        self._add("circle", kind, cx=x, cy=y, r=radius)

    def matrix(self, x, y, rows, cell=30, show="{:.2g}".format, kind="soft", strength=abs):
        """A grid of numbers: a cell's colour is as strong as `strength(value)` (0 to 1); zeros stay empty.

        kind: a class, or a function from a value to its class.
        """
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                self.rectangle(x + j * cell, y + i * cell, cell, cell, kind(value) if callable(kind) else kind,
                               fill_opacity=float(min(1, strength(value))), stroke_opacity=0.35)
                if value != 0 and show:
                    self.text(x + (j + 0.5) * cell, y + (i + 0.5) * cell, show(value), "small")

    def __str__(self):
        width, height = self.size
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                f'height="{height}" role="img">\n<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n'
                f"<defs>{''.join(map(MARKER.format, HEADS.values()))}</defs>\n" + "\n".join(self.parts) + "\n</svg>\n")
