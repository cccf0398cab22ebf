"""The figures of the pages, made from the library itself: `python docs/figures.py [NAME ...]` writes docs/figures/."""

import io
import sys
from pathlib import Path

import diagrams
import graphs
import matrices
import plots
import scene_maps

FOLDER = Path(__file__).parent / "figures"
# file name -> function: a Drawing, or a Pillow image
FIGURES = diagrams.FIGURES | graphs.FIGURES | matrices.FIGURES | plots.FIGURES | scene_maps.FIGURES


def contents(name):
    """The bytes of a figure's file, made anew. Raises KeyError for a name that is none of `FIGURES`."""
    figure = FIGURES[name]()
    if name.endswith(".svg"):
        return str(figure).encode()
    file = io.BytesIO()
    figure.save(file, "PNG", optimize=True)
    return file.getvalue()


def main(names):
    unknown = sorted(set(names) - set(FIGURES))
    if unknown:
        sys.exit(f"figures.py: found {', '.join(unknown)}, expected names of {', '.join(FIGURES)}")
    for name in names or FIGURES:
        path, new = FOLDER / name, contents(name)
        if not path.exists() or path.read_bytes() != new:
            aside = path.with_suffix(".part")
            aside.write_bytes(new)
            aside.replace(path)
            print(f"renewed: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
