"""Recurrent neural networks in pure NumPy: every gradient derived by hand and verified.

Layers, losses, optimisers and clipping can be imported from here. Training, gradient checks and
applications are in ``numpy_rnn.training``, ``numpy_rnn.checking`` and ``numpy_rnn.apps``. Start
reading in ``textbook/elman.py``.
"""

from importlib import import_module

from numpy_rnn.version import __version__

TYPE_CHECKING = False  # instead of that of typing, whose import takes 10 ms
if TYPE_CHECKING:  # when the program runs, __getattr__ imports them
    from numpy_rnn.layers import (
        ELU,
        GRU,
        LRU,
        LSTM,
        RNN,
        Activation,
        Cell,
        CrossEntropyLoss,
        Dropout,
        Embedding,
        HardSigmoid,
        Identity,
        IndRNN,
        LastStep,
        Layer,
        LayerNorm,
        LeakyReLU,
        Linear,
        LogSoftmax,
        Loss,
        MinGRU,
        MSELoss,
        PeepholeLSTM,
        Recurrent,
        ReLU,
        Sequential,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        Softsign,
        Tanh,
        load,
        load_state,
        reset_rows,
        save_state,
    )
    from numpy_rnn.optim import (
        SGD,
        Adagrad,
        Adam,
        AdamW,
        Optimizer,
        RMSprop,
        clip_grad_norm,
        clip_grad_value,
    )
    from numpy_rnn.parameters import Parameters

__all__ = [
    "ELU",
    "GRU",
    "LRU",
    "LSTM",
    "RNN",
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Cell",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "HardSigmoid",
    "Identity",
    "IndRNN",
    "LastStep",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MinGRU",
    "Optimizer",
    "Parameters",
    "PeepholeLSTM",
    "RMSprop",
    "ReLU",
    "Recurrent",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "__version__",
    "clip_grad_norm",
    "clip_grad_value",
    "load",
    "load_state",
    "reset_rows",
    "save_state",
]


_HOMES = ("layers", "optim", "parameters")


def __getattr__(name: str) -> object:
    """Import a layer, an optimiser or a subpackage when it is asked for.

    So the command line is ready for Ctrl-C before it imports NumPy, which takes a while.
    """
    if name in __all__:
        homes = (import_module(f"{__name__}.{home}") for home in _HOMES)
        value = next(vars(home)[name] for home in homes if name in vars(home))
    elif name in (*_HOMES, "functional", "init"):
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the package, whether or not they have been imported."""
    return sorted({*globals(), *__all__})
