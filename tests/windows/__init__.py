"""Windows's rules on another system: see :mod:`tests.windows.rules`."""
