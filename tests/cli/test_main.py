"""The command that is run is the only one whose module is imported, and it is the same parser."""

from __future__ import annotations

import subprocess
import sys

import pytest

from numpy_rnn.cli.main import COMMANDS, make_parser
from tests.cli.command import ENVIRONMENT


def test_every_command_has_its_module() -> None:
    assert list(make_parser()[1]) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_alone_has_the_same_options(command: str) -> None:
    alone = make_parser(command)[1]
    assert {COMMANDS[name] for name in alone} == {COMMANDS[command]}
    assert alone[command].format_help() == make_parser()[1][command].format_help()


IMPORTED = """
import sys
from numpy_rnn.cli.main import main
main(["recall", "--epochs", "0"])
print(*(name for name in sys.modules if name.startswith("numpy_rnn.")))
"""


def test_a_command_does_not_import_those_of_others() -> None:
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    imported = done.stdout.split()
    assert "numpy_rnn.cli.recall" in imported
    heavy = ("numpy_rnn.checking", "numpy_rnn.museum", "numpy_rnn.interchange", "numpy_rnn.cli.che")
    assert [name for name in imported if name.startswith(heavy)] == []
