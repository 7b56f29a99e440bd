"""Centres in half precision, and coefficients that make up for most of what that changes.

Rounded centres z + e give ``K(x, z + e)``. The changes of single kernel values are small, but the
coefficients of a small ridge are large and cancel, and what is left is smooth in x: much of it a
constant. So the same few functions correct it at all rows: new coefficients for `CORRECTED` of the
centres, by least squares on the changes at `COMPARED` of them,

    min over b of ||K(Z_t, Z'_s) b - (K(Z_t, Z) - K(Z_t, Z')) a||^2 + ridge ||b||^2.

Root mean square of the change of predictions on 1,000 rows not fitted, in standard deviations of
the targets, without and with the correction, for defaults fitted to 1,500 rows: pol 4.8e-3 and
3.0e-4, elevators 1.1e-2 and 1.1e-4, adult (probabilities) 2.3e-3 and 3.7e-5. 50 centres: 4.4e-4,
2.4e-4, 5.7e-5; 500: 2.7e-4, 8.6e-5, 2.8e-5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastrfm import backend
from fastrfm.estimators.fitted import FittedMember
from fastrfm.threads import one_blas_thread

__all__ = ["check_range", "with_half_centers"]

CORRECTED = 200
COMPARED = 1_000
# Of the mean eigenvalue. 1e-8 is up to a quarter better on the sets above, and 1e-4 twice as bad.
RIDGE = 1e-6


def check_range(member: FittedMember, names: list[str]) -> None:
    """Raise ValueError if a centre has a value that float16 cannot hold.

    Parameters
    ----------
    member : FittedMember
    names : list of str
        Of the encoded columns.
    """
    X = member.X_fit_
    row, column = np.unravel_index(np.abs(X).argmax(), X.shape)
    value, largest = float(X[row, column]), float(np.finfo(np.float16).max)
    if abs(value) > largest:
        raise ValueError(
            f"X_fit_ holds {value:g} in the column {names[column]!r}, beyond the range of float16, "
            f"{largest:g}; save without centers_dtype, or fit with standardize=True"
        )


def with_half_centers(member: FittedMember) -> FittedMember:
    """Return the member with centres that float16 holds exactly, and coefficients to match.

    The centres keep their dtype. A member whose centres are such already comes back unchanged.
    """
    exact = member.X_fit_
    if exact.dtype.kind in "iu":  # half of that already
        return member
    rounded = exact.astype(np.float16).astype(exact.dtype)
    half = replace(member, X_fit_=rounded)
    n = len(exact)
    rng = np.random.RandomState(0)  # the same model gives the same file
    compared = np.sort(rng.choice(n, min(n, COMPARED), replace=False))
    corrected = np.sort(rng.choice(n, min(n, CORRECTED), replace=False))
    rows = exact[compared]
    change = (member.decide(rows) - half.decide(rows)).astype(np.float64)
    if not change.any():
        return half
    K = backend.kernel_matrix(rows, rounded[corrected], member._kernel, member._root)
    K = K.astype(np.float64)
    with one_blas_thread():
        gram, right = K.T @ K, K.T @ change
        # Of a bandwidth so small that all is 0 nothing is corrected.
        ridge = RIDGE * np.trace(gram) / len(gram) + np.finfo(np.float64).tiny
        gram[np.diag_indices_from(gram)] += ridge
        coef = member.dual_coef_.copy()
        coef[corrected] += np.linalg.solve(gram, right)
    return replace(half, dual_coef_=coef)
