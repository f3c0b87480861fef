"""check_gradients and assert_gradients, the two calls of the gradient checker."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from numpy_rnn.checking.checker import Checker
from numpy_rnn.checking.compare import CheckSettings
from numpy_rnn.checking.derivatives import Method
from numpy_rnn.checking.frameworks import framework_pair
from numpy_rnn.checking.losses import FunctionTarget
from numpy_rnn.checking.nested import Arguments, FormError
from numpy_rnn.checking.objects import METHODS, ObjectTarget
from numpy_rnn.checking.report import Report
from numpy_rnn.checking.shapes import Given, complete_sizes
from numpy_rnn.checking.side_effects import KINDS
from numpy_rnn.checking.target import Target, argument_names, positional

# What code prints, the global generators and NumPy's functions are replaced for a while.
ONE_AT_A_TIME = threading.RLock()
CAUSE_SECONDS = 5.0  # to look for a cause, unless a call says otherwise
METHOD_NAMES = "auto", "complex step", "central differences"
FORMS = (
    "a pair (forward, backward), an object with both methods, a function "
    "theta -> (loss, gradient), a torch.autograd.Function or a jax.custom_vjp"
)


def check_gradients(
    target: Any,
    *arguments: Given | Mapping[str, Given],
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, str] | None = None,
    gates: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    method: Literal["auto", "complex step", "central differences"] = "auto",
    regimes: Sequence[str] | None = None,
    rtol: float | None = None,
    locate: bool = True,
    cause_seconds: float | None = None,
    seed: int = 0,
    keep: Sequence[str] = (),
    allow: Collection[str] = (),
) -> Report:
    """Check every gradient of a pair, an object or a function.

    An object's parameters are drawn anew for each regime. The object itself is left as it was.

    Parameters
    ----------
    target : pair of callables, object or callable
        ``(forward, backward)`` that obeys the mirror rule: ``out, cache = forward(*arguments)``
        and ``gradients = backward(*douts, cache)``, one gradient for each argument. Or an
        object with ``forward`` and ``backward`` and parameters and gradients in any usual
        form. Or a function ``theta -> (loss, gradient)``, a ``torch.autograd.Function`` or a
        ``jax.custom_vjp``. docs/adapters.md has an example of each.
    *arguments : str, array, callable or None, or one mapping of these by name
        The arguments of forward. A string is a shape in letters, ``"T B D"`` or ``"4H H"``. It
        draws inputs that expose bugs, in eight regimes. An array is taken as it is. A callable of
        (generator, sizes) returns what no shape can express, such as targets. For a function,
        a mapping lists the parts of its flat theta, in order. Dicts and lists may be nested.
    sizes : mapping of str to int, optional
        Sizes of letters, instead of T = 11, B = 3, D = 5, H = 4, P = 2, V = 6.
    axes : mapping of str to str, optional
        Letters of arguments that are given as arrays, so that errors are reported by timestep.
        For arrays with three axes, T, B and another are assumed.
    gates : sequence of str, optional
        Names of the blocks of the weights. Without them a report names blocks by number.
    parameters : sequence of str, optional
        Attributes of the object that are its parameters, if it does not show it.
    method : {"auto", "complex step", "central differences"}
        "auto" is the complex step if the code is analytic. Otherwise it is central differences,
        with a note that names the operation.
    regimes : sequence of str, optional
        Regimes to draw inputs for, of usual, last-step-only, saturated, vanishing,
        exploding, wide, zeros and ties, one step, and one row; all by default.
    rtol : float, optional
        Largest error of a time slice, relative to its largest entry. By default 1e-10 for the
        complex step (1e-6 where inputs saturate, 1e-8 where they explode), and at least 1e-8
        for central differences.
    locate : bool
        Whether to look for the first wrong place, which takes longer than to notice an error.
    cause_seconds : float, optional
        Processor time to look for the cause of a wrong gradient, 5 by default, 0 for none: a small
        change of the code, tried in memory, that makes every gradient right. Its source has to be
        in a file.
    seed : int
        Seed of everything that is drawn.
    keep : sequence of str
        Parameters of an object that are not drawn anew.
    allow : set of str
        Side effects that are meant: "accumulates", "changes cache", "changes input", "changes
        gradient", "updates parameters", "float32", "clips", "random" or "unchecked".

    Returns
    -------
    report : Report
        Prints as a table. ``report.ok`` is whether everything is right.

    Examples
    --------
    >>> from numpy_rnn.functional import linear_backward, linear_forward
    >>> def doubles_db(dy, cache):
    ...     dx, dW, db = linear_backward(dy, cache)
    ...     return dx, dW, 2 * db
    >>> report = check_gradients((linear_forward, doubles_db), "T B D", "H D", "H")
    >>> report.ok, report.location.parameter
    (False, 'b')
    >>> print(*report.suggestions)
    the gradient of b is off by a constant factor 2: is a factor missing, or one too many?
    """
    keep = (keep,) if isinstance(keep, str) else tuple(keep)
    allow = {allow} if isinstance(allow, str) else set(allow)
    unknown = sorted(allow - KINDS.keys())
    seconds: Any = CAUSE_SECONDS if cause_seconds is None else cause_seconds
    for name, value, fits, expected in (
        ("method", method, method in METHOD_NAMES, f"one of {METHOD_NAMES}"),
        ("seed", seed, str(seed).isdigit(), "a whole number from 0"),
        ("cause_seconds", seconds, isinstance(seconds, float | int) and seconds >= 0, "at least 0"),
        ("allow", "".join(unknown[:1]), not unknown, f"some of {', '.join(KINDS)}"),
    ):
        if not fits:
            raise ValueError(f"check_gradients: {name} is {value!r}, expected {expected}")
    first_method: Method = "complex step" if method == "auto" else method
    settings, auto = CheckSettings(first_method, rtol, tuple(gates or ()), seed), method == "auto"

    def checked(
        sizes: Mapping[str, int], regimes: Sequence[str] | None, *, locate: bool = False
    ) -> Checker:
        adapted, given = read_target(target, arguments, parameters)
        checker = Checker(adapted, given, dict(sizes), axes, settings, auto, keep, allow, locate)
        checker.run_all(regimes)
        return checker

    letters = complete_sizes(sizes)
    with ONE_AT_A_TIME:
        checker = checked(letters, regimes, locate=locate)
        report = checker.report()
        if locate and seconds > 0 and not report.gradients_ok:
            before = {violation.kind for violation in report.side_effects}
            # Data that the caller gives have their T and B already.
            fixed = "TB" if any(isinstance(g, np.ndarray) for g in checker.given.values()) else ""
            larger = {k: n + 1 for k, n in letters.items() if k not in fixed}

            def is_right() -> bool:
                changed = checked(letters, None).report()
                if not (changed.gradients_ok and before >= {v.kind for v in changed.side_effects}):
                    return False
                with suppress(Exception):  # code that takes no other sizes
                    others = letters | larger | dict(sizes or {})
                    return checked(others, ["usual"]).report().gradients_ok
                return True  # / 2 would be right for / sqrt(H) if H were 4 alone

            return replace(report, suggestions=checker.causes(is_right, seconds))
    return report


def assert_gradients(target: Any, *arguments: Given | Mapping[str, Given], **options: Any) -> None:
    """Raise AssertionError with the whole report if a gradient is wrong or a pass misbehaves.

    The arguments are those of :func:`check_gradients`.

    Examples
    --------
    >>> from numpy_rnn import LSTM, Linear, Sequential
    >>> assert_gradients(Sequential(LSTM(3, 4, rng=0), Linear(4, 2, rng=1)), "T B 3")
    """
    report = check_gradients(target, *arguments, **options)
    if not report.ok:
        which = "a gradient is wrong" if not report.gradients_ok else "a pass has side effects"
        raise AssertionError(f"{which}\n{report}")


def read_target(
    target: Any, arguments: Sequence[Any], parameters: Sequence[str] | None
) -> tuple[Target, dict[str, Any]]:
    """Return which form check_gradients was given, as a Target, and its arguments by name."""
    pair = isinstance(target, tuple | list) and len(target) == 2 and all(map(callable, target))
    functions = (*target, "") if pair else framework_pair(target)
    methods = next((m for m in METHODS if all(hasattr(target, n) for n in m if n)), None)
    forward: Any
    if functions is not None:
        forward = functions[0]
    elif isinstance(target, type):
        raise FormError(f"check_gradients: {target.__name__} is a class, expected an object of it")
    elif methods is not None and not inspect.isfunction(target):
        forward = getattr(target, methods[0])
    elif callable(target):
        forward = target
    else:
        raise FormError(f"check_gradients: {target!r}, expected {FORMS}")
    by_name = len(arguments) == 1 and isinstance(arguments[0], Mapping)
    if by_name:
        given = in_order(dict(arguments[0]), forward)
    else:
        given = dict(zip(argument_names(forward, len(arguments)), arguments, strict=True))
    if not given:
        raise FormError("check_gradients: no arguments, expected those of forward")
    if functions is not None and not pair:  # its tensors, as arrays
        given = {n: np.asarray(g) if hasattr(g, "__array__") else g for n, g in given.items()}
    nested = Arguments(given)
    if functions is not None:
        return Target(functions[0], functions[1], nested, functions[2]), nested.values
    if forward is not target:
        return ObjectTarget(target, nested, parameters, methods or METHODS[0]), nested.values
    single = sum(p.default is p.empty for p in positional(target) or ()) == 1
    flat = by_name and single and all(isinstance(tree, str) for tree in nested.trees)
    values = {  # an integer vector stands for a real one
        n: g.astype(float) if isinstance(g, np.ndarray) and single else g
        for n, g in nested.values.items()
    }
    return FunctionTarget(target, nested, flat=flat), values


def in_order(given: dict[str, Any], forward: Callable[..., Any]) -> dict[str, Any]:
    """Return arguments in the order of forward, if all of their names are those of its own."""
    names = [p.name for p in positional(forward) or ()]
    if not given.keys() <= set(names):
        return given
    for name in names[: len(given)]:
        if name not in given:
            raise FormError(f"check_gradients: {name} is not described, expected all before it too")
    return {name: given[name] for name in names[: len(given)]}
