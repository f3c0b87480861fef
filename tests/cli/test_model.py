"""``convert``, ``run`` and ``inspect`` on model files."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import numpy_rnn
from numpy_rnn import (
    GRU,
    LSTM,
    RNN,
    LastStep,
    LayerNorm,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    interchange,
)
from numpy_rnn.apps.language_model.run import file_of
from tests.cli.command import Command, assert_refused, run_command, run_shell
from tests.interchange.keras import files as keras_files


@pytest.mark.parametrize("out", ["a.safetensors", "a.pt", "a.pth", "a.npz", "a.pkl"])
def test_a_converted_model_is_the_same(folder: Path, command: Command, out: str) -> None:
    done = command("convert", "m.safetensors", out)
    assert (done.returncode, done.stderr) == (0, "")
    expected = numpy_rnn.load(folder / "m.safetensors")
    told = {} if out == "a.safetensors" else {"batch_first": False}
    got = interchange.load(folder / out, **told)
    assert repr(got) == repr(expected)
    np.testing.assert_array_equal(got.parameters.data, expected.parameters.data)
    shown = command("inspect", out).stdout
    assert "rnn: LSTM(2, 3" in shown
    assert "fc.weight" in shown
    data = json.loads(command("inspect", out, "--json").stdout)
    assert (data["runs_as"], data["refused"]) == (repr(expected), None)
    assert shown.split("\n")[1] == f"Runs as {expected!r}"  # before hundreds of nodes
    assert data["parameters"] == expected.parameters.data.size
    assert data["arrays"]["rnn.weight_hh_l0"] == {"shape": [12, 3], "dtype": "float64"}


def test_inspect_says_why_a_file_cannot_run(folder: Path, command: Command) -> None:
    both = {f"{part}.weight": np.zeros((2, 2)) for part in ("actor", "critic")}
    (folder / "both.pkl").write_bytes(pickle.dumps(both))
    done = command("inspect", "both.pkl")
    assert done.returncode == 0
    assert "\nCannot run: 'both.pkl': " in done.stdout
    data = json.loads(command("inspect", "both.pkl", "--json").stdout)
    assert data["runs_as"] is None
    assert data["refused"].endswith("as --option layers=actor,critic")


@pytest.mark.parametrize("out", ["g.safetensors", "g.pt", "g.npz", "g.keras", "g.onnx"])
def test_a_graph_is_run_and_not_written(folder: Path, command: Command, out: str) -> None:
    (folder / "graph.h5").write_bytes(keras_files.seeds()[3])
    done = command("convert", "graph.h5", out)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf"numpy-rnn convert: error: '{out}': Graph\(.*\) is no chain of layers: it can only be "
        r"run\n",
        done.stderr,
    )
    assert not (folder / out).exists()


def test_what_the_new_file_does_not_hold_is_one_line(folder: Path, command: Command) -> None:
    Sequential(rnn=GRU(2, 3), act=Tanh(), fc=Linear(3, 1)).save(folder / "named")
    done = command("convert", "named", "named.pt")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    expected = "numpy-rnn: warning: 'named.pt': format 'torch' does not hold: act: Tanh()\n"
    assert done.stderr == expected


def test_what_a_file_does_not_tell_is_an_option(folder: Path, command: Command) -> None:
    options = ("--option", "batch_first=true", "--option", "layers=rnn,Tanh,fc")
    done = command("convert", "m.pt", "o.safetensors", *options)
    assert (done.returncode, done.stderr) == (0, "")
    expected = "rnn=LSTM(2, 3, batch_first=True), own1=Tanh(), fc=Linear(3, 2)"
    assert expected in repr(numpy_rnn.load(folder / "o.safetensors"))
    done = command("run", "m.pt", "--input", "x.npy", "--output", "y.npy", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert np.load(folder / "y.npy").shape == (50, 2)


def test_numbers_spaces_and_settings_are_options(folder: Path, command: Command) -> None:
    layers: Any = {
        "rnn": LSTM(2, 3, rng=0),
        "norm": LayerNorm(3, eps=0.5),
        "fc": Linear(3, 1, rng=1),
    }
    with pytest.warns(UserWarning, match="does not hold"):
        interchange.save(Sequential(**layers), folder / "eps.pt")
    done = command("convert", "eps.pt", "eps.npz")
    assert_refused(done, 1, "neither the name nor the shape of norm tells what it is")
    options = ("--option", "layers=rnn, norm, fc", "--option", "eps=0.5")
    assert (
        "norm=LayerNorm((3,), eps=0.5)" in command("convert", "eps.pt", "eps.onnx", *options).stdout
    )
    (folder / "w.h5").write_bytes(
        keras_files.legacy(keras_files.lstm_and_dense(), "2.4.0", config=False)
    )
    settings = '{"lstm": {"return_sequences": false}, "dense": {"activation": "elu"}}'
    done = command("convert", "w.h5", "w.safetensors", "--option", f"config={settings}")
    assert "LastStep(batch_first=True), Linear(" in done.stdout
    assert "ELU()" in done.stdout


def test_a_state_dict_of_a_classifier_runs_with_its_options(folder: Path, command: Command) -> None:
    layers = (LSTM(2, 3, rng=0, batch_first=True), LastStep(batch_first=True), Linear(3, 4, rng=1))
    model = Sequential(rnn=layers[0], last=layers[1], fc1=layers[2], act=ReLU(), fc2=Linear(4, 2))
    with pytest.warns(UserWarning, match="does not hold"):
        interchange.save(model, folder / "c.pt")
    x = np.random.default_rng(1).standard_normal((3, 5, 2))
    np.save(folder / "batch.npy", x)
    files = ("--input", "batch.npy", "--output", "y.npy")
    for arguments in (("run", "c.pt", *files), ("convert", "c.pt", "c.npz")):
        done = command(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        expected = r"layers without parameters, as --option layers=rnn,fc1,fc2\n"
        assert re.search(f"^numpy-rnn .*'c.pt': it holds rnn is .*{expected}$", done.stderr)
    options = ("--option", "layers=rnn,LastStep,fc1,ReLU,fc2", "--option", "batch_first=true")
    done = command("run", "c.pt", *files, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"5 steps of 3 sequences in .* s: y.npy has \(3, 2\)\n", done.stdout)
    np.testing.assert_allclose(np.load(folder / "y.npy"), model.predict(x)[0], rtol=1e-12)


@pytest.mark.parametrize("kind", ["pt", "npz"])
@pytest.mark.parametrize("option", ["batch_first", "nonlinearity"])
def test_what_a_state_dict_does_not_tell(
    folder: Path, command: Command, kind: str, option: str
) -> None:
    file = f"{option}.{kind}"
    layer, taken, other = {
        "batch_first": (GRU(2, 3, rng=0), "false", "true"),
        "nonlinearity": (RNN(2, 3, rng=0), "tanh", "relu"),
    }[option]
    interchange.save(Sequential(rnn=layer, fc=Linear(3, 1, rng=1)), folder / file)
    shown = command("inspect", file).stdout
    assert f"\nNot told: {option}, taken as {taken.replace('f', 'F')}\n" in shown
    assert json.loads(command("inspect", file, "--json").stdout)["guessed"][option] is not None
    x = "sequences.npy" if option == "batch_first" else "one.npy"
    np.save(folder / "sequences.npy", np.ones((4, 5, 2)))
    np.save(folder / "one.npy", np.ones((4, 2)))
    known = ("--option", "batch_first=false") if option == "nonlinearity" else ()
    note = rf"numpy-rnn: warning: '{file}' does not tell .* add --option {option}={other}\n"
    run, convert = ("run", file, "--output", "y.npy", "--input"), ("convert", file)
    for arguments in ((*run, x), (*convert, "a.onnx"), (*convert, "a.safetensors")):
        done = command(*arguments, *known)
        assert (done.returncode, bool(re.fullmatch(note, done.stderr))) == (0, True), done.stderr
        given = other if x in arguments else taken
        assert not command(*arguments, *known, "--option", f"{option}={given}").stderr
    assert not command(*convert, "a.pt").stderr  # it does not tell either
    np.save(folder / "features.npy", np.ones((4, 3)))
    assert not command(*run, "features.npy", "--option", "layers=fc").stderr  # has no such option


def test_keras_s_weights_alone_are_warned_of(folder: Path, command: Command) -> None:
    layers = keras_files.lstm_and_dense()
    (folder / "w.h5").write_bytes(keras_files.legacy(layers, "2.4.0", config=False))
    np.save(folder / "alone.npy", np.ones((1, 4, 2)))
    arguments = ("run", "w.h5", "--input", "alone.npy", "--output", "y.npy")
    told = """add --option config='{"dense":{"activation":"softmax"}}'\n"""
    assert command(*arguments).stderr.endswith(told)
    assert not command(*arguments, *shlex.split(told)[1:]).stderr


def test_one_sequence_has_no_batch(folder: Path, command: Command) -> None:
    interchange.save(GRU(2, 3, rng=0), folder / "gru.pt")
    np.save(folder / "one.npy", np.ones((4, 2)))
    assert not command("run", "gru.pt", "--input", "one.npy", "--output", "y.npy").stderr


def test_a_checkpoint_is_converted_with_its_vocabulary(trained: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "text.safetensors")
    done = run_command("convert", "text.rnn", out, cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    model = numpy_rnn.load(out)
    assert isinstance(model.vocabulary, str)
    assert set(model.vocabulary) == set((trained / "text.txt").read_text(encoding="utf-8"))


def test_a_checkpoint_is_run_on_token_ids(trained: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "ids.csv", [[3], [1], [2]], fmt="%d")
    arguments = ("--input", str(tmp_path / "ids.csv"), "--output", str(tmp_path / "y.npy"))
    done = run_command("run", "text.rnn", *arguments, cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    model = numpy_rnn.load(file_of(trained / "text.rnn"))
    expected, _ = model.predict(np.array([[3], [1], [2]]))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected[:, 0])


def test_a_saved_recall_is_run_on_one_hot_vectors(tmp_path: Path) -> None:
    done = run_command("recall", "--epochs", "2", "--save", "said.safetensors", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    model: Any = numpy_rnn.load(tmp_path / "said.safetensors")
    x = np.eye(next(iter(model.layers.values())).input_size)[[0, 2, 1]]
    np.save(tmp_path / "x.npy", x)
    arguments = ("--input", "x.npy", "--output", "y.npy")
    done = run_command("run", "said.safetensors", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    expected, _ = model.predict(x[:, None].astype(model.parameters.dtype))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected[:, 0])


@pytest.mark.posix
@pytest.mark.parametrize("suffix", ["safetensors", "pt", "npz", "pkl", "onnx"])
def test_a_full_disk_is_one_line(tmp_path: Path, suffix: str) -> None:
    numpy_rnn.GRU(20, 50, rng=0).save(tmp_path / "m.safetensors")
    done = run_shell(f"ulimit -f 8; exec $RNN convert m.safetensors a.{suffix}", tmp_path)
    assert_refused(done, 1, f"'a.{suffix}': File too large")
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("data", ["x.npy", "x.csv"])
@pytest.mark.parametrize("model", ["m.safetensors", "m.pt"])
def test_running_in_blocks_with_a_carried_state_is_predict(
    folder: Path, command: Command, model: str, data: str
) -> None:
    x = np.load(folder / "x.npy")
    y, (state,) = numpy_rnn.load(folder / "m.safetensors").predict(x[:, None])
    done = command("run", model, "--input", data, "--output", "y.npy")
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_allclose(np.load(folder / "y.npy"), y[:, 0], rtol=1e-12)
    np.save(folder / "first.npy", x[:20])
    np.save(folder / "second.npy", x[20:])
    for part, more in (("first", []), ("second", ["--state-in", "state"])):
        files = ("--input", f"{part}.npy", "--output", f"{part}.csv", "--state-out", "state")
        done = command("run", model, *files, "--block", "7", *more)
        assert (done.returncode, done.stderr) == (0, "")
    parts = [np.loadtxt(folder / f"{part}.csv", delimiter=",") for part in ("first", "second")]
    np.testing.assert_allclose(np.concatenate(parts), y[:, 0], atol=1e-8)
    zero = numpy_rnn.load(folder / "m.safetensors").zero_state(1)
    ((h, _),) = numpy_rnn.load_state(folder / "state", zero)
    np.testing.assert_allclose(h, state[0], rtol=1e-12)


STEPS = ["run", "graph.onnx", "--input", "x=x.npy", "--input", "at=ids.csv", "--input"]


def test_a_graph_takes_a_file_for_each_input_and_output(folder: Path, command: Command) -> None:
    np.save(folder / "h.npy", np.array([[1.0, -1]]))
    files = ["h=h.npy", "--output", "h2=h2.npy", "--output", "y=y.csv"]
    done = command(*STEPS, *files)
    assert (done.returncode, done.stderr) == (0, "")
    x = np.load(folder / "x.npy")
    np.testing.assert_allclose(np.load(folder / "h2.npy"), x + np.array([1, -1]), atol=1e-6)
    y = np.loadtxt(folder / "y.csv", delimiter=",")
    np.testing.assert_allclose(y, x[[1, 4, 0]].reshape(3, -1), atol=1e-6)
    done = command("inspect", "graph.onnx")
    assert "  input x: float32 (T, D)\n  input h: float32 (1, 2)\n" in done.stdout
    assert "  output h2\n" in done.stdout


@pytest.mark.parametrize("kind", [TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT32])
@pytest.mark.parametrize("file", ["mask.npy", "mask.csv"])
def test_a_graph_takes_masks_and_small_integers(
    folder: Path, command: Command, file: str, kind: int
) -> None:
    mask = np.array([[1, 0], [0, 1]])
    np.save(folder / "mask.npy", mask > 0)
    np.savetxt(folder / "mask.csv", mask, delimiter=",", fmt="%d")
    node = helper.make_node("Cast", ["m"], ["y"], to=TensorProto.FLOAT)
    value = helper.make_tensor_value_info("m", kind, [None, 2])
    graph = helper.make_graph([node], "g", [value], [helper.make_empty_tensor_value_info("y")])
    (folder / "mask.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    done = command("run", "mask.onnx", "--input", file, "--output", "y.npy")
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(np.load(folder / "y.npy"), mask)


def test_tokens_are_read_from_a_column(folder: Path, command: Command) -> None:
    done = command("run", "tokens", "--input", "ids.csv", "--output", "y.npy")
    assert (done.returncode, done.stderr) == (0, "")
    y, _ = numpy_rnn.load(folder / "tokens").predict(np.array([[1], [4], [0]]))
    np.testing.assert_array_equal(np.load(folder / "y.npy"), y[:, 0])


RUN = ["run", "m.pt", "--input", "x.npy", "--output", "y.npy"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["convert", "m.pt", "a.unknown"], 2, "'a.unknown': expected --to or a name that ends in"),
        (["convert", "m.pt", "no/a.pt"], 2, "folder 'no' does not exist"),
        (["convert", "no.pt", "a.pt"], 1, "'no.pt': No such file or directory"),
        (
            ["convert", "junk", "a.pt"],
            1,
            "'junk' has none of the known formats: safetensors, torch",
        ),
        (["convert", "peephole", "a.pt"], 1, "'a.pt': PyTorch has no PeepholeLSTM"),
        (
            ["convert", "m.pt", "a.npz", "--option", "layers=x"],
            1,
            "--option layers has 'x', expected one of rnn, fc",
        ),
        *[
            (["convert", "m.pt", "a.npz", "--option", option], status, message)
            for option, status, message in (
                ("batch_first=maybe", 2, "LSTM: --option batch_first is 'maybe', expected True or"),
                (
                    "dtype=int32",
                    1,
                    "LSTM: --option dtype is int32, expected one of float32, float64",
                ),
                ("layers=rnn,rnn", 1, "--option layers has 'rnn' twice, expected each name once"),
                ("layers={x", 1, "--option layers has '{x', expected one of rnn, fc"),
            )
        ],
        (
            ["convert", "m.safetensors", "a.npz", "--option", "dtype=float32"],
            2,
            "'m.safetensors': --option 'dtype', expected no option",
        ),
        (["convert", "m.pt", "a.npz", "--option", "x"], 2, "--option is 'x', expected NAME=VALUE"),
        (
            ["convert", "m.pt", "a.npz", "--option", "x=1"],
            2,
            "--option 'x', expected dtype, layers",
        ),
        (["inspect", "junk"], 1, "'junk' has none of the known formats"),
        (["inspect", "no.pt"], 1, "'no.pt': No such file or directory"),
        ([*RUN, "--block", "-1"], 2, "--block is -1, expected at least 0"),
        ([*RUN[:-1], "y.txt"], 2, "--output: expected a name that ends in .npy, .csv, .wav"),
        (["run", "m.pt", "--input", "no.npy", "--output", "y.npy"], 1, "--input 'no.npy': No such"),
        (
            ["run", "m.pt", "--input", "objects.npy", "--output", "y.npy"],
            1,
            "--input: 'objects.npy'",
        ),
        (
            ["run", "m.pt", "--input", "text.csv", "--output", "y.npy"],
            1,
            "--input: 'text.csv' is not a file of numbers: could",
        ),
        (["run", "m.pt", "--input", "ids.csv", "--output", "y.npy"], 1, "--input 'ids.csv': LSTM"),
        (
            ["run", "tokens", "--input", "x.csv", "--output", "y.npy"],
            1,
            "not whole, expected token",
        ),
        ([*RUN, "--input", "x=x.npy"], 2, "--input: expected NAME=FILE for each"),
        (["run", "m.pt", "--input", "x=x.npy", "--output", "y.npy"], 2, "a file without a name"),
        (["run", "m.pt", "--input", "x.npy", "--output", "y=y.npy"], 2, "a file without a name"),
        ([*STEPS[:4], "--output", "y.npy"], 1, "inputs are ['x'], expected ['x', 'h', 'at']"),
        ([*STEPS[:4], "--output", "z=y.npy"], 2, "--output: 'z', expected names out of ['y'"),
        ([*STEPS, "x=x.npy", "--output", "y.npy"], 2, "--input: expected NAME=FILE for each"),
        ([*STEPS, "z=x.npy", "--output", "y.npy"], 2, "--input: 'z', expected names out of ['x'"),
        ([*STEPS, "h=x.npy", "--output", "y.npy"], 1, "input 'h' has shape (50, 2), expected"),
        ([*STEPS[:-1], "--output", "y.npy"], 1, "inputs are ['at', 'x'], expected ['x', 'h'"),
        ([*STEPS[:-1], "--output", "y.npy", "--block", "2"], 2, "the model is a graph"),
        (
            ["run", "m.pt", "--input", "x=x.npy", "--input", "h=x.npy", "--output", "y.npy"],
            2,
            "the model has one input and one output",
        ),
        ([*RUN, "--state-in", "junk"], 1, "--state-in: 'junk' is not a state of numpy_rnn"),
        ([*RUN, "--state-in", "m.safetensors"], 1, "'m.safetensors' is not a state of numpy_rnn"),
        (["run", "tokens", "--input", "ids.csv", "--output", "y.npy", "--block", "2"], 1, "causal"),
    ],
)
def test_a_wrong_request_is_one_line(
    command: Command, arguments: list[str], status: int, message: str
) -> None:
    assert_refused(command(*arguments), status, message)


def test_an_input_is_not_overwritten(folder: Path, command: Command) -> None:
    for name in ("x.npy", "m.npy"):
        shutil.copy(folder / "m.pt", folder / "m.npy")
        done = command("run", "m.npy", "--input", "x.npy", "--output", name)
        assert_refused(done, 2, f"--output '{name}' is an input too, expected another file")
    refused = command("convert", "m.pt", "m.pt")
    assert_refused(refused, 2, "OUT 'm.pt' is an input too, expected another file")
