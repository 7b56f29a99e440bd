"""Hash every CUDA op's results under the emulator, as JSON.

Not a test module: ``test_cuda.py`` runs it once per FASTRFM_EMULATOR_ORDER, in a process of its
own, because the emulator reads the variable once.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np

from backends import EMULATED
from cases import DTYPES, OPS, Array, call, coefficients, make_metric

# norm, exponent, metric
FORMS = [(2.0, 1.0, "identity"), (2.0, 0.7, "low_rank"), (1.0, 1.0, "vector"), (1.5, 1.2, "matrix")]


def digest(array: Array) -> str:
    """Return a hash of the array's bits."""
    return hashlib.sha256(array.tobytes()).hexdigest()


def hashes() -> dict[str, str]:
    """Return the hash of every result by its case's name."""
    found = {}
    for dtype in DTYPES:
        rng = np.random.default_rng(0)
        X, Z = (rng.standard_normal((n, 11)).astype(dtype) for n in (140, 150))
        X[:20] = Z[:20]
        coef = coefficients(rng, 150, 5, dtype)
        V = coefficients(rng, 140, 5, dtype)
        for norm, exponent, form in FORMS:
            options: dict[str, Any] = {"norm": norm, "exponent": exponent}
            options["metric"] = make_metric(form, 11)
            case = f"{np.dtype(dtype).name} {norm} {exponent} {form}"
            for op in OPS:
                found[f"{op} {case}"] = digest(call(EMULATED, op, X, Z, coef, **options))
            found[f"symmetric {case}"] = digest(EMULATED.kernel_matrix(X, **options))
            found[f"symmetric matmul {case}"] = digest(EMULATED.kernel_matmul(X, X, V, **options))
            mixed = EMULATED.agop(X, Z, coef, output_samples=2, random_state=0, **options)
            found[f"mixed {case}"] = digest(mixed)
            centred = EMULATED.agop(X, Z, coef, center=True, diagonal=True, **options)
            found[f"centred {case}"] = digest(centred)
    return found


if __name__ == "__main__":
    json.dump(hashes(), sys.stdout)
