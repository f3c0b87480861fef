"""Access to matplotlib, an optional dependency that all plots need."""

from __future__ import annotations

from typing import Any


def require_matplotlib() -> Any:
    """Return matplotlib, with the modules imported that plots use.

    Figures are made without pyplot. If matplotlib is missing, an ImportError names the extra to
    install.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 (an extra, only for plots)
        import matplotlib.figure  # noqa: PLC0415
        import matplotlib.font_manager  # noqa: PLC0415
    except ImportError:
        raise ImportError("plots need matplotlib, the extra plot: pip install matplotlib") from None
    return mpl
