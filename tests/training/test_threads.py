"""How many threads a product has, with threadpoolctl and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import threadpoolctl

from numpy_rnn.training.threads import can_limit, default_threads, one_blas_thread


def blas_threads() -> set[int]:
    return {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"}


def test_a_product_has_one_thread_inside_and_as_many_as_before_behind() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    with one_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == before
    assert can_limit()
    assert 1 <= default_threads() <= 4


WITHOUT = """
import sys
sys.modules["threadpoolctl"] = None
from numpy_rnn.training.threads import can_limit, default_threads, one_blas_thread
with one_blas_thread():
    print(can_limit(), default_threads())
"""


def test_without_threadpoolctl_the_environment_decides(tmp_path: Path) -> None:
    plain = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    for extra, expected in (({}, "False 1"), ({"OPENBLAS_NUM_THREADS": "1"}, "True ")):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT],
            check=True,
            capture_output=True,
            text=True,
            env=plain | extra | {"PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=tmp_path,
        )
        assert done.stdout.startswith(expected)
