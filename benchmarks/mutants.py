"""The results of mutmut: mutants and survivors of each file, and what each survivor changed.

Run ``mutmut run`` first; this only reads what it left under ``mutants/``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MUTANTS = Path("mutants")
SURVIVED, NO_TESTS = (0, 5), 33  # pytest's exit status: tests passed, or there were none


def change(name: str) -> list[str]:
    """Return the lines that a mutant takes out and puts in."""
    command = [sys.executable, "-m", "mutmut", "show", name]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = (line for line in shown.splitlines() if line[:3] not in ("---", "+++"))
    return [f"    {line[0]} {line[1:].strip()}" for line in lines if line[0:1] in ("-", "+")]


def main() -> None:
    """Print the table, then the survivors."""
    survivors: list[str] = []
    counts: dict[str, tuple[int, int, int]] = {}  # mutants, run, killed
    for path in sorted(MUTANTS.rglob("*.meta")):
        status = json.loads(path.read_text())["exit_code_by_key"]
        run = [name for name, code in status.items() if code is not None]
        left = [name for name in run if status[name] in (*SURVIVED, NO_TESTS)]
        survivors += left
        if status:
            file = str(path.relative_to(MUTANTS).with_suffix(""))
            counts[file] = len(status), len(run), len(run) - len(left)
    made, run_, killed = (sum(column) for column in zip(*counts.values(), strict=True))
    print(f"{'file':44}{'mutants':>8}{'run':>8}{'killed':>8}")
    for file, (m, r, k) in {**counts, "all": (made, run_, killed)}.items():
        print(f"{file:44}{m:8}{r:8}{k:8}{100 * k / max(r, 1):8.1f} %")
    for name in survivors:
        print(f"\n{name}", *change(name), sep="\n")


if __name__ == "__main__":
    main()
