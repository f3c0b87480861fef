"""How a format is told by the content, and what is said of files of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from tarfile import TarFile, TarInfo
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from numpy_rnn import Linear, interchange
from numpy_rnn.interchange import UnsupportedError, formats
from numpy_rnn.reading import DamagedFileError
from tests.interchange import audio_files
from tests.interchange.keras import files as keras_files
from tests.interchange.onnx import seeds as onnx_seeds
from tests.interchange.seeds import seeds
from tests.interchange.torch.weights import recurrent

T7 = b"\4\0\0\0\1\0\0\0\3\0\0\0V 1\x0d\0\0\0nn.Sequential"
PROGRAMS = {
    ("net.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64"): "MATLAB",
    ("net.h5", b"MATLAB 7.3 MAT-file, Platform: GLNXA64"): "MATLAB",  # HDF5, after 512 bytes
    ("net4.mat", b"\0\0\0\0\3\0\0\0"): "MATLAB",
    ("fit", b"X\n\0\0\0\3\0\4\2\1\0\3\5\0"): "R",
    ("fit.bin", b"RDX3\nX\n\0\0\0\3"): "R",
    ("lstm.model", b"\x0a\7version\x12\4\x08\1\x10\3"): "CNTK",
    ("lstm.1", b"B\0C\0N\0\0\0B\0V\0e\0r\0s\0"): "CNTK",
    ("net.t7", b"\2\0\0\0\5\0\0\0model"): "Torch7",
    ("net", T7): "Torch7",
    ("ascii", b"4\n1\n3\nV 1\n13\nnn.Sequential\n"): "Torch7",
    ("final.mdl", b"\0B<TransitionModel> <Topology> "): "Kaldi",
    ("final.raw", b"\0B<Nnet3> \n\ninput-node name=input dim=40"): "Kaldi",
    ("net-0001.params", b"\x12\1\0\0\0\0\0\0\0"): "MXNet",
    ("net.caffemodel", b"\x0a\5lstm1"): "Caffe",
    ("lm.model", b"#Parameter# /vanilla-lstm-builder/_0 {400,100}"): "DyNet",
    ("m.msgpack", b"\x81\xafLSTMCell_0\x81\xa2ii\x81\xa6kernel\xc8"): "Flax",
    ("m.pdmodel", b"\x0a\xb4\5\x08\0"): "PaddlePaddle",
    ("m.mlmodel", b"\x08\4\x12\x41\x0a\x11\x0a\5input"): "Core ML",
    ("long", b"\x08\5\x12\xf1\1\x0a\x11\x0a\5input"): "Core ML",
    ("m.param", b"7767517\n3 3\nInput data 0 1 data"): "ncnn",
    ("m.xml", b'<?xml version="1.0"?>\n<net name="main" version="11">'): "OpenVINO",
    ("m.gguf", b"GGUF\3\0\0\0"): "llama.cpp",
    ("m.ort", b"\x24\0\0\0ORTM"): "onnxruntime",
    ("m.pte", b"\x38\0\0\0ET12"): "ExecuTorch",
    ("m.engine", b"ptrt\0\0"): "TensorRT",
    ("weights.txt", b"rnnoise-nu model file version 1\n"): "RNNoise",
    ("weights_blob.bin", b"DNNw\0\0\0\0"): "RNNoise",
    ("m.rten", b"RTEN\2\0\0\0"): "RTen",
    ("eng.traineddata", b"\x18\0\0\0\xff\xff"): "Tesseract",
    ("m.mpk", b"\x82\xa8metadata\x85"): "Burn",
    ("model", b"\x84\xa5nodes\x91\x84\xa5index\0\xa6params\x90"): "spaCy",
}


@pytest.mark.parametrize("file", PROGRAMS)
def test_a_file_of_another_program(file: tuple[str, bytes], tmp_path: Path) -> None:
    (tmp_path / file[0]).write_bytes(file[1])
    what_to_do = r"load it with the program that wrote it, export to ONNX .* np\.savez"
    with pytest.raises(DamagedFileError, match=f"none of the known formats.*; {what_to_do}"):
        interchange.load(tmp_path / file[0])


@pytest.mark.parametrize("entry", ["Data/com.apple.CoreML/model.mlmodel", "coefficients.bin"])
def test_an_archive_of_another_program(entry: str, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr(entry, b"")
    with pytest.raises(
        DamagedFileError, match=r"; load it with the program .*export to ONNX there"
    ):
        interchange.load(tmp_path / "m.zip")


def test_a_checkpoint_s_index_of_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b'model_checkpoint_path: "model.ckpt-100"\n')
    with pytest.raises(DamagedFileError, match="; it is of TensorFlow: save a Keras file"):
        interchange.load(tmp_path / "checkpoint")


@pytest.mark.parametrize(
    "content",
    [
        {"class_name": "Sequential", "config": {"layers": []}, "keras_version": "2.4.0"},
    ],
)
def test_an_architecture_without_weights(content: object, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=r"layers of Keras.*: save the whole model"):
        interchange.load(tmp_path / "m.json")


@pytest.mark.parametrize("form", ["layers-model", "graph-model"])
def test_tensorflow_js(form: str, tmp_path: Path) -> None:
    content = {"format": form, "modelTopology": {}, "weightsManifest": []}
    (tmp_path / "model.json").write_text(json.dumps(content), encoding="utf-8")
    what_to_do = "it is of TensorFlow.js: .*tensorflowjs_converter .*tf2onnx"
    with pytest.raises(UnsupportedError, match=what_to_do):
        interchange.load(tmp_path / "model.json")


@pytest.mark.parametrize("name", ["m.unknown", "m"])
def test_an_unknown_format_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"expected one of safetensors, torch"):
        interchange.save(Linear(1, 1), tmp_path / name)
    (tmp_path / name).write_text("text", encoding="utf-8")
    with pytest.raises(ValueError, match="has none of the known formats: safetensors, torch"):
        interchange.load(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        interchange.load(tmp_path)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"")
    with pytest.raises(DamagedFileError, match=r"m.pt' is empty, expected a model"):
        interchange.load(tmp_path / "m.pt")


def test_a_file_has_one_format_whatever_the_order_in_which_they_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, known = tmp_path / "m", dict(formats.FORMATS)
    files = {"onnx": list(onnx_seeds.seeds()), "keras": keras_files.seeds()}
    files["audio-json"] = audio_files.seeds()
    files |= {n: seeds(n, tmp_path) for n in ("safetensors", "torch", "npz", "pickle")}
    assert set(files) == set(known)
    for order in (list(known), list(known)[::-1]):
        monkeypatch.setattr(formats, "FORMATS", {name: known[name] for name in order})
        for name, contents in files.items():
            for data in contents:
                path.write_bytes(data)
                assert formats.recognise(path) == name


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("m/saved_model.pb", "it is of TensorFlow"),
        ("policy.pth", "it is an archive that holds 'policy.pth': unpack it first"),
        ("m/data/weights/model_weights_config.json", "it is of torch.export: save the state_dict"),
    ],
)
def test_an_archive_around_a_model_is_refused_with_what_to_do(
    entry: str, hint: str, tmp_path: Path
) -> None:
    with ZipFile(tmp_path / "agent.zip", "w") as archive:
        archive.writestr(entry, b"{}")
    with pytest.raises(ValueError, match=f"agent.zip' has none of the known formats.*; {hint}"):
        interchange.load(tmp_path / "agent.zip")


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("m.pt.gz", b"\x1f\x8b\x08\0", "it is compressed: unpack it"),
        ("m.joblib.z", b"\x78\x9c\xab", "it is compressed: unpack it"),
        ("m.7z", b"7z\xbc\xaf\x27\x1c", "it is compressed: unpack it"),
        ("m.rar", b"Rar!\x1a\x07", "it is compressed: unpack it"),
        ("saved_model.pb", b"\x08\1\x12\x80\x10\x0a", "it is of TensorFlow: .*tf2onnx"),
        ("frozen.pb", b"\x0a\x1f\x0a\5input", "it is of TensorFlow: .*tf2onnx"),
        ("m.pt", b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
        ("m.pt", b"\n<!DOCTYPE html>", "it is a web page"),
        ("m.tflite", b"\x1c\0\0\0TFL3", "it is of TensorFlow: .*tf2onnx"),
        ("m.ckpt.index", b"\0\0\x0f", "it is of TensorFlow: .*tf2onnx"),
        ("m.ckpt.data-00000-of-00001", b"\1\2\3", "it is of TensorFlow: .*tf2onnx"),
        ("m.msgpack", b"\x82\xa4step\0\xa6params\x80", "load it with the program .*convert_gates"),
        ("m.pt", b"PK\3\4\0\0\0", "it begins as a zip archive and is cut off or damaged"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_what_to_do(
    name: str, content: bytes, hint: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"none of the known formats.*; {hint}"):
        interchange.load(tmp_path / name)


@pytest.mark.parametrize("name", ["model-00001-of-00002.npz", "pytorch_model-2-of-10.npz"])
def test_a_part_of_a_model_is_not_taken_for_the_whole(name: str, tmp_path: Path) -> None:
    arrays: Any = recurrent("rnn.", 3, 2, 2)
    np.savez(tmp_path / name, **arrays)
    with pytest.raises(UnsupportedError, match=r"it is one of several parts .*np\.savez"):
        interchange.load(tmp_path / name)
    model = interchange.load(tmp_path / name, layers=["rnn"], batch_first=False)
    assert repr(model) == "GRU(2, 2)"
    whole: Any = interchange.read(tmp_path / name).arrays
    np.savez(tmp_path / "model-00001-of-00001.npz", **whole)
    model = interchange.load(tmp_path / "model-00001-of-00001.npz", batch_first=False)
    assert repr(model) == "GRU(2, 2)"


def test_a_tar_without_a_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with TarFile(tmp_path / "m.tar", "w") as archive:
        archive.addfile(TarInfo("model.safetensors"))
    with pytest.raises(DamagedFileError, match="PyTorch did not write: unpack it"):
        interchange.load(tmp_path / "m.tar")
