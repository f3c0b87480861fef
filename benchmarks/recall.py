"""Count the seeds, of 20, that recall the notebook's sentence by each way of feeding back.

python -m benchmarks.recall
"""

from __future__ import annotations

from numpy_rnn.apps import recall

SEEDS = range(20)


def main() -> None:
    """Print a line for each dtype."""
    print(f"{len(SEEDS)} seeds with the notebook's settings")
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
            f"{dtype}: exact with the argmax fed back: {exact['argmax']}, "
            f"with the raw output fed back: {exact['raw']} ({min(right)} to {max(right)} of "
            f"48 characters right, median {sorted(right)[len(right) // 2]}); "
            f"last loss {losses[0]:.3f} to {losses[-1]:.3f}"
        )


if __name__ == "__main__":
    main()
