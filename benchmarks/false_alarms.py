"""Count the checker's false alarms on correct code, by default in 10,000 configurations.

Run with ``python -m benchmarks.false_alarms [COUNT]``. Every reference of the museum is right, and
so is every style of tests/checking/users_styles.py. Sizes (T and B from 1, odd and even), inputs
and regimes are random; a third of the pairs is in float32. Most styles write to buffers of real
numbers. The reports are printed and the exit status is 1 if there is a false alarm.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from numpy_rnn.checking import Report, check_gradients
from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.shapes import SIZES, draw
from numpy_rnn.cli.terminal import progress
from numpy_rnn.museum import REFERENCES, check_reference
from tests.checking.users_styles import STYLES, style


def random_sizes(rng: np.random.Generator) -> dict[str, int]:
    """Draw sizes, small so that many fit in an hour."""
    H = int(rng.integers(1, 4))
    return {
        "T": int(rng.integers(1, 7)),
        "B": int(rng.integers(1, 4)),
        "D": int(rng.integers(1, 4)),
        "H": H,
        "P": int(rng.integers(1, H + 1)),
        "V": int(rng.integers(2, 5)),
    }


def in_float32(pair: Any, shapes: Any, sizes: dict[str, int], seed: int) -> Report:
    """Check a pair with arrays in float32."""
    values, _ = draw(np.random.default_rng(seed), shapes, sizes, REGIMES[0])
    given: dict[str, Any] = {
        n: v.astype(np.float32) if v.dtype == np.float64 else v for n, v in values.items()
    }
    return check_gradients(pair, given, seed=seed)


def check_one(number: int, rng: np.random.Generator) -> tuple[str, Report]:
    """Check a configuration. Return its description and the report."""
    sizes, which = random_sizes(rng), number // 2
    if number % 2:
        name = list(STYLES)[which % len(STYLES)]
        subject, arguments = style(name)
        chosen = {"T": sizes["T"], "B": sizes["B"]}
        shapes = arguments[0]
        plain = isinstance(shapes, dict) and all(isinstance(s, str) for s in shapes.values())
        if number % 3 == 0 and isinstance(subject, tuple) and plain:
            report = in_float32(subject, shapes, SIZES | chosen, number)
            return f"{name} in float32, {chosen}", report
        return f"{name}, {chosen}", check_gradients(
            subject, *arguments, sizes=chosen, seed=number, allow={"updates parameters"}
        )
    reference = REFERENCES[which % len(REFERENCES)]
    if which % 3 == 0:
        return f"{reference.name} in float32, {sizes}", in_float32(
            reference.checked(), reference.shapes, sizes, number
        )
    return f"{reference.name}, {sizes}", check_reference(reference, sizes=sizes, seed=number)


def main() -> int:
    """Check and count."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(0)
    alarms = 0
    with progress(count, "configuration") as bar:
        for number in range(count):
            what, report = check_one(number, rng)
            if not report.ok:
                alarms += 1
                bar.write(f"{what}, seed {number}\n{report}")
            bar.advance(f"{alarms} false alarms")
    print(
        f"{alarms} false alarms in {count} right configurations of {len(REFERENCES)} references "
        f"and {len(STYLES)} styles"
    )
    return min(alarms, 1)


if __name__ == "__main__":
    sys.exit(main())
