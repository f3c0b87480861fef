"""What every test shares: the settings of hypothesis."""

from hypothesis import settings

# No deadline, because machines are noisy; derandomised, so that a failure is the same for
# everyone. `--hypothesis-seed` and more examples are a command-line option away.
settings.register_profile("numpy_rnn", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("numpy_rnn")
