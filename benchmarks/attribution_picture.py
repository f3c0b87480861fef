"""Draw docs/attribution.svg: how far back a network's gradient reaches, before and after training.

    python -m benchmarks.attribution_picture

It trains the notebook's network, as ``numpy-rnn explain`` does, in a few seconds.
"""

from __future__ import annotations

from pathlib import Path

from numpy_rnn.apps.explain import measurements, of_recall, pictures
from numpy_rnn.apps.recall import Experiment

PICTURE = Path(__file__).parents[1] / "docs" / "attribution.svg"


def main() -> None:
    """Train, measure and draw."""
    experiment = Experiment()
    measured = measurements.train(experiment)
    with pictures.style():
        PICTURE.write_bytes(pictures.attribution(measured, of_recall(experiment)))


if __name__ == "__main__":
    main()
