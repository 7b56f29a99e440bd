"""CuPy's stand-in computes as NumPy does, and refuses and counts as CuPy does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrfm
import oracle
from cases import OPS, Array, assert_accurate, call
from device import StandIn
from fastrfm.backend import cuda_room, running_on

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("late", [False, True], ids=["copies-at-once", "late-copies"])
@pytest.mark.parametrize("op", OPS)
def test_ops_run_through_cupy(stand_in_cupy: StandIn, op: str, late: bool, dtype: type) -> None:
    stand_in_cupy.set_late_copies(late)
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((70, 5)).astype(dtype), rng.standard_normal((40, 5)).astype(dtype)
    coef = rng.standard_normal((40, 3)).astype(dtype)
    options: dict[str, Any] = {"metric": np.diag([1.0, 2, 3, 4, 5]) + 0.1, "bandwidth": 3.0}
    with running_on(cuda_room()):
        result: Array = call(fastrfm, op, X, Z, coef, **options)  # type: ignore[arg-type]
    assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), dtype)  # type: ignore[arg-type]
    assert stand_in_cupy.copies.to_host == 1
    assert stand_in_cupy.copies.to_device == (3 if op == "kernel_matrix" else 4)
    assert 0 < stand_in_cupy.peak_bytes() > stand_in_cupy.live_bytes() == 0
    assert ("gradient_sums" if op == "agop" else op, 0) in stand_in_cupy.log
