"""How many of 20 seeds recall the notebook's sentence, by each way of feeding back.

python -m benchmarks.recall
"""

from __future__ import annotations

from numpy_rnn.apps import recall

SEEDS = range(20)


def main() -> None:
    """Print a table, a row for each dtype."""
    print(f"of {len(SEEDS)} seeds at the notebook's settings")
    for dtype in ("float32", "float64"):
        results = [recall.run(recall.Experiment(seed=seed, dtype=dtype)) for seed in SEEDS]
        exact = dict.fromkeys(("raw", "argmax"), 0)
        right: list[int] = []
        for result in results:
            exact["raw"] += not result.wrong(result.raw)
            exact["argmax"] += not result.wrong(result.argmax)
            right.append(len(result.experiment.text) - len(result.wrong(result.raw)))
        losses = sorted(result.losses[-1] for result in results)
        print(
            f"{dtype}: argmax fed back recalled it for {exact['argmax']}, "
            f"raw output for {exact['raw']} ({min(right)} to {max(right)} of 48 characters "
            f"right, median {sorted(right)[len(right) // 2]}); "
            f"last loss {losses[0]:.3f} to {losses[-1]:.3f}"
        )


if __name__ == "__main__":
    main()
