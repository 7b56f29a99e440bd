"""A cluster of three processes, and data, for the tests of fits on Dask's workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cases import Array

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")

from distributed import Client, LocalCluster

from fastrfm.dask import cluster

# distributed closes sockets and loops late, and says when a worker was killed.
QUIETLY = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

N, TEST = 1_400, 200
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N + TEST, 6))
Y = np.stack([np.sin(2 * X[:, 0]) * X[:, 1], np.cos(X[:, 2]) + X[:, 3]], axis=1)
LABELS = np.array(["low", "mid", "top"])[np.digitize(Y[:, 0], [-0.3, 0.3])]
# To a residual of 1e-7, in float64: what differs then is the order of sums.
OPTIONS: dict[str, Any] = {
    "norm": 2,
    "exponent": 1,
    "bandwidth": 5.0,
    "alpha": 1.0,
    "n_iter": 1,
    "solver": "pcg",
    "tol": 1e-7,
    "validation_fraction": None,
    "random_state": 0,
}
ALLOWED = 1e-5


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Three processes of one thread."""
    options = {"n_workers": 3, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as local, Client(local) as client:
        yield client


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the few rows of a test into three blocks."""
    monkeypatch.setattr(cluster, "FEWEST_BLOCK_ROWS", N // 3)


def close(actual: Array, expected: Array) -> None:
    """Compare by the spread of what is expected."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= ALLOWED * expected.std()
