"""CuPy's stand-in computes as NumPy does, and refuses and counts as CuPy does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrfm
import oracle
from cases import OPS, Array, assert_accurate, call
from cupy_probe import described
from device import StandIn
from fastrfm.backend import cuda_room, running_on
from stand_in_cupy import modules

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


def test_real_cupy_has_what_the_stand_in_has() -> None:
    """The same names, parameters and defaults; the stand-in may lack some, at the end."""
    pytest.importorskip("cupy")
    stand_ins = modules()
    probe = Path(__file__).with_name("cupy_probe.py")
    done = subprocess.run(
        [sys.executable, probe, *stand_ins], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "\nImportError: " in done.stderr:
        pytest.skip(f"CuPy without CUDA's libraries: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    real = json.loads(done.stdout)
    differences = [
        f"{name}: {stand_in} is no part of {real[name]}" if name in real else f"{name} is missing"
        for name, stand_in in described(stand_ins).items()
        if name not in real or not is_part(stand_in, real[name])
    ]
    assert not differences, "\n".join(differences)


def is_part(stand_in: Any, real: Any) -> bool:
    """Return whether all calls that the stand-in takes are calls of the real one."""
    if stand_in is None or real is None or isinstance(stand_in, str) or isinstance(real, str):
        return stand_in == real or None in (stand_in, real)
    if real["any"]:
        return True
    own = list(stand_in["positional"].items())
    same_places = own == list(real["positional"].items())[: len(own)]
    taken = real["positional"] | real["keyword"]
    return same_places and stand_in["keyword"].items() <= taken.items()
