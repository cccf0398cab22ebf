"""The entries of zip files, which torch.save's archives and .npz files are. What is stored is used where it lies.

What is in such an archive: docs/12-resnet-and-its-checkpoints.md.
"""

import io
import zipfile
import zlib

import numpy as np

DIRECTORY = 1 << 20  # bytes of the list of entries, at most; the 932 arrays of a ResNet-152 take about 80,000


class _Sparing(io.FileIO):
    """A file that gives no more at a time than a list of entries may have: `zipfile` makes objects of all of it."""

    def read(self, size=-1):
        if size > DIRECTORY:
            raise ValueError(f"its list of entries has {size} bytes, expected at most {DIRECTORY}")
        return super().read(size)


def entries(path, limit):
    """name -> ZipInfo. Raises ValueError where they have more than `limit` bytes together: packed, or overlapping."""
    with _Sparing(path) as file, zipfile.ZipFile(file) as archive:
        found = {info.filename: info for info in archive.infolist()}
    total = sum(info.file_size for info in found.values())
    if total > limit:
        raise ValueError(f"its entries claim {total} bytes together, expected at most {limit}")
    return found


def content(data, info):
    """The bytes of an entry, a part of the file's bytes `data` or unpacked from one. Raises ValueError, zlib.error."""
    start = info.header_offset
    head = data[start : start + 30].tobytes() if start >= 0 else b""  # signature, …, lengths of the name and of extras
    if len(head) < 30 or head[:4] != b"PK\3\4":
        raise ValueError(f"{info.filename} is not where the archive says")
    start += 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    found = data[start : start + info.compress_size]
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is encrypted, or packed in a way that is not read")
    if info.compress_type == zipfile.ZIP_DEFLATED:
        found = np.frombuffer(zlib.decompressobj(-15).decompress(found, info.file_size + 1), np.uint8)
    if len(found) != info.file_size or zlib.crc32(found) != info.CRC:
        raise ValueError(f"{info.filename} is damaged: its length or its checksum is another")
    return found
