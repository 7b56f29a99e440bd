"""Hold every op to the oracle under the instruction set that FASTRFM_ISA forces.

Not a test module: ``test_isa.py`` runs it once per level, in a process of its own, because the
level is chosen when the package is imported. It writes one JSON object.
"""

from __future__ import annotations

import json
import sys

import numpy as np

import fastrfm
import fastrfm.backend
import oracle
from cases import (
    DTYPES,
    KERNELS,
    METRIC_FORMS,
    OPS,
    apart_rows,
    call,
    coefficients,
    error_of,
    grid_rows,
    make_metric,
    typical_bandwidth,
)

# one element, less than a vector, odd remainders, more than a tile
SHAPES = [(1, 1, 1, 1), (5, 3, 2, 1), (17, 33, 9, 3), (67, 131, 21, 2)]


def worst_errors() -> dict[str, float]:
    """Return the worst error by op and dtype, in the contract's measure."""
    worst: dict[str, float] = {}

    def note(op: str, dtype: type, error: float) -> None:
        key = f"{op}-{np.dtype(dtype).name}"
        error = error if np.isfinite(error) else float("inf")
        worst[key] = max(worst.get(key, 0.0), error)

    rng = np.random.default_rng(0)
    for norm, exponent in KERNELS:
        for dtype in DTYPES:
            for n, m, d, c in SHAPES:
                X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
                coef = coefficients(rng, m, c, dtype)
                bandwidth = typical_bandwidth(X, Z, metric=None, norm=norm)
                options = {"norm": norm, "exponent": exponent, "bandwidth": bandwidth}
                for op in OPS:
                    result = call(fastrfm, op, X, Z, coef, **options)
                    note(op, dtype, error_of(op, result, call(oracle, op, X, Z, coef, **options)))
            for form in METRIC_FORMS:
                metric = make_metric(form, 5)
                rows = apart_rows(rng, 40, 5, dtype, metric, norm)
                X, Z, coef = rows[:15], rows[15:], coefficients(rng, 25, 3, dtype)
                bandwidth = typical_bandwidth(X, Z, metric=metric, norm=norm)
                options = {"norm": norm, "exponent": exponent, "bandwidth": bandwidth}
                for op in OPS:
                    result = call(fastrfm, op, X, Z, coef, metric=metric, **options)
                    truth = call(oracle, op, X, Z, coef, metric=metric, **options)
                    note(op, dtype, error_of(op, result, truth))
    return worst


if __name__ == "__main__":
    json.dump({"isa": fastrfm.backend.isa_level(), "worst": worst_errors()}, sys.stdout)
