"""Every code block of the README and the docs runs, and prints what the page shows.

A ``python`` block is executed; a ``sh`` block of ``numpy-rnn`` commands is run in a shell. A
``text`` block that follows is what it prints; a line ``...`` in it stands for any lines. A
``python continued`` block continues the block before it. The blocks that set a virtual
environment up are run to the letter by ``.ci/run``, which reads them from the README.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
RUN_BY_CI = ("python3 -m venv ", "bash .ci/run")


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    code: str
    printed: str | None  # the text block that follows


def blocks() -> list[Block]:
    found: list[Block] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        matches = list(re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        for match, following in zip(matches, [*matches, None][1:], strict=True):
            language, code = match.groups()
            printed = following.group(2) if following and following.group(1) == "text" else None
            if language != "text" and not language.startswith("{"):  # a directive of Sphinx
                line = text.count("\n", 0, match.start()) + 1
                if language == "python continued":  # of the block before
                    before = found[-1]
                    code, language = before.code + code, "python"
                    printed = (before.printed or "") + (printed or "")
                found.append(Block(page, line, language, code, printed))
    return found


def without_raw(text: str) -> str:
    """Leave out what the raw feedback generated: it differs from machine to machine."""
    return re.sub(r"With the raw output.*?\n\n", "", text, flags=re.DOTALL)


def check_printed(actual: str, expected: str) -> None:
    parts = without_raw(expected).split("...\n")
    pattern = r"(?:.*\n)*?".join(re.escape(part) for part in parts)
    assert re.fullmatch(pattern, without_raw(actual)), actual


def marked(block: Block) -> Any:
    """Return a block as a parameter, with the mark `torch` if it imports PyTorch."""
    marks = [pytest.mark.torch] if "import torch" in block.code else []
    return pytest.param(block, marks=marks, id=f"{block.page.name}:{block.line}")


@pytest.mark.parametrize("block", [marked(block) for block in blocks()])
def test_a_block_runs_and_prints_what_the_page_shows(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if block.language == "python":
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block.code, f"{block.page.name}:{block.line}", "exec"), {})  # noqa: S102 (our own page)
        printed = out.getvalue()
    elif block.code.startswith(RUN_BY_CI):
        assert block.code.count("\n") == 1
        script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        assert "grep -E '^python3 -m venv ' \"$here/README.md\"" in script
        return
    else:
        assert block.language == "sh"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        printed = subprocess.run(
            ["bash", "-ec", block.code],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PATH": path},
        ).stdout
    if block.printed is not None:
        check_printed(printed, block.printed)


def test_the_readme_has_the_two_set_up_commands() -> None:
    commands = [b.code for b in blocks() if b.code.startswith("python3 -m venv ")]
    assert len(commands) == 2
    assert commands[0].endswith(" && .venv/bin/numpy-rnn recall\n")
    assert commands[1].endswith(" && .venv/bin/python -m pytest -n auto\n")


def test_links_to_files_lead_somewhere() -> None:
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_cell_of_the_docs_is_the_one_that_is_tested() -> None:
    tested = (ROOT / "tests" / "layers" / "mgu.py").read_text(encoding="utf-8")
    code = tested.split('"""', 2)[2].lstrip()
    assert code in (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    assert len(tested.splitlines()) < 60


def test_the_tests_page_names_every_law_and_files_that_exist() -> None:
    page = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:tests|benchmarks|numpy_rnn)/[\w./]*)`", page)
    assert len(paths) > 60
    for path in [*paths, *(f"tests/{link}" for link in re.findall(r"\]\(([^)#:]+)\)", page))]:
        assert (ROOT / path).exists(), path
    for name in re.findall(r"python -m (benchmarks)\.(\w+)", page):
        assert (ROOT / "/".join(name)).with_suffix(".py").exists(), name
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    laws = re.findall(r"^(\d\. )\*\*([^*]+?)[.,]?\*\*", design, re.MULTILINE)
    assert len(laws) == 9
    named = re.findall(r"^\| (\d\. )([^|]+?) \|", page, re.MULTILINE)
    assert named == laws
    folders = {path.name for path in (ROOT / "numpy_rnn").iterdir() if path.is_dir()}
    assert {f"numpy_rnn/{folder}/" for folder in folders - {"__pycache__"}} <= set(paths)


def test_the_speeds_of_the_readme_are_those_of_their_page() -> None:
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    rows = [line for line in PAGES[0].read_text(encoding="utf-8").splitlines() if " ms |" in line]
    assert len(rows) > 3
    assert [row for row in rows if row not in page] == []
