"""check_gradients and assert_gradients: is this gradient right, and if not, where is it wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from numpy_rnn.checking.compare import Comparison, guess_gates
from numpy_rnn.checking.diagnose import MANY, Diagnosis, Evidence, diagnose
from numpy_rnn.checking.hygiene import Fault, faults, not_finite
from numpy_rnn.checking.judge import Settings, compare_all
from numpy_rnn.checking.methods import Method, is_analytic
from numpy_rnn.checking.model import ModelSubject
from numpy_rnn.checking.report import Report, rows_of
from numpy_rnn.checking.shapes import (
    REGIMES,
    SIZES,
    Axes,
    Given,
    Regime,
    draw,
    draw_gradients,
)
from numpy_rnn.checking.subject import (
    FunctionSubject,
    PairSubject,
    Subject,
    Values,
    argument_names,
    is_real,
)
from numpy_rnn.checking.trace import why_not_analytic

GIVEN = (Regime("given"), Regime("given, last step only", senders="last"))


def check_gradients(
    subject: Any,
    *arguments: Given | Mapping[str, Given],
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, str] | None = None,
    gates: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    method: Literal["auto", "complex step", "central differences"] = "auto",
    project: bool | None = None,
    regimes: Sequence[str] | None = None,
    rtol: float | None = None,
    locate: bool = True,
    seed: int = 0,
) -> Report:
    """Check every gradient of a pair, an object or a function.

    Parameters
    ----------
    subject : pair of callables, object or callable
        ``(forward, backward)`` obeying the mirror rule: ``out, cache = forward(*arguments)``
        and ``gradients = backward(*douts, cache)``, one gradient for each argument. Or an
        object with ``forward`` and ``backward`` and named parameters and gradients. Or a
        function ``theta -> (loss, gradient)``.
    *arguments : str, array, callable or None, or one mapping of these by name
        The arguments of forward. A string is a shape in letters, ``"T B D"`` or ``"4H H"``,
        and draws inputs that expose bugs, in five regimes; an array is taken as it is; a
        callable of (generator, sizes) returns what no shape can say, such as targets. For a
        function, a mapping says what its flat theta is made of, in order.
    sizes : mapping of str to int, optional
        Sizes of letters, in place of T = 11, B = 3, D = 5, H = 4, P = 2, V = 6.
    axes : mapping of str to str, optional
        Letters of arguments that are given as arrays, so that errors can be said by time.
        Guessed for arrays with three axes: T, B and another.
    gates : sequence of str, optional
        Names of the row blocks of the weights; guessed from a weight of 3H or 4H rows.
    parameters : sequence of str, optional
        Attributes of the object that are its parameters, where it does not say so.
    method : {"auto", "complex step", "central differences"}
        "auto" is the complex step where the code is analytic, and central differences where
        it is not, with a note that says which operation it was.
    project : bool, optional
        Whether to compare along random directions, one for each time slice, in place of
        element by element; by default with more than 3,000 elements.
    regimes : sequence of str, optional
        Which of usual, distant, saturated, vanishing, exploding to draw inputs for; all.
    rtol : float, optional
        How far a time slice may be off, relative to its largest entry. By default 1e-10 (1e-6
        where inputs saturate or explode) for the complex step, 1e5 times that for central
        differences.
    locate : bool
        Whether to look for the first wrong place, which takes longer than to see that there is
        one.
    seed : int
        For everything that is drawn.

    Returns
    -------
    report : Report
        Prints as a table; ``report.ok`` says whether everything is right.

    Raises
    ------
    TypeError, ValueError
        If the subject is of none of the three forms, or an argument cannot be read.
    """
    target, given = _read(subject, arguments, parameters)
    all_sizes = _sizes(sizes)
    drawn = any(isinstance(g, str) for g in given.values())
    found: list[tuple[str, Comparison]] = []
    wrong: list[Fault] = []
    notes: list[str] = []
    diagnosis = Diagnosis(None, [])
    settings: Settings | None = None
    done: list[str] = []
    values: Values = {}
    for number, regime in enumerate(_chosen(regimes) if drawn else GIVEN):
        rng = np.random.default_rng([seed, number])
        values, known, douts = _inputs(target, given, all_sizes, regime, axes, rng)
        if isinstance(target, ModelSubject) and not done:
            wrong += [Fault("not checked", text) for text in target.overlooked]
        if not drawn and regime.senders == "last" and all(d.all() for d in douts):
            continue  # there is no time in it: the same again
        done.append(regime.name)
        if fault := not_finite(target, values, douts):
            wrong.append(fault._replace(text=f"{fault.text} (inputs: {regime.name})"))
            break
        if settings is None:
            wrong += faults(target, values, douts)
            _check_something(target, values)
            settings, notes = _settle(target, values, known, method, project, rtol, gates, seed)
        if method == "auto":
            settings = _where_analytic(settings, target, values, douts, notes)
        comparisons = compare_all(target, values, known, douts, settings, regime)
        found += [(regime.name, c) for c in comparisons]
        if locate and diagnosis.place is None and any(not c.right for c in comparisons):
            evidence = Evidence(target, values, known, douts, regime, settings.gates, seed)
            diagnosis = diagnose(evidence, comparisons, given, all_sizes, settings.method)
    how = "no method"
    if settings:
        how = settings.method + (", along random directions" if settings.project else "")
    compared = {comparison.parameter for _, comparison in found}
    if found:
        left = [name for name in _real_names(values) if name not in compared]
        notes += [f"backward returns no gradient of {name}" for name in left]
    notes += _unresolved(found)
    return Report(
        target.name,
        how,
        tuple(done),
        rows_of(found),
        wrong,
        diagnosis.place,
        diagnosis.suggestions,
        notes,
    )


def assert_gradients(subject: Any, *arguments: Given | Mapping[str, Given], **options: Any) -> None:
    """Raise AssertionError with the whole report if a gradient is wrong.

    Parameters
    ----------
    subject, *arguments, **options
        As for :func:`check_gradients`.

    Raises
    ------
    AssertionError
        If a gradient is wrong, or a pass did what it must not do.
    """
    report = check_gradients(subject, *arguments, **options)
    if not report.ok:
        raise AssertionError(str(report))


def _read(
    subject: Any,
    arguments: Sequence[Given | Mapping[str, Given]],
    parameters: Sequence[str] | None,
) -> tuple[Subject, dict[str, Given]]:
    """Return the subject in its common form, and its arguments by name."""
    if isinstance(subject, tuple) and len(subject) == 2 and all(map(callable, subject)):
        forward: Any = subject[0]
    elif hasattr(subject, "forward") and hasattr(subject, "backward"):
        forward = subject.forward
    elif callable(subject):
        forward = subject
    else:
        raise TypeError(
            f"check_gradients: {subject!r}, expected a pair (forward, backward), an object with "
            "both methods, or a function theta -> (loss, gradient)"
        )
    named = len(arguments) == 1 and isinstance(arguments[0], Mapping)
    given: Any = arguments[0] if named else arguments
    if not named:
        given = dict(zip(argument_names(forward, len(arguments)), arguments, strict=True))
    if not given:
        raise TypeError("check_gradients: no arguments, expected those of forward")
    if forward is subject:  # a vector of whole numbers is meant as one of real numbers
        given = {n: g.astype(float) if isinstance(g, np.ndarray) else g for n, g in given.items()}
    if isinstance(subject, tuple):
        return PairSubject(subject[0], subject[1]), dict(given)
    if forward is subject:
        return FunctionSubject(subject, laid_out=named), dict(given)
    return ModelSubject(subject, list(given), parameters), dict(given)


def _real_names(values: Values) -> list[str]:
    return [name for name, value in values.items() if is_real(value)]


def _sizes(given: Mapping[str, int] | None) -> dict[str, int]:
    sizes = {**SIZES, **(given or {})}
    for letter, size in sizes.items():
        if size < 1:
            raise ValueError(f"sizes: {letter} is {size}, expected at least 1")
    return sizes


def _inputs(
    subject: Subject,
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
    regime: Regime,
    axes: Mapping[str, str] | None,
    rng: np.random.Generator,
) -> tuple[Values, dict[str, Axes], list[Any]]:
    """Return what the passes are run on: values, the axes that are known, and gradients."""
    values, known = draw(rng, given, sizes, regime)
    if isinstance(subject, ModelSubject):
        subject.discover(values)
        values |= _scaled(subject.parameters(), regime)
    known |= _axes_of(values, known, axes)
    outputs = subject.run(values).outputs
    return values, known, draw_gradients(rng, outputs, _steps(values, known), regime)


def _chosen(names: Sequence[str] | None) -> tuple[Regime, ...]:
    known = {regime.name: regime for regime in REGIMES}
    if names is not None and not names:
        raise ValueError(f"regimes: none, expected some of {', '.join(known)}")
    for name in names or ():
        if name not in known:
            raise ValueError(f"regimes: {name!r}, expected some of {', '.join(known)}")
    return REGIMES if names is None else tuple(known[name] for name in names)


def _scaled(parameters: Values, regime: Regime) -> Values:
    """Return a model's parameters as the regime wants them.

    A square matrix, or one with `hh` in its name, counts as recurrent.
    """
    recurrent = {
        name
        for name, value in parameters.items()
        if value.ndim == 2 and ("hh" in name or value.shape[0] == value.shape[1])
    }
    rng = np.random.default_rng(0)
    return {
        # What starts at zero hides what it is multiplied with.
        name: (value if value.any() else 0.5 * rng.standard_normal(value.shape).astype(value.dtype))
        * regime.weights
        * (regime.recurrent if name in recurrent else 1)
        for name, value in parameters.items()
    }


def _axes_of(
    values: Values, known: Mapping[str, Axes], axes: Mapping[str, str] | None
) -> dict[str, Axes]:
    """Return axes of the arguments that were not given as shapes."""
    said = {name: tuple(text.split()) for name, text in (axes or {}).items()}
    for name in said:
        if name not in values:
            raise ValueError(f"axes: {name!r}, expected some of {', '.join(values)}")
    shaped = {n: v for n, v in values.items() if isinstance(v, np.ndarray) and n not in known}
    sequences = [
        v for v in shaped.values() if v.ndim >= 3 or (v.dtype.kind in "iu" and v.ndim == 2)
    ]
    for name, value in shaped.items():
        if name not in said and value.ndim >= 3 and value.shape[:2] == sequences[0].shape[:2]:
            said[name] = ("T", "B", *("",) * (value.ndim - 2))
    return said


def _steps(values: Values, axes: Mapping[str, Axes]) -> int | None:
    """Return T, if an argument has it."""
    lengths = [values[n].shape[a.index("T")] for n, a in axes.items() if "T" in a]
    return int(lengths[0]) if lengths else None


def _where_analytic(
    settings: Settings, subject: Subject, values: Values, douts: list[Any], notes: list[str]
) -> Settings:
    """Fall back to central differences, with a note, where the complex step does not serve."""
    if settings.method == "central differences" or all(
        is_analytic(subject, values, douts, name) for name in _real_names(values)
    ):
        return settings
    why = f"the code is not analytic: {why_not_analytic(subject, values)}"
    notes.append(f"{why}; central differences are used, which see about 6 digits")
    return settings._replace(method="central differences")


def _check_something(subject: Subject, values: Values) -> None:
    """Raise where there is nothing to check, or something that cannot be."""
    for name, value in values.items():
        if isinstance(value, tuple | list):
            raise TypeError(
                f"{subject.name}: {name} is a {type(value).__name__}, expected an array: hand in "
                "its parts as arguments of their own"
            )
        if isinstance(value, np.ndarray) and value.dtype.kind == "c":
            raise TypeError(f"{subject.name}: {name} is complex, expected real numbers")
    if not any(values[name].size for name in _real_names(values)):
        raise TypeError(f"{subject.name}: nothing to check, expected arguments of real numbers")


def _settle(
    subject: Subject,
    values: Values,
    axes: dict[str, Axes],
    method: str,
    project: bool | None,
    rtol: float | None,
    gates: Sequence[str] | None,
    seed: int,
) -> tuple[Settings, list[str]]:
    """Settle how to differentiate, and say why if it is not the complex step."""
    if method not in ("auto", "complex step", "central differences"):
        raise ValueError(
            f"{subject.name}: method is {method!r}, expected 'auto', 'complex step' or "
            "'central differences'"
        )
    real = {name: values[name] for name in _real_names(values)}
    notes: list[str] = []
    chosen: Method = "central differences" if method == "central differences" else "complex step"
    single = [n for n, v in real.items() if v.dtype != np.float64]
    if method == "auto" and single:
        chosen = "central differences"
        notes.append(
            f"{single[0]} is {real[single[0]].dtype}; central differences are used, which see "
            "about 3 digits of it"
        )
    many = sum(v.size for v in real.values()) > MANY
    shapes = {n: v.shape for n, v in real.items()}
    known_gates = guess_gates(shapes, axes) if gates is None else tuple(gates)
    projected = many if project is None else project
    return Settings(chosen, projected, rtol, known_gates, seed), notes


def _unresolved(found: list[tuple[str, Comparison]]) -> list[str]:
    """Say where the method was too coarse to tell anything."""
    return [
        f"{c.parameter}, inputs {regime}: {c.unresolved} slices are too small for central "
        "differences to say anything"
        for regime, c in found
        if c.unresolved
    ]
