"""``python -m numpy_rnn``: the same as the ``numpy-rnn`` command."""

import sys

from numpy_rnn.cli.main import main

sys.exit(main())
