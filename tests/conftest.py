"""Fixtures: every test that asks for them runs over backends, dtypes, kernels and metrics.

They have session scope so that hypothesis may combine them with drawn shapes.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

from backends import BACKENDS, CPU, CUDA_BACKENDS, EMULATED, GPU, Backend
from cases import DTYPES, KERNELS, METRIC_FORMS
from device import cupy, stand_in_cupy

__all__ = ["cupy", "stand_in_cupy"]  # fixtures

settings.register_profile("fastrfm", deadline=None, derandomize=True, database=None)
settings.load_profile("fastrfm")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose room is missing; here, not in a fixture, so that one line tells of all."""
    for name, room in (("emulated", EMULATED), ("gpu", GPU)):
        if item.get_closest_marker(name):
            room.open_room()


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each room that runs the ops."""
    return request.param


@pytest.fixture(scope="session", params=CUDA_BACKENDS)
def cuda(request: pytest.FixtureRequest) -> Backend:
    """Return each room of the CUDA ops."""
    return request.param


@pytest.fixture(scope="session")
def cpu() -> Backend:
    """Return the CPU's room alone: for what other rooms do not promise, or have no part in."""
    return CPU


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
