"""What a recursion is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.bandwidth import BandwidthRule
from fastrfm.remote import RemoteRows
from fastrfm.ridge import Plan, make_plan
from fastrfm.ridge.device_plan import make_device_plan
from fastrfm.ridge.plan import make_remote_plan

__all__ = ["RecursionSettings", "plan_of"]

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class RecursionSettings:
    """What `run_recursion` needs to know; the estimators' parameters of the same names.

    `alphas`, ascending, are the ridges to choose from; the first iteration tries all, a later one
    the best of the iteration before and its two neighbours, and on from there.
    """

    norm: float = 2.0
    exponent: float = 1.0
    bandwidth: BandwidthRule = field(default_factory=lambda: BandwidthRule(10.0))
    alphas: tuple[float, ...] = (1e-3,)
    diagonal: bool = False
    agop_power: float = 0.5
    n_iter: int = 5
    center_gradients: bool = False
    rank_tolerance: float = 1e-7
    solver: str = "auto"
    tol: float = 1e-4
    agop_samples: int = 20_000
    agop_output_samples: int | None = None
    memory_limit: int | None = None
    reserved_bytes: int = 0  # of the limit, for what is there beside a solve
    early_stopping: bool = True


def plan_of(X: Array, Y: Array, settings: RecursionSettings) -> Plan:
    """Return how the recursion will solve.

    Raises
    ------
    MemoryError
        If nothing that the settings allow fits the memory limit.
    """
    if isinstance(X, RemoteRows):
        return make_remote_plan(len(X), Y.shape[1], Y.dtype, X.column_bytes, settings.memory_limit)
    memory = backend.device_memory()
    if memory is not None:
        return make_device_plan(
            len(X),
            X.shape[1],
            Y.shape[1],
            Y.dtype,
            settings.solver,
            settings.memory_limit,
            memory,
        )
    return make_plan(
        len(X),
        X.shape[1],
        Y.shape[1],
        Y.dtype,
        settings.solver,
        settings.memory_limit,
        settings.reserved_bytes,
    )
