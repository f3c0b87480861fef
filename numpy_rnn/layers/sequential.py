"""Sequential: layers one after another, in one flat vector. It is itself a layer, so it nests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Unpack

import numpy as np

from numpy_rnn.arguments import check_mapping
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, Generator, State
from numpy_rnn.layers.base import ApplyOptions, CallOptions, Layer, Step
from numpy_rnn.layers.dropout import Dropout
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.streaming import predict_in_chunks
from numpy_rnn.layers.validate import to_dtype, wrong_cache
from numpy_rnn.parameters import Parameters
from numpy_rnn.text import shown


class SequentialCache(NamedTuple):
    """Values of ``apply`` that ``vjp`` needs: the caches of the layers, in order."""

    caches: list[Any]


class Sequential(Layer):
    """A chain of layers, as ``torch.nn.Sequential``, that also routes states.

    Parameters
    ----------
    *layers : Layer
        In order; their parameters get the prefixes ``0.``, ``1.``, ...
    tied : mapping of str to str, optional
        Weights that share numbers: a second name and the first, ``{"2.weight": "0.weight"}``.
        Their gradients add up under the first name. ``state_dict`` has both, as PyTorch's.
    **named : Layer
        The same with chosen prefixes: ``rnn=RNN(35, 35), i2o=Linear(35, 35)``.

    Raises
    ------
    TypeError, ValueError
        If a part is not a layer, is part of a model already, or does not fit the others: its dtype,
        its `batch_first`, the shape of a tied weight, or a :class:`LastStep` for the layer below.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import LSTM, Linear
    >>> model = Sequential(LSTM(3, 4, rng=0), Linear(4, 2, rng=1))
    >>> y, state = model(np.ones((5, 1, 3)))  # T, B, D = 5, 1, 3
    >>> dx, dstate = model.backward(np.ones_like(y))
    >>> y.shape, len(state), dx.shape
    ((5, 1, 2), 1, (5, 1, 3))
    """

    _shown: ClassVar[tuple[str, ...]] = ()  # other arguments, for repr

    def __init__(
        self, *layers: Layer, tied: Mapping[str, str] | None = None, **named: Layer
    ) -> None:
        self._layers = {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            if name in self._layers or "." in name:
                raise ValueError(f"Sequential: part {name!r}, expected a new name without a dot")
            self._layers[name] = layer
        if not self._layers:
            raise ValueError("Sequential: there are no layers, expected at least one")
        for name, layer in self._layers.items():
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential: part {name!r} is {shown(layer)}, expected a layer")
        self.batch_first = self._check_batch_first()
        self._check_last_steps()
        self._num_states = sum(layer.stateful for layer in self._layers.values())
        self.stateful = self._num_states > 0
        self.causal = all(layer.causal for layer in self._layers.values())
        self.parameters = Parameters.join(
            {name: layer.parameters for name, layer in self._layers.items()}
        )
        self.tied = dict(check_mapping("Sequential", "tied", {} if tied is None else tied))
        if self.tied:
            try:
                self.parameters.tie(self.tied)
            except ValueError as error:
                raise ValueError(f"Sequential: {error}") from None

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The layers by name. They cannot be replaced, because their weights live in one vector."""
        return MappingProxyType(self._layers)

    def __repr__(self) -> str:
        numbered = [f"{layer!r}" for layer in self._layers.values()]
        shown = [
            text if name == str(n) else f"{name}={text}"
            for n, (name, text) in enumerate(zip(self._layers, numbered, strict=True))
        ]
        shown += [f"tied={self.tied!r}"] if self.tied else []
        shown += [f"{name}={getattr(self, name)!r}" for name in self._shown]
        return f"{type(self).__name__}({', '.join(shown)})"

    def describe(self) -> dict[str, Any]:
        """Return the name of the class and the layers' descriptions. See :meth:`Layer.describe`."""
        if "tied" not in self._arguments():  # a constructor that makes the layers itself
            return super().describe()
        layers = {name: layer.describe() for name, layer in self._layers.items()}
        others = {name: getattr(self, name) for name in self._arguments()}
        return {"class": type(self).__name__, "layers": layers} | others

    def train(self, mode: bool = True) -> Sequential:
        """Switch dropout on (or off) in every layer, and return the model."""
        super().train(mode)
        for layer in self._layers.values():
            layer.train(mode)
        return self

    def rngs(self) -> list[Generator]:
        """Return the random generators of all layers, each once."""
        found = [g for layer in self._layers.values() for g in layer.rngs()]
        return list({id(g): g for g in found}.values())

    def zero_state(self, B: int) -> State:
        """Return the zero state of a batch of B sequences: one entry per layer with a state."""
        return tuple(layer.zero_state(B) for layer in self._layers.values() if layer.stateful)

    def _plain(self, x: Any) -> Array:
        return next(iter(self._layers.values()))._plain(x)

    def check_input(self, x: Array, lengths: Array | None = None) -> None:
        """Raise TypeError or ValueError if `x` is not an input of the first layer."""
        next(iter(self._layers.values())).check_input(x, lengths)

    def apply(
        self,
        x: Array,
        state: State = None,
        *,
        training: bool | None = None,
        **call: Unpack[ApplyOptions],
    ) -> tuple[Array, State, Any]:
        """Run every layer on the output of the one before. See :meth:`Layer.apply`.

        `state`, given and returned, has one entry for each layer that carries one, in order. All
        other arguments are given to every layer. With `training`, a layer in evaluation mode stays
        there.
        """
        states = iter(self._states("forward", "state", state))
        final: list[State] = []
        caches: list[Any] = []
        for layer in self._layers.values():
            x, last, cache = layer.apply(
                x,
                next(states) if layer.stateful else None,
                training=training and layer.training,
                **call,
            )
            caches.append(cache)
            if layer.stateful:
                final.append(last)
        return x, tuple(final), SequentialCache(caches)

    def vjp(
        self, cache: SequentialCache, dy: Array | None, dstate: State = None, keep: Keep = ""
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """Backpropagate through every layer. See :meth:`Layer.vjp`.

        `dstate`, given and returned, has one entry for each layer that carries a state. `keep` is
        for models that are time-major and have no layers after a :class:`LastStep`.
        """
        if not isinstance(cache, SequentialCache):
            raise wrong_cache("Sequential.backward", cache)
        if keep and self.batch_first:
            raise ValueError(f"Sequential.backward: keep is {keep!r}, expected time-major layers")
        dstates = list(self._states("backward", "dstate", dstate))
        initial: list[State] = []
        found: dict[str, dict[str, Array]] = {}
        d: Array | None = dy
        for (name, layer), layer_cache in zip(
            reversed(self._layers.items()), reversed(cache.caches), strict=True
        ):
            d, first, found[name] = layer.vjp(
                layer_cache, d, dstates.pop() if layer.stateful else None, keep
            )
            if layer.stateful:
                initial.append(first)
        gradients: dict[str, Array] = {}
        for name in self._layers:
            for inner, gradient in found[name].items():
                gradients[f"{name}.{inner}"] = gradient
        for name, source in self.tied.items():
            if name in gradients:
                second = gradients.pop(name)
                gradients[source] = gradients[source] + second if source in gradients else second
        return d, tuple(reversed(initial)), gradients

    def predict(self, x: Array, state: State = None, **call: Unpack[CallOptions]) -> Any:
        """Compute the output in evaluation mode and keep no activations.

        A causal model runs chunk by chunk, in little more memory than its output. Any other model,
        or one with a mask or resets, runs layer by layer, and holds the input and the output of a
        layer at a time.
        """
        lengths = call.get("lengths")
        in_chunks = self.stateful or (np.ndim(x) > 1 and lengths is None)
        if in_chunks and self.causal and call.get("mask") is call.get("reset") is None:
            y, state = predict_in_chunks(self, x, state, lengths, bool(self.batch_first))
            return (y, state) if self.stateful else y
        return self._in_turn("predict", x, state, **call)

    def step(self, x_t: Array, state: State = None) -> Any:
        """Take one timestep in evaluation mode, with the weights as they are. See :class:`Layer`.

        For many steps with the same weights :meth:`stepper` is several times faster.
        """
        return self._in_turn("step", x_t, state)

    def _in_turn(self, method: str, x: Array, state: State, **call: Any) -> Any:
        """Return the result of calling a method of each layer with the output of the one before."""
        states = iter(self._states(method, "state", state))
        final: list[State] = []
        for layer in self._layers.values():
            if layer.stateful:
                x, last = getattr(layer, method)(x, next(states), **call)
                final.append(last)
            else:
                x = getattr(layer, method)(x, **call)
        return (x, tuple(final)) if self.stateful else x

    def stepper(self) -> Step:
        """Return a fast function of one timestep over a copy of the weights. See :class:`Layer`."""
        steps = [(layer.stepper(), layer.stateful) for layer in self._layers.values()]
        count, dtype = self._states, self.parameters.dtype

        def step(x_t: Array, state: State = None) -> tuple[Array, State]:
            states = iter(count("step", "state", state))
            if type(x_t) is np.ndarray and x_t.dtype is not dtype:
                x_t = to_dtype(x_t, dtype)
            after = []
            for layer_step, stateful in steps:
                if stateful:
                    x_t, last = layer_step(x_t, next(states))
                    after.append(last)
                else:
                    x_t, _ = layer_step(x_t)
            return x_t, tuple(after)

        return step

    def _states(self, method: str, name: str, state: State) -> Sequence[State]:
        """Return one state per layer that carries one, if that is what `state` is."""
        expected = self._num_states
        if state is None:
            return (None,) * expected
        if not isinstance(state, tuple | list) or len(state) != expected:
            came = f"has {len(state)} entries" if isinstance(state, tuple | list) else "is an array"
            raise ValueError(
                f"Sequential.{method}: {name} {came}, "
                f"expected a tuple of {expected}: one entry for each recurrent layer"
            )
        return state

    def _check_batch_first(self) -> bool | None:
        """Return the `batch_first` of all layers that have one, which must agree, or None."""
        found = {
            name: bool(batch_first)
            for name, layer in self._layers.items()
            if (batch_first := getattr(layer, "batch_first", None)) is not None
        }
        if len(set(found.values())) > 1:
            raise ValueError(f"Sequential: batch_first is {found}, expected one for all layers")
        return next(iter(found.values()), None)

    def _check_last_steps(self) -> None:
        """Raise ValueError for a LastStep that would pick a wrong step of a bidirectional layer."""
        below: Recurrent | None = None
        mixed = False  # by a layer in between that mixes features
        for name, layer in self._flat_layers():
            if isinstance(layer, Recurrent):
                below, mixed = layer, False
            elif not isinstance(layer, LastStep):
                mixed = mixed or not isinstance(layer, Dropout)
            elif expected := _expected_last_step(below, layer, mixed=mixed):
                kind = "a layer of one direction"
                if below is not None and not below.causal:
                    kind = "a bidirectional layer" if below.bidirectional else "a reversed layer"
                    kind += ", whose reverse direction ends at the first step"
                raise ValueError(
                    f"Sequential: part {name!r} is {layer!r} after {kind}, expected {expected}"
                )

    def _flat_layers(self) -> list[tuple[str, Layer]]:
        """Return name and layer of every layer that is not itself a Sequential, in order."""
        found: list[tuple[str, Layer]] = []
        for name, layer in self._layers.items():
            if isinstance(layer, Sequential):
                found += [(f"{name}.{inner}", part) for inner, part in layer._flat_layers()]
            else:
                found.append((name, layer))
        return found


def _expected_last_step(below: Recurrent | None, last: LastStep, *, mixed: bool) -> str:
    """Return what fits the recurrent layer below a LastStep, "" if `last` does."""
    if below is None or below.causal:
        return "LastStep()" if last.bidirectional or last.reverse else ""
    if below.reverse:
        return "" if last.reverse else "LastStep(reverse=True)"
    if below.merge != "concat":
        return f"merge={below.merge!r} in LastStep(bidirectional=True) and not in that layer"
    if mixed or not last.bidirectional:
        return "LastStep(bidirectional=True) directly after that layer"
    return ""
