#!/usr/bin/env -S nox -f
# /// script
# dependencies = ["nox>=2024.10"]
# ///
"""Sessions of nox: the tests on several versions of Python and NumPy, and the linters.

``nox`` runs what the installed versions of Python allow, and lists what it left out.
"""

from __future__ import annotations

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False

# Each version of Python and of NumPy at least once. PyTorch is left out: its pinned build exists
# for one version of Python, and the README's test command runs that part.
VERSIONS = [("3.11", "2.0.0"), ("3.12", "2.2"), ("3.13", "")]


@nox.session
@nox.parametrize(
    ("python", "numpy"),
    VERSIONS,
    ids=[f"python-{python}-numpy-{numpy or 'newest'}" for python, numpy in VERSIONS],
)
def versions(session: nox.Session, numpy: str) -> None:
    """Run the tests without PyTorch."""
    session.install(".[test]", f"numpy=={numpy}" if numpy else "numpy")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "-m", "not torch", *session.posargs)


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Run the linters and the type checker."""
    session.install(".[test,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


if __name__ == "__main__":
    nox.main()
