"""The table of formats: which module reads a file, decided by its content and not its suffix."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from inspect import signature
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

from numpy_rnn.files import open_regular
from numpy_rnn.interchange.contents import Contents, UnsupportedError, naming_unsupported, reading
from numpy_rnn.interchange.keras.hdf5 import SIGNATURE
from numpy_rnn.interchange.torch.file import MAGIC_PICKLE
from numpy_rnn.layers.base import Layer
from numpy_rnn.reading import DamagedFileError
from numpy_rnn.text import shown

HEAD = 4096  # bytes that tell the format


class Format(NamedTuple):
    """How a format is told, and the modules that read and write it.

    One has ``read(path) -> Contents``, the other ``write(model, path)``, which may return what the
    format does not hold. Those of ``arrays``, a module of several formats, also take the format.
    """

    head: bytes  # how a file begins, as a regular expression
    suffixes: tuple[str, ...]
    entry: str = ""  # or how the name of an entry ends, if the file is a zip
    reader: str = "arrays"
    writer: str = "arrays"
    description: str = "a file of weights"  # for errors: what a file is not
    for_training: tuple[str, ...] = ()  # options of training alone, which it has no place for


# In the order in which a file is compared with them.
FORMATS: dict[str, Format] = {
    "safetensors": Format(rb".{4}\0{4}\{", (".safetensors",)),
    "torch": Format(re.escape(MAGIC_PICKLE) + rb"|.{257}ustar", (".pt", ".pth"), "/data.pkl"),
    "npz": Format(rb"\x93NUMPY", (".npz",), ".npy"),
    "pickle": Format(  # a dict, a list or an object, of protocol 2 to 5, 1 or 0
        rb"\x80[\2-\5]|[}\]]q|\([dlScNI(]|c[\w.]+\n[\w.]+\n", (".pkl", ".pickle")
    ),
    "onnx": Format(  # the version, then a field of the model
        rb"\x08[\3-\x3f](\x12(?!.{1,2}\n)|[\x1a\x22\x28\x3a\x42])",  # no line break in a name
        (".onnx",),
        reader="onnx.file",
        writer="onnx.write",
        description="an ONNX model",
        for_training=("padding_idx", "dropout", "p"),
    ),
    "audio-json": Format(
        rb"(\xef\xbb\xbf)?\s*\{",
        (),
        reader="audio_json",
        writer="",
        description="a JSON model of audio effects",
    ),
    "keras": Format(
        re.escape(SIGNATURE),
        (".keras", ".h5", ".hdf5"),
        "model.weights.h5",
        reader="keras.file",
        writer="keras.write",
        description="a Keras file",
        for_training=("padding_idx",),
    ),
}
# What is to be done with other files: how one begins, its name or that of an entry of an archive.
HINTS = {
    rb"inside:.*\.(safetensors|pth?|npz|pkl|onnx|keras|h5)$": (
        "it is an archive that holds {}: unpack it first"
    ),
    rb"inside:.*model_weights_config\.json$": (
        "it is of torch.export: save the state_dict, or export to ONNX"
    ),
    rb"\x1f\x8b|BZh|\xfd?7z|Rar!|\x28\xb5\x2f|x[\1\x5e\x9c\xda]": "it is compressed: unpack it",
    rb"version https://git-lfs": "it is a pointer of Git LFS: fetch the file itself",
    rb"\s*<(!doctype|html)": "it is a web page: download the file itself",
    rb".{4}TFL3|model_checkpoint_path|(name|inside):.*\.(index|meta|pb|data-\d+-of-\d+)$": (
        "it is of TensorFlow: save a Keras file there, or convert it to ONNX with tf2onnx"
    ),
}
ADVICE = (
    "load it with the program that wrote it, export to ONNX there, or save the arrays with "
    "np.savez under PyTorch's names, as interchange.gates.convert_gates returns them"
)
PART = re.compile(r"-\d+-of-(?!0*1\.)\d+\.")  # of a name, as Hugging Face's libraries give it
SUFFIXES = {suffix: name for name, form in FORMATS.items() for suffix in form.suffixes}


def recognise(path: Path) -> str:
    """Return the format of a file."""
    with open_regular(path) as file:
        head = file.read(HEAD)
    entries, hint = list[str](), ADVICE
    if not head:
        raise DamagedFileError(f"{str(path)!r} is empty, expected a model")
    if head.startswith(b"PK"):
        try:
            with ZipFile(path) as archive:
                entries = archive.namelist()
        except Exception:
            hint = "it begins as a zip archive and is cut off or damaged"
    for name, form in FORMATS.items():
        holds = form.entry and any(entry.endswith(form.entry) for entry in entries)
        if holds or re.match(form.head, head, re.DOTALL):
            return name
    inside = {os.fsencode(f"inside:{entry}"): entry for entry in entries}
    texts = {head: "", b"name:" + os.fsencode(path.name): ""} | inside
    for (pattern, what), text in product(HINTS.items(), texts):
        if re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            hint = what.format(shown(texts[text]))
    known = ", ".join(FORMATS)
    raise DamagedFileError(f"{str(path)!r} has none of the known formats: {known}; {hint}")


def read(path: str | PathLike[str]) -> Contents:
    """Read a model file of any known format, without building a model.

    An OSError says that the file cannot be read, a DamagedFileError or UnsupportedError that its
    content is of no known format, is damaged, or has no counterpart here.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import GRU
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(GRU(3, 4), f"{folder}/gru.npz")
    ...     contents = read(f"{folder}/gru.npz")
    >>> contents.format, contents.architecture
    ('npz', ['-: GRU(3, 4)'])
    """
    path = Path(path)
    name = recognise(path)
    with reading(path, FORMATS[name].description):
        contents: Contents = _function("read", FORMATS[name].reader, name)(path)
        return contents


def _function(verb: str, module: str, name: str) -> Any:
    function = getattr(import_module(f"numpy_rnn.interchange.{module}"), verb)
    return partial(function, form=name) if module == "arrays" else function


def load(path: str | PathLike[str], **options: Any) -> Any:
    """Read a model file of any known format and build its model, in evaluation mode.

    Parameters
    ----------
    path : str or path
        The file. Its content decides its format, not its suffix.
    **options
        What the file does not say. For PyTorch's names these are `dtype`, `nonlinearity` (of an
        RNN), `batch_first`, `reset_after` (of a GRU), `eps` (of normalisations) and `layers`, the
        order of the layers: a list of names, and of layers without parameters between them. For
        Keras these are `layers`, and `config`: a dict of each layer's settings to be corrected.

    Returns
    -------
    model : Layer or Graph
        Errors are those of :func:`read`; a TypeError or ValueError names a wrong option. A warning
        names what the file leaves open and you do not give, such as `batch_first`.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import GRU
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(GRU(3, 4), f"{folder}/gru.pt")  # torch.load reads it
    ...     load(f"{folder}/gru.pt", batch_first=True)
    GRU(3, 4, batch_first=True)
    """
    contents = read(path)
    model = build(contents, path, options)
    if guessed := guessed_options(contents, model, options):
        taken = ", ".join(f"{name}={value!r}" for name, value in guessed.items())
        told = f"{str(path)!r} does not tell {' and '.join(guessed)}, so it takes {taken}"
        told += "; give load what the module has"
        warnings.warn(told, stacklevel=2)
    return model


def guessed_options(contents: Contents, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a model has, its file leaves open and the user did not give."""
    layers = [*_parts(model)]
    has = {n for n in contents.guessed for layer in layers if getattr(layer, n, None) is not None}
    return {n: v for n, v in contents.guessed.items() if n in has | {"config"} and n not in given}


def build(contents: Contents, path: str | PathLike[str], options: Mapping[str, Any]) -> Any:
    """Return the model of a file that was read. A TypeError names an option that it lacks."""
    known = signature(contents.build).parameters
    if unknown := [name for name in options if name not in known]:
        expected = ", ".join(known) or "no option"
        raise TypeError(f"{str(path)!r}: option {unknown[0]!r}, expected {expected}")
    with naming_unsupported(Path(path)):
        if PART.search(Path(path).name) and "layers" not in options:
            raise UnsupportedError(
                "it is one of several parts of a model, expected one file, as "
                "np.savez('model.npz', **interchange.read(part).arrays, ...) writes it"
            )
        return contents.build(**options)


def save(model: Layer, path: str | PathLike[str], format: str | None = None) -> None:  # noqa: A002 (the plain word)
    """Write a model to a file of the given format, or of that of the name's suffix.

    A warning names what the format does not hold, such as activations in a state_dict. It has to be
    given again to :func:`load`. An UnsupportedError names the layers and options that the format
    lacks, a ValueError an unknown format. After an error an old file is unchanged.

    Examples
    --------
    >>> from numpy_rnn import GRU
    >>> save(GRU(3, 4), "gru.unknown")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: format is '.unknown', expected ...
    """
    suffix = Path(path).suffix
    name = SUFFIXES.get(suffix, suffix) if format is None else format
    if name not in FORMATS:
        expected = f"one of {', '.join(FORMATS)}"
        raise ValueError(f"format is {name!r}, expected {expected}, or a suffix that has one")
    if not FORMATS[name].writer:
        raise ValueError(f"format {name!r} can be read and not written")
    with naming_unsupported(Path(path)):
        if not isinstance(model, Layer):
            raise UnsupportedError(f"{model!r} is no chain of layers: it can only be run")
        missing = list(_function("write", FORMATS[name].writer, name)(model, Path(path)) or [])
    missing += _lost(model, name)
    if missing:
        parts = "; ".join(missing)
        warnings.warn(f"{str(path)!r}: format {name!r} does not hold: {parts}", stacklevel=2)


def _parts(model: Any) -> Iterator[Any]:
    """Yield a model and the layers inside it."""
    yield model
    for layer in getattr(model, "layers", {}).values():
        yield from _parts(layer)


def _lost(model: Layer, name: str) -> list[str]:
    """Return what a format does not hold because it is neither a layer nor an option of results."""
    shapes, lost = model.parameters.shapes, list[str]()
    if name not in ("safetensors", "torch"):
        lost += [f"{tied} is tied" for tied in model.parameters.values if tied not in shapes]
    for layer in _parts(model):
        options = {n: getattr(layer, n, None) for n in FORMATS[name].for_training}
        set_ = [n for n, v in options.items() if v or (v == 0 and n == "padding_idx")]
        lost += [f"{n}={options[n]} of {layer!r}" for n in set_]
    return lost + ["the vocabulary"] * (model.vocabulary is not None and name != "safetensors")
