"""Read a pickle as plain values, without Python's unpickler: nothing in it can be executed.

A pickle is a program for a machine with a stack and a memo. This one imports no module and calls
nothing but the functions of :data:`TABLE` and those that the caller adds, which make plain values
of plain values. An object of any other class outside the standard library is read as an inert
:class:`Instance` with its attributes. A call of any other function is named in the error.

Source: the opcodes' descriptions in Python's ``pickletools``, which also reads their arguments.
"""

from __future__ import annotations

import codecs
import math
import pickletools
import re
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError

OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
MAX_OPCODES = 500_000  # about half a second; state_dicts have thousands
MAX_INT = 2048  # bits of an integer
MARK = object()
RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # modules of Python 2


class Global:
    """The name of a class or function, as Python 3 and NumPy 2 have it. It is never looked up."""

    def __init__(self, module: str, name: str) -> None:
        module = RENAMED.get(module, module).replace("numpy.core", "numpy._core")
        self.name = f"{module}.{name}"


class Instance:
    """An object as its class's name and its attributes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.state: dict[Any, Any] = {}  # attributes, and items of a dict

    def build(self, state: Any) -> None:
        """Add the attributes of a pickled state."""
        for part in state if isinstance(state, tuple) else (state,):
            self.state.update(part if isinstance(part, dict) else {})


class Dtype:
    """A pickled NumPy dtype of numbers; None is that of objects, texts or dates."""

    def __init__(self, name: Any, *_: Any) -> None:
        form = r"[|<>=]?([biufc]\d{1,2}|\?|[OSUmM]\d{0,9})"
        if not isinstance(name, str) or not re.fullmatch(form, name):
            raise ValueError(f"it has a NumPy array of dtype {name!r}, expected numbers")
        self.dtype = None if re.search("[OSUmM]", name) else np.dtype(name)

    def build(self, state: Any) -> None:
        """Set the byte order."""
        if self.dtype is not None and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """A NumPy array of a file, or the object that an array of one object holds."""

    def __init__(self, *_: Any, value: Any = None) -> None:
        self.value = value

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


def _array(data: Any, dtype: Dtype, shape: Any = (), order: str = "C") -> PickledArray:
    made = PickledArray()
    made.build((1, shape, dtype, order == "F", data))
    return made


def _scalar(dtype: Dtype, data: Any) -> Any:
    return data if dtype.dtype is None else _array(data, dtype).array().item()


def _encode(text: Any, encoding: str = "latin1", *_: Any) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"it encodes a text as {encoding!r}, expected latin1")
    return text if isinstance(text, bytes) else str(text).encode("latin1")


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    items = pairs.items() if isinstance(pairs, dict) else pairs
    return {_key(key): value for key, value in items}


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return _dict(zip(values[::2], values[1::2], strict=True))


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
    **dict.fromkeys(("builtins.set", "builtins.frozenset", "builtins.list"), list),
    "builtins.bytes": lambda: b"",
    "builtins.bytearray": lambda data=b"", *encoding: _encode(data, *encoding),
    "numpy.dtype": Dtype,
    "numpy._core.multiarray._reconstruct": PickledArray,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _array,
}
# Classes of the standard library whose objects settings often hold. They stay names, too.
INERT = re.compile(
    r"argparse\.Namespace|functools\.partial|types\.SimpleNamespace|datetime\.\w+|builtins\.(object|"
    r"complex|slice|x?range)|pathlib(\._local)?\.\w+|collections\.deque|uuid\.UUID|decimal\.Decimal"
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": MARK, "EMPTY_TUPLE": ()}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list}
LITERAL = re.compile(
    r"(BIN)?INT[12]?|LONG[14]?|(BIN)?FLOAT|(SHORT_)?(BIN)?(STRING|UNICODE|BYTES)8?|BYTEARRAY8"
)
LITERALS = {opcode.name for opcode in pickletools.opcodes if LITERAL.fullmatch(opcode.name)}
STANDARD = {*sys.stdlib_module_names, "nt"}


class Machine:
    """A pickle's program. ``run()`` returns its value, and leaves the file after its end.

    `table` are further functions by name; `persistent` returns what an outside reference is.
    """

    def __init__(
        self,
        file: BytesIO | bytes,
        table: Mapping[str, Callable[..., Any]] | None = None,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.file = BytesIO(file) if isinstance(file, bytes) else file
        self.table, self.persistent = {**TABLE, **(table or {})}, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.refused: dict[str, None] = {}
        # Objects and bytes that calls may still copy.
        self.left = 4 * self.file.getbuffer().nbytes + 10_000

    def run(self) -> Any:
        """Return the value. A ValueError says that the pickle is damaged."""
        for _ in range(MAX_OPCODES):
            opcode = OPCODES.get(self.file.read(1).decode("latin1"))
            if opcode is None:
                raise ValueError("it has a pickle that ends early or has an unknown opcode")
            if opcode.name == "STOP":
                break
            if opcode.name == "STRING":  # of Python 2, where a text could have any bytes
                escaped: Any = pickletools.read_stringnl(self.file, decode=False)
                argument: Any = codecs.escape_decode(escaped)[0].decode("latin1")
            else:
                argument = opcode.arg and opcode.arg.reader(self.file)
            if isinstance(argument, int) and argument.bit_length() > MAX_INT:
                raise ValueError(f"it has an integer of {argument.bit_length()} bits")
            try:
                self._execute(opcode.name, argument)
            except (TypeError, LookupError, AttributeError) as error:
                at = f"{opcode.name}, before byte {self.file.tell()}"
                raise ValueError(f"its pickle is damaged at {at}: {error}") from error
        else:
            raise ValueError(f"it has a pickle of more than {MAX_OPCODES} opcodes")
        if self.refused:
            raise UnsupportedError(
                f"it calls {', '.join(self.refused)}, expected only what arrays need "
                "(nothing was executed; save the state_dict alone)"
            )
        return self.stack.pop()

    def _execute(self, name: str, argument: Any) -> None:  # noqa: C901, PLR0912, PLR0915 (one case for each kind of opcode)
        stack, memo = self.stack, self.memo
        if name in LITERALS or name in CONSTANTS:
            stack.append(CONSTANTS.get(name, argument))
            return
        match name:
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                number = len(memo) if argument is None else argument
                if number >> 32:  # numbers beyond that could collide
                    raise ValueError(f"it has a pickle with a memo of {number} entries")
                memo[number] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_SET":
                stack.append(EMPTY[name]())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._pop(int(name[-1]))))
            case "TUPLE" | "LIST" | "FROZENSET":
                items = self._since_mark()
                stack.append(tuple(items) if name == "TUPLE" else items)
            case "DICT":
                stack.append(_pairs(self._since_mark()))
            case "APPEND" | "APPENDS" | "ADDITEMS":
                values = self._pop(1) if name == "APPEND" else self._since_mark()
                if not isinstance(stack[-1], Instance):
                    stack[-1].extend(values)
            case "SETITEM" | "SETITEMS":
                pairs = _pairs(self._pop(2) if name == "SETITEM" else self._since_mark())
                (stack[-1].state if isinstance(stack[-1], Instance) else stack[-1]).update(pairs)
            case "GLOBAL":
                stack.append(Global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                parts = self._pop(2)
                if not all(isinstance(part, str) for part in parts):
                    raise ValueError("it has a pickle with a class that has no name")
                stack.append(Global(*parts))
            case "REDUCE" | "NEWOBJ":
                self._call(*self._pop(2), new=name == "NEWOBJ")
            case "NEWOBJ_EX":
                self._call(*self._pop(3)[:2], new=True)
            case "INST":
                self._call(Global(*argument.split(" ", 1)), self._since_mark(), new=False)
            case "OBJ":
                function, *arguments = self._since_mark()
                self._call(function, arguments, new=False)
            case "BUILD":
                (state,) = self._pop(1)
                self._spend(*(state if isinstance(state, tuple) else (state,)))
                if hasattr(stack[-1], "build"):  # an OrderedDict has attributes, which are not read
                    stack[-1].build(state)
            case "PERSID" | "BINPERSID":
                reference = argument if name == "PERSID" else self._pop(1)[0]
                if self.persistent is None:
                    raise UnsupportedError(f"it refers to {reference!r} outside of the file")
                stack.append(self.persistent(reference))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._since_mark()
            case "DUP":
                stack.append(stack[-1])
            case "PROTO" | "FRAME" | "READONLY_BUFFER":
                pass
            case _:
                raise UnsupportedError(f"it has the opcode {name}, which plain data does not need")

    def _since_mark(self) -> list[Any]:
        for at in reversed(range(len(self.stack))):
            if self.stack[at] is MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise ValueError("it has a pickle that lacks a mark")

    def _pop(self, count: int) -> list[Any]:
        items = self.stack[-count:]
        if len(items) < count or any(item is MARK for item in items):
            raise ValueError("it has a pickle whose stack is too short")
        del self.stack[-count:]
        return items

    def _spend(self, *values: Any) -> None:
        """Bound the sum of what calls copy, because the same value can be copied often."""
        self.left -= sum(len(v) for v in values if isinstance(v, dict | list | tuple | str | bytes))
        if self.left < 0:
            raise ValueError("it has a pickle that copies more than four times its size")

    def _call(self, function: Any, arguments: Any, *, new: bool) -> None:
        """Push the value of a call, which is inert unless the table has the function."""
        if not isinstance(function, Global) or not isinstance(arguments, tuple | list):
            raise UnsupportedError("it calls an object, expected a function of the table")
        name = function.name
        if name == "copyreg.__newobj__" and arguments:
            self._call(arguments[0], arguments[1:], new=True)
        elif name in self.table:
            self._spend(*arguments)
            self.stack.append(self.table[name](*arguments))
        elif name.startswith("joblib."):
            raise UnsupportedError("it is of joblib: save its arrays with np.savez")
        else:
            plain = all(isinstance(a, str | int | float | None) for a in arguments)  # of an Enum
            named = new or (plain and name.rpartition(".")[2][:1].isupper())
            if not (INERT.fullmatch(name) or (named and name.partition(".")[0] not in STANDARD)):
                self.refused[name] = None
            self.stack.append(Instance(name))
