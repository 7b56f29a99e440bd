"""Data, metrics and tolerances that the tests of the numerical core share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

import oracle
from fastrfm import RFMClassifier, RFMRegressor
from fastrfm.members import PAPERS

Array = NDArray[Any]

# (norm p, exponent q)
KERNELS = [(2.0, 1.0), (2.0, 2.0), (2.0, 0.7), (1.0, 1.0), (1.5, 1.2), (0.8, 0.8)]
DTYPES = [np.float32, np.float64]
METRIC_FORMS = ["identity", "vector", "matrix", "low_rank"]
AGOP_MODES = [
    {"diagonal": diagonal, "center": center}
    for center in (False, True)
    for diagonal in (False, True)
]
AGOP_MODE_IDS = ["full", "diagonal", "full-centred", "diagonal-centred"]
OPS = ["kernel_matrix", "kernel_matmul", "gradients", "agop"]

# The contract. K: absolute. Sums: as a fraction of the largest entry of the true result.
KERNEL_TOLERANCE = {"float32": 1e-6, "float64": 1e-10}
SUM_TOLERANCE = {"float32": 2e-5, "float64": 1e-10}
DISTANCE_TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # relative


def uneven_weights(n: int, seed: int = 0) -> Array:
    """Return weights over three decades, some of them 0 (where there are more than two)."""
    weights = 10 ** np.random.default_rng(seed).uniform(-1.5, 1.5, n)
    weights[2::7] = 0
    return np.asarray(weights)


def make_metric(form: str, n_features: int, seed: int = 0) -> Array | None:
    """Return a metric M: none, weights with a zero, well-conditioned, or of exact low rank."""
    rng = np.random.default_rng(seed)
    if form == "identity":
        return None
    if form == "vector":
        weights = rng.uniform(0.2, 2.0, n_features)
        weights[n_features // 2 :: 5] = 0.0 if n_features > 1 else weights[0]
        return weights
    if form == "matrix":
        rotation, _ = np.linalg.qr(rng.standard_normal((n_features, n_features)))
        m = (rotation * np.linspace(0.3, 2.0, n_features)) @ rotation.T
        return (m + m.T) / 2
    if form == "low_rank":
        rank = max(1, n_features // 2)
        factor = rng.integers(-3, 4, (n_features, rank)).astype(np.float64)
        factor[0] = 1.0
        return factor @ factor.T / 4  # small integers: the rank is exact in floating point
    raise ValueError(form)


def grid_rows(rng: np.random.Generator, n: int, d: int, dtype: DTypeLike) -> Array:
    """Return rows on a grid of eighths: many equal coordinates, and equal rows if d is small."""
    return (rng.integers(-16, 17, (n, d)) / 8).astype(dtype)


def apart_rows(
    rng: np.random.Generator,
    n: int,
    d: int,
    dtype: DTypeLike,
    metric: Array | None,
    norm: float,
    gap: float = 0.01,
) -> Array:
    """Return normal rows; for p < 1 no two are nearer than gap in a transformed coordinate.

    There phi(u) = |u|^(p - 1) has a pole at 0, so a near tie in one coordinate would magnify
    the rounding of the transform itself beyond any tolerance.
    """
    if norm >= 1:
        return rng.standard_normal((n, d)).astype(dtype)
    root = oracle.metric_root(metric, norm, d)
    live = np.abs(root).max(axis=0) > 0
    kept: list[Array] = []
    while len(kept) < n:
        row = rng.standard_normal(d).astype(dtype).astype(np.float64)
        steps = np.abs((np.array(kept).reshape(-1, d) - row) @ root)[:, live]
        if steps.size == 0 or steps.min() > gap:
            kept.append(row)
    return np.array(kept).astype(dtype)


def coefficients(rng: np.random.Generator, m: int, c: int, dtype: DTypeLike) -> Array:
    """Return normal dual coefficients (m, c)."""
    return rng.standard_normal((m, c)).astype(dtype)


def typical_bandwidth(X: Array, Z: Array, *, metric: Array | None, norm: float) -> float:
    """Return the median positive distance: K then spreads over (0, 1), where it is testable."""
    D = oracle.distances(X[:50], Z[:50], metric=metric, norm=norm)
    return float(np.median(D[D > 0])) if (D > 0).any() else 1.0


def call(room: Any, op: str, X: Array, Z: Array, coef: Array, **options: Any) -> Array:
    """Call an op of a backend or of the oracle; kernel_matrix has no use for coef."""
    function: Callable[..., Array] = getattr(room, op)
    return function(X, Z, **options) if op == "kernel_matrix" else function(X, Z, coef, **options)


def error_of(op: str, actual: Array, expected: Array) -> float:
    """Return the error in the contract's measure: absolute for K, else of the largest entry."""
    assert actual.shape == expected.shape
    difference = float(np.abs(np.asarray(actual, dtype=np.float64) - expected).max())
    return difference if op == "kernel_matrix" else difference / max(scale_of(expected), 1e-300)


def assert_accurate(op: str, actual: Array, expected: Array, dtype: DTypeLike) -> None:
    """Hold a result to the contract of its dtype."""
    name = np.dtype(dtype).name
    assert actual.dtype == np.dtype(dtype)
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    if op != "kernel_matrix" and scale_of(expected) == 0:
        assert np.count_nonzero(actual) == 0
        return
    allowed = KERNEL_TOLERANCE[name] if op == "kernel_matrix" else SUM_TOLERANCE[name]
    assert error_of(op, actual, expected) <= allowed


def scale_of(expected: Array) -> float:
    """Return the largest magnitude."""
    return float(np.abs(expected).max())


def essentials(*patterns: str) -> str:
    """Return a pattern for ``pytest.raises(match=...)``: all of these, in any order."""
    return "(?is)^" + "".join(f"(?=.*(?:{pattern}))" for pattern in patterns)


def number(value: float) -> str:
    """Return a pattern of a number as a message may spell it: 1000, 1,000, 1_000, 2 or 2.0."""
    if float(value).is_integer():
        digits = re.escape(f"{int(value):,}").replace(",", "[,_]?")
        return rf"(?<![\d.]){digits}(?:\.0)?(?![\d])"
    return rf"(?<![\d.]){re.escape(repr(float(value)))}(?!\d)"


def shape(*sizes: int) -> str:
    """Return a pattern of a shape as a message spells it."""
    inner = r",\s*".join(str(size) for size in sizes)
    return rf"\({inner},?\)"


def plain_regressor(**parameters: Any) -> RFMRegressor:
    """Return a regressor of one member, with the papers' parameters but for those given."""
    return RFMRegressor(**(PAPERS | parameters))


def plain_classifier(**parameters: Any) -> RFMClassifier:
    """Return a classifier of one member, with the papers' parameters but for those given."""
    return RFMClassifier(**(PAPERS | parameters))
