"""The ``numpy-rnn`` command line: options, progress, one-line errors and exit statuses.

Experiments, training and checks are not here: a command calls them in `apps`, `training`,
`checking` and `museum`. Start reading in `main.py`, then take the module of one command.
"""
