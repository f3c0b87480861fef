"""The ``numpy-rnn`` command, also as ``python -m numpy_rnn``."""

import sys

from numpy_rnn.cli.signals import exit_at_once, handle


def main() -> int:
    """Run the command line and return its exit status."""
    handle(exit_at_once)  # before the import, which takes a while
    from numpy_rnn.cli.main import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    sys.exit(main())
