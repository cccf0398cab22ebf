"""Hostile and broken files: name -> (what writes one to a path, what its error says or None where it can be read)."""

import io
import json
import os
import struct
import zlib

import numpy as np
from make_torch import FORMS, Assembler, Code, Tensor, archive, stream, tensor

from minihgd.weights.pickles import WORK

BASE = np.arange(6, dtype=np.float32)
SIX = BASE.tobytes()
GOOD = {"a": tensor(BASE, "0")}
ASSEMBLER = Assembler()
MANY = WORK - 1000  # instructions, with some left for the tensor beside them


# --- pickles -----------------------------------------------------------------------------------------------------


def call(name, *arguments):
    return Code(ASSEMBLER.call(name, arguments))


def beside(code):
    """A program that leaves `code`'s value beside a sound tensor."""
    return ASSEMBLER.program({"a": tensor(BASE, "0"), "beside": Code(code)})


def names(module, name):
    """A name in the words of protocol 4."""
    return ASSEMBLER.text(module) + ASSEMBLER.text(name) + b"\x93"


def shown(**changes):
    """A program with one tensor that claims something else than the truth."""
    return ASSEMBLER.program({"a": Tensor(**{"key": "0", "storage": BASE, "shape": (6,), "strides": (1,)} | changes)})


def identity(*properties):
    """A program whose tensor lies in a storage of these properties."""
    storage = Code(ASSEMBLER.code(properties) + b"Q")
    return ASSEMBLER.program({"a": call("torch._utils._rebuild_tensor", storage, 0, (6,), (1,))})


FLOATS = Code(ASSEMBLER.name("torch.FloatStorage"))
LAUGHS = b")" + b"2\x86" * 200  # a tuple of the one before twice, 200 times: 2**200 empty ones
STORAGE = Code(ASSEMBLER.code(("storage", FLOATS, "0", "cpu", 6)) + b"Q")
TENSOR = call("torch._utils._rebuild_tensor", STORAGE, 0, (6,), (1,))

REFUSED_NAMES = {name: beside(call(name, "touch called")) for name in [
    "os.system", "posix.system", "nt.system", "os.popen", "builtins.eval", "builtins.exec", "__builtin__.eval",
    "builtins.__import__", "builtins.open", "builtins.compile", "builtins.getattr", "builtins.breakpoint",
    "subprocess.Popen", "functools.partial", "operator.attrgetter", "operator.methodcaller", "importlib.import_module",
    "runpy.run_path", "timeit.timeit", "webbrowser.open", "codecs.encode", "_codecs.encode", "types.CodeType",
    "copyreg._reconstructor", "pathlib.PosixPath", "argparse.Namespace", "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "torch.load", "torch.hub.load",
    "torch.serialization.load", "torch.storage._load_from_bytes", "torch.nn.modules.linear.Linear", "torch.Size",
    "torch._utils._rebuild_tensor_v3", "torch._utils._import_dotted_name", "minihgd.weights.write", "sys.exit",
    "collections.OrderedDict.__init__", "collections.OrderedDict.fromkeys", "torch.FloatStorage.__class__", "builtins",
    "builtins.set.__class__", "torch._utils._rebuild_tensor.__globals__", "__main__.run", ".", "os.",
]}
PROGRAMS = {f"the name {name}": (program, name) for name, program in REFUSED_NAMES.items()} | {
    # other ways to a name or a call
    "a call of a call's result": (beside(call("builtins.getattr", call("builtins.__import__", "os"), "system")
                                         + b"(U\1xtR"), "it asks for builtins.getattr"),
    "a chain of getattr": (beside(call("builtins.getattr", call("builtins.getattr", "", "__class__"), "__base__")),
                           "builtins.getattr"),
    "a reduced object inside a reduced object": (beside(call("collections.OrderedDict", [call("os.system", "x")])),
                                                 "os.system"),
    "a name with dots": (beside(names("builtins", "eval.__call__") + b"U\x011\x85R"), r"builtins\.eval\.__call__"),
    "dots from a name that may": (beside(names("collections", "OrderedDict.__init__.__globals__")), "__globals__"),
    "a module with a space": (beside(b"cos system\nx\n"), "os.system x"),
    "a name that is a list": (beside(b"U\x02os]\x93"), "expected a str, found a list"),
    "a name with a newline and colours": (beside(names("os\n\x1b[31m", "\ud800system")), r"os\?\?\[31m\.\?system"),
    "a name of a megabyte": (beside(names("o" * 200 + "s", "x" * 50)), "ooo"),
    "a name of two megabytes": (beside(b"X" + struct.pack("<I", 1 << 21) + b"o" * (1 << 21) + b"U\1x\x93"), "ooo"),
    "INST": (beside(b"(U\4exitios\nsystem\n"), r"os\.system by the instruction INST"),
    "OBJ": (beside(b"(cos\nsystem\nU\1xo"), r"os\.system"),
    "OBJ of a name that may": (beside(b"(ccollections\nOrderedDict\no"), "instruction OBJ"),
    "NEWOBJ": (beside(b"csubprocess\nPopen\n)\x81"), r"subprocess\.Popen"),
    "NEWOBJ of a name that may": (beside(b"ccollections\nOrderedDict\n)\x81"), "instruction NEWOBJ"),
    "NEWOBJ_EX": (beside(b"ccollections\nOrderedDict\n)}\x92"), "instruction NEWOBJ_EX"),
    "EXT1": (beside(b"\x82\1"), "instruction EXT1"),
    "EXT2": (beside(b"\x83\1\0"), "instruction EXT2"),
    "EXT4": (beside(b"\x84\1\0\0\0"), "instruction EXT4"),
    "PERSID": (beside(b"P/etc/passwd\n"), "instruction PERSID"),
    "NEXT_BUFFER": (beside(b"\x97"), "instruction NEXT_BUFFER"),
    "READONLY_BUFFER": (beside(b"N\x98"), "instruction READONLY_BUFFER"),
    "BYTEARRAY8": (beside(b"\x96" + struct.pack("<Q", 3) + b"abc"), "instruction BYTEARRAY8"),
    "STRING with escapes": (beside(b"S'\\z\\y\\w'\n"), "backslash"),
    "UNICODE": (beside(b"Vtext\n"), "instruction UNICODE"),
    "LONG of many digits": (beside(b"L" + b"9" * 4000 + b"L\n"), "instruction LONG"),
    "INT of too many digits": (beside(b"I" + b"9" * 5000 + b"\n"), "newline"),
    "an unknown instruction": (beside(b"\xff"), "unknown"),
    "a call of a storage class": (beside(call("torch.FloatStorage", 7)), r"calls torch\.FloatStorage"),
    "a call of a string": (beside(b"U\1x)R"), "expected a Name, found a str"),
    "a call without a tuple": (beside(b"ccollections\nOrderedDict\n]R"), "expected a tuple, found a list"),
    "a call with nine arguments": (beside(call("torch._utils._rebuild_parameter", *[TENSOR] * 9)), "9 arguments"),
    "a call with too few arguments": (beside(call("torch._utils._rebuild_tensor_v2", 1)), "missing"),
    "an OrderedDict of text": (beside(call("collections.OrderedDict", "abcd")), "not pairs"),
    "an OrderedDict of a number": (beside(call("collections.OrderedDict", 5)), "not iterable"),
    "a set of a tuple": (beside(call("builtins.set", (1, 2))), "expected a list"),
    "a parameter of text": (beside(call("torch._utils._rebuild_parameter", "x", True, {})), "expected a TensorRecord"),
    # BUILD
    "BUILD of a list": (beside(b"]}U\x0c__setstate__N\x73b"), "sets attributes of a list"),
    "BUILD of a name": (beside(b"ccollections\nOrderedDict\n}U\x08__dict__N\x73b"), "sets attributes of a Name"),
    "BUILD of a tensor": (beside(TENSOR + b"}U\7storageN\x73b"), "sets attributes of a TensorRecord"),
    "BUILD of a storage": (beside(ASSEMBLER.code(("storage", FLOATS, "0", "cpu", 6)) + b"Q}b"), "of a Storage"),
    "BUILD of a dictionary": (beside(b"}}U\x0c__setstate__" + FLOATS + b"sb"), None),
    "BUILD of nothing": (b"\x80\2Nb.", "IndexError"),
    # the stack and the memo
    "an empty stack": (b"\x80\2.", "more or less than one value"),
    "two values": (b"\x80\2NN.", "more or less than one value"),
    "an open mark": (b"\x80\2(N.", "more or less than one value"),
    "a pop too many": (beside(b"0" * 50), "IndexError"),
    "a mark too few": (beside(b"tttt"), "IndexError"),
    "the end is missing": (beside(b"N")[:-1], "asks for 1 bytes|more or less"),
    "a key without a value": (beside(b"(Nd"), "key without a value"),
    "append to a tuple": (beside(b")Na"), "expected a list, found a tuple"),
    "set an item of a list": (beside(b"]NNs"), "expected a dict, found a list"),
    "a memo without the entry": (beside(b"h\7"), "KeyError"),
    "a memo with a gap": (beside(b"Nq\7"), "number 7 in a memo of 0"),
    "a memo with a huge number": (beside(b"Nr\xff\xff\xff\xff"), "number 4294967295"),
    "a memo that changes": (beside(b"Nq\x000K\7q\x000h\0"), None),
    "a list in itself": (beside(b"]q\0h\0a"), None),
    "a dictionary in itself": (b"\x80\2}q\0U\5modelh\0s.", "found 'model'"),
    "a dictionary in itself beside": (beside(b"}q\0U\5modelh\0s"), None),
    "a tuple in itself": (beside(b"]q\0h\0\x85a"), None),
    "laughs as a value": (beside(LAUGHS), None),
    "laughs as all": (b"\x80\2" + LAUGHS + b".", "found a tuple"),
    "laughs as a key": (beside(b"}" + LAUGHS + b"Ns"), "a key that is a tuple"),
    "laughs as keys": (beside(b"(" + LAUGHS + b"Nd"), "a key that is a tuple"),
    "laughs in a set": (beside(b"\x8f(" + LAUGHS + b"\x90"), "a key that is a tuple"),
    "laughs in a frozenset": (beside(b"(" + LAUGHS + b"\x91"), "a key that is a tuple"),
    "laughs in an OrderedDict": (beside(call("collections.OrderedDict", Code(LAUGHS))), "a key that is a tuple"),
    "laughs in a set that is called": (beside(call("builtins.set", [Code(LAUGHS)])), "a key that is a tuple"),
    "laughs as a shape": (shown(shape=Code(LAUGHS)), "2 dimensions with 1"),
    "laughs as an offset": (shown(offset=Code(LAUGHS)), "expected a int, found a tuple"),
    "laughs as a storage": (beside(LAUGHS + b"Q"), "a storage of 2 properties"),
    "laughs as the key of a storage": (identity("storage", FLOATS, Code(LAUGHS), "cpu", 6), "expected a str"),
    "laughs as the class of a storage": (identity("storage", Code(LAUGHS), "0", "cpu", 6), "expected a Name"),
    "laughs in place of the word storage": (identity(Code(LAUGHS), FLOATS, "0", "cpu", 6), "something else"),
    "laughs as a device": (identity("storage", FLOATS, "0", Code(LAUGHS), 6), None),
    "laughs as a module": (beside(LAUGHS + b"U\1x\x93"), "expected a str, found a tuple"),
    "laughs of lists as keys": (beside(b"}]" + b"2\x86" * 200 + b"Ns"), "a key that is a tuple"),
    # lengths
    "BINUNICODE of 4 GB": (beside(b"X\xff\xff\xff\xff"), "asks for 4294967295 bytes"),
    "BINUNICODE8 of 2**63": (beside(b"\x8d" + struct.pack("<Q", 1 << 63)), "9223372036854775808|bytecount"),
    "BINUNICODE8 of 2**40": (beside(b"\x8d" + struct.pack("<Q", 1 << 40)), "asks for 1099511627776 bytes"),
    "BINBYTES of 4 GB": (beside(b"B\xff\xff\xff\xff"), "asks for 4294967295 bytes"),
    "BINBYTES8 of 2**40": (beside(b"\x8e" + struct.pack("<Q", 1 << 40)), "asks for 1099511627776 bytes"),
    "BYTEARRAY8 of 2**40": (beside(b"\x96" + struct.pack("<Q", 1 << 40)), "asks for 1099511627776 bytes"),
    "BINSTRING of -1": (beside(b"T\xff\xff\xff\xff"), "< 0"),
    "LONG4 of 2 GB": (beside(b"\x8b\xff\xff\xff\x7f"), "asks for 2147483647 bytes"),
    "LONG4 of -1": (beside(b"\x8b\xff\xff\xff\xff"), "< 0"),
    "LONG4": (beside(b"\x8b\1\0\0\0\7"), "instruction LONG4"),
    "FRAME of 2**64": (beside(b"\x95" + b"\xff" * 8 + b"N"), None),
    "text that is not UTF-8": (beside(b"X\2\0\0\0\xff\xfe"), "decode"),
    # tensors
    "a negative size": (shown(shape=(-6,)), "a size, offset or stride of -0x6"),
    "a negative stride": (shown(strides=(-1,), offset=5), "a size, offset or stride of -0x1"),
    "a negative offset": (shown(offset=-1), "a size, offset or stride of -0x1"),
    "an offset past the end": (shown(offset=1), "a claims more than its storage of 6 elements"),
    "an offset far past the end": (shown(offset=1 << 47), "a claims more than its storage of 6 elements"),
    "an empty tensor far past the end": (shown(shape=(0,), offset=1 << 47), None),
    "a stride past the end": (shown(shape=(2, 3), strides=(4, 1)), "a claims more than its storage of 6 elements"),
    "a shape past the end": (shown(shape=(7,)), "a claims more than its storage of 6 elements"),
    "a product of 2**80": (shown(shape=(1 << 40, 1 << 40), strides=(0, 0)), "a size, offset or stride of 0x1000"),
    "a product of 2**64": (shown(shape=(1 << 32, 1 << 32), strides=(0, 0)), "a size, offset or stride of 0x1000"),
    "a product of 2**40": (shown(shape=(1 << 40,), strides=(0,)), "a claims 1099511627776 elements"),
    "bytes that wrap around": (shown(shape=((1 << 17) + 1,), strides=(1 << 45,)), "a claims more than its storage"),
    "a stride of 2**62": (shown(strides=(1 << 62,)), "a size, offset or stride of 0x4000"),
    "a number of 600 digits": (shown(offset=1 << 2000), "a size, offset or stride of 0x1000"),
    "an empty tensor of 2**47 rows": (shown(shape=(1 << 47, 0), strides=(0, 0)), None),
    "9 dimensions": (shown(shape=(1,) * 9, strides=(1,) * 9), "9 dimensions"),
    "more sizes than strides": (shown(shape=(2, 3)), "2 dimensions with 1 strides"),
    "a shape with a truth value": (shown(shape=(True,)), "expected a int, found a bool"),
    "a shape with a float": (shown(shape=(6.0,)), "expected a int, found a float"),
    "a shape that is a number": (shown(shape=6), "expected a tuple, found a int"),
    "a storage of -1 elements": (identity("storage", FLOATS, "0", "cpu", -1), "a size, offset or stride of -0x1"),
    "a storage whose key is a number": (identity("storage", FLOATS, 0, "cpu", 6), "expected a str, found a int"),
    "a storage whose class is a function": (identity("storage", Code(ASSEMBLER.name("collections.OrderedDict")), "0",
                                                     "cpu", 6), "expected a storage"),
    "a storage whose key is a path": (identity("storage", FLOATS, "../../etc/passwd", "cpu", 6),
                                     "etc/passwd|a list of storages"),
    "a storage with an absolute path": (identity("storage", FLOATS, "/etc/passwd", "cpu", 6),
                                       "etc/passwd|a list of storages"),
    "a storage of four properties": (identity("storage", FLOATS, "0", "cpu"), "4 properties"),
    "a storage with a part of nothing": (identity("storage", FLOATS, "0", "cpu", 6, ()), "unpack"),
    "a storage of two kinds": (ASSEMBLER.program({"a": tensor(BASE, "0"), "b": tensor(BASE.view(np.int32), "0")}),
                               "storage 0 is described in two ways"),
    "a storage of two lengths": (ASSEMBLER.program({"a": tensor(BASE, "0"), "b": tensor(BASE[:3], "0")}),
                                 "storage 0 is described in two ways"),
    "a tensor without a storage": (beside(call("torch._utils._rebuild_tensor", "x", 0, (6,), (1,))), "a Storage"),
    "a name of 600 letters": (ASSEMBLER.program({"a" * 600: tensor(BASE, "0")}), "has the name 'aaa"),
    "a name that hides": (ASSEMBLER.program({"a\x1b[2J": tensor(BASE, "0")}), r"has the name 'a\\x1b"),
    "a name in bytes": (ASSEMBLER.program({"a": tensor(BASE, "0")}).replace(b"X\1\0\0\0a", b"C\1a"), "found b'a'"),
}


def text(data):
    return b"X" + struct.pack("<I", len(data)) + data


def keys(numbers):
    """A dictionary with these keys."""
    return b"}(" + b"".join(b"\x8a\x0c" + number.to_bytes(12, "little") + b"N" for number in numbers) + b"u"


def often(name, arguments):
    """A program that makes `arguments` once and calls a name with them 70,000 times."""
    return beside(ASSEMBLER.name(name) + b"q\0" + arguments + b"q\1" + b"h\0h\1R" * 70_000)


def as_keys(key, other=b"N", count=100_000):
    """A program that uses one key many times, after another."""
    return beside(key + b"q\0" + other + b"q\1}h\0Ns(" + b"h\1N" * count + b"u")


# Programs that are long, or short ones that make much of little.
LONG_PROGRAMS = {
    "hundreds of thousands of Nones": (lambda: beside(b"(" + b"N" * MANY + b"l"), None),
    "hundreds of thousands of sets": (lambda: beside(b"(" + b"\x8f" * MANY + b"l"), None),
    "tuples, one in the other": (lambda: beside(b"N" + b"\x85" * MANY), None),
    "lists, one in the other": (lambda: beside(b"(" + b"]" * (MANY // 2) + b"a" * (MANY // 2 - 1) + b"t"), None),
    "marks, one after the other": (lambda: beside(b"(" * MANY + b"N"), "broken pickle"),
    "names, one after the other": (lambda: beside(b"(" + FLOATS * (MANY // 5) + b"t"), None),
    "one tensor under many names": (lambda: b"\x80\2" + TENSOR + b"q\x000}(" + b"".join(
        b"U\6%06dh\0" % i for i in range(MANY // 2)) + b"u.", f"it has {MANY // 2} arrays"),
    "many keys": (lambda: beside(keys(range(MANY // 3))), None),
    "keys that are spread badly": (lambda: beside(keys(i << 46 for i in range(MANY // 3))), None),
    "keys of one hash": (lambda: beside(keys(i * ((1 << 61) - 1) for i in range(MANY // 3))), "a short string"),
    "a megabyte of Nones": (lambda: beside(b"(" + b"N" * (1 << 20) + b"l"), f"more than {WORK}"),
    "30 megabytes of Nones": (lambda: beside(b"(" + b"N" * 30_000_000 + b"l"), f"more than {WORK}"),
    "30 megabytes of lines": (lambda: beside(b"(" + (b"I" + b"9" * 4000 + b"\n") * 7500 + b"l"), "newline"),
    "30 megabytes of text": (lambda: beside(b"(" + text(b"x" * 3_000_000) * 10 + b"l"), "asks for"),
    "pairs that many calls get": (lambda: often("collections.OrderedDict", b"](" + b"NN\x86" * 20_000 + b"e\x85"),
                                  f"more than {WORK}"),
    "items that many calls get": (lambda: often("builtins.set", b"](" + b"N" * 20_000 + b"e\x85"), f"more than {WORK}"),
    "arguments that many calls get": (
        lambda: often("torch._utils._rebuild_parameter", b"(" + TENSOR + b"N" * 20_000 + b"t"), "20001 arguments"),
    "long keys that are equal": (lambda: as_keys(text(b"x" * 7_000_000), text(b"x" * 7_000_000)), "a short string"),
    "a long key that becomes text": (lambda: as_keys(b"B\x80\x84\x1e\0" + b"\xff" * 2_000_000), "a short string"),
    "a large number as a key": (lambda: as_keys(b"\x8a\xff" + b"\x7f" * 255), "a short string or a number"),
    "a large number as a size": (lambda: shown(offset=Code(b"\x8b\x80\x84\x1e\0" + b"\x7f" * 2_000_000)), "LONG4"),
    "a storage of a long key": (lambda: identity("storage", FLOATS, Code(text(b"x" * 9_000_000)), "cpu", 6),
                                "short string"),
}


def in_archive(program):
    return lambda path: archive(path, GOOD, program=program)


def in_stream(program):
    return lambda path: stream(path, GOOD, program=program)


# --- zip files -----------------------------------------------------------------------------------------------------


def zipped(*entries, comment=b""):
    """A zip file of (name, content, {what the directory says that is not so}).

    Keys: size, packed, crc, method, flags, offset; `at`: the number of the entry whose place it takes, too.
    """
    body, directory, places = b"", b"", []
    for name, content, lies in entries:
        name = name.encode()
        packed = content
        if lies.get("method") == 8:
            deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
            packed = deflate.compress(content) + deflate.flush()
        said = {"size": len(content), "packed": len(packed), "crc": zlib.crc32(content), "method": 0, "flags": 0,
                "offset": len(body)} | lies
        if "at" in lies:
            said["offset"] = places[lies["at"]]
        else:
            places.append(len(body))
            body += struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, said["method"], 0, 0, said["crc"], len(packed),
                                len(content), len(name), 0) + name + packed
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, said["flags"], said["method"], 0, 0, said["crc"],
                                 said["packed"], said["size"], len(name), 0, 0, 0, 0, 0, said["offset"]) + name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, min(len(entries), 65535), min(len(entries), 65535), len(directory),
                      len(body), len(comment))
    return body + directory + end + comment


DATA = ("x/data/0", BASE.tobytes(), {})
SOUND = ("x/data.pkl", ASSEMBLER.program(GOOD), {})


def entries(*found, **settings):
    return lambda path: path.write_bytes(zipped(*found, **settings))


def saying(entry, **lies):
    return entry[0], entry[1], lies


def with_storage(content):
    return lambda path: archive(path, GOOD, storages={"0": content})


def bfloats(count, size):
    """An archive whose storages of bfloat16 all lie in the same bytes."""
    storages = [np.zeros(size, np.uint16)] * count
    value = {str(i): tensor(storage, str(i), kind="BFloat16Storage") for i, storage in enumerate(storages)}
    first = ("x/data/0", storages[0].tobytes(), {})
    return entries(("x/data.pkl", ASSEMBLER.program(value), {}), first,
                   *[(f"x/data/{i}", first[1], {"at": 1}) for i in range(1, count)])


def crowd(count):
    """An archive with so many entries beside."""
    return lambda path: entries(SOUND, DATA, *[(f"{i:05}", b"", {"at": 0}) for i in range(count)])(path)


def altered(change, value=GOOD, form="archive", **words):
    """A sound file whose bytes were changed."""
    def make(path):
        FORMS[form](path, value, **words)
        path.write_bytes(change(path.read_bytes()))
    return make


ARCHIVES = {
    "a sound archive": (entries(SOUND, DATA), None),
    "a comment": (entries(SOUND, DATA, comment=b"text"), None),
    "a comment that looks like the end": (entries(SOUND, DATA, comment=b"PK\5\6"), "not a zip file"),
    "entries outside of the folder": (entries(SOUND, DATA, ("../called", b"x", {}), ("/called", b"x", {})), None),
    "a program outside of the folder": (entries(("../x/data.pkl", *SOUND[1:]), ("../x/data/0", *DATA[1:])), None),
    "a program at the root": (entries(("/data.pkl", *SOUND[1:]), ("/data/0", *DATA[1:])), None),
    "a packed program": (entries(saying(SOUND, method=8), DATA), "is packed"),
    "a packed storage": (entries(SOUND, saying(DATA, method=8)), "is packed"),
    "a program of 100 megabytes": (
        lambda path: entries(("x/data.pkl", b"N" * 100_000_000, {"method": 8}), DATA)(path), "entries claim"),
    "a storage of 100 megabytes": (
        lambda path: entries(SOUND, ("x/data/0", bytes(100_000_000), {"method": 8}))(path), "entries claim"),
    "a storage that says it is small": (entries(SOUND, ("x/data/0", bytes(1_000_000), {"method": 8, "size": 24})),
                                        "is packed"),
    "a method that nobody knows": (entries(saying(SOUND, method=97), DATA), "is packed"),
    "an encrypted program": (entries(saying(SOUND, flags=1), DATA), "encrypted"),
    "a wrong checksum": (entries(SOUND, saying(DATA, crc=7)), "x/data/0 is damaged"),
    "a wrong checksum of the program": (entries(saying(SOUND, crc=7), DATA), "x/data.pkl is damaged"),
    "a size that is too large": (entries(SOUND, saying(DATA, size=1 << 31)), "entries claim"),
    "a packed size that is too large": (entries(SOUND, saying(DATA, packed=1 << 31)), "x/data/0 is damaged"),
    "a place outside": (entries(SOUND, saying(DATA, offset=1 << 31)), "x/data/0 is not where the archive says"),
    "a place in the middle": (entries(SOUND, saying(DATA, offset=7)), "x/data/0 is not where the archive says"),
    "the place of another": (entries(SOUND, saying(DATA, at=0)), "x/data/0 is damaged"),
    "the same bytes twice": (entries(("x/data.pkl", ASSEMBLER.program(GOOD | {"b": tensor(BASE, "1")}), {}), DATA,
                                     ("x/data/1", BASE.tobytes(), {"at": 1})), None),
    "the same bytes a hundred times": (lambda path: bfloats(100, 5_000_000)(path), "entries claim"),
    "programs in two folders": (entries(SOUND, DATA, ("y/data.pkl", *SOUND[1:])), "2 entries data.pkl"),
    "no program": (entries(DATA), "0 entries data.pkl"),
    "no storage": (entries(SOUND), "x/data/0: the tensors say 6 elements of f4, found no bytes"),
    "a storage that is too short": (with_storage(bytes(23)), "data/0: .* 6 elements of f4, found 23 bytes"),
    "a storage that is too long": (with_storage(bytes(28)), "data/0: .* 6 elements of f4, found 28 bytes"),
    "an empty storage": (with_storage(b""), "data/0: .* 6 elements of f4, found 0 bytes"),
    "an order of bytes that nobody knows": (entries(SOUND, DATA, ("x/byteorder", b"middle", {})), "middle"),
    "an order of bytes of 20 MB": (
        lambda path: entries(SOUND, DATA, ("x/byteorder", bytes(20_000_000), {}))(path), "byteorder says"),
    "a directory of thousands": (crowd(18_000), None),
    "a directory of megabytes": (crowd(40_000), "list of entries"),
    "a directory cut off": (altered(lambda data: data[:-30]), "not a zip file"),
    "a directory elsewhere": (altered(lambda data: data[:-6] + b"\xff\xff\xff\x7f\0\0"), "not where the archive says"),
    "bytes before the archive": (altered(lambda data: b"PK" + data), None),
    "only the first letters": (lambda path: path.write_bytes(b"PK nothing"), "not a zip file"),
    "NaN and infinite weights": (with_storage(b"\0\0\xc0\x7f" * 3 + b"\0\0\x80\xff" * 3), None),
}


# --- streams -------------------------------------------------------------------------------------------------------


def streamed(value=GOOD, **words):
    return lambda path: stream(path, value, **words)


def in_place_of(number, code):
    """A stream one of whose first programs (the magic number, the version, the system) is another."""
    first = [ASSEMBLER.program(value) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    first[number] = b"\x80\2" + code + b"."
    rest = Assembler(parts=True).program(GOOD) + ASSEMBLER.program(["0"]) + struct.pack("<q", 6) + BASE.tobytes()
    return lambda path: path.write_bytes(b"".join(first) + rest)


HUGE = np.lib.stride_tricks.as_strided(BASE, (1 << 45,), (0,))  # a storage of so many elements, in words only
STREAMS = {
    "another magic number": (in_place_of(0, b"K\7"), "not one of torch.save"),
    "laughs as the magic number": (in_place_of(0, LAUGHS), "not one of torch.save"),
    "laughs as the version": (in_place_of(1, LAUGHS), "not one of torch.save"),
    "laughs as the system": (in_place_of(2, LAUGHS), "other order of bytes"),
    "a call in the magic number": (in_place_of(0, call("os.system", "touch called")), r"os\.system"),
    "a call in the system": (in_place_of(2, call("os.system", "touch called")), r"os\.system"),
    "a call in the keys": (streamed(keys=call("os.system", "touch called")), r"os\.system"),
    "Nones, Nones, Nones": (lambda path: path.write_bytes((b"\x80\2(" + b"N" * 100_000 + b"l.") * 5),
                            f"more than {WORK}"),
    "keys that are a number": (streamed(keys=5), "storage 0 is not in the file"),
    "keys that are text": (streamed(keys="0"), "storage 0 is not in the file"),
    "laughs as keys": (streamed(keys=[Code(LAUGHS)]), "a list of storages that its tensors do not name"),
    "a key that is a list": (streamed(keys=[["0"]]), "a list of storages that its tensors do not name"),
    "a key of no tensor": (streamed(keys=["1"]), "a list of storages that its tensors do not name"),
    "keys that go round": (streamed(keys=Code(b"]q\0h\0a")), "a list of storages that its tensors do not name"),
    "a key twice": (streamed(keys=["0", "0"]), "one of them twice"),
    "a storage that is too short": (streamed(storages={"0": (6, bytes(23))}), "ends after the file"),
    "a storage without its length": (streamed(storages={}, keys=["0"]), "another number of elements"),
    "a storage with another length": (streamed(storages={"0": (5, bytes(24))}), "another number of elements"),
    "a storage with a negative length": (streamed(storages={"0": (-6, bytes(24))}), "another number of elements"),
    "a storage of 2**45 elements": (streamed({"a": Tensor("0", HUGE, (6,), (1,))},
                                             storages={"0": (1 << 45, bytes(24))}),
                                    "storage 0 of 35184372088832 elements ends after the file"),
    "bytes after the last storage": (streamed(storages={"0": (6, bytes(100))}), None),
    "the first pickle only": (lambda path: path.write_bytes(ASSEMBLER.program(5)), "asks for 1 bytes"),
    "the first two bytes": (lambda path: path.write_bytes(b"\x80\2"), "asks for 1 bytes"),
}


# --- safetensors, .npz and files that are none of them ---------------------------------------------------------------


def safetensors(header, content=SIX, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return lambda path: path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + content)


def one(**changes):
    return safetensors({"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]} | changes})


SAFETENSORS = {
    "a sound safetensors file": (one(), None),
    "a negative shape": (one(shape=[-6]), r"a has shape \[-6\]"),
    "two negative sizes": (one(shape=[-2, -3]), "a has shape"),
    "a huge shape": (one(shape=[1 << 62, 1 << 62]), "a claims bytes 0 to 24"),
    "a shape that wraps around": (one(shape=[(1 << 62) + 6]), "a claims bytes 0 to 24"),
    "an empty shape of 2**63": (one(shape=[0, 1 << 63], data_offsets=[0, 0]), "."),
    "a shape of floats": (one(shape=[6.0]), "a has shape"),
    "a shape of truth": (one(shape=[6, True]), "a has shape"),
    "a shape of text": (one(shape="6"), "a has shape"),
    "a shape that is a number": (one(shape=6), "."),
    "a shape that is a dictionary": (one(shape={}, data_offsets=[0, 4]), "."),
    "a shape of NaN": (one(shape=[float("nan")]), "a has shape"),
    "a shape of lists": (one(shape=[[[]]]), "a has shape"),
    "33 sizes": (one(shape=[1] * 32 + [6]), "a has shape"),
    "one offset": (one(data_offsets=[0]), "unpack"),
    "offsets of text": (one(data_offsets="ab"), "offsets 'a', 'b'"),
    "offsets that are none": (one(data_offsets=None), "."),
    "offsets the wrong way round": (one(data_offsets=[24, 0]), "claims bytes 24 to 0"),
    "offsets before the start": (one(data_offsets=[-24, 0]), "offsets -24, 0"),
    "offsets after the end": (one(data_offsets=[4, 28]), "claims bytes 4 to 28"),
    "offsets of 4000 digits": (one(data_offsets=[10**4000, 10**4000 + 24]), "claims bytes 1000"),
    "offsets of 5000 digits": (safetensors(b'{"a": {"data_offsets": [0, 1' + b"0" * 5000 + b"]}}"), "limit|lacks"),
    "offsets that overlap": (safetensors({name: {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}
                                          for name in "ab"}), "b claims bytes that belong to another array"),
    "the same bytes a thousand times": (lambda path: safetensors(
        {str(i): {"dtype": "BF16", "shape": [5_000_000], "data_offsets": [0, 10_000_000]} for i in range(1000)},
        bytes(10_000_000))(path), "1 claims bytes that belong to another array"),
    "a kind that nobody knows": (one(dtype="C64"), "a has dtype 'C64'"),
    "a kind that is a list": (one(dtype=["F32"]), "unhashable|dtype"),
    "no kind": (safetensors({"a": {"shape": [6], "data_offsets": [0, 24]}}), "a lacks a dtype"),
    "an entry that is a list": (safetensors({"a": [1, 2]}), "a lacks a dtype"),
    "a name with a colour": (safetensors({"\x1b[31m": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}),
                             "has the name"),
    "half a letter in a name": (safetensors({"\ud800": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}),
                                "has the name"),
    "a header that goes deep": (safetensors(b'{"a":' + b"[" * 1_000_000), "recursion"),
    "a header that goes deep in dictionaries": (safetensors(b'{"a":' * 200_000), "recursion"),
    "a header of four megabytes": (lambda path: safetensors(b'{"a":[' + b"{}," * 1_300_000 + b"[]]}")(path),
                                     "a lacks a dtype"),
    "a header of 20 megabytes": (lambda path: safetensors(b'{"a":[' + b"{}," * 6_600_000 + b"[]]}")(path),
                                 "header claims"),
    "a header with a long number": (safetensors(b'{"a":' + b"1" * 4_000_000 + b"}"), "limit"),
    "a header that is cut off": (safetensors(b'{"a": {"dtype"'), "delimiter"),
    "a header that is a string": (safetensors(b'{"a'), "Unterminated"),
    "a header that is not text": (safetensors(b'{"\xff\xff\xff": 1}'), "decode"),
    "a header longer than the file": (safetensors({}, b"", 1 << 62), "header claims"),
    "a header of no bytes": (safetensors({}, b"", 0), "header claims 0 bytes"),
    "a header shorter than it is": (safetensors({"a": 1}, b"", 3), "."),
    "a header and nothing more": (safetensors({}, b""), None),
}


def npy(descr="'<f4'", shape="(6,)", order="False", content=SIX, header=None, version=1, length=None):
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}" if header is None else header
    size = struct.pack("<H" if version == 1 else "<I", len(header) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode("latin-1") + content


def saved(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return lambda path: path.write_bytes(file.getvalue())


def zeros(count, **lies):
    return lambda path: npz(npy("'|u1'", f"({count},)", content=bytes(count)), method=8, **lies)(path)


def npz(*arrays, **lies):
    return entries(*[(f"{i}.npy", array, lies) for i, array in enumerate(arrays)])


NPZ = {
    "a sound npz": (npz(npy(), npy(order="True", shape="(2, 3)"), npy("'<U1'", "()", content=b"x\0\0\0")), None),
    "a packed npz": (npz(npy(), method=8), None),
    "an npz of nothing": (saved(), None),
    "pickled objects": (saved(a=np.array([{}], object)), "allow_pickle"),
    "pickled objects that claim to be numbers": (npz(npy(content=b"cos\nsystem\n(U\4exitR.")), "claims float32"),
    "objects among numbers": (npz(npy("[('a', '<f4'), ('b', '|O')]")), "allow_pickle"),
    "a shape of terabytes": (npz(npy(shape="(1000000000000,)")), "claims float32"),
    "a shape that wraps around 2**64": (npz(npy(shape=f"({(1 << 62) + 6},)")), "claims float32"),
    "a shape of zero times 2**70": (npz(npy(shape=f"(0, {1 << 70})", content=b"")), "."),
    "a shape of 5000 digits": (npz(npy(shape=f"({'9' * 5000},)")), "limit"),
    "a negative size in npz": (npz(npy(shape="(-6,)")), "expected numbers or text"),
    "letters of no size": (npz(npy("'|S0'", f"({1 << 60},)", content=b"")), "."),
    "numbers of three bytes": (npz(npy("'<f3'")), "f3"),
    "letters of terabytes": (npz(npy("'<U999999999999'")), "."),
    "parentheses in the header": (npz(npy(header="(" * 9000)), "expected numbers or text"),
    "signs in the header": (npz(npy(header="-" * 9000 + "1")), "expected numbers or text"),
    "a call in the header": (npz(npy(header="__import__('os').system('touch called')")), "expected numbers or text"),
    "escapes in the header": (npz(npy(header="{'\\z': '\\y', '\\w': 1is 1}")), "expected numbers or text"),
    "a header of Python 2": (npz(npy(shape="(6L,)")), None),
    "a header of 10 megabytes": (npz(npy(header=" " * 10_000_000, version=2)), "expected numbers or text"),
    "a header longer than its file": (npz(npy(version=2, length=1 << 31)), "claims|expected"),
    "no array": (npz(b"hello"), "no array that NumPy wrote"),
    "an empty entry": (npz(b""), "no array that NumPy wrote"),
    "a format from the future": (npz(npy(version=9)), "no array that NumPy wrote"),
    "200 megabytes of zeros": (zeros(200_000_000), "entries claim"),
    "80 megabytes of zeros": (zeros(80_000_000), None),
    "zeros that say they are few": (zeros(50_000_000, size=104), "is damaged"),
    "a packed entry that is broken": (lambda path: path.write_bytes(
        zipped(("a.npy", npy(content=bytes(24)), {"method": 8})).replace(b"\0" * 3, b"\xff" * 3)), "."),
    "an npz with a program": (entries(("a.npy", npy(), {}), SOUND), "data.pkl is no array"),
}


def written(data):
    return lambda path: path.write_bytes(data)


OTHERS = {
    "an empty file": (written(b""), "found an empty file"),
    "no file": (lambda path: None, "No such file"),
    "a folder": (lambda path: path.mkdir(), "it is not a file"),
    "a pipe": (lambda path: os.mkfifo(path), "it is not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is not a file"),
    "a page of the web": (written(b"<!DOCTYPE html><html><body>Not found</body></html>"), "a page of the web"),
    "a pointer of Git LFS": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"), "Git LFS"),
    "text": (written(b"hello"), "a file that begins with b'hello'; expected torch.save's"),
    "a letter": (written(b"x"), "begins with b'x'"),
    "a gzip file": (written(b"\x1f\x8b\x08\0\0\0\0\0"), "begins with"),
    "a pickle in letters": (written(b"cos\nsystem\n(S'touch called'\ntR."), "begins with"),
    "a truncated archive": (altered(lambda data: data[: len(data) // 2]), "not a zip file"),
    "a truncated stream": (altered(lambda data: data[: len(data) // 2], form="stream"), "asks for|newline"),
    "a stream without its last byte": (altered(lambda data: data[:-1], form="stream"), "ends after the file"),
}
FILES = ({f"{name} in an archive": (in_archive(program), message) for name, (program, message) in PROGRAMS.items()}
         | {f"{name} in a stream": (in_stream(program), message) for name, (program, message) in PROGRAMS.items()}
         | {name: (lambda path, program=program: in_archive(program())(path), message)
            for name, (program, message) in LONG_PROGRAMS.items()}
         | {f"archive: {name}": case for name, case in ARCHIVES.items()}
         | {f"stream: {name}": case for name, case in STREAMS.items()} | SAFETENSORS | NPZ | OTHERS)
