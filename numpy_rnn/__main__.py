"""``python -m numpy_rnn``: the same as the ``numpy-rnn`` command."""

import sys


def _main() -> int:
    # The import takes a while, and Ctrl-C may come in it. Python has imported the package, and
    # with it NumPy, before this line: what happens there is out of our hands.
    try:
        from numpy_rnn.cli.main import main  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.stderr.write("numpy-rnn: error: interrupted\n")
        return 130
    return main()


sys.exit(_main())
