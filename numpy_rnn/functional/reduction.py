"""How the errors of single elements become one loss: a sum times a number.

    "sum"            L = sum e
    "mean"           L = sum e / (number of elements that count)
    "sum_over_time"  L = sum e / (number of elements of one timestep, counted or not)
    "none"           no sum

The first two and "none" are PyTorch's. Where all elements count, "sum_over_time" is the sum
over time of mean errors: what a training loop does that adds up
``MSELoss()(output_t, target_t)`` over the steps of a sequence.
"""

from __future__ import annotations

from typing import Literal

Reduction = Literal["mean", "sum", "sum_over_time", "none"]


def reduction_scale(reduction: Reduction, *, counted: int, per_step: int) -> float:
    """Return the number that the sum of the errors is multiplied by.

    Parameters
    ----------
    reduction : {"mean", "sum", "sum_over_time", "none"}
        See the module's head.
    counted : int
        How many errors count.
    per_step : int
        How many errors one timestep has.

    Returns
    -------
    scale : float
        1 for "sum" and "none". An empty mean is 0 (PyTorch's is NaN): a batch in which
        nothing counts has gradient zero.

    Raises
    ------
    ValueError
        If `reduction` is none of the four.
    """
    if reduction in ("sum", "none"):
        return 1.0
    if reduction == "mean":
        return 1.0 / max(counted, 1)
    if reduction == "sum_over_time":
        return 1.0 / max(per_step, 1)
    raise ValueError(
        f"reduction is {reduction!r}, expected 'mean', 'sum', 'sum_over_time' or 'none'"
    )
