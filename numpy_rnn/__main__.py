"""The ``numpy-rnn`` command, also as ``python -m numpy_rnn``."""

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    # Ctrl-C may come during this import, which takes a while. Python has imported the package
    # and NumPy before this line, and an interrupt there is beyond our control.
    try:
        from numpy_rnn.cli.main import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.stderr.write("numpy-rnn: error: interrupted\n")
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
