"""Files as torch.save writes them, in both of its forms, put together without PyTorch and without `pickle`."""

import math
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage",
         "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage", "uint8": "ByteStorage",
         "bool": "BoolStorage"}


@dataclass(eq=False)
class Tensor:
    """A view of a storage. The storage is an array of one dimension; the strides count elements.

    part: (start, elements) of a part of the storage, as old files have them. function: of torch._utils.
    """

    key: str
    storage: np.ndarray
    shape: tuple
    strides: tuple
    offset: int = 0
    kind: str = ""
    part: tuple | None = None
    function: str = "_rebuild_tensor_v2"
    parameter: bool = False


def tensor(array, key, **settings):
    """A Tensor that shows all of an array, which is its storage."""
    strides = tuple(math.prod(array.shape[i + 1 :]) for i in range(array.ndim))
    return Tensor(key, array.reshape(-1), array.shape, strides, **settings)


class Code(bytes):
    """Instructions of a pickle in place of a value."""


class Assembler:
    """Values -> instructions that build them, in the words of one protocol (2 or 4), or as Python 2 put them.

    parts: whether storages say which part they are, None or a Tensor's `part`.
    """

    def __init__(self, protocol=2, python2=False, parts=False):
        self.protocol, self.python2, self.parts, self.tensors = protocol, python2, parts, []

    def program(self, value):
        body = self.code(value) + b"."
        frame = b"\x95" + struct.pack("<Q", len(body)) if self.protocol >= 4 else b""
        return bytes([0x80, self.protocol]) + frame + body

    def code(self, value):
        match value:
            case Code():
                return bytes(value)
            case Tensor():
                return self.tensor(value)
            case OrderedDict():  # a state dict, with an attribute
                made = self.call("collections.OrderedDict", ()) + self.items(value)
                return made + self.code({"_metadata": {"": {"version": 1}}}) + b"b"
            case None | True | False:
                return {None: b"N", True: b"\x88", False: b"\x89"}[value]
            case int() if -(1 << 31) <= value < 1 << 31:
                return b"J" + struct.pack("<i", value)
            case int():
                number = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
                return b"I%d\n" % value if self.python2 else b"\x8a" + bytes([len(number)]) + number
            case float():
                return b"G" + struct.pack(">d", value)
            case str():
                return self.text(value)
            case tuple():
                return b"(" + b"".join(map(self.code, value)) + b"t"
            case list():
                return b"](" + b"".join(map(self.code, value)) + b"e"
            case dict():
                return b"}" + self.items(value)
        raise TypeError(f"no instructions for a {type(value).__name__}")

    def items(self, value):
        return b"(" + b"".join(self.code(key) + self.code(item) for key, item in value.items()) + b"u"

    def text(self, value):
        data = value.encode(errors="surrogatepass")
        if self.protocol >= 4:
            return b"\x8c" + bytes([len(data)]) + data + b"\x94"
        return b"U" + bytes([len(data)]) + data if self.python2 else b"X" + struct.pack("<I", len(data)) + data

    def name(self, text):
        module, _, name = text.rpartition(".")
        if self.protocol >= 4:
            return self.text(module) + self.text(name) + b"\x93\x94"
        return f"c{module}\n{name}\n".encode()

    def call(self, name, arguments):
        return self.name(name) + self.code(arguments) + b"R"

    def tensor(self, found):
        self.tensors.append(found)
        kind = Code(self.name(f"torch.{found.kind or KINDS[found.storage.dtype.name]}"))
        identity = ("storage", kind, found.key, "cpu", found.storage.size)
        if self.parts:
            identity += ((f"{found.key} {found.part}", *found.part) if found.part else None,)
        arguments = (Code(self.code(identity) + b"Q"), found.offset, found.shape, found.strides)
        if found.function == "_rebuild_tensor_v2":
            arguments += (False, Code(self.call("collections.OrderedDict", ())))
        made = self.call(f"torch._utils.{found.function}", arguments)
        if found.parameter:
            hooks = Code(self.call("collections.OrderedDict", ()))
            made = self.call("torch._utils._rebuild_parameter", (Code(made), True, hooks))
        return made


def archive(path, value, order="little", folder="archive", program=None, storages=(), **words):
    """The zip file of torch.save. `program` replaces data.pkl, `storages` (key -> bytes) adds or replaces contents."""
    assembler = Assembler(**words)
    made = assembler.program(value)
    contents = {t.key: _bytes(t.storage, order) for t in assembler.tensors} | dict(storages)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{folder}/data.pkl", made if program is None else program)
        file.writestr(f"{folder}/byteorder", order)
        for key, content in contents.items():
            file.writestr(f"{folder}/data/{key}", content)
        file.writestr(f"{folder}/version", "3\n")


def stream(path, value, program=None, storages=None, keys=None, system=None, **words):
    """The older form. `program` replaces the pickle of the value; `storages`: key -> (elements, bytes)."""
    assembler = Assembler(**words, parts=True)
    made = assembler.program(value)
    if storages is None:
        storages = {t.key: (t.storage.size, _bytes(t.storage)) for t in assembler.tensors}
    system = system or {"protocol_version": 1001, "little_endian": True,
                        "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(map(Assembler(**words).program, (MAGIC, 1001, system)))
    keys = Assembler(**words).program(list(storages) if keys is None else keys)
    contents = b"".join(struct.pack("<q", size) + content for size, content in storages.values())
    path.write_bytes(head + (made if program is None else program) + keys + contents)


def _bytes(storage, order="little"):
    return storage.astype(storage.dtype.newbyteorder("<" if order == "little" else ">")).tobytes()


FORMS = {"archive": archive, "stream": stream}
