"""Recurrent neural networks in pure NumPy: every gradient derived by hand and verified.

Layers, losses, optimisers and clipping can be imported from here. Training, gradient checks and
applications are in ``numpy_rnn.training``, ``numpy_rnn.checking`` and ``numpy_rnn.apps``. Start
reading in ``textbook/elman.py``.
"""

from importlib import import_module

from numpy_rnn.version import __version__ as __version__

TYPE_CHECKING = False  # instead of that of typing, whose import takes 10 ms
if TYPE_CHECKING:  # when the program runs, __getattr__ imports them
    from numpy_rnn.layers import *  # noqa: F403 (all that is public there)
    from numpy_rnn.optim import *  # noqa: F403 (as above)
    from numpy_rnn.parameters import Parameters as Parameters

    __all__: list[str]

_MODULES = ("layers", "optim", "parameters", "functional", "init")


def __getattr__(name: str) -> object:
    """Import a layer, an optimiser or a subpackage when it is asked for.

    So the command line is ready for Ctrl-C before it imports NumPy, which takes a while.
    """
    value: object
    if name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    elif name == "__all__":
        value = sorted(_exported())
    elif not name.startswith("_") and name in _exported():
        value = getattr(import_module(_exported()[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _exported() -> dict[str, str]:
    """Return every public name, and the module that it comes from."""
    found = {"Parameters": f"{__name__}.parameters", "__version__": f"{__name__}.version"}
    for module in (import_module(f"{__name__}.layers"), import_module(f"{__name__}.optim")):
        found |= dict.fromkeys(module.__all__, module.__name__)
    return found


def __dir__() -> list[str]:
    """Return the names of the package, whether or not they have been imported."""
    return sorted({*_exported(), *globals()})  # in this order: the first one imports
