"""The losses of a run as a picture, by matplotlib."""

from __future__ import annotations

from pathlib import Path

from numpy_rnn.apps.language_model.run import TrainingRun
from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.cli.errors import UsageError
from numpy_rnn.files import check_writable, write_atomically


def check_plot(name: str) -> None:
    """Say now what would fail at the end.

    Raises
    ------
    UsageError
        If matplotlib is missing, or the file cannot be written.
    """
    try:
        require_matplotlib()
    except ImportError as error:
        raise UsageError(f"--plot: {error}") from None
    if Path(name).suffix != ".png":
        raise UsageError(f"--plot {name!r}: expected a name that ends in .png")
    try:
        check_writable(Path(name))
    except OSError as error:
        raise UsageError(f"--plot {name!r}: {error.strerror or error}") from None


def plot(path: Path, run: TrainingRun) -> None:
    """Draw the losses of training and validation over the steps.

    Parameters
    ----------
    path : Path
        A name that ends in ``.png``.
    run : TrainingRun
        What was trained.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 (an extra)

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="nats per character")
    axes.plot(*zip(*run.history.losses, strict=True), label="training")
    if run.validation is not None and run.validation.history:
        axes.plot(*zip(*run.validation.history, strict=True), "o-", label="validation")
    axes.legend()
    axes.grid(alpha=0.3)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=120))
