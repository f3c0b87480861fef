"""Which of the forms that people write was handed to the checker."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.frameworks import framework_function
from numpy_rnn.checking.nested import Arguments, FormError
from numpy_rnn.checking.objects import METHODS, ObjectTarget
from numpy_rnn.checking.target import FunctionTarget, PairTarget, Target, argument_names, positional

FORMS = (
    "a pair (forward, backward), an object with both methods, a function "
    "theta -> (loss, gradient), a torch.autograd.Function or a jax.custom_vjp"
)


def read_target(
    target: Any, arguments: Sequence[Any], parameters: Sequence[str] | None
) -> tuple[Target, dict[str, Any]]:
    """Return what check_gradients was given as a Target, and its arguments by name."""
    pair = isinstance(target, tuple | list) and len(target) == 2 and all(map(callable, target))
    methods = next((m for m in METHODS if all(hasattr(target, n) for n in m if n)), None)
    framework = framework_function(target)
    forward: Any
    if pair:
        forward = target[0]
    elif framework is not None:
        forward = framework.forward
    elif methods is not None and not inspect.isfunction(target):
        forward = getattr(target, methods[0])
    elif callable(target):
        forward = target
    else:
        raise FormError(f"check_gradients: {target!r}, expected {FORMS}")
    by_name = len(arguments) == 1 and isinstance(arguments[0], Mapping)
    if by_name:
        given = dict(arguments[0])
    else:
        given = dict(zip(argument_names(forward, len(arguments)), arguments, strict=True))
    if not given:
        raise FormError("check_gradients: no arguments, expected those of forward")
    nested = Arguments(given)
    if pair:
        return PairTarget(target[0], target[1], nested), nested.values
    if framework is not None:
        pair_of_arrays = framework.forward, framework.backward
        return PairTarget(*pair_of_arrays, nested, framework.name), nested.values
    if forward is not target:
        return ObjectTarget(target, nested, parameters, methods or METHODS[0]), nested.values
    single = sum(p.default is p.empty for p in positional(target) or ()) == 1
    flat = by_name and single and all(isinstance(tree, str) for tree in nested.trees)
    values = {  # an integer vector stands for a real one
        n: g.astype(float) if isinstance(g, np.ndarray) and single else g
        for n, g in nested.values.items()
    }
    return FunctionTarget(target, nested, flat=flat), values
