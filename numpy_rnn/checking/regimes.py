"""Regimes: the kinds of inputs that a check draws.

Whether a check finds a bug depends on its inputs. T and B differ from each other and from every
other size. Eight regimes put the gradient where a bug is hard to see:

    usual           every step sends a gradient
    last-step-only  the loss is at the last step, so early slices see only what crossed time
    saturated       pre-activations near +-5: slopes of 1e-3 and far less
    vanishing       recurrent weights so small that the gradient shrinks 10 to 100 times a step;
                    the loss is at the last step and at one in the middle
    exploding       recurrent weights so large that the gradient grows; the loss is at the
                    last step
    wide            magnitudes from 1e-3 to 300, with both signs
    zeros and ties  a part of every array is exactly zero, another part is twice the same number
    one step        T = 1 and B = 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple


class InputRegime(NamedTuple):
    """The scales of the inputs, the steps with a loss, and the tolerance that goes with them."""

    name: str
    weights: float = 1.0
    recurrent: float = 1.0
    loss_steps: Literal["all", "last", "last and middle"] = "all"
    rtol: float = 1e-10  # of a time slice, for an exact method
    values: Literal["normal", "wide", "with zeros"] = "normal"
    single: str = ""  # letters whose size is 1
    factors: tuple[tuple[str, float], ...] = ()  # on values, to reach another side of a branch
    extra: bool = False  # other than what the caller gave

    @property
    def optional(self) -> bool:
        """Whether code need not take such inputs: a failure or an overflow is a remark."""
        return self.values != "normal" or bool(self.single) or bool(self.factors) or self.extra

    @property
    def visible(self) -> bool:
        """Whether gradients of usual size pass: nothing saturates or explodes everywhere."""
        return self.weights == 1 and self.recurrent <= 1 and self.values == "normal"


REGIMES = (
    InputRegime("usual"),
    InputRegime("last-step-only", loss_steps="last"),
    # 1 - h^2, from an h within 1e-9 of 1, has lost nine of its sixteen digits.
    InputRegime("saturated", weights=3.0, rtol=1e-6),
    InputRegime("vanishing", recurrent=0.03, loss_steps="last and middle"),
    InputRegime("exploding", recurrent=3.0, loss_steps="last", rtol=1e-8),
)
# Inputs that code may refuse, where values and not the flow of the gradient matter.
OPTIONAL_REGIMES = (
    InputRegime("wide", values="wide", rtol=1e-6),
    InputRegime("zeros and ties", values="with zeros", rtol=1e-8),
    InputRegime("one step", single="TB"),
)
# With several steps. Where T and B are axes, all regimes have it besides.
ONE_ROW = InputRegime("one row", single="B")
# For arguments that are given as arrays, whose scale is not ours to choose.
GIVEN_REGIMES = (InputRegime("given"), InputRegime("given, last step only", loss_steps="last"))


def choose_regimes(names: Sequence[str] | None) -> tuple[InputRegime, ...]:
    """Return the regimes of these names, or all of them for None."""
    if names is None:
        return REGIMES + OPTIONAL_REGIMES
    known = {regime.name: regime for regime in (*REGIMES, *OPTIONAL_REGIMES, ONE_ROW)}
    wrong = [repr(name) for name in names if name not in known]
    if wrong or not names:
        raise ValueError(f"regimes: {[*wrong, 'none'][0]}, expected some of {', '.join(known)}")
    return tuple(known[name] for name in names)
