"""Files by name, and label PNGs of every kind there is."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from minihgd.data.dataset import composed, read_image, read_index_png
from minihgd.data.sources import Files, PngLabels, spans
from minihgd.errors import DataError

DECOMPOSED, COMPOSED = "cafe\u0301", "caf\u00e9"  # é as two characters, and as one


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_files_are_known_by_their_names_without_suffix(tmp_path):
    touch(tmp_path, "a.jpg", "b.JPG", "c.2.jpg", "d.png", "e", ".f.jpg", "g.jpg.txt", f"{DECOMPOSED}.jpg", "猫 1.jpg")
    files = Files(tmp_path, suffixes=(".jpg",))
    assert set(files.names()) == {"a", "b", "c.2", COMPOSED, "猫 1"} and files.several == {}
    assert files.file("b") == tmp_path / "b.JPG" and files.file(COMPOSED).exists()
    assert files.where == f"(.jpg) in {tmp_path}"


def test_of_several_folders_the_first_goes_first(tmp_path):
    touch(tmp_path / "one", "a.jpg", "b.jpg")
    touch(tmp_path / "two", "b.jpg", "c.jpg")
    files = Files(tmp_path / "one", tmp_path / "two", suffixes=(".jpg",))
    assert {name: files.file(name).parent.name for name in files.names()} == {"a": "one", "b": "one", "c": "two"}
    assert files.several == {} and files.where == f"(.jpg) in {tmp_path / 'one'} or {tmp_path / 'two'}"


def test_several_files_of_a_name_are_known(tmp_path):
    touch(tmp_path, "a.jpg", "a.png", "b.png")
    files = Files(tmp_path, suffixes=(".jpg", ".png"))
    assert files.several == {"a": ["a.jpg", "a.png"]} and set(files.names()) == {"a", "b"}


def test_names_can_be_turned_into_others(tmp_path):
    touch(tmp_path, f"{DECOMPOSED}_m.png")
    assert list(Files(tmp_path, suffixes=(".png",), name_of=lambda stem: stem.removesuffix("_m")).names()) == [COMPOSED]
    assert composed(DECOMPOSED) == COMPOSED


def test_numbers_are_turned_into_labels(tmp_path):
    Image.fromarray(np.uint8([[0, 1], [9, 3]])).save(tmp_path / "a.png")
    labels = PngLabels(tmp_path)
    assert labels.read("a").tolist() == [[0, 1], [9, 3]] and labels.read("a").dtype == np.uint8
    labels.take({0: 255, 1: 7, 3: 2, 9: 0})
    assert labels.read("a").tolist() == [[255, 7], [0, 2]] and labels.read("a").dtype == np.uint8
    labels.take({0: 0, 1: 458, 3: 2, 9: 0})
    assert labels.read("a").tolist() == [[0, 458], [0, 2]] and labels.read("a").dtype == np.uint16
    labels.take({0: 0, 1: 1, 2: 2, 3: 3, 5: 5, 255: 255})
    with pytest.raises(DataError, match="a.png: found label 9, expected 0 to 3 or 5 or 255$"):
        labels.read("a")


def test_spans():
    assert spans({0}) == "0" and spans([3, 2, 1, 7]) == "1 to 3 or 7" and spans({0, 255}) == "0 or 255"


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_pngs_of_few_bits_keep_their_numbers(tmp_path, bits):
    numbers = np.arange(2**bits, dtype=np.uint8).reshape(2, -1)
    picture = Image.fromarray(numbers)
    picture.putpalette(bytes(range(3 * 2**bits)) if bits < 8 else bytes(768))
    picture.save(tmp_path / "a.png", bits=bits)
    assert read_index_png(tmp_path / "a.png").tolist() == numbers.tolist()


def test_a_png_of_one_bit_has_the_labels_0_and_1(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    label = read_index_png(tmp_path / "a.png")
    assert label.tolist() == [[1, 0]] and label.dtype == np.uint8


def write_grey_png(path, numbers, bits):
    """A grey PNG of so many bits a pixel, which Pillow cannot write."""
    height, width = numbers.shape
    places = (numbers[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1  # the bits of a pixel, highest first
    rows = np.packbits(places.reshape(height, -1).astype(np.uint8), axis=1)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_pngs_of_few_bits_keep_their_numbers(tmp_path, bits):
    numbers = np.arange(3 * 17).reshape(3, 17) % 2**bits
    write_grey_png(tmp_path / "a.png", numbers, bits)
    assert read_index_png(tmp_path / "a.png").tolist() == numbers.tolist()


def test_a_jpeg_under_the_name_of_a_png_is_found_out(tmp_path):
    Image.new("L", (4, 4), 1).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(DataError, match="a.png: found a file of the kind JPEG, expected PNG"):
        read_index_png(tmp_path / "a.png")


@pytest.mark.parametrize("mode, colours", [("RGB", True), ("RGBA", True), ("LA", False), ("I;16", False)])
def test_other_pictures_are_no_labels(tmp_path, mode, colours):
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=f"a.png: found a picture of mode {mode}, expected one label") as refused:
        read_index_png(tmp_path / "a.png")
    assert ("colours" in str(refused.value)) == colours


def test_photographs_of_a_data_set_may_have_16_bits_or_be_see_through(tmp_path):
    Image.fromarray(np.uint16([[0, 65535]])).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[0, 0, 0], [255, 255, 255]]]
    Image.new("RGBA", (1, 1), (9, 9, 9, 0)).save(tmp_path / "b.png")
    assert read_image(tmp_path / "b.png").tolist() == [[[255, 255, 255]]]
