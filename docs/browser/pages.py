"""What the book's two live pages compute. In the browser it runs under Pyodide (python.js).

All mathematics is the package's. Each function returns text in JSON, which JavaScript reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn.apps import recall
from numpy_rnn.apps.explain.measurements import of_recall, snapshot
from numpy_rnn.apps.learn import judge, load
from numpy_rnn.apps.learn.course import render
from numpy_rnn.apps.learn.exercise import Exercise, messages
from numpy_rnn.apps.learn.judge import SIZES, run_code
from numpy_rnn.checking.compare import CheckSettings, Comparison, Context, compare_all
from numpy_rnn.checking.locate import preactivations
from numpy_rnn.checking.nested import Arguments
from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.shapes import complete_sizes, draw, draw_gradients
from numpy_rnn.checking.target import Point, Target

failures: dict[str, int] = {}  # how often each mistake was seen


def check(number: int, source: str) -> str:
    """Judge an answer to an exercise. Return the text to print and the grid of what is right."""
    exercise = load()[number - 1]
    verdict = judge(exercise, source)
    key = f"{number}: {verdict.mistake or verdict.place}"
    if verdict.kind in ("wrong", "error"):
        failures[key] = failures.get(key, 0) + 1
    text = render(exercise, verdict, failures.get(key, 0), messages("en"))
    result = {"kind": verdict.kind, "text": text, "steps": [], "whole": []}
    if verdict.kind in ("passed", "wrong"):
        try:
            result |= grid(exercise, run_code(source, "answer.py"))
        except Exception as error:  # the answer's own; the text names its place
            result["text"] += f"\n\n{type(error).__name__}: {error}"
    return json.dumps(result)


def grid(exercise: Exercise, answer: Any) -> dict[str, list[tuple[str, Any]]]:
    """Return which steps of each gate and each sequence are right, and which other gradients."""
    forward, backward = (getattr(answer, name) for name in exercise.options["pair"])
    shapes, sizes, regime = exercise.shapes(), complete_sizes(SIZES), REGIMES[0]
    target = Target(forward, backward, Arguments(shapes))
    rng = np.random.default_rng(0)
    values, axes = draw(rng, shapes, sizes, regime)
    point = Point(target, values, draw_gradients(rng, target.run(values).outputs, None, regime))
    gates = tuple(exercise.options.get("gates", ""))
    settings = CheckSettings(method="complex step", rtol=None, gates=gates, seed=0)
    context = Context(point, axes, regime, settings)
    T = sizes["T"]
    steps: list[tuple[str, Any]] = []
    if dz := preactivations(context, shapes, sizes):
        names = [f"dz, gate {gate}" for gate in gates] or ["dz"]
        steps = [(name, dz.right[:, i].tolist()) for i, name in enumerate(names)]
    compared = compare_all(context)
    steps += [(f"d{c.name}", _by_step(c, T)) for c in compared if "T" in axes[c.name]]
    whole = [(f"d{c.name}", c.right) for c in compared if "T" not in axes[c.name]]
    return {"steps": steps, "whole": whole}


def _by_step(comparison: Comparison, T: int) -> list[bool]:
    return [not comparison.problem and t not in comparison.wrong_steps for t in range(T)]


def train(text: str, seed: int, show: Callable[[str], object], every: int = 10) -> None:
    """Train the notebook's network on a sentence. Show it before, and after each few epochs."""
    experiment = recall.Experiment(text=text, seed=seed)
    model, shown = recall.build(experiment), recall.build(experiment)
    sample = of_recall(experiment)

    def measure(epoch: int, loss: float) -> None:
        if epoch % every == 0:
            shown.parameters.data[:] = model.parameters.data
            now = snapshot(shown, sample, lambda _note: None)
            own = np.maximum(np.diagonal(now.attribution), 1e-300)
            with np.errstate(divide="ignore"):
                powers = np.log10(now.attribution / own[:, None])
            matrix = np.clip(np.where(np.isfinite(powers), powers, -99), -99, 9).round(2)
            written = experiment.vocabulary.decode(now.outputs.argmax(axis=1))
            facts = {"epoch": epoch, "loss": loss, "matrix": matrix.tolist(), "written": written}
            show(json.dumps(facts))

    losses = recall.train(model, experiment, measure)
    measure(experiment.epochs, losses[-1])
