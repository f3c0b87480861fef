"""Count the checker's false alarms on correct code, by default in 10,000 configurations.

Run with ``python -m benchmarks.false_alarms [COUNT]``. Every reference of the museum is correct.
Sizes (T and B from 1, odd and even), inputs and regimes are random. The reports are printed and the
exit status is 1 if there is a false alarm.
"""

from __future__ import annotations

import sys

import numpy as np

from numpy_rnn.cli.terminal import progress
from numpy_rnn.museum import REFERENCES, check_reference


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


def main() -> int:
    """Check and count."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(0)
    alarms = 0
    with progress(count, "configuration") as bar:
        for number in range(count):
            reference, sizes = REFERENCES[number % len(REFERENCES)], random_sizes(rng)
            report = check_reference(reference, sizes=sizes, seed=number)
            if not report.ok:
                alarms += 1
                bar.write(f"{reference.name}, {sizes}, seed {number}\n{report}")
            bar.advance(f"{alarms} false alarms")
    print(f"{alarms} false alarms in {count} right configurations of {len(REFERENCES)} references")
    return min(alarms, 1)


if __name__ == "__main__":
    sys.exit(main())
