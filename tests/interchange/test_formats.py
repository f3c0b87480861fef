"""Files of programs that are not read: the error names the program and says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from numpy_rnn import interchange
from numpy_rnn.interchange import UnsupportedError
from numpy_rnn.reading import DamagedFileError

T7 = b"\4\0\0\0\1\0\0\0\3\0\0\0V 1\x0d\0\0\0nn.Sequential"
PROGRAMS = {
    ("net.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64"): "MATLAB",
    ("net.h5", b"MATLAB 7.3 MAT-file, Platform: GLNXA64"): "MATLAB",  # HDF5, after 512 bytes
    ("net4.mat", b"\0\0\0\0\3\0\0\0"): "MATLAB",
    ("fit.rds", b"\x1f\x8b\x08\0"): "R",
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
}


@pytest.mark.parametrize(("file", "program"), PROGRAMS.items())
def test_a_file_of_another_program(file: tuple[str, bytes], program: str, tmp_path: Path) -> None:
    (tmp_path / file[0]).write_bytes(file[1])
    what_to_do = rf"it is of {program}: load the file that .*, export to ONNX .* np\.savez"
    with pytest.raises(DamagedFileError, match=f"none of the known formats.*; {what_to_do}"):
        interchange.load(tmp_path / file[0])


@pytest.mark.parametrize(
    ("entry", "program"),
    [("Data/com.apple.CoreML/model.mlmodel", "Core ML"), ("coefficients.bin", "Deeplearning4j")],
)
def test_an_archive_of_another_program(entry: str, program: str, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr(entry, b"")
    with pytest.raises(DamagedFileError, match=f"; it is of {program}: .*export to ONNX there"):
        interchange.load(tmp_path / "m.zip")


def test_a_checkpoint_s_index_of_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b'model_checkpoint_path: "model.ckpt-100"\n')
    with pytest.raises(DamagedFileError, match="; it is of TensorFlow: save a Keras file"):
        interchange.load(tmp_path / "checkpoint")


@pytest.mark.parametrize(
    "content",
    [
        {"class_name": "Sequential", "config": {"layers": []}, "keras_version": "2.4.0"},
        {"modelTopology": {}, "weightsManifest": [], "format": "layers-model"},
    ],
)
def test_an_architecture_without_weights(content: object, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=r"layers of Keras.*: save the whole model"):
        interchange.load(tmp_path / "m.json")
