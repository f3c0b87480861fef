"""What every test shares: the settings of hypothesis and of PyTorch."""

import signal

import torch
from hypothesis import settings

# No deadline, because machines are noisy; derandomised, so that a failure is the same for
# everyone. `--hypothesis-seed` and more examples are a command-line option away.
settings.register_profile("numpy_rnn", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("numpy_rnn")
# For mutmut (pyproject.toml), which runs the tests once for each of some thousand mutants.
settings.register_profile("mutants", settings.get_profile("numpy_rnn"), max_examples=5)

# On a busy machine the threads of small products wait for each other a thousand times longer
# than they compute.
torch.set_num_threads(1)

# A shell starts what it puts into the background deaf to Ctrl-C, and so is what that starts:
# tests interrupt the programs that they run.
signal.signal(signal.SIGINT, signal.default_int_handler)
