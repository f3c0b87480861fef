"""Sequential: layers one after another, in one flat vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.base import Layer, Module, RecurrentLayer
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.parameters import Parameters

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator

States = tuple[Any, ...]


class Sequential(Module):
    """A chain of layers, as ``torch.nn.Sequential``, that also routes states.

    Parameters
    ----------
    *layers : Layer or RecurrentLayer
        In order; their parameters get the prefixes ``0.``, ``1.``, ...
    **named : Layer or RecurrentLayer
        The same with prefixes of one's own: ``rnn=RNN(35, 35), i2o=Linear(35, 35)``.

    Raises
    ------
    TypeError
        If a part is no layer.
    ValueError
        If there are no layers, if their dtypes differ, or if one is part of a model already.
    """

    def __init__(self, *layers: Layer | RecurrentLayer, **named: Layer | RecurrentLayer) -> None:
        self.layers = {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            if name in self.layers or "." in name:
                raise ValueError(f"Sequential: part {name!r}, expected a new name without a dot")
            self.layers[name] = layer
        if not self.layers:
            raise ValueError("Sequential: there are no layers, expected at least one")
        for name, layer in self.layers.items():
            if not isinstance(layer, Layer | RecurrentLayer):
                raise TypeError(f"Sequential: part {name!r} is {layer!r}, expected a layer")
        self.parameters = Parameters.join(
            {name: layer.parameters for name, layer in self.layers.items()}
        )

    def __repr__(self) -> str:
        return f"Sequential({', '.join(f'{k}={v!r}' for k, v in self.layers.items())})"

    def train(self, mode: bool = True) -> None:
        """Say whether dropout is on, in every layer."""
        self.training = mode
        for layer in self.layers.values():
            layer.train(mode)

    def generators(self) -> list[Generator]:
        """Return the random generators of all layers, each once."""
        found = [g for layer in self.layers.values() for g in layer.generators()]
        return list({id(g): g for g in found}.values())

    def zero_state(self, B: int) -> States:
        """Return the states that a batch of B sequences starts from, zeros."""
        layers = self.layers.values()
        return tuple(layer.zero_state(B) for layer in layers if isinstance(layer, RecurrentLayer))

    def forward(
        self,
        x: Array,
        state: Sequence[Any] | None = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
    ) -> tuple[Array, States]:
        """Run every layer on the output of the one before.

        Parameters
        ----------
        x : array
            Input of the first layer.
        state : sequence, optional
            Initial state of each recurrent layer, in order; None for zeros.
        lengths, reset : arrays, optional
            As the recurrent layers take them; `lengths` also tells :class:`LastStep` where to look.

        Returns
        -------
        y : array
            Output of the last layer.
        state : tuple
            Final state of each recurrent layer, in order.

        Raises
        ------
        ValueError
            If the number of states is not the number of recurrent layers.
        """
        states = self._states("forward", "state", state)
        final: list[Any] = []
        for layer in self.layers.values():
            if isinstance(layer, RecurrentLayer):
                x, last = layer.forward(x, states[len(final)], lengths=lengths, reset=reset)
                final.append(last)
            elif isinstance(layer, LastStep):
                x = layer.forward(x, lengths)
            else:
                x = layer.forward(x)
        return x, tuple(final)

    def gradients(
        self, dy: Array, dstate: Sequence[Any] | None = None, keep: Keep = ""
    ) -> tuple[Array | None, States, dict[str, Array]]:
        """Go back through every layer, and return every gradient.

        Parameters
        ----------
        dy : array like y
            Gradient of the output.
        dstate : sequence, optional
            Gradient of each recurrent layer's final state; None for zero.
        keep : {"", "t", "b", "tb"}
            Axes of the parameters' gradients to leave standing: what each timestep, each row or
            each of both contributed. Sequences are (T, B, ...) then.

        Returns
        -------
        dx : array like x, or None for an integer x
            Gradient of the input.
        dstate : tuple
            Gradient of each recurrent layer's initial state.
        gradients : dict of str to array
            Of each parameter, with the kept axes in front.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        ValueError
            If the number of states is not the number of recurrent layers, or `keep` is given
            to a model that is batch-first or has layers behind a :class:`LastStep`.
        """
        if keep and any(getattr(layer, "batch_first", False) for layer in self.layers.values()):
            raise ValueError(f"Sequential.gradients: keep is {keep!r}, expected time-major layers")
        dstates = self._states("gradients", "dstate", dstate)
        initial: list[Any] = []
        found: dict[str, dict[str, Array]] = {}
        gradient: Array | None = dy
        for name, layer in reversed(self.layers.items()):
            if isinstance(layer, RecurrentLayer):
                gradient, first, found[name] = layer.gradients(
                    gradient, dstates[-1 - len(initial)], keep
                )
                initial.append(first)
            elif gradient is not None:
                gradient, found[name] = layer.gradients(gradient, keep)
        return (
            gradient,
            tuple(reversed(initial)),
            {f"{name}.{k}": g for name in self.layers for k, g in found.get(name, {}).items()},
        )

    def backward(
        self, dy: Array, dstate: Sequence[Any] | None = None
    ) -> tuple[Array | None, States]:
        """Go back through every layer, adding to the gradients of their parameters.

        Parameters
        ----------
        dy : array like y
            Gradient of the output.
        dstate : sequence, optional
            Gradient of each recurrent layer's final state; None for zero.

        Returns
        -------
        dx : array like x, or None for an integer x
            Gradient of the input.
        dstate : tuple
            Gradient of each recurrent layer's initial state.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        ValueError
            If the number of states is not the number of recurrent layers.
        """
        dx, dinitial, gradients = self.gradients(dy, dstate)
        self.parameters.add(gradients)
        return dx, dinitial

    def step(self, x_t: Array, state: Sequence[Any] | None = None) -> tuple[Array, States]:
        """Take one timestep, for serving.

        Parameters
        ----------
        x_t : array
            Input of the first layer at one step: (B, D), (D,), or integers.
        state : sequence, optional
            State of each recurrent layer, in order; None for zeros.

        Returns
        -------
        y_t : array
            Output of the last layer.
        state : tuple
            State of each recurrent layer after the step.

        Raises
        ------
        ValueError
            If the number of states is not the number of recurrent layers.
        """
        states = self._states("step", "state", state)
        after: list[Any] = []
        for layer in self.layers.values():
            if isinstance(layer, RecurrentLayer):
                x_t, last = layer.step(x_t, states[len(after)])
                after.append(last)
            elif not isinstance(layer, LastStep):  # a step is its own last one
                x_t = layer.forward(x_t)
        return x_t, tuple(after)

    def _states(self, method: str, name: str, state: Sequence[Any] | None) -> Sequence[Any]:
        recurrent = sum(isinstance(layer, RecurrentLayer) for layer in self.layers.values())
        if state is None:
            return (None,) * recurrent
        if len(state) != recurrent:
            raise ValueError(
                f"Sequential.{method}: {name} has {len(state)} entries, "
                f"expected {recurrent}, one for each recurrent layer"
            )
        return state
