"""The house: a module imports only from floors below its own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import numpy_rnn
from numpy_rnn import layers, optim

PACKAGE = Path(numpy_rnn.__file__).parent

# Lowest first; the longest matching name decides. Modules on one floor do not import each
# other, so "sideways" is not possible either. A package's __init__ only re-exports, and is
# one floor above what it re-exports.
FLOORS = [
    ["version", "functional.types", "files", "locks", "text"],
    ["functional.activations", "functional.contract"],
    ["functional.sigmoid_by_tanh", "functional.blocking"],
    ["functional.scan"],
    ["reading"],
    ["safetensors"],
    ["functional.embedding", "functional.losses"],
    ["functional.dropout", "functional.layer_norm"],
    ["functional.linear"],
    ["functional.elman", "functional.lstm", "functional.general_lstm"],
    ["functional.gru", "functional.general_gru"],
    ["functional.indrnn", "functional.mingru", "functional.lru"],
    ["textbook.example"],
    ["textbook.elman", "textbook.lstm"],
    ["textbook.projected_lstm", "textbook.peephole_lstm"],
    ["textbook.gru", "textbook.gru_reset_before", "textbook.indrnn", "textbook.mingru"],
    ["textbook.lru", "textbook.linear", "textbook.embedding", "textbook.layer_norm"],
    ["textbook.dropout", "textbook.mse", "textbook.cross_entropy"],
    ["textbook"],
    ["functional"],
    ["arguments"],
    ["parameters.accepted"],
    ["parameters.vector"],
    ["parameters"],
    ["init", "optim.base", "optim.clip"],
    ["optim.sgd", "optim.adaptive"],
    ["optim"],
    ["layers.validate", "layers.remember", "layers.spans"],
    ["layers.cut", "layers.cell", "layers.segmentation"],
    ["layers.workers"],
    ["layers.base", "layers.batch", "layers.shards", "layers.segments", "layers.merge"],
    ["layers.stateless"],
    [
        "layers.activation",
        "layers.linear",
        "layers.embedding",
        "layers.layer_norm",
        "layers.last_step",
    ],
    ["layers.dropout", "layers.losses", "layers.streaming"],
    ["layers.stack"],
    ["layers.recurrent"],
    ["layers.rnn"],
    ["layers.sequential"],
    ["layers.wrappers"],
    ["layers.model_file", "layers.state"],
    ["layers"],
    ["interchange.graph", "interchange.keras", "interchange.onnx", "interchange.torch"],
    [
        "interchange.contents",
        "interchange.gates",
        "interchange.onnx.windows",
        "interchange.torch.numbers",
    ],
    [
        "interchange.keras.hdf5",
        "interchange.onnx.recurrent",
        "interchange.onnx.shapes",
        "interchange.onnx.protobuf",
        "interchange.torch.unpickle",
    ],
    ["interchange.torch.packed", "interchange.torch.parts", "interchange.onnx.integers"],
    ["interchange.torch.tree", "interchange.onnx.math"],
    ["interchange.onnx.operators", "interchange.torch.chain", "interchange.torch.script"],
    ["interchange.graph.nodes"],
    ["interchange.torch.state_dict"],
    ["interchange.keras.entries", "interchange.graph.run"],
    ["interchange.graph.graph", "interchange.keras.chain", "interchange.keras.network"],
    ["interchange.keras.functions"],
    ["interchange.torch.file", "interchange.onnx.chain"],
    ["interchange.arrays"],
    [
        "interchange.torch.optimizer",
        "interchange.keras.write",
        "interchange.audio_json",
        "interchange.onnx.write",
    ],
    ["interchange.onnx.file"],
    ["interchange.keras.graph"],
    ["interchange.keras.file"],
    ["interchange.formats"],
    ["interchange"],
    [
        "checking.regimes",
        "checking.nested",
        "checking.equals",
        "checking.capture",
    ],
    ["checking.shapes"],
    ["checking.traced"],
    ["checking.target"],
    ["checking.losses"],
    ["checking.parameters"],
    ["checking.objects"],
    ["checking.frameworks"],
    ["checking.derivatives", "checking.ledger", "checking.side_effects", "checking.strategies"],
    ["checking.compare", "checking.edits"],
    ["checking.places", "checking.pool"],
    ["checking.locate"],
    ["checking.rules"],
    ["checking.changes"],
    ["checking.repair"],
    ["checking.report"],
    ["checking.checker"],
    ["checking.check"],
    ["checking.plugin", "checking.__main__"],
    ["checking"],
    ["museum.registry"],
    ["museum.bug", "museum.proof"],
    ["museum.optimizers"],
    ["museum.references", "museum.evaluate"],
    ["museum"],
    [""],  # numpy_rnn itself
    ["training.state"],
    ["training.data", "training.schedule", "training.ranks"],
    ["training.gradient", "training.process"],
    ["training.parts"],
    ["training.trainer"],
    ["training.checkpoint"],
    ["training.callbacks.losses"],
    ["training.callbacks.time_budget"],
    ["training.callbacks.json_lines"],
    ["training.callbacks"],
    ["training"],
    ["apps.vocabulary", "apps.plotting"],
    ["apps"],
    ["apps.memory.tasks"],
    ["apps.memory.cells"],
    ["apps.memory.runs"],
    ["apps.memory.search"],
    ["apps.memory"],
    ["apps.recall", "apps.language_model.model", "apps.language_model.inference"],
    ["apps.language_model.run"],
    ["apps.language_model.seconds"],
    ["apps.language_model"],
    ["apps.explain.metrics"],
    ["apps.explain.measurements"],
    ["apps.explain.pictures"],
    ["apps.explain.report"],
    ["apps.explain"],
    ["apps.learn.exercise"],
    ["apps.learn.judge"],
    ["apps.learn.process"],
    ["apps.learn.course"],
    ["apps.learn"],
    ["cli.errors", "cli.signals", "cli.terminal"],
    ["cli.options", "cli.display", "cli.data"],
    ["cli.model"],
    ["cli.train_options", "cli.checkpoint"],
    ["cli.recall", "cli.train", "cli.memory", "cli.explain", "cli.check", "cli.learn"],
    ["cli.main", "cli"],
    ["__main__"],
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package, by its name below numpy_rnn."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(path: Path) -> set[str]:
    """Names below numpy_rnn that a file imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            module = node.module or ""
            names |= {
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in submodules() else module
                for alias in node.names
            }
    return {n.removeprefix("numpy_rnn").lstrip(".") for n in names if n.startswith("numpy_rnn")}


@cache
def submodules() -> set[str]:
    return {f"numpy_rnn.{name}" for name in modules() if name}


@cache
def reached(folder: str) -> set[str]:
    """Names of the modules that a package imports, and of those that these import."""
    found, left = set[str](), {folder}
    while left:
        name = left.pop()
        found.add(name)
        left |= imported(modules()[name]) - found
    return found


def test_every_module_has_a_floor() -> None:
    assert set(modules()) == set(FLOOR_OF)


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_below(name: str) -> None:
    for other in imported(modules()[name]):
        assert FLOOR_OF[other] < FLOOR_OF[name], f"{name or 'numpy_rnn'} imports {other}"
        folder = other.rpartition(".")[0]  # whose __init__ runs first
        if folder and not f"{name}.".startswith(f"{folder}."):
            assert name not in reached(folder), f"{name} imports {other}, and {folder} imports it"


def test_the_mathematics_imports_numpy_and_nothing_else() -> None:
    for name, path in modules().items():
        if name.startswith("functional"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    assert {alias.name.split(".")[0] for alias in node.names} == {"numpy"}


def test_the_import_brings_numpy_and_the_standard_library_only() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); from numpy_rnn import *;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    extra = set(run.stdout.split()) - set(sys.stdlib_module_names)
    assert extra <= {"numpy_rnn", "numpy"}  # parts of numpy that it loads when asked for


def test_the_command_imports_numpy_only_when_it_can_be_interrupted() -> None:
    code = "import sys, numpy_rnn.__main__; print({'numpy', 'argparse', 'typing'} & {*sys.modules})"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    # Without site, because a .pth file of the environment may import anything.
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, capture_output=True, env=environment
    )
    assert run.stdout == b"set()\n"


def test_the_packages_names_are_those_that_type_checkers_see() -> None:
    names = [*layers.__all__, *optim.__all__, "Parameters", "__version__"]
    assert numpy_rnn.__all__ == sorted(names)
    assert len(set(names)) == len(names)
    assert {*numpy_rnn.__all__, "layers"} <= set(dir(numpy_rnn))
    for name in (*numpy_rnn.__all__, "layers", "optim", "functional", "init", "parameters"):
        assert getattr(numpy_rnn, name) is not None
    with pytest.raises(AttributeError, match="module 'numpy_rnn' has no attribute 'GRUX'"):
        numpy_rnn.GRUX  # noqa: B018 (there is none)


def test_reexports_are_explicit_and_complete() -> None:
    for name, path in modules().items():
        # These two load their exports when asked for: above, and tests/textbook/test_running.py.
        if path.name != "__init__.py" or name in {"", "cli", "textbook"}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
        names -= {"annotations"}
        kinds = {type(node) for node in tree.body}
        assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign, ast.AugAssign}, (
            f"{name} defines something"
        )
        module = __import__(f"numpy_rnn.{name}".rstrip("."), fromlist=["x"])
        assert set(getattr(module, "__all__", ())) == names
