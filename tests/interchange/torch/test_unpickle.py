"""Hostile pickles: nothing of them is executed, and each ends in one error, soon."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import pickletools
import struct
import time
import tracemalloc
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import interchange
from numpy_rnn.interchange.contents import UnsupportedError, reading
from numpy_rnn.interchange.torch.file import read_tree
from numpy_rnn.interchange.torch.tree import find_weights
from numpy_rnn.interchange.torch.unpickle import Instance, Machine, PickledArray
from numpy_rnn.reading import DamagedFileError

TOUCH = b"touch executed"


class Reduced:
    """An object that pickles as a call."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return self.parts


def pickled(value: Any, protocol: int = 2) -> bytes:
    return pickle.dumps(value, protocol)


def text(value: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value


P = b"\x80\x02"
COMMAND = text(TOUCH)
EXPRESSION = "__import__('os').system('touch executed')"
NESTED = pickle.dumps(Reduced(os.system, ("touch executed",)))
# Each of these makes Python's unpickler run a command, or a function that it should not.
TRICKS: dict[str, bytes] = {
    "os.system": P + b"cos\nsystem\n" + COMMAND + b"\x85R.",
    "posix.system": P + b"cposix\nsystem\n" + COMMAND + b"\x85R.",
    "nt.system": P + b"cnt\nsystem\n" + COMMAND + b"\x85R.",
    "subprocess": pickled(Reduced(__import__("subprocess").check_output, (["touch", "executed"],))),
    "eval": pickled(Reduced(eval, (EXPRESSION,))),
    "exec": pickled(Reduced(exec, (EXPRESSION,))),
    "open": pickled(Reduced(open, ("executed", "w"))),
    "getattr": P
    + b"c__builtin__\ngetattr\nc__builtin__\n__import__\n"
    + text(b"os")
    + b"\x85R"
    + text(b"system")
    + b"\x86R"
    + COMMAND
    + b"\x85R.",
    "dotted name": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch executed\x85R.",
    "dotted path": b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93\x8c\x0etouch executed\x85R.",
    "protocol 0": b"cos\nsystem\n(S'touch executed'\ntR.",
    "INST": b"(S'touch executed'\nios\nsystem\n.",
    "OBJ": P + b"(cos\nsystem\n" + COMMAND + b"o.",
    "NEWOBJ": P + b"cos\nsystem\n" + COMMAND + b"\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04cos\nsystem\n" + COMMAND + b"\x85}\x92.",
    "copyreg": P + b"ccopyreg\n__newobj__\ncos\nsystem\n" + COMMAND + b"\x86R.",
    "copyreg extension": P
    + b"ccopyreg\nadd_extension\n"
    + text(b"os")
    + text(b"system")
    + b"K\x05\x87R0\x82\x05"
    + COMMAND
    + b"\x85R.",
    "EXT1": P + b"\x82\x05.",
    "EXT2": P + b"\x83\x05\x00.",
    "EXT4": P + b"\x84\x05\x00\x00\x00.",
    "setstate": P
    + b"cmodule\nThing\n)\x81}"
    + text(b"__setstate__")
    + b"cos\nsystem\nsb"
    + COMMAND
    + b"b.",
    "partial": P
    + b"cfunctools\npartial\ncos\nsystem\n\x85RCOMMAND".replace(b"COMMAND", COMMAND)
    + b"\x85R.",
    "operator": P
    + b"coperator\nmethodcaller\n"
    + text(b"system")
    + COMMAND
    + b"\x86Rcos\n\n\x85R.",
    "runpy": P + b"crunpy\n_run_code\n" + COMMAND + b"}\x86R.",
    "pickle.loads": P + b"cpickle\nloads\nB" + struct.pack("<I", len(NESTED)) + NESTED + b"\x85R.",
    "torch.load": P + b"ctorch.serialization\nload\n" + COMMAND + b"\x85R.",
    "torch.hub": P + b"ctorch.hub\nload\n" + COMMAND + COMMAND + b"\x86R.",
    "numpy.load": P + b"cnumpy\nload\n" + COMMAND + b"\x85R.",
    "numpy testing": P + b"cnumpy.testing._private.utils\nrunstring\n" + COMMAND + b"}\x86R.",
    "persistent id": b"\x80\x02" + COMMAND + b"Q.",
    "persistent line": b"Pos.system\n.",
    "codecs": P + b"c_codecs\nencode\n" + text(b"a") + text(b"zlib") + b"\x86R.",
    "call of a call": P + b"cos\nsystem\n" + COMMAND + b"\x85R" + b")R.",
    "call of a text": P + COMMAND + b")R.",
    "two pickles": P + b"N." + NESTED,
    "out-of-band buffer": b"\x80\x05\x97.",
    "fake end": P + b"Xd\0\0\0" + b"a" * 100 + b"0cos\nsystem\n" + COMMAND + b"\x85R.",
    "memo": P + b"cos\nsystem\nq\x01" + b"0" + b"h\x01" + COMMAND + b"\x85R.",
    "after a dict": P + b"}" + text(b"w") + b"cos\nsystem\n" + COMMAND + b"\x85Rs.",
}


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_executes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.pkl").write_bytes(TRICKS[name])
    with pytest.raises((UnsupportedError, DamagedFileError, ValueError)):
        interchange.load("m.pkl")
    assert not Path("executed").exists()


def test_python_executes_these_tricks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("os.system", "eval", "dotted name", "protocol 0", "INST", "OBJ", "getattr"):
        Path("executed").unlink(missing_ok=True)
        pickle.loads(TRICKS[name])  # noqa: S301 (that is what is shown)
        assert Path("executed").exists(), name


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (pickle.dumps({"fc.weight": [1.0], "StructuredToParameterName@@": {}}), "of PaddlePaddle"),
        (b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}b\x00\x93NUMPY", "it is of joblib"),
    ],
)
def test_pickles_of_other_programs_are_refused_with_what_to_do(data: bytes, match: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"{match}.* np\.savez"):
        find_weights(read_tree(data))


def test_every_refused_call_is_named_at_once() -> None:
    data = P + b"(cos\nsystem\n)Rcoperator\nattrgetter\n)Rt."
    with pytest.raises(UnsupportedError, match=r"it calls os.system, operator.attrgetter, exp"):
        Machine(data).run()


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"h\5.", "BINGET, before byte 4"), (b"K\1K\2a.", "APPEND, before byte 7")],
)
def test_damage_is_named_with_its_place(data: bytes, place: str) -> None:
    with pytest.raises(ValueError, match=f"its pickle is damaged at {place}: "):
        Machine(P + data).run()


def test_an_object_is_its_attributes() -> None:
    data = P + b"csome.where\nLocal\n)\x81}" + text(b"a") + b"K\x03sb."
    value = Machine(data).run()
    assert isinstance(value, Instance)
    assert (value.kind, value.state) == ("some.where.Local", {"a": 3})


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (b"csome.where\nColor\n(K\1tR", "some.where.Color"),  # a member of an Enum
        (b"cfunctools\npartial\n(csome.where\nAdam\ntR", "functools.partial"),
    ],
)
def test_settings_of_other_kinds_stay_names(call: bytes, kind: str) -> None:
    assert Machine(P + call + b".").run().kind == kind
    for other in (call.replace(b"Color", b"color"), call.replace(b"K\1", b"]")):
        if other != call:
            with pytest.raises(UnsupportedError, match=r"it calls some\.where\.[cC]olor"):
                Machine(P + other + b".").run()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_without_numbers_are_passed_over(protocol: int) -> None:
    for value in (np.array(["a", "b"]), np.array([b"a"]), np.array(["2026-11-26"], "M8[D]")):
        again = Machine(pickle.dumps({"names": value, "first": value[0]}, protocol)).run()
        with pytest.raises(UnsupportedError, match="NumPy array of objects"):
            again["names"].array()
    for other in (bytearray(b"ab\xff"), range(3)):
        Machine(pickle.dumps(other, protocol)).run()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
    | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3) | st.integers(-5, 5), inner, max_size=3)
    | st.tuples(inner, inner) | st.builds(OrderedDict, st.just({"a": 1})),
    max_leaves=8,
)  # fmt: skip


@given(VALUES, st.integers(0, 5))
def test_plain_values_are_those_of_python(value: Any, protocol: int) -> None:
    assert Machine(pickle.dumps(value, protocol)).run() == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "i1", "?", "<i8"])
def test_arrays_and_scalars_are_those_of_numpy(protocol: int, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    for value in (array, array.T, array[:0], array[0, 0] + array.dtype.type(0)):
        again = Machine(pickle.dumps(value, protocol)).run()
        if isinstance(again, PickledArray):
            again = again.array()
            assert again.dtype == value.dtype
        np.testing.assert_array_equal(again, value)
    old = pickle.dumps(array, 2).replace(b"numpy._core", b"numpy.core")
    np.testing.assert_array_equal(Machine(old).run().array(), array)
    assert Machine(pickle.dumps(defaultdict(list, a=1), protocol)).run() == {"a": 1}


def laughs(depth: int = 40) -> bytes:
    """A list of two lists of two lists, and so on, all the same object."""
    parts = [b"]q\0"]
    parts += [
        b"]q" + bytes([n + 1]) + b"(h" + bytes([n]) + b"h" + bytes([n]) + b"e" for n in range(depth)
    ]
    return P + b"".join(parts) + b"."  # fmt: skip


def dict_laughs(depth: int = 40) -> bytes:
    parts = [b"}q\0"]
    for n in range(depth):
        same = b"h" + bytes([n])
        parts.append(b"}q" + bytes([n + 1]) + b"(" + text(b"a") + same + text(b"b") + same + b"u")
    return P + b"".join(parts) + b"."


COLLIDING = b"".join(b"\x8a\x0b" + (n * (2**61 - 1)).to_bytes(11, "little") + b"N"
                     for n in range(1, 20_000))  # fmt: skip
BIG = text(b"a" * 100_000)
EXPENSIVE: dict[str, bytes] = {
    "billion laughs": laughs(),
    "billion laughs of dicts": dict_laughs(),
    "huge LONG4": P + b"\x8b\xff\xff\xff\x7f1.",
    "long LONG1": P + b"\x8b\x00\x00\x02\x00" + b"\x01" * (1 << 17) + b".",
    "long text of an integer": b"(I" + b"9" * 100_000 + b"\n.",
    "huge bytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "huge text": P + b"X\xff\xff\xff\xff.",
    "huge frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "colliding keys": P + b"}(" + COLLIDING + b"u.",
    "colliding memo": b"(N" + b"".join(b"p%d\n" % (n * (2**61 - 1)) for n in range(9999)) + b".",
    "huge memo index": b"(Np99999999999999\n.",
    "a text encoded again and again": P + BIG + b"q\0" + b"c_codecs\nencode\nq\1"
    + b"0(" + b"h\1h\0" + text(b"latin1") + b"\x86R" * 1 + b"h\1h\0\x85R" * 20_000 + b"t.",
    "a list copied again and again": P + b"](" + b"N" * 50_000 + b"eq\0c__builtin__\nlist\nq\1("
    + b"h\1h\0\x85R" * 20_000 + b"t.",
    "a state set again and again": P + b"}(" + b"".join(text(b"%d" % n) + b"N" for n in range(9999))
    + b"uq\0cm\nT\n)\x81" + b"h\0b" * 50_000 + b".",
    "a list of itself": P + b"]q\0h\0a.",
    "a dict of itself": P + b"}q\0" + text(b"a") + b"h\0s.",
    "deep": P + b"(" * 10_000 + b"t" * 10_000 + b".",
    "deep dicts": P + (b"}" + text(b"a")) * 10_000 + b"N" + b"s" * 10_000 + b".",
    "no end": P + b"N" * 100_000,
    "no mark": P + b"NNt.",
    "empty stack": P + b"R.",
    "mark as a value": P + b"(a.",
    "array of a huge shape": P + b"cnumpy._core.multiarray\n_reconstruct\n)R(K\x01"
    + b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86cnumpy\ndtype\n" + text(b"f8") + b"\x85R"
    + b"\x89B\x08\0\0\0" + b"a" * 8 + b"tb.",
    "array of a huge dtype": P + b"cnumpy\ndtype\n" + text(b"V99999999999") + b"\x85R.",
    "array of objects": pickled({"w": np.array([{}, None], object)}),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPENSIVE)
def test_a_costly_pickle_is_refused_soon_and_in_little_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.pkl").write_bytes(EXPENSIVE[name])
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises((UnsupportedError, DamagedFileError)) as raised:
        interchange.load(tmp_path / "m.pkl")
    seconds, (_, peak) = time.process_time() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(str(raised.value)) < 600
    assert peak < 4 * len(EXPENSIVE[name]) + (64 << 20)
    assert seconds < 10  # memory is traced here, which slows it down; without it 1 s is enough


@given(st.binary(max_size=60), st.integers(0, 100))
def test_arbitrary_bytes_raise_one_error(junk: bytes, at: int) -> None:
    whole = pickle.dumps({"weight": np.ones(2), "n": [1, "a", None]}, 4)
    data = whole[:at] + junk + whole[at + len(junk) :]
    with contextlib.suppress(Exception), reading(Path("m.pkl"), "a pickle"):
        Machine(data).run()
    with pytest.raises((UnsupportedError, DamagedFileError)), reading(Path("m.pkl"), "a pickle"):
        Machine(junk.replace(b".", b"")).run()


def test_the_tricks_are_what_they_claim() -> None:
    """A trick that is no pickle would be refused for another reason."""
    for name, data in TRICKS.items():
        if name not in {"two pickles", "EXT1", "EXT2", "EXT4"}:
            pickletools.dis(data, io.StringIO())
