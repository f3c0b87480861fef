"""The spectral radius of a matrix, without all the other eigenvalues of a large one.

    (1) Q_k orthonormal, J Q_k = Q_k H_k + r_k e_k^T     k products with J       (Arnoldi 1951)
    (2) H_k y = theta y,  |y| = 1                        a problem of size k, not n
    (3) |J q - theta q| = |r_k| |y_k|                    of q = Q_k y, exactly

What a random vector becomes under J, J^2, ... is ruled by the eigenvalues at the rim, so that those
of H_k come to them first, long before k = n. By (3) theta is an eigenvalue of a matrix that differs
from J by |r_k| |y_k|: a bound that is known without knowing the eigenvalue.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array

SMALL = 128  # rows up to which all eigenvalues come sooner
TOLERANCE = 1e-6  # of (3), as a share of theta
EVERY = 32  # products with J between two looks at (2)


def spectral_radius(J: Array) -> float:
    """Return the largest absolute eigenvalue of a matrix.

    Parameters
    ----------
    J : (n, n) array
        Real.

    Returns
    -------
    radius : float
        Of all eigenvalues up to n = SMALL, and where (3) does not get small before k = n / 2.
        Otherwise |theta| of the largest eigenvalue of H_k, with (3) at most TOLERANCE |theta|.
    """
    n = len(J)
    if n > SMALL:
        found = _by_arnoldi(J.astype(np.float64))
        if found is not None:
            return found
    return float(np.abs(np.linalg.eigvals(J)).max(initial=0))


def _by_arnoldi(J: Array) -> float | None:
    n, most = len(J), len(J) // 2
    Q, H = np.zeros((most + 1, n)), np.zeros((most + 1, most))
    start = np.random.default_rng(0).standard_normal(n)
    Q[0] = start / np.linalg.norm(start)
    for k in range(1, most + 1):
        r = J @ Q[k - 1]
        for _ in range(2):  # one pass leaves rounding errors that grow with k, two do not
            share = Q[:k] @ r
            r -= share @ Q[:k]
            H[:k, k - 1] += share
        length = H[k, k - 1] = np.linalg.norm(r)  # (1)
        ends = length <= TOLERANCE**2 * np.abs(H[:k, k - 1]).max()  # J leads nowhere new
        if ends or k % EVERY == 0:
            values, vectors = np.linalg.eig(H[:k, :k])  # (2)
            largest = np.abs(values).argmax()
            radius = float(abs(values[largest]))
            if ends or length * abs(vectors[-1, largest]) <= TOLERANCE * radius:  # (3)
                return radius
        Q[k] = r / length
    return None
