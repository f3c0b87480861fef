"""Settings of hypothesis, PyTorch and signals that all tests share."""

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

# A caller can ignore a signal, as nohup and the background jobs of a shell do, or block it, and
# the processes that it starts inherit that. Tests signal themselves and the programs that they
# run. With a handler here, a program that is run begins with the default, and the tests ignore
# the signal as before.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # with SIG_IGN the exit status of a child is lost
signal.pthread_sigmask(signal.SIG_SETMASK, ())
