"""The registry's pairs of the textbook as pages, and how these tests draw their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.shapes import Given, parse
from numpy_rnn.museum.registry import TEXTBOOK_PAIRS, RegisteredPair

Rng = np.random.Generator
Sizes = dict[str, int]

# All different, so that no axis can be taken for another one.
SIZES = {"T": 11, "B": 3, "D": 2, "H": 5, "P": 4, "V": 7}


class Page(NamedTuple):
    """A pair of the textbook, the shapes of its arguments and its options."""

    name: str
    shapes: Mapping[str, Given]
    options: Mapping[str, Any] = MappingProxyType({})

    @property
    def over_time(self) -> tuple[int, ...]:
        """Positions of the arguments whose gradient has time as its first axis."""
        shapes = enumerate(self.shapes.values())
        return tuple(i for i, g in shapes if isinstance(g, str) and "T" in g.split())

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


def draw(page: Page, rng: Rng, sizes: Sizes, scale: float = 0.7) -> tuple[Any, ...]:
    """Draw one value for each argument of a page's forward, none of them zero."""
    drawn: list[Any] = []
    for name, given in page.shapes.items():
        if isinstance(given, str):
            _, shape = parse(name, given, sizes)
            drawn.append(np.asarray(rng.standard_normal(shape) * scale))
        else:
            drawn.append(given(rng, sizes) if callable(given) else given)
    return tuple(drawn)


def in_regime(page: Page, recurrent: float, inputs: float, T: int) -> tuple[Any, ...]:
    """Draw arguments whose state changes by about `recurrent` from step to step."""
    arguments = draw(page, np.random.default_rng(1), SIZES | {"T": T}, 1.0)
    scales = {"x": inputs, "W_hh": recurrent, "w_hh": recurrent}
    drawn = dict(zip(page.shapes, arguments, strict=True))
    return tuple(array * scales.get(name, 1) for name, array in drawn.items())


def page_of(pair: RegisteredPair) -> Page:
    """Return a row of the registry with the page's own names of its arguments."""
    function = getattr(pair.forward, "func", pair.forward)
    names = inspect.signature(function).parameters
    shapes = dict(zip(names, pair.shapes.values(), strict=False))
    name = function.__name__.removesuffix("_forward")
    return Page(name, shapes, getattr(pair.forward, "keywords", {}))


REDUCTIONS = "mean", "sum", "sum_over_time", "none"
_pages = {page.title: page for page in map(page_of, TEXTBOOK_PAIRS)}
_scores = _pages["cross_entropy reduction=mean"].shapes
PAGES = [
    *_pages.values(),
    _pages["layer_norm"]._replace(options={"eps": 0.5}),
    Page(
        "cross_entropy",
        {**_scores, "targets": _pages["embedding"].shapes["tokens"], "mask": None},
        {"ignore_index": 1},
    ),
]


def masked_mse(reduction: str, sizes: Sizes) -> Page:
    """Return the mean squared error with a mask, which is a keyword argument."""
    mask = np.random.default_rng(5).random((sizes["T"], sizes["B"])) < 0.8
    page = _pages[f"mse reduction={reduction}"]
    return page._replace(options={**page.options, "mask": mask})


CELLS = [page for page in PAGES if "h0" in page.shapes]
