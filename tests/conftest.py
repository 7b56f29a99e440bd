"""Fixtures: every test that asks for them runs over backends, dtypes, kernels and metrics.

They have session scope so that hypothesis may combine them with drawn shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

import fastrfm
from cases import DTYPES, KERNELS, METRIC_FORMS, Array

settings.register_profile("fastrfm", deadline=None, derandomize=True, database=None)
settings.load_profile("fastrfm")


@dataclass(frozen=True)
class Backend:
    """A room that runs the ops: NumPy arrays go in and come out, whatever lies between."""

    name: str
    to_device: Callable[[Array], Any] = lambda array: array
    to_host: Callable[[Any], Array] = lambda array: array

    def _run(self, function: Callable[..., Any], *arrays: Array | None, **options: Any) -> Array:
        moved = [None if array is None else self.to_device(array) for array in arrays]
        return self.to_host(function(*moved, **options))

    def kernel_matrix(self, X: Array, Z: Array | None = None, **options: Any) -> Array:
        return self._run(fastrfm.kernel_matrix, X, Z, **options)

    def kernel_matmul(self, X: Array, Z: Array, V: Array, **options: Any) -> Array:
        return self._run(fastrfm.kernel_matmul, X, Z, V, **options)

    def gradients(self, X: Array, Z: Array, coef: Array, **options: Any) -> Array:
        return self._run(fastrfm.gradients, X, Z, coef, **options)

    def agop(self, X: Array, Z: Array, coef: Array, **options: Any) -> Array:
        return self._run(fastrfm.agop, X, Z, coef, **options)


BACKENDS = [Backend("cpu")]


@pytest.fixture(scope="session", params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each room that runs the ops."""
    return request.param


@pytest.fixture(scope="session", params=DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def dtype(request: pytest.FixtureRequest) -> type:
    """Return each floating dtype."""
    return request.param


@pytest.fixture(scope="session", params=KERNELS, ids=lambda kernel: f"p{kernel[0]}-q{kernel[1]}")
def kernel(request: pytest.FixtureRequest) -> dict[str, float]:
    """Return each (norm, exponent) as keyword arguments."""
    return {"norm": request.param[0], "exponent": request.param[1]}


@pytest.fixture(scope="session", params=METRIC_FORMS)
def metric_form(request: pytest.FixtureRequest) -> str:
    """Return each form of metric; cases.make_metric builds it."""
    return request.param
