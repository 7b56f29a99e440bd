"""Fewer outputs with the same AGOP: rotated, or mixed at random.

Gradients are linear in the coefficients, so for an orthogonal V (c x c) the outputs ``coef V``
have the same ``sum_l g_l g_l^T``. With ``coef = U S V^T`` the coefficients of rotated output l have
the norm ``S_l``: as many matter as the targets' rank, and the rest is rounding. Centred class
indicators sum to 0, so that c classes always leave c - 1 outputs.

Random mixtures of the outputs keep only the mean of the AGOP; the compiled pass draws them
(tile/output_mixer.hpp), from a seed.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.arrays import namespace, to_host, to_place_of
from fastrfm.threads import one_blas_thread

__all__ = [
    "DROPPED",
    "check_not_centred",
    "check_output_samples",
    "draw_seed",
    "rotate_outputs",
    "rotation_pays",
]

Array = NDArray[Any]

# Outputs are dropped whose coefficients, together, are below this part of all coefficients in
# Frobenius norm, by the dtype of the computation. Let J be the linear map from one output's
# coefficients to its gradients at all rows. What G loses is positive semidefinite with trace
#   sum_dropped |J coef v_l|^2 / n  <=  |J|^2 DROPPED^2 |coef|_F^2 / n,
# relative to the trace of G: DROPPED^2 times |J|^2 / (mean of |J u|^2 over the coefficients). On
# load_digits and on 12 targets of rank 3 a dropped output had at most 1.1 times the mean (norm 1
# and 2, alpha 1e-6 to 1), so 1e-10 of the trace is lost in float32; a thousand times the mean
# would still be below its rounding. The solves leave 1e-6 there in float32, 2e-15 in float64.
DROPPED = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-10}

# A rotation may take this part of the time of the pass that it shortens,
ROTATION_SHARE = 0.1
# besides the calls themselves, in operations: 0.1 ms.
FIXED_OPERATIONS = 5e6


def rotation_pays(n: int, m: int, d: int, c: int, passed: int) -> bool:
    """Whether a rotation of c outputs is cheap beside the pass over n rows and m centres.

    `passed` is the number of outputs of the pass: c, or fewer mixtures of them.
    """
    rotation = 4.0 * m * c * c + 20.0 * c**3 + FIXED_OPERATIONS
    return c > 1 and rotation <= ROTATION_SHARE * 2.0 * n * m * d * passed


def rotate_outputs(coef: Array, dtype: np.dtype[Any]) -> Array:
    """Return ``coef V`` without the outputs that `dtype` does not see.

    Parameters
    ----------
    coef : ndarray of shape (m, c)
    dtype : dtype
        Of the computation; says which outputs are negligible (`DROPPED`).

    Returns
    -------
    ndarray of shape (m, r), float64, where `coef` lies
        1 <= r <= c outputs, the largest first. The bits do not depend on the number of threads.
    """
    xp = namespace(coef)
    size = float(xp.abs(coef).max())
    # Squares neither overflow nor vanish.
    scaled = coef.astype(np.float64) / (size if size > 0 else 1.0)
    with one_blas_thread():
        # Of R rather than of the Gram matrix, which knows S only to 1e-8 of the largest.
        R = to_host(xp.linalg.qr(scaled, mode="r"))
        _, S, V = np.linalg.svd(R, full_matrices=False)
        left = np.cumsum(S[::-1] ** 2)[::-1]  # [l]: what goes if output l and all after it go
        kept = max(1, int(np.count_nonzero(left > DROPPED[dtype] ** 2 * left[0])))
        rotated: Array = scaled @ to_place_of(scaled, V[:kept].T)
    return rotated * size


def check_output_samples(name: str, value: Any) -> int | None:
    """Return `value` as a number of mixtures, or None.

    Raises
    ------
    TypeError
        If it is neither an integer nor None.
    ValueError
        If it is below 1.
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer number of mixtures or None; got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, or None for all outputs; got {value}")
    return int(value)


def check_not_centred(samples_name: str, samples: int | None, name: str, center: bool) -> None:
    """Raise `ValueError` for random mixtures of the outputs together with centring."""
    if samples is not None and center:
        raise ValueError(
            f"{samples_name}={samples} does not go with {name}=True: random mixtures of the "
            "outputs have no mean gradient for each output; choose one of the two"
        )


def draw_seed(rng: np.random.RandomState) -> int:
    """Return a seed for the compiled pass."""
    return int(rng.randint(np.iinfo(np.int64).max, dtype=np.int64))
