"""Draw docs/attribution.svg: how far back a network's gradient reaches, before and after training.

    python -m benchmarks.attribution_picture

It trains the notebook's network, as ``numpy-rnn explain`` does, in a few seconds. The two matrices
stand side by side, as the README needs them.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from numpy_rnn.apps.explain import measurements, pictures
from numpy_rnn.apps.recall import Experiment

PICTURE = Path(__file__).parents[1] / "docs" / "attribution.svg"


def main() -> None:
    """Train, measure and draw."""
    measured = measurements.train(Experiment())
    with pictures.style():
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        panels = list(figure.subplots(1, 2))
        for axes, (when, snapshot) in zip(panels, measured.snapshots.items(), strict=True):
            relative = snapshot.attribution / np.diagonal(snapshot.attribution)[:, None]
            with np.errstate(divide="ignore"):
                powers = np.where(relative > 0, np.log10(relative), np.nan)
            image = axes.imshow(powers, cmap="viridis", vmin=-8, vmax=1)
            axes.set_title(f"{when} training", fontsize=14)
            axes.set_xlabel("state after step s", fontsize=12)
        panels[0].set_ylabel("loss of step t", fontsize=12)
        bar = figure.colorbar(image, ax=panels, ticks=[-8, -6, -4, -2, 0])
        bar.ax.set_yticklabels(["$10^{-8}$", "$10^{-6}$", "$10^{-4}$", "0.01", "1"])
        bar.set_label("gradient, relative to s = t", fontsize=12)
        file = BytesIO()
        # "tight" makes room for the titles, which the layout would cut at the top.
        figure.savefig(file, format="svg", metadata={"Date": None}, bbox_inches="tight")
    start = b'<style type="text/css">'
    data = file.getvalue().replace(pictures.INK.encode(), b"currentColor")
    PICTURE.write_bytes(data.replace(start, start + pictures.LIGHT_AND_DARK.encode(), 1))


if __name__ == "__main__":
    main()
