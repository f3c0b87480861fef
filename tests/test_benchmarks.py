"""What benchmarks/ rests on: equal work is told from unequal work, and excess growth is marked."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks
from benchmarks import growth, peer_cells, peers
from benchmarks.peer_libraries import CELLS, Contender, Task, numpy_rnn


def task(cell: str) -> Task:
    rng = np.random.default_rng(0)
    layer = CELLS[cell][0](3, 4, rng=0, dtype=np.float32)
    x, dy = (rng.standard_normal((5, 2, n), np.float32) for n in (3, layer.state_sizes[0]))
    return Task(cell, x, dy, layer)


@pytest.mark.parametrize("cell", CELLS)
def test_the_cells_that_other_libraries_run_are_ours(cell: str) -> None:
    given = task(cell)
    ops = peer_cells.Ops(
        tanh=np.tanh,
        sigmoid=lambda a: 1 / (1 + np.exp(-a)),
        relu=lambda a: np.maximum(a, 0),
        exp=np.exp,
        cos=np.cos,
        sin=np.sin,
        split=lambda a, n: np.split(a, n, axis=-1),
        join=lambda a, b: np.concatenate([a, b], axis=-1),
        scan=peer_cells.loop(np.stack),
    )
    y = peer_cells.run(ops, cell, given.x, given.zero_state(), given.weights)
    np.testing.assert_allclose(y, numpy_rnn(given).infer(), atol=1e-5)


def test_a_library_is_compared_only_if_its_outputs_are_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def other_outputs(given: Task) -> Contender:
        return Contender(lambda: 1.001 * given.dy, None, None)

    def other_gradients(given: Task) -> Contender:
        right = numpy_rnn(given)
        assert right.read is not None
        read = right.read

        def one_gradient_is_wrong(raw: Any) -> dict[str, Any]:
            gradients = read(raw)
            return gradients | {"weight_hh": 1.001 * gradients["weight_hh"]}

        return right._replace(read=one_gradient_is_wrong)

    def not_installed(_: Task) -> Contender:
        raise ImportError("No module named 'it'")

    libraries = {"right": numpy_rnn, "outputs": other_outputs, "wrong": other_gradients}
    monkeypatch.setattr(peers, "LIBRARIES", libraries | {"missing": not_installed})
    notes: dict[str, str] = {}
    able, wrong = peers.contenders(task("LSTM"), notes)
    assert (list(able), wrong) == (["numpy_rnn", "right", "wrong"], {"wrong"})
    assert notes["wrong"].startswith("wrong gradient of weight_hh, by 0.001 ")
    assert notes["outputs"].startswith("not measured: outputs of LSTM differ by ")
    assert notes["missing"] == "not measured: No module named 'it'"


def test_growth_beyond_what_is_expected_is_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cost(_: str, size: growth.Size, *, recompute: bool) -> growth.Cost:
        assert not recompute
        return growth.Cost(1e-3 * size.B**1.5, 0.25, float(size.B))

    monkeypatch.setattr(growth, "cost", cost)
    assert growth.table("LSTM", "B", 1000) == 5
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "| LSTM | B = 4 | 8 ms | 1.50 more than expected | 25% | 4 MB | 1.00 |"
    monkeypatch.setattr(growth, "cost", lambda *_, **__: growth.Cost(1.0, 0.0, 1.0))
    assert growth.table("LSTM", "T", 10_000) == 0


@pytest.mark.parametrize(
    ("script", "package", "extra"),
    [("attribution_picture", "matplotlib", "plot"), ("onnx_nodes", "onnxruntime", "benchmark")],
)
def test_a_missing_package_is_one_line_that_names_its_extra(
    script: str, package: str, extra: str
) -> None:
    run = f"import sys, runpy; sys.modules['{package}'] = None; "
    run += f"runpy.run_module('benchmarks.{script}', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f'{package} is not installed, expected the extra {extra}: pip install -e ".[{extra}]"\n'
    )


def test_the_extras_that_are_named_are_those_of_the_project() -> None:
    file = Path(benchmarks.__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(file.read_text("utf-8"))["project"]["optional-dependencies"]
    for extra, packages in benchmarks.EXTRAS.items():
        assert set(packages) <= {re.split("[>=]", line)[0] for line in extras[extra]}


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "benchmarks.examples", str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    file = str(tmp_path / "speech_10s_16k.wav")
    assert done.stderr == f"{file!r}: No such file or directory\n"
