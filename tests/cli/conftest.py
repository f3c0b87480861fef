"""A trained model and model files for the tests of the commands that read one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from numpy_rnn import GRU, LSTM, Embedding, Linear, PeepholeLSTM, Sequential, interchange
from numpy_rnn.cli.main import main
from tests.apps.language_model.texts import write_text
from tests.cli.command import Command, run_process

SMALL = (
    *("--hidden-size", "6", "--embedding", "4", "--batch-size", "4", "--window", "10"),
    *("--validate-every", "10", "--threads", "1"),
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, a checkpoint trained on it, and what training printed."""
    folder = tmp_path_factory.mktemp("trained")
    write_text(folder)
    arguments = ["--epochs", "1", "--log", "log.jsonl", "--plot", "loss.png", "--seed", "3"]
    done = run_process("train", "text.txt", *SMALL, *arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "shown.txt").write_text(done.stdout, encoding="utf-8")
    return folder


@pytest.fixture
def command(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command in this process, because most of a process's time is its start."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        status = main(arguments)
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files, and inputs for them."""
    folder = tmp_path_factory.mktemp("models")
    model = Sequential(rnn=LSTM(2, 3, rng=0), fc=Linear(3, 2, rng=1))
    model.save(folder / "m.safetensors")
    interchange.save(model, folder / "m.pt")
    Sequential(Embedding(5, 2, rng=0), GRU(2, 3, bidirectional=True)).save(folder / "tokens")
    PeepholeLSTM(2, 3).save(folder / "peephole")
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal((50, 2)))
    np.savetxt(folder / "x.csv", np.load(folder / "x.npy"), delimiter=",", fmt="%.17g")
    np.savetxt(folder / "ids.csv", [[1], [4], [0]], fmt="%d")
    # What `run` has to refuse: only writing it needs allow_pickle.
    np.save(folder / "objects.npy", np.array([{}], object), allow_pickle=True)
    nodes = [
        helper.make_node("Gather", ["x", "at"], ["y"]),
        helper.make_node("Add", ["x", "h"], ["h2"]),
    ]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "D"]),
        helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 2]),
        helper.make_tensor_value_info("at", TensorProto.INT64, ["n", "k"]),
    ]
    results = [helper.make_empty_tensor_value_info(name) for name in ("y", "h2")]
    graph = helper.make_model(helper.make_graph(nodes, "steps", values, results))
    (folder / "graph.onnx").write_bytes(graph.SerializeToString())
    (folder / "text.csv").write_text("a,b\n", encoding="utf-8")
    (folder / "junk").write_bytes(b"junk")
    return folder
