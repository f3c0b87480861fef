"""The two ways in which a command can end early, each one line for the user."""


class UsageError(Exception):
    """What was asked for cannot be: exit status 2."""


class RunError(Exception):
    """What was asked for was tried and failed: exit status 1."""
