"""What a state_dict does not hold of a model, and which layers PyTorch lacks."""

from __future__ import annotations

from numpy_rnn.arguments import NO_DEFAULT
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.layers import GRU, LSTM, RNN, Embedding, Layer, LayerNorm, Linear, Sequential

# The layers with parameters that PyTorch has. Of their options: those that PyTorch lacks, and those
# that names and shapes tell or that change no result.
TORCH = (RNN, LSTM, GRU, Linear, Embedding, LayerNorm)
OURS = {"reset_after", "reverse", "merge", "activations", "clip", "input_forget"}
TOLD = {"num_layers", "bias", "bidirectional", "proj_size", "recompute"}


def check_for_torch(model: Layer) -> list[str]:
    """Return what a state_dict of the model does not hold, in words.

    UnsupportedError names all layers and options that PyTorch lacks.
    """
    foreign, missing = list[str](), list[str]()
    _describe(model, "", foreign, missing)
    if foreign:
        raise UnsupportedError(f"PyTorch has no {', '.join(dict.fromkeys(foreign))}")
    if not model.parameters.shapes:
        raise UnsupportedError(f"{model!r} has no weights, so its state_dict is empty")
    return missing


def _describe(model: Layer, name: str, foreign: list[str], missing: list[str]) -> None:
    kind, prefix = type(model).__name__, f"{name}: " if name else ""
    if type(model) is Sequential:
        for inner, layer in model.layers.items():
            _describe(layer, f"{name}.{inner}".lstrip("."), foreign, missing)
    elif type(model) in TORCH and model.parameters.shapes:
        for option, default in model._arguments().items():
            value = getattr(model, option, default)
            if value == default or default is NO_DEFAULT or option in TOLD:
                continue
            ours = option in OURS or (option == "nonlinearity" and value not in ("tanh", "relu"))
            owner = kind if ours or not name else name
            (foreign if ours else missing).append(f"{owner} with {option}={value!r}")
    elif isinstance(model, Sequential) or model.parameters.shapes:
        foreign.append(kind)
    else:
        missing.append(f"{prefix}{model!r}")
