"""The figures of docs/figures/: the library still gives them, each has its file, and a page shows it."""

import io
import re
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

import figures  # noqa: E402
import scene_maps  # noqa: E402

NUMBER = re.compile(r"(?<![#\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")  # no colour such as #1f2328, no name
LEARNED = ("weighting-maps.png", "assembly.png")  # a network is trained for them
GREY, GREY_HERE, TILE = 2, 12, 16  # of 255: what pixels may differ on the average, and in any tile of 16×16


def agree(found, expected, name):
    """Whether the bytes of two figures show the same, but for rounding."""
    if name.endswith(".svg"):
        return same_text(found.decode(), expected.decode())
    a, b = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float) for data in (found, expected))
    if a.shape != b.shape:
        return False
    difference = np.abs(a - b).mean(axis=2)
    tiles = [difference[i : i + TILE, j : j + TILE].mean() for i in range(0, len(a), TILE)
             for j in range(0, a.shape[1], TILE)]
    return difference.mean() < GREY and max(tiles) < GREY_HERE


def same_text(found, expected):
    """Whether two texts are the same but for the last digit shown of numbers with a fraction."""
    if NUMBER.sub("0", found) != NUMBER.sub("0", expected):
        return False
    for a, b in zip(map(Decimal, NUMBER.findall(found)), map(Decimal, NUMBER.findall(expected)), strict=True):
        digit = min(a.as_tuple().exponent, b.as_tuple().exponent)
        if abs(a - b) > (Decimal(10) ** digit if digit < 0 else 0):
            return False
    return True


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LEARNED else name
                                  for name in figures.FIGURES])
def test_the_library_gives_the_figure(name):
    assert agree(figures.contents(name), (figures.FOLDER / name).read_bytes(), name), f"python docs/figures.py {name}"


def test_every_file_has_a_function():
    assert {path.name for path in figures.FOLDER.iterdir()} == set(figures.FIGURES)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_page_shows_it_and_says_what_is_seen(name):
    shown = [alt for page in DOCS.glob("*.md")
             for alt in re.findall(rf"!\[([^]]*)\]\(figures/{re.escape(name)}\)", page.read_text(encoding="utf-8"))]
    assert shown, f"no page shows docs/figures/{name}"
    assert all(len(alt.split()) > 2 for alt in shown), f"{name}: the alt text says too little: {shown}"


@pytest.mark.parametrize("name", figures.FIGURES)
def test_it_fits_a_page(name):
    data = (figures.FOLDER / name).read_bytes()
    width = (int(re.search(rb'<svg [^>]*\bwidth="(\d+)"', data)[1]) if name.endswith(".svg")
             else Image.open(io.BytesIO(data)).width)
    assert width <= 760 and len(data) < 250_000


def test_only_what_is_listed_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    for said in ("renewed: reach.png\n", ""):  # the second time nothing is to be done
        figures.main(["reach.png"])
        assert capsys.readouterr().out == said
    assert [path.name for path in tmp_path.iterdir()] == ["reach.png"]
    with pytest.raises(SystemExit, match="found unheard-of.png, expected names of architectures.svg"):
        figures.main(["unheard-of.png"])


# Errors, planted.

@pytest.mark.parametrize("name", ["reach.png", *(pytest.param(name, marks=pytest.mark.slow) for name in LEARNED)])
def test_another_seed_is_noticed(name, monkeypatch):
    if name in LEARNED:
        other = scene_maps.trained(seed=2, steps=10)
        monkeypatch.setattr(scene_maps, "trained", lambda: other)
    else:
        change = scene_maps.change
        monkeypatch.setattr(scene_maps, "change", lambda *args, **options: change(*args, seed=1, **options))
    assert not agree(figures.contents(name), (figures.FOLDER / name).read_bytes(), name)


def test_another_word_in_a_picture_is_noticed():
    data = (figures.FOLDER / "reach.png").read_bytes()
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    ImageDraw.Draw(picture).text((20, 5), "V", "black")
    file = io.BytesIO()
    picture.save(file, "PNG")
    assert agree(data, data, "reach.png") and not agree(file.getvalue(), data, "reach.png")


def test_what_is_the_same_text():
    text = '<rect class="soft" x="12.346" y="7"/><text fill="#1f2328">256 of 0.50, -1e-05, layer4</text>'
    assert same_text(text, text)
    for old, new, same in (("12.346", "12.347", True), ("12.346", "12.348", False), ("12.346", "12.35", False),
                           ('"7"', '"8"', False), ("256", "255", False), ("0.50", "0.51", True), ("0.50", "0.5", True),
                           ("0.50", "0.52", False), ("-1e", "1e", False), ("-1e-05", "-2e-05", True),
                           ("soft", "warm", False), ("#1f2328", "#1f2329", False), ("layer4", "layer3", False)):
        assert same_text(text, text.replace(old, new)) is same, (old, new)
