"""Probes of layers, against Recursive Feature Machines with a metric of all features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

import oracle
from fastrfm import probes
from fastrfm.probes import fit_probes

Array = NDArray[Any]
pytestmark = pytest.mark.core


def written_out(
    X: Array, y: Array, X_test: Array, n_iter: int, times: float, alpha: float, center: bool
) -> tuple[Array, Array]:
    """Return the average gradient outer product (d, d) of the last fit, and its predictions."""
    n, d = X.shape
    metric = np.eye(d)
    offset = y.mean()
    for _ in range(n_iter + 1):
        w, V = np.linalg.eigh(metric)
        root = V * np.sqrt(w.clip(0))
        length = times * np.median(pdist(X @ root))
        kernel = {"metric": metric, "bandwidth": length}
        K = oracle.kernel_matrix(X, **kernel)
        coef = np.linalg.solve(K + alpha * np.eye(n), y - offset)[:, None]
        G = oracle.agop(X, X, coef, center=center, **kernel)
        prediction = oracle.kernel_matrix(X_test, X, **kernel) @ coef[:, 0] + offset
        metric = G / G.max()
    return np.asarray(G), prediction


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("n_iter", [0, 1, 2])
@pytest.mark.parametrize("shape", [(14, 25), (30, 6)])
def test_like_a_metric_of_all_features(shape: tuple[int, int], n_iter: int, center: bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=shape) + 3
    y = X[:, 0] + X[:, 1] * X[:, 2]
    X_test = rng.normal(size=(5, shape[1])) + 3
    options: dict[str, Any] = {"n_iter": n_iter, "alpha": 0.05, "center_gradients": center}
    [probe] = fit_probes([X], y, n_directions=3, bandwidth=1.5, **options)
    G, prediction = written_out(X, y, X_test, n_iter, 1.5, 0.05, center)
    values, vectors = np.linalg.eigh(G)
    np.testing.assert_allclose(probe.eigenvalues, values[::-1][:3] / np.trace(G), rtol=1e-4)
    cosines = np.abs(np.sum(probe.directions * vectors.T[::-1][:3], axis=1))
    np.testing.assert_allclose(cosines[:2], 1, atol=1e-5)
    np.testing.assert_allclose(probe.predict(X_test), prediction, rtol=1e-5, atol=1e-6)


def test_directions_are_unit_and_point_to_larger_targets() -> None:
    rng = np.random.default_rng(1)
    layers = [rng.normal(size=(60, d)).astype(np.float32) for d in (10, 80)]
    y = layers[0][:, 3] > 0
    layers[1][:, 5] -= 2 * y
    found = fit_probes((layer for layer in layers), y, n_directions=2)
    for probe, layer, feature, sign in zip(found, layers, (3, 5), (1, -1), strict=True):
        assert probe.directions.shape == (2, layer.shape[1])
        np.testing.assert_allclose(np.linalg.norm(probe.directions, axis=1), 1)
        assert sign * probe.directions[0, feature] > 0.5
        scores = probe.project(layer)
        assert scores.shape == (60, 2)
        np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-6)
        assert np.corrcoef(scores[:, 0], y)[0, 1] > 0.5
        assert np.all(np.diff(probe.eigenvalues) <= 0)
        assert probe.eigenvalues.sum() <= 1 + 1e-12


def test_randomised_singular_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    B = rng.normal(size=(50, 80)) * np.r_[9, 6, 4, 2, np.ones(76)]
    exact = probes.top_eigenvectors(B, 3)
    monkeypatch.setattr(probes, "EXACT_ROWS", 10)
    vectors, values = probes.top_eigenvectors(B, 3)
    np.testing.assert_allclose(values, exact[1], rtol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(vectors * exact[0], axis=1)), 1, atol=1e-6)
    np.testing.assert_allclose(exact[1][0], np.linalg.eigvalsh(B.T @ B)[-1] / np.sum(B**2))


X = np.random.default_rng(3).normal(size=(6, 4))
Y = np.arange(6) % 2


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: fit_probes([X], Y[:5]), ValueError, r"layers\[0\] must have one row for each row"),
        (lambda: fit_probes([X, X[0]], Y), ValueError, r"layers\[1\] must be a 2-D array"),
        (lambda: fit_probes([X], X), ValueError, r"y must be one number for each row; got shape"),
        (lambda: fit_probes([X], np.ones(6)), ValueError, r"y is the same for all rows: there is"),
        (lambda: fit_probes([X], ["a"] * 6), ValueError, r"y must be one number for each row"),
        (
            lambda: fit_probes([X], Y, n_directions=7),
            ValueError,
            r"n_directions == 7, must be <= 6",
        ),
        (lambda: fit_probes([X], Y, n_iter=-1), ValueError, r"n_iter == -1, must be >= 0"),
        (lambda: fit_probes([X], Y, bandwidth=0), ValueError, r"bandwidth must be greater than 0"),
        (lambda: fit_probes([X], Y, alpha="a"), TypeError, r"alpha must be a real number; got 'a'"),
        (
            lambda: fit_probes([X], Y, center_gradients=1),
            TypeError,
            r"center_gradients must be True or False; got 1",
        ),
        (
            lambda: fit_probes([np.ones((6, 4))], Y),
            ValueError,
            r"the rows of a layer are all the same: there is nothing to find",
        ),
        (
            lambda: fit_probes([X], Y)[0].predict(np.ones((2, 3))),
            ValueError,
            r"X must have the 4 features of the layer; got 3",
        ),
    ],
)
def test_wrong_input(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
