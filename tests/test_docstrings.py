"""Every example in a docstring runs and prints what it shows, and every public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import numpy_rnn

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(numpy_rnn.__path__, "numpy_rnn.")
    if not module.name.endswith("__main__")
)
# Packages whose __all__ is what users import.
PUBLIC = ["numpy_rnn", "numpy_rnn.functional", "numpy_rnn.textbook", "numpy_rnn.checking"]
PUBLIC += ["numpy_rnn.training", "numpy_rnn.apps", "numpy_rnn.interchange"]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_print_what_they_say(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), verbose=False)
    assert not failed


def without_example(package: ModuleType) -> list[str]:
    """Names of functions and classes whose docstring, and whose methods', have no example."""
    missing = []
    for name in package.__all__:
        thing = getattr(package, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        if name.endswith("_backward"):  # shown beside its forward
            continue
        docs = [inspect.getdoc(thing) or ""]
        if inspect.isclass(thing):
            docs += [inspect.getdoc(member) or "" for member in vars(thing).values()]
        if not any(">>> " in doc for doc in docs):
            missing.append(name)
    return missing


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name: str) -> None:
    assert without_example(importlib.import_module(name)) == []
