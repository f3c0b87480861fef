"""Layer: a pure core that computes, and a thin skin that remembers one forward pass.

The core is a pair of functions of their arguments, of the weights and of nothing else:

    y, state, cache        = layer.apply(x, state)           stores nothing, changes nothing
    dx, dstate, gradients  = layer.vjp(cache, dy, dstate)    stores nothing, changes nothing

``forward`` is ``apply`` that remembers the cache. ``backward`` is ``vjp`` that uses the cache up
and adds to the gradients. ``predict`` is ``apply`` without activations kept. ``stepper`` returns a
function of one timestep over a copy of the weights.
"""

from __future__ import annotations

import copy
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Self, TypedDict, Unpack

import numpy as np

from numpy_rnn.arguments import (
    NO_DEFAULT,
    check_flag,
    check_kind,
    check_path,
    check_size,
    constructor_arguments,
)
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, Generator, State
from numpy_rnn.layers.remember import Remembers
from numpy_rnn.layers.validate import Where, check_no_state, read_input, to_dtype
from numpy_rnn.parameters import IncompatibleKeys, Parameters, check_dtype
from numpy_rnn.safetensors import write

Step = Callable[..., tuple[Array, State]]
MODEL_FILE, MODEL_ENTRY = "a model file of numpy_rnn", "numpy_rnn"
# A checkpoint has settings of this name too, and arrays beside the weights that begin like this.
TRAINING_ENTRY, BESIDE = "training", "training/"
MODEL_VERSION = 1
_ADDING = threading.Lock()  # two threads that add to one gradient would lose numbers
if hasattr(os, "register_at_fork"):  # so that no child inherits the lock of another thread
    os.register_at_fork(
        before=_ADDING.acquire, after_in_parent=_ADDING.release, after_in_child=_ADDING.release
    )


class CallOptions(TypedDict, total=False):
    """Which steps of a batch count. See :meth:`Layer.apply`."""

    lengths: Array | None
    reset: Array | None
    mask: Array | None


class ApplyOptions(CallOptions, total=False):
    """The options of :meth:`Layer.apply` besides `training`."""

    rng: Generator | None


class Layer(Remembers, ABC):
    """A layer, or a model made of layers.

    Every method raises TypeError or ValueError if an argument's dtype, shape or numbers are not
    what the layer takes.

    Attributes
    ----------
    parameters : Parameters
        One flat vector of weights, one of gradients. ``backward`` adds to the gradients; they
        accumulate until :meth:`zero_grad`.
    training : bool
        Whether dropout is on.
    stateful : bool
        Whether the layer carries a state from step to step. Then ``forward``, ``backward``,
        ``predict`` and ``step`` return a pair of output and state, otherwise the output alone.
    causal : bool
        Whether the output of a step depends on no later step, so that a long sequence can be
        cut in time.
    vocabulary : str, sequence of str or None
        The tokens by their ids, for a model of tokens. :meth:`save` writes it.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import Linear
    >>> layer = Linear(3, 2, rng=0)
    >>> y, state, cache = layer.apply(np.ones((5, 3)))
    >>> dx, dstate, gradients = layer.vjp(cache, np.ones_like(y))
    >>> gradients["bias"]
    array([5., 5.])
    """

    parameters: Parameters
    training: bool = True
    stateful: bool = False
    causal: bool = False
    vocabulary: str | Sequence[str] | None = None
    _any_dtype: bool = True  # of a layer without parameters: whether no dtype is required

    def __repr__(self) -> str:
        shown = []
        for name, default in self._arguments().items():
            value = getattr(self, name, default)  # neither rng nor dtype is an attribute
            if value != default:
                shown.append(repr(value) if default is NO_DEFAULT else f"{name}={value!r}")
        any_dtype = self._any_dtype and not self.parameters.values
        if not any_dtype and (self.parameters.dtype != np.float64 or not self.parameters.values):
            shown.append(f"dtype={self.parameters.dtype}")
        return f"{type(self).__name__}({', '.join(shown)})"

    @classmethod
    def _arguments(cls) -> dict[str, Any]:
        """Return the arguments of the constructor and their defaults. Each is an attribute."""
        return constructor_arguments(cls)

    # The pure core.

    @abstractmethod
    def apply(
        self,
        x: Array,
        state: State = None,
        *,
        training: bool | None = None,
        **call: Unpack[ApplyOptions],
    ) -> tuple[Array, State, Any]:
        """Compute output, final state and cache. Store nothing, change nothing.

        Parameters
        ----------
        x : array
            Input. The cache refers to it: do not change it before :meth:`vjp`.
        state : state, optional
            State before the first step, like the one returned; zeros by default.
        lengths, reset, mask : arrays, optional
            Which steps count, and where a state is reset: see :meth:`Recurrent.apply`.
        rng : numpy.random.Generator, optional
            For dropout masks. By default the layer's own generator, which advances.
        training : bool, optional
            Whether dropout is on; by default :attr:`training`.

        Returns
        -------
        y : array
            Output, a new array.
        state : state
            Final state; ``()`` for a layer without state.
        cache : object
            For :meth:`vjp`. It holds a copy of the weights, so that the gradient is that of this
            call whatever happens to the weights afterwards.
        """

    @abstractmethod
    def vjp(
        self, cache: Any, dy: Array | None, dstate: State = None, keep: Keep = ""
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """Backpropagate: return every gradient of an ``apply``. Store nothing, change nothing.

        Parameters
        ----------
        cache : object
            From :meth:`apply`. It can be used any number of times.
        dy : array like y, or None
            Gradient of the output; None is zero.
        dstate : like the returned state, optional
            Gradient of the final state; None is zero.
        keep : {"", "t", "b", "tb"}
            Axes of the parameters' gradients that are not summed over, for inputs (T, B, ...):
            the contribution of each timestep, of each row, or of each of both.

        Returns
        -------
        dx : array like x, or None for token ids
            Gradient of the input.
        dstate : like the returned state
            Gradient of the initial state; ``()`` for a layer without state.
        gradients : dict of str to array
            Gradient of each parameter, with the kept axes in front.
        """

    def predict(self, x: Array, state: State = None, **call: Unpack[CallOptions]) -> Any:
        """Return the output (and the final state) in evaluation mode, and keep no activations.

        Arguments and errors are those of :meth:`apply`.
        """
        y, state, _ = self.apply(x, state, training=False, **call)
        return (y, state) if self.stateful else y

    def stepper(self) -> Step:
        """Return a function of one timestep over a copy of the weights, in evaluation mode.

        ``y_t, state = step(x_t, state=None)`` is a pure function of its two arguments. It takes a
        block of k timesteps too, (k, B, D), or (B, k, D) with `batch_first`, and returns the
        output of each, which is faster than k calls where a step is small. A layer without state
        returns ``()`` for it. It may own buffers: use one stepper per thread.
        """
        frozen = copy.deepcopy(self)
        if self.stateful:
            return frozen.step

        def step(x_t: Array, state: State = None) -> tuple[Array, State]:
            if state is not None:
                check_no_state(Where(frozen, "step"), state)
            own = frozen.parameters
            return frozen.step(to_dtype(x_t, own.dtype) if own.values else x_t), ()

        return step

    # The skin.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call :meth:`forward`."""
        return self.forward(*args, **kwargs)

    def forward(self, x: Array, state: State = None, **call: Unpack[CallOptions]) -> Any:
        """Return the output (and the final state), and remember what :meth:`backward` needs.

        Arguments and errors are those of :meth:`apply`. One forward pass is remembered per thread
        and mode (training or evaluation). `x` is copied, so it may change before :meth:`backward`.
        """
        x = np.array(x if type(x) is np.ndarray else self._plain(x))
        y, state, cache = self.apply(x, state, **call)
        self._memory.remember(cache, training=self.training)
        return (y, state) if self.stateful else y

    def backward(self, dy: Array | None, dstate: State = None) -> Any:
        """Backpropagate through the last forward pass, and add to the parameters' gradients.

        Arguments are those of :meth:`vjp`; dx (and dstate) are returned. If there was no forward
        pass since the last backward, or more than one, a RuntimeError says so: it is unknown which
        one `dy` belongs to.
        """
        dx, dinitial, gradients = self._memory.use_up(
            self, self.vjp, dy, dstate, training=self.training
        )
        with _ADDING:
            self.parameters.add(gradients)
        # Held until the next backward: with nothing left at its end the heap shrinks, and the page
        # faults of growing again take a third of a small step.
        self._memory.last_gradients = gradients
        return (dx, dinitial) if self.stateful else dx

    def step(self, x_t: Array, state: State = None) -> Any:
        """Take one timestep in evaluation mode, with the weights as they are.

        Parameters
        ----------
        x_t : (B, D) or (D,) array, or (B,) array of int
        state : state, optional
            State before the step; zeros by default.

        Returns
        -------
        y_t : (B, K) or (K,) array
        state : state
            If the layer carries one: a plain value, to be kept, saved and given to the next step.
        """
        return self.predict(x_t, state)

    def check_input(self, x: Array, lengths: Array | None = None) -> None:
        """Raise TypeError or ValueError if `x` is not an input of this layer."""

    def _plain(self, x: Any) -> Array:
        """Return an input as a plain array, if nothing is lost by that."""
        features = getattr(self, "input_size", getattr(self, "in_features", None))
        return read_input(Where(self), "x", x, self.parameters.dtype, features)

    def zero_state(self, B: int) -> State:
        """Return the zero state of a batch of B sequences."""
        check_size(f"{type(self).__name__}.zero_state", "B", B, least=0)
        return ()

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on (or off), and return the layer."""
        self.training = check_flag(type(self).__name__, "mode", mode)
        self._memory.forget(training=False)
        return self

    def eval(self) -> Self:
        """Switch dropout off, and return the layer."""
        return self.train(mode=False)

    def rngs(self) -> list[Generator]:
        """Return the random generators that dropout draws from."""
        return []

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.parameters.zero_grad()

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter, under PyTorch's names."""
        return self.parameters.state_dict()

    def load_state_dict(
        self, state: Mapping[str, Array], *, strict: bool = True
    ) -> IncompatibleKeys:
        """Copy parameters in by name. See :meth:`Parameters.load_state_dict`."""
        return self.parameters.load_state_dict(state, strict=strict, where=repr(self))

    def describe(self) -> dict[str, Any]:
        """Return the name of the class and the constructor's arguments, as values for JSON.

        Each argument is an attribute of its name; if there is none, or its value has no place in
        JSON, that is a TypeError. `rng` is left out, and so is the dtype of a layer that takes any.

        Examples
        --------
        >>> from numpy_rnn import Linear
        >>> Linear(3, 2).describe()
        {'class': 'Linear', 'in_features': 3, 'out_features': 2, 'bias': True, 'dtype': 'float64'}
        """
        kind = type(self)
        described: dict[str, Any] = {"class": kind.__name__}
        arguments = self._arguments()
        for name in arguments:
            if name not in ("rng", "dtype", "threads"):  # threads are the machine's
                if not hasattr(self, name):
                    raise TypeError(f"{kind.__name__} has no attribute {name!r}, expected one")
                described[name] = getattr(self, name)
        if "dtype" in arguments and (self.parameters.shapes or not self._any_dtype):
            described["dtype"] = self.parameters.dtype.name
        try:
            json.dumps(described)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{kind.__name__}: {error}, expected plain values") from None
        return described

    def save(
        self, path: str | PathLike[str], *, vocabulary: str | Sequence[str] | None = None
    ) -> None:
        """Write architecture, weights and vocabulary to a .safetensors file.

        :func:`numpy_rnn.load` reads it. The file is written completely or not at all; the same
        model gives the same bytes. Neither gradients nor random generators are saved.

        Parameters
        ----------
        path : str or path
            Name of the file, with any suffix.
        vocabulary : str or sequence of str, optional
            The tokens by their ids; by default :attr:`vocabulary`.
        """
        tokens = self.vocabulary if vocabulary is None else vocabulary
        if tokens is not None and not isinstance(tokens, str):
            tokens = list(check_kind(f"{self!r}.save", "vocabulary", tokens, Sequence))
            if not all(isinstance(token, str) for token in tokens):
                raise TypeError(f"{self!r}.save: vocabulary has another type, expected texts")
        if not np.isfinite(self.parameters.data).all():
            raise ValueError(f"{self!r}.save: there are weights that are not finite")
        check_dtype(self.parameters.dtype, f"{self!r}.save: ")
        arrays = {name: self.parameters.values[name] for name in self.parameters.shapes}
        write(check_path(f"{self!r}.save", "path", path), model_settings(self, tokens), arrays)


def model_settings(model: Layer, vocabulary: Any) -> dict[str, dict[str, Any]]:
    """Return the settings of a model file."""
    described = {"version": MODEL_VERSION, "model": model.describe(), "vocabulary": vocabulary}
    return {MODEL_ENTRY: described}
