"""The first 250 steps of training are PyTorch's, with carried state, clipping and a schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numpy_rnn import Adam, CrossEntropyLoss
from numpy_rnn.training import Callback, StepInfo, Trainer, Windows, cosine
from tests.training import small

STEPS = 250


class Recorder(Callback):
    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        self.losses.append(step.loss)


def ours(dtype: str) -> list[float]:
    net = small.model(dtype=dtype)
    losses: list[float] = []
    trainer = Trainer(
        net,
        CrossEntropyLoss(),
        Adam(net.parameters, lr=5e-3),
        Windows.next_of(small.tokens(), batch_size=6, window=9),
        schedule=cosine(warmup=20),
        clip_norm=0.1,
        callbacks=[Recorder(losses)],
    )
    trainer.fit(STEPS)
    return losses


def torchs(dtype: torch.dtype) -> list[float]:
    """The same run in PyTorch: same weights, windows, carried state, clipping and schedule."""
    net = small.model()
    layers: dict[str, Any] = {
        "embedding": torch.nn.Embedding(small.V, 4),
        "rnn": torch.nn.LSTM(4, 6, 2),
        "output": torch.nn.Linear(6, small.V),
    }
    model = torch.nn.ModuleDict(layers).to(dtype)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict().items()})
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    source, factor = Windows.next_of(small.tokens(), 6, 9), cosine(warmup=20)
    state, losses = None, []
    for step in range(STEPS):
        batch = source.next()
        x, target = torch.from_numpy(batch.x), torch.from_numpy(batch.target)
        h, state = model["rnn"](model["embedding"](x), state)
        state = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(model["output"](h).flatten(0, 1), target.flatten())
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        for group in adam.param_groups:
            group["lr"] = 5e-3 * factor(step, STEPS)
        adam.step()
        losses.append(loss.item())
    return losses


def test_250_steps_are_pytorchs() -> None:
    exact = np.array(torchs(torch.float64))
    assert exact[-1] < 0.5 * exact[0]  # something is learned
    np.testing.assert_allclose(ours("float64"), exact, rtol=1e-9)
    # In float32 both are rounded on the way: ours is as near to the truth as PyTorch's.
    theirs = np.abs(np.array(torchs(torch.float32)) - exact).max()
    assert np.abs(np.array(ours("float32")) - exact).max() < 3 * theirs + 1e-5
