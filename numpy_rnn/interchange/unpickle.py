"""Read a pickle as plain values, without Python's unpickler: nothing in it can be executed.

A pickle is a program for a machine with a stack and a memo. This one imports no module and calls
nothing but the functions of :data:`TABLE` and those that the caller adds, which make plain values
of plain values. An object of any other class outside the standard library is read as an inert
:class:`Instance` with its attributes. A call of any other function is named in the error.

Source: the opcodes' descriptions in ``Lib/pickletools.py`` of Python 3.14, protocols 0 to 5.
"""

from __future__ import annotations

import codecs
import math
import re
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError

MAX_OPCODES = 2_000_000
MAX_INT = 256  # bytes of an integer
MARK = object()


class Global:
    """The name of a class or function. It is never looked up."""

    def __init__(self, module: str, name: str) -> None:
        self.name = f"{module}.{name}"


class Instance:
    """An object as its class's name, the arguments of its constructor, and its attributes."""

    def __init__(self, kind: str, arguments: tuple[Any, ...] = ()) -> None:
        self.kind, self.arguments = kind, arguments
        self.state: dict[Any, Any] = {}  # attributes, and items of a dict

    def build(self, state: Any) -> None:
        """Add the attributes of a pickled state."""
        for part in state if isinstance(state, tuple) else (state,):
            self.state.update(part if isinstance(part, dict) else {})


class Dtype:
    """A pickled NumPy dtype of numbers; None is that of objects."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[|<>=]?([biufc]\d{1,2}|\?|O8?)", name):
            raise ValueError(f"it has a NumPy array of dtype {name!r}, expected numbers")
        self.dtype = None if "O" in name else np.dtype(name)

    def build(self, state: Any) -> None:
        """Set the byte order."""
        if self.dtype is not None and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """A pickled NumPy array."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = None

    def build(self, state: Any) -> None:
        """Set the numbers, if they are as many as the shape claims."""
        _, shape, dtype, fortran_order, data = state
        if dtype.dtype is None:  # of objects: their list
            self.value = data[0] if isinstance(data, list) and shape == () else data
            return
        expected = math.prod(shape) * dtype.dtype.itemsize
        if not isinstance(data, bytes | bytearray) or len(data) != expected or len(shape) > 32:
            raise ValueError(f"it has a NumPy array of shape {shape} that is not {expected} bytes")
        flat = np.frombuffer(data, dtype.dtype)
        self.value = flat.reshape(shape, order="F" if fortran_order else "C")

    def array(self) -> Array:
        """Return the array."""
        if not isinstance(self.value, np.ndarray):
            raise UnsupportedError("it has a NumPy array of objects, expected numbers")
        return self.value


def _array_from_buffer(data: Any, dtype: Dtype, shape: Any, order: str) -> PickledArray:
    made = PickledArray()
    made.build((1, shape, dtype, order == "F", data))
    return made


def _scalar(dtype: Dtype, data: Any) -> Any:
    made = PickledArray()
    made.build((1, (), dtype, False, data))
    return made.array().item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise ValueError(f"it encodes a text as {encoding!r}, expected latin1")
    return text.encode("latin1")


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    items = pairs.items() if isinstance(pairs, dict) else pairs
    return {_key(key): value for key, value in items}


def _key(key: Any) -> Any:
    """Return the key of a dict. Those that are made to collide would take quadratic time."""
    if isinstance(key, tuple):
        if len(key) <= 8 and not any(isinstance(part, tuple) for part in key):
            return tuple(map(_key, key))
    elif not (isinstance(key, int) and abs(key) >> 60):
        return key
    raise ValueError("it has a dict with a nested tuple or a huge integer as a key")


TABLE: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "collections.defaultdict": lambda *_: {},
    "_codecs.encode": _encode,
    "copyreg._reconstructor": lambda kind, *_: Instance(kind.name),
    "numpy.dtype": Dtype,
}
for _module in ("builtins", "__builtin__"):
    TABLE |= {f"{_module}.{name}": list for name in ("set", "frozenset", "list")}
    TABLE[f"{_module}.bytes"] = lambda: b""
    TABLE[f"{_module}.bytearray"] = lambda data=b"", *_: _encode(data) if data else b""
for _module in ("numpy.core", "numpy._core"):
    TABLE |= {
        f"{_module}.multiarray._reconstruct": PickledArray,
        f"{_module}.multiarray.scalar": _scalar,
        f"{_module}.numeric._frombuffer": _array_from_buffer,
    }
# Classes of the standard library whose objects settings often hold. They stay names, too.
INERT = re.compile(
    r"argparse\.Namespace|types\.SimpleNamespace|datetime\.\w+|(__builtin__|builtins)\.(object|"
    r"complex|slice|range)|(pathlib(\._local)?)\.\w+|collections\.deque|uuid\.UUID|decimal\.Decimal"
)
FORMATS = {"J": "<i", "K": "<B", "M": "<H", "G": ">d", "h": "<B", "q": "<B", "j": "<I", "r": "<I"}
COUNTED = {  # opcode to the format of its length
    **dict.fromkeys(("C", "\x8c", "U", "\x8a"), "<B"),
    **dict.fromkeys(("B", "X", "T", "\x8b"), "<I"),
    **dict.fromkeys(("\x8e", "\x8d", "\x96"), "<Q"),
}
EMPTY: dict[str, Callable[[], Any]] = {"}": dict, "]": list, ")": tuple, "\x8f": list}
CONSTANTS = {"N": None, "\x88": True, "\x89": False, "(": MARK}
STANDARD = {*sys.stdlib_module_names, "__builtin__", "nt"}
REFUSED = {"\x82": "EXT1", "\x83": "EXT2", "\x84": "EXT4", "\x97": "NEXT_BUFFER"}


class Machine:
    """A pickle's program. ``run()`` returns its value, and ``position`` is then after its end.

    `table` are further functions by name; `persistent` returns what an outside reference is.
    """

    def __init__(
        self,
        data: bytes,
        table: Mapping[str, Callable[..., Any]] | None = None,
        persistent: Callable[[Any], Any] | None = None,
        position: int = 0,
    ) -> None:
        self.data, self.position, self.persistent = data, position, persistent
        self.table = {**TABLE, **(table or {})}
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.refused: dict[str, None] = {}
        self.left = 4 * len(data) + 10_000  # objects and bytes that calls may still copy

    def run(self) -> Any:
        """Return the value. A ValueError says that the pickle is damaged."""
        for _ in range(MAX_OPCODES):
            code = chr(self._take(1)[0])
            if code == ".":
                if self.refused:
                    raise UnsupportedError(
                        f"it calls {', '.join(self.refused)}, expected only what arrays need "
                        "(nothing was executed; save the state_dict alone)"
                    )
                return self.stack.pop()
            self._execute(code)
        raise ValueError(f"it has a pickle of more than {MAX_OPCODES} opcodes")

    def _take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if self.position > len(self.data):
            raise ValueError("it has a pickle that ends early")
        return self.data[start : self.position]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> bytes:
        end = self.data.find(b"\n", self.position)
        line = self._take(max(0, end - self.position))
        self._take(1)
        return line

    def _since_mark(self) -> list[Any]:
        for n in range(len(self.stack) - 1, -1, -1):
            if self.stack[n] is MARK:
                items = self.stack[n + 1 :]
                del self.stack[n:]
                return items
        raise ValueError("it has a pickle that lacks a mark")

    def _execute(self, code: str) -> None:  # noqa: C901, PLR0912, PLR0915 (one branch for each kind of opcode)
        stack, memo = self.stack, self.memo
        if code in "qr":
            memo[self._number(FORMATS[code])] = stack[-1]
        elif code == "\x94":
            memo[len(memo)] = stack[-1]
        elif code == "p":
            index = int(self._line())
            if index >> 32:
                raise ValueError(f"it has a pickle with a memo of {index} entries")
            memo[index] = stack[-1]
        elif code in "hj":
            stack.append(memo[self._number(FORMATS[code])])
        elif code == "g":
            stack.append(memo[int(self._line())])
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in EMPTY:
            stack.append(EMPTY[code]())
        elif code in FORMATS:
            stack.append(self._number(FORMATS[code]))
        elif code in COUNTED:
            stack.append(self._counted(code, self._take(self._number(COUNTED[code]))))
        elif code in "ILFSV":
            stack.append(self._text(code, self._line()))
        elif code in "\x85\x86\x87":
            count = ord(code) - 0x84
            stack[-count:] = [tuple(stack[-count:])]
        elif code in "tld\x91":
            items = self._since_mark()
            pairs = zip(items[::2], items[1::2], strict=True)
            made: Any = {"t": tuple, "d": _dict}.get(code, list)
            stack.append(made(pairs if code == "d" else items))
        elif code in "aesu\x90":
            values = self._since_mark() if code in "eu\x90" else self._pop(2 if code == "s" else 1)
            self._fill(stack[-1], values, pairs=code in "su")
        elif code == "c":
            module, name = self._line().decode(), self._line().decode()
            stack.append(Global(module, name))
        elif code == "\x93":
            module, name = self._pop(2)
            if not isinstance(module, str) or not isinstance(name, str):
                raise ValueError("it has a pickle with a class that has no name")
            stack.append(Global(module, name))
        elif code in "R\x81":
            function, arguments = self._pop(2)
            stack.append(self._call(function, arguments, new=code != "R"))
        elif code == "\x92":
            function, arguments, _ = self._pop(3)
            stack.append(self._call(function, arguments, new=True))
        elif code in "io":
            at = Global(self._line().decode(), self._line().decode()) if code == "i" else None
            items = self._since_mark()
            function = items.pop(0) if at is None else at
            stack.append(self._call(function, tuple(items), new=False))
        elif code == "b":
            (state,) = self._pop(1)
            self._spend(*(state if isinstance(state, tuple) else (state,)))
            if hasattr(stack[-1], "build"):  # an OrderedDict has attributes, which are not read
                stack[-1].build(state)
        elif code in "PQ":
            reference = self._line().decode() if code == "P" else self._pop(1)[0]
            if self.persistent is None:
                raise UnsupportedError(f"it refers to {reference!r} outside of the file")
            stack.append(self.persistent(reference))
        elif code == "0":
            stack.pop()
        elif code == "1":
            self._since_mark()
        elif code == "2":
            stack.append(stack[-1])
        elif code in "\x80\x95\x98":  # protocol, frame, read-only buffer
            self._take({"\x80": 1, "\x95": 8}.get(code, 0))
        else:
            raise UnsupportedError(f"it has the opcode {REFUSED.get(code, repr(code))}")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count or any(item is MARK for item in self.stack[-count:]):
            raise ValueError("it has a pickle whose stack is too short")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _spend(self, *values: Any) -> None:
        """Bound the sum of what calls copy, because the same value can be copied often."""
        self.left -= sum(len(v) for v in values if isinstance(v, dict | list | tuple | str | bytes))
        if self.left < 0:
            raise ValueError("it has a pickle that copies more than four times its size")

    def _counted(self, code: str, data: bytes) -> Any:
        if code in "\x8a\x8b":
            if len(data) > MAX_INT:
                raise ValueError(f"it has an integer of {len(data)} bytes")
            return int.from_bytes(data, "little", signed=True)
        if code in "UT":
            return data.decode("latin1")
        return data.decode("utf-8", "surrogatepass") if code in "X\x8c\x8d" else data

    def _text(self, code: str, line: bytes) -> Any:
        if code in "IL":
            if len(line) > MAX_INT:
                raise ValueError(f"it has an integer of {len(line)} digits")
            return {b"00": False, b"01": True}.get(line, int(line.rstrip(b"L") or b"0"))
        if code == "F":
            return float(line)
        if code == "V":
            return line.decode("raw-unicode-escape")
        return codecs.escape_decode(line[1:-1])[0].decode("latin1")

    def _fill(self, target: Any, values: list[Any], *, pairs: bool) -> None:
        if pairs:
            items = _dict(zip(values[::2], values[1::2], strict=True))
            (target.state if isinstance(target, Instance) else target).update(items)
        elif not isinstance(target, Instance):
            target.extend(values)

    def _call(self, function: Any, arguments: Any, *, new: bool) -> Any:
        """Return the value of a call, which is inert unless the table has the function."""
        if not isinstance(function, Global) or not isinstance(arguments, tuple | list):
            raise UnsupportedError("it calls an object, expected a function of the table")
        name = function.name
        if name == "copyreg.__newobj__" and arguments:
            return self._call(arguments[0], tuple(arguments[1:]), new=True)
        if name in self.table:
            self._spend(*arguments)
            return self.table[name](*arguments)
        standard = name.partition(".")[0] in STANDARD
        if not (INERT.fullmatch(name) or (new and not standard)):
            self.refused[name] = None
        return Instance(name, tuple(arguments))
