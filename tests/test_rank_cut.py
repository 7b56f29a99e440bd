"""The rank cut: how far a metric without its small eigenvalues can be from the whole one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

import fastrfm
from cases import Array, plain_classifier
from fastrfm.metric import PIVOTED_FEATURES, metric_of_root, power_root
from fastrfm.recursion import RecursionResult, RecursionSettings, run_recursion
from fastrfm.selection import Candidate, Verdict

TOLERANCES = st.sampled_from([0.0, 1e-9, 1e-7, 1e-5, 1e-3, 0.1, 0.5])
# The decomposition cuts its own rounding noise at any tolerance.
NOISE = 4 * np.finfo(np.float64).eps


@st.composite
def metrics(draw: st.DrawFn) -> Array:
    """Draw a PSD matrix of a size up to 12 whose eigenvalues spread over up to 12 decades."""
    d = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    eigenvalues = 10 ** rng.uniform(-draw(st.floats(0, 12)), 0, d)
    eigenvalues[rng.random(d) < draw(st.sampled_from([0.0, 0.3]))] = 0.0
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    M = (Q * eigenvalues) @ Q.T * 10 ** draw(st.floats(-3, 3))
    return (M + M.T) / 2


def power_of(M: Array, power: float) -> tuple[Array, Array]:
    """Return the metric ``M^(2 power)`` in NumPy, uncut, and its eigenvalues."""
    values, vectors = np.linalg.eigh(M)
    values = np.clip(values, 0, None) ** (2 * power)
    return (vectors * values) @ vectors.T, values


def squared_distances(U: Array, M: Array) -> Array:
    return np.einsum("ij,jk,ik->i", U, M, U)


@settings(deadline=None, max_examples=200)
@given(metrics(), TOLERANCES, st.sampled_from([0.35, 0.5, 1.0]), st.booleans())
def test_squared_distances_change_by_at_most_the_bound(
    M: Array, tolerance: float, power: float, diagonal: bool
) -> None:
    d = len(M)
    if diagonal:
        M = np.diag(np.diag(M))
    whole, eigenvalues = power_of(M, power)
    root = power_root(
        np.diag(M) if diagonal else M, power=power, norm=2.0, rank_tolerance=tolerance
    )
    U = np.random.default_rng(0).standard_normal((50, d))
    # Random directions seldom meet the worst case: the eigenvectors do.
    U = np.vstack([U, np.linalg.eigh(M)[1].T])
    cut = np.sum((U * root if diagonal else U @ root) ** 2, axis=1)
    change = squared_distances(U, whole) - cut
    unit = eigenvalues.max() * np.sum(U * U, axis=1)
    # Of an eigenvalue that is zero, rounding leaves a trifle, and a power below 1/2 enlarges it.
    rounding = (100 * d * np.finfo(np.float64).eps) ** min(1.0, 2 * power)
    assert (change <= (max(tolerance, NOISE * d) + rounding) * unit).all()
    assert (change >= -rounding * unit).all()  # a cut only shortens


@settings(deadline=None, max_examples=100)
@given(metrics(), st.sampled_from([1e-7, 1e-3, 0.1]))
def test_the_rank_is_the_number_of_eigenvalues_above_the_cut(M: Array, tolerance: float) -> None:
    eigenvalues = power_of(M, 0.5)[1] / power_of(M, 0.5)[1].max(initial=1e-300)
    near = np.abs(eigenvalues - tolerance) < 1e-9
    root = power_root(M, power=0.5, norm=2.0, rank_tolerance=tolerance)
    least = np.count_nonzero((eigenvalues >= tolerance) & ~near)
    assert max(1, least) <= root.shape[1] <= max(1, least) + np.count_nonzero(near)


@settings(deadline=None, max_examples=100)
@given(metrics(), TOLERANCES, st.sampled_from([1.0, 1.5]))
def test_other_norms_change_by_at_most_the_length_of_what_is_cut(
    M: Array, tolerance: float, norm: float
) -> None:
    """``| ||a||_p - ||b||_p | <= ||a - b||_p <= d^(1/p - 1/2) ||a - b||_2`` for 1 <= p <= 2."""
    d = len(M)
    values, vectors = np.linalg.eigh(M)
    whole = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cut = power_root(M, power=0.5, norm=norm, rank_tolerance=tolerance)
    assert cut.shape == (d, d)
    U = np.vstack([np.random.default_rng(0).standard_normal((50, d)), vectors.T])
    change = np.abs(np.linalg.norm(U @ whole, norm, axis=1) - np.linalg.norm(U @ cut, norm, axis=1))
    # Where an eigenvalue is zero, its square root is the root of its rounding.
    rounding = np.sqrt(20 * d * np.finfo(np.float64).eps)
    length = np.sqrt(values.max()) * np.linalg.norm(U, axis=1)
    assert (
        change <= d ** (1 / norm - 0.5) * (np.sqrt(max(tolerance, NOISE * d)) + rounding) * length
    ).all()


def kernel_bound(X: Array, Z: Array, M: Array, tolerance: float, bandwidth: float) -> Array:
    """Return the most that the cut can change a Laplace kernel, (n, m).

    ``|exp(-a) - exp(-b)| <= |a - b|`` for a, b >= 0, and
    ``|D - D'| <= sqrt(|D^2 - D'^2|) <= sqrt(tolerance lambda_max) ||x - z||``.
    """
    largest = np.linalg.eigvalsh(M)[-1]
    return np.sqrt(tolerance * largest) * cdist(X, Z) / bandwidth


@pytest.mark.core
@settings(deadline=None, max_examples=50)
@given(metrics(), st.sampled_from([1e-7, 1e-4, 1e-2]), st.sampled_from([0.5, 10.0]))
def test_the_kernel_changes_by_at_most_the_bound(
    M: Array, tolerance: float, bandwidth: float
) -> None:
    X = np.random.default_rng(1).standard_normal((20, len(M)))
    cut = metric_of_root(power_root(M, power=0.5, norm=2.0, rank_tolerance=tolerance))
    change = fastrfm.kernel_matrix(X, metric=M, bandwidth=bandwidth) - fastrfm.kernel_matrix(
        X, metric=cut, bandwidth=bandwidth
    )
    # The kernel itself is good to 1e-10 in distance, times how steep it is at most.
    limit = kernel_bound(X, X, M, tolerance, bandwidth)
    assert (np.abs(change) <= limit * (1 + 1e-6) + 1e-8).all()


@pytest.mark.core
def test_the_bound_is_reached() -> None:
    """Rows that differ in a direction just below the cut fall together."""
    tolerance, bandwidth = 1e-4, 10.0
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    M = (Q * np.array([1.0, 0.5, 0.99 * tolerance])) @ Q.T
    M = (M + M.T) / 2
    root = power_root(M, power=0.5, norm=2.0, rank_tolerance=tolerance)
    assert root.shape == (3, 2)
    X = np.stack([np.zeros(3), Q[:, 2]])
    whole = fastrfm.kernel_matrix(X, metric=M, bandwidth=bandwidth)[0, 1]
    cut = fastrfm.kernel_matrix(X, metric=metric_of_root(root), bandwidth=bandwidth)[0, 1]
    limit = kernel_bound(X, X, M, tolerance, bandwidth)[0, 1]
    assert 0.98 * limit < cut - whole <= limit


class LastIteration:
    """A selection that likes each iteration better than the one before."""

    def __init__(self) -> None:
        self.seen = 0

    def judge(self, candidate: Candidate) -> Verdict:
        self.seen += 1
        return Verdict(-float(self.seen))

    def is_hopeless(self, score: float, best: float) -> bool:
        return False


@pytest.mark.core
def test_a_recursion_on_digits_predicts_the_same_at_a_reduced_rank() -> None:
    """Pixels are correlated: 64 of them span fewer directions that matter."""
    X, y = load_digits(return_X_y=True)
    X = X / X.std()
    Y = np.eye(10)[y] - 0.1
    train, test = slice(0, 900), slice(900, None)

    def fit(tolerance: float) -> tuple[RecursionResult, Array]:
        result = run_recursion(
            X[train],
            Y[train],
            RecursionSettings(n_iter=3, rank_tolerance=tolerance),
            selection=LastIteration(),
            rng=np.random.RandomState(0),
        )
        assert result.best_iter == 3
        scores = fastrfm.kernel_matmul(
            X[test], X[train], result.coef, metric=metric_of_root(result.root)
        )
        return result, scores

    whole, scores = fit(0.0)
    cut, cut_scores = fit(1e-7)
    assert cut.history[0]["rank"] == 64  # the identity is not cut
    assert all(
        entry["rank"] < min(64, uncut["rank"])
        for entry, uncut in zip(cut.history[2:], whole.history[2:], strict=True)
    )
    assert cut.history[-1]["rank"] < 40

    M = metric_of_root(whole.root)
    limit = kernel_bound(X[test], X[train], M, 1e-7, whole.kernel.bandwidth).max()
    change = np.abs(cut_scores - scores).max()
    assert 0 < change < limit < 1e-3
    np.testing.assert_array_equal(cut_scores.argmax(axis=1), scores.argmax(axis=1))


@pytest.mark.core
def test_an_estimator_cuts_by_its_rank_tolerance() -> None:
    X, y = load_digits(return_X_y=True)

    def last_rank(**options: float) -> int:
        model = plain_classifier(n_iter=3, early_stopping=False, **options)
        return model.fit(X[:600], y[:600]).history_[-1]["rank"]

    assert last_rank(rank_tolerance=1e-3) < last_rank() < last_rank(rank_tolerance=0.0) < 64


@pytest.mark.parametrize("power", [0.35, 0.5, 1.0])
@pytest.mark.parametrize("rank", [1, 40, 900])
def test_many_features_are_factorised_to_their_rank(rank: int, power: float) -> None:
    """By pivots or, where the rank is high, whole: the metric is that of the full decomposition."""
    d = PIVOTED_FEATURES + 100
    rng = np.random.default_rng(rank)
    F = rng.standard_normal((d, rank)) * np.logspace(0, -6, rank)
    M = F @ F.T
    M /= M.max()
    A = power_root(M, power=power, norm=2.0, rank_tolerance=1e-7)
    w, V = np.linalg.eigh(M)
    w = np.clip(w, 0, None) ** (2 * power)
    kept = w >= 1e-7 * w[-1]
    # eigenvalues within rounding of the cut may fall on either side
    clear = np.abs(w / w[-1] - 1e-7).min() > 1e-9
    assert A.shape == (d, np.count_nonzero(kept)) or not clear
    expected = (V[:, kept] * w[kept]) @ V[:, kept].T
    assert np.abs(A @ A.T - expected).max() <= 1e-7 * w[-1] + 1e-12


def test_many_features_without_a_gradient() -> None:
    d = PIVOTED_FEATURES
    assert not power_root(np.zeros((d, d)), power=0.5, norm=2.0, rank_tolerance=1e-7).any()
