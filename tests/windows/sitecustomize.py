"""Python imports this at its start if the folder is in PYTHONPATH."""

import importlib.util
import pathlib

# By its path, because the tests need not be importable.
spec = importlib.util.spec_from_file_location(
    "windows_rules", pathlib.Path(__file__).with_name("rules.py")
)
assert spec is not None
assert spec.loader is not None
rules = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rules)
rules.install()
rules.streams()
