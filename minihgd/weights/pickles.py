"""Pickles without their power: the instructions that a file of tensors needs, and no others.

A pickle is a program for a machine with a stack, a memo and one dangerous instruction: look up any name of any module,
and call it. `pickletools` of the standard library splits the program into instructions and executes none. The machine
here knows the instructions that build plain containers. Where a program names something, the name is compared with a
short list, and what stands for it is a function of this file; nothing is imported, looked up or called on its behalf.
Shown with a hostile file in docs/12-resnet-and-its-checkpoints.md.
"""

import math
import pickletools
from dataclasses import dataclass

WORK = 200_000  # instructions of all programs in a file; the 932 arrays of a ResNet-152 take about 40,000
PROGRAM = 1 << 24  # bytes of all programs in a file
LINE = 1 << 12  # bytes of the longest line in the textual instructions
KEY = 1 << 10  # characters of the longest key of a dictionary
DIMENSIONS = 8  # of a tensor, at most

# Of the textual ones, Python 2 wrote INT for what exceeds 32 bits, whatever the protocol.
LITERALS = {"INT", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE",
            "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}

# Storage classes of PyTorch, and how their elements lie in the file; bfloat16 has no name in NumPy.
STORAGES = {"FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "bfloat16",
            "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
            "BoolStorage": "bool"}


@dataclass(frozen=True)
class Storage:
    """`size` elements of a `kind` (a value of STORAGES), from number `start` on of what is kept under `key`."""

    kind: str
    key: str
    size: int
    start: int = 0


@dataclass(frozen=True)
class TensorRecord:
    """A tensor that is still to be found: a storage, the place of its first element, its shape, its strides."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple  # elements


@dataclass(frozen=True)
class Name:
    """A name that a program asked for, and may."""

    text: str


class Stream:
    """The programs at the start of `data`, as `pickletools` reads them. A request for more than there is fails."""

    def __init__(self, data):
        self.data, self.position = memoryview(data)[:PROGRAM], 0

    def tell(self):
        """The position, in bytes from the start."""
        return self.position

    def read(self, count):
        """The next `count` bytes. Raises ValueError where there are not so many."""
        if not 0 <= count <= len(self.data) - self.position:
            raise ValueError(f"its pickle asks for {count} bytes at position {self.position} of {len(self.data)}")
        self.position += count
        return bytes(self.data[self.position - count : self.position])

    def readline(self):
        """The bytes up to the end of the line and with it, 4096 at most. Raises ValueError for one with a backslash."""
        text, end, _ = bytes(self.data[self.position : self.position + LINE]).partition(b"\n")
        if b"\\" in text:  # in no number and no name; `pickletools` would undo it, with a warning if that is in vain
            raise ValueError(f"broken pickle: a backslash at position {self.position}")
        self.position += len(text + end)
        return text + end


class Machine:
    """The stack, the stacks that wait for the top one to become a container, and the memo. It runs a file's programs.

    storages: key -> Storage, of those that a program named; the whole of each, whatever part a tensor shows.
    """

    def __init__(self):
        self.work, self.storages = 0, {}

    def run(self, stream):
        """The value of the program at the stream's position: containers, numbers, strings, bytes, TensorRecords.

        Raises ValueError naming what was refused or what is broken.
        """
        self.stack, self.waiting, self.memo = [], [], {}
        for opcode, argument, position in pickletools.genops(stream):
            try:
                self.execute(opcode.name, argument)
            except (IndexError, KeyError, TypeError) as error:  # an empty stack, a gap in the memo, a wrong operand
                raise ValueError(f"broken pickle: {opcode.name} at byte {position} ({error!r})") from None
        if self.waiting or len(self.stack) != 1:
            raise ValueError("broken pickle: it ends with more or less than one value")
        return self.stack[0]

    def execute(self, opcode, argument):
        """One instruction of `pickletools`, with its argument. Raises ValueError for one that is refused, or broken."""
        self._charge(1)
        push, pop = self.stack.append, self.stack.pop
        if opcode in LITERALS:
            return push(argument)
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push(CONSTANTS[opcode])
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_TUPLE" | "EMPTY_SET":
                push(EMPTY[opcode]())
            case "MARK":
                self.waiting.append(self.stack)
                self.stack = []
            case "TUPLE" | "LIST" | "DICT" | "FROZENSET":
                items = self._to_mark()
                self.stack.append({"TUPLE": tuple, "LIST": list, "DICT": _pairs, "FROZENSET": _set}[opcode](items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [pop() for _ in range(int(opcode[-1]))]
                push(tuple(reversed(items)))
            case "APPEND":
                item = pop()
                _expect(list, self.stack[-1]).append(item)
            case "APPENDS":
                items = self._to_mark()
                _expect(list, self.stack[-1]).extend(items)
            case "SETITEM":
                value, key = pop(), pop()
                _expect(dict, self.stack[-1]).update(_pairs([key, value]))
            case "SETITEMS":
                items = self._to_mark()
                _expect(dict, self.stack[-1]).update(_pairs(items))
            case "ADDITEMS":
                items = self._to_mark()
                _expect(set, self.stack[-1]).update(_set(items))
            case "BINPUT" | "LONG_BINPUT":
                if argument > len(self.memo) + 1:  # counted from 0 or 1, without gaps: numbers that collide as keys
                    raise ValueError(f"broken pickle: number {argument} in a memo of {len(self.memo)}")
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "POP":
                pop()
            case "DUP":
                push(self.stack[-1])
            case "POP_MARK":
                self._to_mark()
            case "GLOBAL":
                self._charge(4)  # two lines; they are cut out and read as text
                push(_name(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = pop(), pop()
                push(_name(f"{_expect(str, module)}.{_expect(str, name)}"))
            case "BINPERSID":
                push(self._storage(pop()))
            case "REDUCE":
                arguments, name = _expect(tuple, pop()), _expect(Name, pop())
                if name.text not in FUNCTIONS or len(arguments) > 8:
                    raise ValueError(f"it calls {name.text} with {len(arguments)} arguments")
                self._charge(sum(len(a) for a in arguments if isinstance(a, (list, tuple, dict))))
                push(FUNCTIONS[name.text](*arguments))
            case "BUILD":
                pop()  # a state dict carries version numbers as an attribute; plain containers have none
                if type(self.stack[-1]) is not dict:
                    raise ValueError(f"it sets attributes of a {type(self.stack[-1]).__name__}")
            case "INST":
                raise ValueError(f"it makes {argument.replace(' ', '.', 1)} by the instruction INST, which is refused")
            case _:
                raise ValueError(f"the pickle instruction {opcode}, which is refused")

    def _charge(self, work):
        """Count work: a short program can hand a long list to many calls."""
        self.work += work
        if self.work > WORK:
            raise ValueError(f"a pickle of more than {WORK} instructions")

    def _storage(self, identity):
        """("storage", class, key, device, elements), in old files with (key, start, elements) of a part or None."""
        if len(_expect(tuple, identity)) not in (5, 6):
            raise ValueError(f"broken pickle: a storage of {len(identity)} properties")
        kind, name, key, _, size, part = (*identity, None)[:6]
        if kind != "storage" or _expect(Name, name).text not in STORAGE_NAMES:
            raise ValueError("broken pickle: expected a storage, found something else")
        whole = Storage(STORAGE_NAMES[name.text], _key(_expect(str, key)), _count(size))
        if self.storages.setdefault(whole.key, whole) != whole:
            raise ValueError(f"storage {whole.key} is described in two ways")
        if part is None:
            return whole
        _, start, size = _expect(tuple, part)
        return Storage(whole.kind, whole.key, _count(size), _count(start))

    def _to_mark(self):
        """What was pushed since the last mark."""
        items, self.stack = self.stack, self.waiting.pop()
        return items


def _expect(kind, value):
    if type(value) is not kind:
        raise ValueError(f"broken pickle: expected a {kind.__name__}, found a {type(value).__name__}")
    return value


def _key(value):
    """A key of a dictionary or a member of a set: a string, or a number in text.

    All of it has to be compared quickly: a nest of shared tuples takes forever, and so do numbers of the same hash.
    """
    if isinstance(value, (str, bytes)) and len(value) <= KEY:
        return value
    if isinstance(value, (float, type(None))) or isinstance(value, int) and -(1 << 64) <= value <= 1 << 64:
        return str(value)
    raise ValueError(f"a key that is a {type(value).__name__}, expected a short string or a number")


def _pairs(items):
    if len(items) % 2:
        raise ValueError("broken pickle: a key without a value")
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _set(items):
    return {_key(item) for item in items}


# --- names -----------------------------------------------------------------------------------------------------


def _name(text):
    if text not in FUNCTIONS and text not in STORAGE_NAMES:
        raise ValueError(f"it asks for {text}; only tensors, storages and plain containers are read, nothing is run")
    return Name(text)


def _count(value):
    if not 0 <= _expect(int, value) < 1 << 48:
        raise ValueError(f"a size, offset or stride of {value:#x}, expected a number from 0 to 2**48")
    return value


def _tensor(storage, offset, shape, strides, *rest):
    """What PyTorch's `_rebuild_tensor` functions are given; the rest says whether it wants gradients."""
    if not len(_expect(tuple, shape)) == len(_expect(tuple, strides)) <= DIMENSIONS:
        raise ValueError(f"a tensor of {len(shape)} dimensions with {len(strides)} strides")
    shape, strides = tuple(map(_count, shape)), tuple(map(_count, strides))
    _count(math.prod(shape))
    return TensorRecord(_expect(Storage, storage), _count(offset), shape, strides)


def _parameter(tensor, *rest):
    return _expect(TensorRecord, tensor)


def _ordered_dict(pairs=()):
    return _pairs([x for pair in pairs for x in _two(pair)])


def _two(pair):
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError("broken pickle: an OrderedDict of something that is not pairs")
    return pair


def _members(items=()):
    return _set(_expect(list, items)) if items else set()


STORAGE_NAMES = {f"{module}.{name}": kind for module in ("torch", "torch.cuda") for name, kind in STORAGES.items()}
FUNCTIONS = {"torch._utils._rebuild_tensor": _tensor, "torch._utils._rebuild_tensor_v2": _tensor,
             "torch._utils._rebuild_parameter": _parameter, "collections.OrderedDict": _ordered_dict,
             "builtins.set": _members, "__builtin__.set": _members,
             "builtins.frozenset": _members, "__builtin__.frozenset": _members}
