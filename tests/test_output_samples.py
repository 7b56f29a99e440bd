"""Random mixtures of the outputs: unbiased, of the stated variance, the same for every thread."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastrfm
from backends import Backend
from cases import Array, coefficients, plain_classifier, plain_regressor

pytestmark = pytest.mark.core


def problem(n: int, c: int, dtype: Any = np.float64) -> tuple[Array, Array, Array]:
    """Return rows, 50 centres and coefficients; too small for a rotation."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((n, 4)).astype(dtype), rng.standard_normal((50, 4)).astype(dtype)
    return X, Z, coefficients(rng, 50, c, dtype)


def draws(
    backend: Backend, X: Array, Z: Array, coef: Array, samples: int, count: int, **options: Any
) -> Array:
    """Return the estimates of `count` seeds."""
    return np.stack(
        [
            backend.agop(X, Z, coef, output_samples=samples, random_state=seed, **options)
            for seed in range(count)
        ]
    )


@pytest.mark.parametrize("norm", [2.0, 1.0])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("metric_form", ["identity", "matrix"])
def test_the_mean_over_seeds_is_the_agop(
    backend: Backend, norm: float, samples: int, metric_form: str
) -> None:
    X, Z, coef = problem(150, 7)
    metric = None if metric_form == "identity" else np.diag([1.0, 2.0, 0.5, 1.0]) + 0.2
    options = {"norm": norm, "metric": metric, "bandwidth": 3.0}
    exact = backend.agop(X, Z, coef, **options)
    count = 75 if backend.emulated else 600  # an emulated pass takes milliseconds
    G = draws(backend, X, Z, coef, samples, count, **options)
    standard_error = G.std(axis=0) / np.sqrt(len(G))
    assert (np.abs(G.mean(axis=0) - exact) < 5 * standard_error).all()
    # or the line above would say nothing
    assert standard_error.max() < (0.15 if backend.emulated else 0.05) * exact.max()
    np.testing.assert_array_equal(G, G.transpose(0, 2, 1))
    diagonal = draws(backend, X, Z, coef, samples, 3, diagonal=True, **options)
    np.testing.assert_allclose(diagonal, np.einsum("ijj->ij", G[:3]), rtol=1e-9)


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_variance_within_a_tile_is_the_formula(cpu: Backend, samples: int) -> None:
    """Four rows share a tile at every instruction set. (CUDA's signs: test_cuda.py.)"""
    X, Z, coef = problem(4, 6)
    g = cpu.gradients(X, Z, coef)
    B = np.einsum("ika,ilb->klab", g, g)
    B[np.arange(6), np.arange(6)] = 0
    trace_variance = 2 * (np.einsum("klaa->kl", B) ** 2).sum() / (16 * samples)
    squared_error = ((B**2).sum() + np.einsum("klab,klba->", B, B)) / (16 * samples)
    count = 4000
    G = draws(cpu, X, Z, coef, samples, count)
    exact = np.einsum("ika,ikb->ab", g, g) / 4
    traces = np.einsum("ijj->i", G)
    errors = ((G - exact) ** 2).sum(axis=(1, 2))
    deviations = (traces - np.trace(exact)) ** 2
    for sample, expected in ((deviations, trace_variance), (errors, squared_error)):
        assert abs(sample.mean() - expected) < 5 * sample.std() / np.sqrt(count)
        assert 5 * sample.std() / np.sqrt(count) < 0.25 * expected


def test_each_tile_mixes_anew(cpu: Backend) -> None:
    """512 equal rows in T tiles: the variance is 1 / T of that of one row, T from 16 to 128."""
    X, Z, coef = problem(1, 6)
    one = np.einsum("ijj->i", draws(cpu, X, Z, coef, 1, 400)).var()
    many = np.einsum("ijj->i", draws(cpu, np.repeat(X, 512, axis=0), Z, coef, 1, 400)).var()
    assert one / 256 < many < one / 10


@pytest.mark.parametrize("n", [37, 900])
def test_same_bits_for_every_thread_count(cpu: Backend, dtype: type, n: int) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((n, 9)).astype(dtype), coefficients(rng, n, 40, dtype)
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            results.append(cpu.agop(X, X, coef, output_samples=2, random_state=7))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert not np.array_equal(results[0], cpu.agop(X, X, coef, output_samples=2, random_state=8))


@pytest.mark.parametrize("samples", [13, 31])
def test_more_samples_than_a_register_tile_has_rows(
    backend: Backend, dtype: type, samples: int
) -> None:
    """Of 40 outputs, so the mixing takes several products; close to G by their number."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500 if backend.emulated else 2000, 4)).astype(dtype)
    Z, coef = X[:50], coefficients(rng, 50, 40, dtype)
    exact = backend.agop(X, Z, coef)
    G = backend.agop(X, Z, coef, output_samples=samples, random_state=0)
    assert 0 < np.linalg.norm(G - exact) < 0.2 * np.linalg.norm(exact)


def test_as_many_samples_as_outputs_are_exact(backend: Backend) -> None:
    X, Z, coef = problem(100, 3)
    exact = backend.agop(X, Z, coef)
    for samples in (3, 4, 1000):
        np.testing.assert_array_equal(backend.agop(X, Z, coef, output_samples=samples), exact)


def test_as_many_samples_as_rotated_outputs_are_exact(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1500, 16))  # enough rows that a rotation pays
    coef = rng.standard_normal((1500, 2)) @ rng.standard_normal((2, 9))
    exact = backend.agop(X, X, coef)
    np.testing.assert_array_equal(backend.agop(X, X, coef, output_samples=2), exact)
    G = backend.agop(X, X, coef, output_samples=1, random_state=0)
    assert 0 < np.linalg.norm(G - exact) < 0.2 * np.linalg.norm(exact)


NOT_AN_INTEGER = "output_samples must be an integer number of mixtures or None; got "
TOO_SMALL = "output_samples must be at least 1, or None for all outputs; got 0"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"output_samples": 0}, ValueError, TOO_SMALL),
        ({"output_samples": 1.0}, TypeError, NOT_AN_INTEGER + "1.0"),
        ({"output_samples": True}, TypeError, NOT_AN_INTEGER + "True"),
        (
            {"output_samples": 2, "center": True},
            ValueError,
            "output_samples=2 does not go with center=True: random mixtures of the outputs have no "
            "mean gradient for each output; choose one of the two",
        ),
        ({"output_samples": 2, "random_state": "x"}, ValueError, "'x' cannot be used to seed"),
    ],
)
def test_bad_values(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    X, Z, coef = problem(5, 3)
    with pytest.raises(error, match=re.escape(message)):
        fastrfm.agop(X, Z, coef, **changes)


def test_estimators_take_mixtures_from_their_random_state() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6))
    Y = np.sin(X @ rng.standard_normal((6, 8)))
    model = plain_regressor(n_iter=1, agop_output_samples=1, random_state=0)
    agop = model.fit(X, Y).agop_
    np.testing.assert_array_equal(model.fit(X, Y).agop_, agop)
    assert not np.array_equal(model.set_params(random_state=1).fit(X, Y).agop_, agop)
    exact = model.set_params(agop_output_samples=8, n_iter=0).fit(X, Y).agop_
    mixed = model.set_params(agop_output_samples=1).fit(X, Y).agop_
    assert 0 < np.linalg.norm(mixed - exact) < 0.5 * np.linalg.norm(exact)


def test_a_classifier_learns_from_mixtures() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 10))
    y = np.digitize(X[:, 0], [-1.0, -0.4, 0.0, 0.4, 1.0])
    plain = plain_classifier(n_iter=0).fit(X[:400], y[:400]).score(X[400:], y[400:])
    model = plain_classifier(agop_output_samples=1, random_state=0).fit(X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > plain + 0.1
    assert model.feature_importances_.argmax() == 0
