"""The table of pages: what each pair of the textbook takes, and how to draw it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array

Rng = np.random.Generator
Sizes = dict[str, int]
Drawn = str | Callable[[Rng, Sizes], Array | None]

# All different, so that no axis can be taken for another one.
SIZES = {"T": 11, "B": 3, "D": 2, "H": 5, "P": 4, "V": 7, "E": 6, "G": 8}


class Page(NamedTuple):
    """A pair of the textbook, the shapes of its arguments and which have a time axis."""

    name: str
    shapes: dict[str, Drawn]
    over_time: tuple[int, ...] = (0,)
    options: Mapping[str, Any] = MappingProxyType({})

    @property
    def title(self) -> str:
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])

    @property
    def forward(self) -> Callable[..., Any]:
        return partial(self.function("forward"), **self.options)

    @property
    def backward(self) -> Callable[..., Any]:
        return self.function("backward")

    def function(self, way: str) -> Callable[..., Any]:
        module = import_module(f"numpy_rnn.textbook.{self.name}")
        function: Callable[..., Any] = getattr(module, f"{self.name}_{way}")
        return function


def shape_of(text: str, sizes: Sizes) -> tuple[int, ...]:
    """Turn "T B 4H" into a tuple of numbers."""
    return tuple(
        int(axis) if axis.isdigit() else int(axis[:-1] or 1) * sizes[axis[-1]]
        for axis in text.split()
    )


def draw(page: Page, rng: Rng, sizes: Sizes, scale: float = 0.7) -> tuple[Any, ...]:
    """Draw one value for each argument of a page's forward, none of them zero."""
    return tuple(
        np.asarray(rng.standard_normal(shape_of(shape, sizes)) * scale)
        if isinstance(shape, str)
        else shape(rng, sizes)
        for shape in page.shapes.values()
    )


def in_regime(page: Page, recurrent: float, inputs: float, T: int) -> tuple[Any, ...]:
    """Draw arguments whose state changes by about `recurrent` from step to step."""
    arguments = draw(page, np.random.default_rng(1), SIZES | {"T": T}, 1.0)
    scales = {"x": inputs, "W_hh": recurrent, "w_hh": recurrent}
    drawn = dict(zip(page.shapes, arguments, strict=True))
    return tuple(array * scales.get(name, 1) for name, array in drawn.items())


def tokens(rng: Rng, sizes: Sizes) -> Array:
    return rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))


def targets(rng: Rng, sizes: Sizes) -> Array:
    """Classes, a fifth of which are ignored."""
    drawn = tokens(rng, sizes)
    drawn[rng.random(drawn.shape) < 0.2] = -100
    return drawn


def counted(rng: Rng, sizes: Sizes) -> Array:
    return np.asarray(rng.random((sizes["T"], sizes["B"])) < 0.8)


def kept(rng: Rng, sizes: Sizes) -> Array:
    return np.asarray(rng.random((sizes["T"], sizes["B"], sizes["H"])) >= 0.3)


def gated(gates: int, *, h: str = "H", **others: str) -> dict[str, Drawn]:
    G = f"{gates}H"
    weights: dict[str, Drawn] = {"W_ih": f"{G} D", "W_hh": f"{G} {h}", "b_ih": G, "b_hh": G}
    return {"x": "T B D", "h0": f"B {h}", **({"c0": "B H"} if gates == 4 else {}), **weights} | {
        **others
    }


REDUCTIONS = "mean", "sum", "sum_over_time", "none"

PAGES = [
    Page("elman", gated(1) | {"W_ih": "H D", "W_hh": "H H", "b_ih": "H", "b_hh": "H"}),
    Page("lstm", gated(4)),
    Page("projected_lstm", gated(4, h="P", W_hr="P H")),
    Page("peephole_lstm", gated(4, W_c="3 H")),
    Page("gru", gated(3)),
    Page("gru_reset_before", gated(3)),
    Page("indrnn", {"x": "T B D", "h0": "B H", "W_ih": "H D", "w_hh": "H", "b_ih": "H"}),
    Page("mingru", {"x": "T B D", "h0": "B H", "W_ih": "2H D", "b_ih": "2H"}),
    Page(
        "lru",
        {"x": "T B D", "h0": "B 2H", "W_ih": "2H D", "nu": "H", "theta": "H", "gamma": "H"},
    ),
    Page("linear", {"x": "T B D", "W": "G D", "b": "G"}),
    Page("embedding", {"tokens": tokens, "W": "V E"}, ()),
    Page("layer_norm", {"x": "T B H", "weight": "H", "bias": "H"}),
    Page("layer_norm", {"x": "T B H", "weight": "H", "bias": "H"}, options={"eps": 0.5}),
    Page("dropout", {"x": "T B H", "mask": kept}, options={"p": 0.3}),
    *(
        Page("mse", {"y": "T B V", "target": "T B V"}, (0, 1), {"reduction": reduction})
        for reduction in REDUCTIONS
    ),
    *(
        Page(
            "cross_entropy",
            {"y": "T B V", "targets": targets, "mask": counted},
            options={"reduction": reduction},
        )
        for reduction in REDUCTIONS
    ),
    Page(
        "cross_entropy",
        {"y": "T B V", "targets": tokens, "mask": lambda _rng, _sizes: None},
        options={"ignore_index": 1},
    ),
]


def masked_mse(reduction: str, sizes: Sizes) -> Page:
    """Return the mean squared error with a mask, which is a keyword argument."""
    mask = counted(np.random.default_rng(5), sizes)
    options = {"reduction": reduction, "mask": mask}
    return Page("mse", {"y": "T B V", "target": "T B V"}, (0, 1), options)


CELLS = [page for page in PAGES if "h0" in page.shapes]
