"""The engine: what it iterates, what it keeps, when it stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import fastrfm
from cases import Array
from fastrfm.bandwidth import BandwidthRule, median_distance
from fastrfm.metric import metric_of_root
from fastrfm.recursion import RecursionResult, RecursionSettings, refit, run_recursion
from fastrfm.selection import Candidate, Verdict
from fastrfm.watch import Watch

pytestmark = pytest.mark.core


class Scripted:
    """A selection whose scores are known beforehand."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.candidates: list[Candidate] = []

    def judge(self, candidate: Candidate) -> Verdict:
        self.candidates.append(candidate)
        return Verdict(self.scores[len(self.candidates) - 1])

    def is_hopeless(self, score: float, best: float) -> bool:
        return score > 1.5 * best


class Listening(Watch):
    """Calls a function with each entry of the history."""

    def __init__(self, listener: Callable[[dict[str, Any]], None]) -> None:
        self.listener = listener

    def iteration(self, entry: dict[str, Any]) -> None:
        self.listener(entry)


def problem(n: int = 120, d: int = 6, c: int = 2) -> tuple[Array, Array]:
    """Return rows and smooth targets that depend on two directions."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    Y = np.stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 0] * X[:, 1]], axis=1)[:, :c]
    return X, np.ascontiguousarray(Y)


def run(
    scores: tuple[float, ...], X: Array, Y: Array, settings: RecursionSettings, **options: Any
) -> tuple[RecursionResult, Scripted]:
    selection = Scripted(*scores)
    rng = np.random.RandomState(0)
    return run_recursion(X, Y, settings, selection=selection, rng=rng, **options), selection


SETTINGS = RecursionSettings(n_iter=3, bandwidth=BandwidthRule(4.0))


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("norm", [2.0, 1.0])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_each_step_is_the_public_functions(norm: float, diagonal: bool, power: float) -> None:
    """Each iteration is a ridge solve, an AGOP and a power, as a user would chain them."""
    X, Y = problem()
    settings = replace(SETTINGS, norm=norm, diagonal=diagonal, agop_power=power, rank_tolerance=0.0)
    result, selection = run((4.0, 3.0, 2.0, 1.0), X, Y, settings)
    kernel = {"bandwidth": 4.0, "exponent": 1.0, "norm": norm}
    metric = None
    for candidate in selection.candidates:
        coef = fastrfm.solve_ridge(X, Y, alpha=1e-3, metric=metric, **kernel)
        np.testing.assert_allclose(candidate.ridge.coef, coef, rtol=1e-6, atol=1e-7)
        agop = fastrfm.agop(X, X, coef, metric=metric, diagonal=diagonal, **kernel)
        last, metric = metric, _power(agop / agop.max(), 2 * power)
    assert result.best_iter == 3
    np.testing.assert_allclose(result.agop, agop, rtol=1e-5, atol=1e-7 * agop.max())
    np.testing.assert_allclose(metric_of_root(result.root), last, rtol=1e-5, atol=1e-7)


def _power(M: Array, power: float) -> Array:
    if M.ndim == 1:
        return M**power
    values, vectors = np.linalg.eigh(M)
    return (vectors * np.clip(values, 0, None) ** power) @ vectors.T


def test_the_best_iteration_is_kept_whole() -> None:
    X, Y = problem()
    result, selection = run((3.0, 1.0, 1.2, 1.1), X, Y, SETTINGS)
    best = selection.candidates[1]
    assert result.best_iter == 1
    assert result.coef is best.ridge.coef
    assert result.root is best.root
    assert result.kernel == best.kernel
    metric = metric_of_root(result.root)
    expected = fastrfm.agop(X, X, result.coef, metric=metric, bandwidth=4.0)
    np.testing.assert_allclose(result.agop, expected, rtol=1e-6, atol=1e-9)


def test_equal_scores_keep_the_earlier_iteration() -> None:
    X, Y = problem()
    assert run((2.0, 1.0, 1.0, 1.0), X, Y, SETTINGS)[0].best_iter == 1


def test_history_has_an_entry_for_each_fit() -> None:
    X, Y = problem()
    seen: list[dict[str, Any]] = []
    result, _ = run((4.0, 3.0, 2.0, 1.0), X, Y, SETTINGS, watch=Listening(seen.append))
    assert seen == result.history
    assert [entry["iteration"] for entry in seen] == [0, 1, 2, 3]
    assert [entry["score"] for entry in seen] == [4.0, 3.0, 2.0, 1.0]
    for entry in seen:
        keys = {"iteration", "rows", "norm", "exponent", "solver", "residual", "score", "alpha"}
        assert set(entry) == keys | {"alphas", "bandwidth", "rank", "seconds", "stopped_early"}
        assert set(entry["seconds"]) == {"solve", "select", "agop"}
        assert min(entry["seconds"].values()) >= 0.0
        assert entry["residual"] < 1e-4
        assert entry["alpha"] == 1e-3


@pytest.mark.parametrize(("early_stopping", "fits"), [(True, 3), (False, 4)])
def test_a_hopeless_iteration_ends_the_recursion(early_stopping: bool, fits: int) -> None:
    X, Y = problem()
    settings = replace(SETTINGS, early_stopping=early_stopping)
    result, selection = run((2.0, 1.0, 1.6, 0.5), X, Y, settings)
    assert len(selection.candidates) == len(result.history) == fits
    assert result.best_iter == (1 if early_stopping else 3)


def test_no_gradient_no_next_metric() -> None:
    """A predictor that is zero everywhere has a zero AGOP, from which no metric follows."""
    X, Y = problem()
    result, selection = run((1.0,), X, np.zeros_like(Y), SETTINGS)
    assert len(selection.candidates) == 1
    assert result.root is None
    assert not result.agop.any()


def test_an_interrupt_passes_through() -> None:
    X, Y = problem()

    def interrupt(entry: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run((1.0,), X, Y, SETTINGS, watch=Listening(interrupt))


def test_a_low_rank_target_shrinks_the_transformed_space() -> None:
    """The predictor depends on x0 and x1 only, so four of six eigenvalues are small."""
    X, Y = problem(n=400)
    settings = replace(SETTINGS, rank_tolerance=1e-2)
    result, selection = run((4.0, 3.0, 2.0, 1.0), X, Y, settings)
    assert [entry["rank"] for entry in result.history] == [6, 6, 2, 2]
    root = selection.candidates[-1].root
    assert root is not None
    assert root.shape == (6, 2)


def test_rank_cut_hardly_moves_the_predictions() -> None:
    X, Y = problem(n=200)
    X_test = np.random.default_rng(1).standard_normal((50, 6))
    predictions = []
    for tolerance in (0.0, 1e-7):
        result, _ = run(
            (4.0, 3.0, 2.0, 1.0), X, Y, replace(SETTINGS, rank_tolerance=tolerance, n_iter=3)
        )
        metric = metric_of_root(result.root)
        predictions.append(
            fastrfm.kernel_matmul(X_test, X, result.coef, metric=metric, bandwidth=4.0)
        )
    np.testing.assert_allclose(predictions[1], predictions[0], atol=1e-3)


def test_the_agop_of_a_sample_is_drawn_from_the_generator() -> None:
    X, Y = problem()
    settings = replace(SETTINGS, agop_samples=30, n_iter=1)
    full = run((2.0, 1.0), X, Y, replace(SETTINGS, n_iter=1))[0].agop
    first, again = (run((2.0, 1.0), X, Y, settings)[0].agop for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, full)
    np.testing.assert_allclose(np.trace(first), np.trace(full), rtol=0.5)


def test_refit_is_the_same_kernel_on_other_rows() -> None:
    X, Y = problem()
    result, _ = run((4.0, 1.0, 3.0, 2.0), X[:80], Y[:80], replace(SETTINGS, early_stopping=False))
    again = refit(X, Y, result, SETTINGS, np.random.RandomState(0))
    metric = metric_of_root(result.root)
    expected = fastrfm.solve_ridge(X, Y, alpha=1e-3, metric=metric, bandwidth=4.0)
    np.testing.assert_allclose(again.coef, expected, rtol=1e-6, atol=1e-8)
    assert again.kernel == result.kernel
    assert again.best_iter == 1
    expected = fastrfm.agop(X, X, again.coef, metric=metric, bandwidth=4.0)
    np.testing.assert_allclose(again.agop, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("norm", "scipy_metric"), [(2.0, "euclidean"), (1.0, "cityblock")])
def test_median_bandwidth_follows_the_metric(norm: float, scipy_metric: str) -> None:
    X, Y = problem()
    settings = replace(SETTINGS, bandwidth=BandwidthRule.parse("3*median"), norm=norm)
    result, selection = run((4.0, 3.0, 2.0, 1.0), X, Y, settings)
    bandwidths = [candidate.kernel.bandwidth for candidate in selection.candidates]
    for candidate in selection.candidates:
        points = X if candidate.root is None else X @ candidate.root
        pairs = cdist(points, points, scipy_metric)[np.triu_indices(len(X), 1)]
        np.testing.assert_allclose(candidate.kernel.bandwidth, 3 * np.median(pairs), rtol=1e-9)
    assert bandwidths[1] != bandwidths[0]
    assert [entry["bandwidth"] for entry in result.history] == bandwidths


def test_median_distance_is_of_positive_distances_on_a_vector_root() -> None:
    rows = np.array([[0.0, 5.0], [0.0, 5.0], [3.0, 5.0]])
    assert median_distance(rows, np.array([2.0, 1.0]), 2.0) == 6.0
    assert median_distance(rows, np.array([2.0, 1.0]), 0.5) == pytest.approx(6.0)
    assert median_distance(rows[:2], None, 2.0) == 1.0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("4*median", BandwidthRule(4.0, times_median=True)),
        (" 0.5 * median ", BandwidthRule(0.5, times_median=True)),
        ("median", BandwidthRule(1.0, times_median=True)),
        (7, BandwidthRule(7.0)),
    ],
)
def test_bandwidth_rules(text: str | float, rule: BandwidthRule) -> None:
    assert BandwidthRule.parse(text) == rule


@pytest.mark.parametrize("text", ["", "auto", "4", "4*mean", "-1*median", "0*median", "1e*median"])
def test_bandwidth_rules_that_mean_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r"bandwidth must be a positive number, or .*'4\*median'"):
        BandwidthRule.parse(text)


class Phases(Watch):
    """Notes the phases, and the residuals of an iterative solve."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.residuals: list[float] = []

    def phase(self, name: str) -> None:
        self.names.append(name)

    def residual(self, residual: float) -> None:
        self.residuals.append(residual)


@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
def test_a_watch_hears_the_phases(solver: str) -> None:
    X, Y = problem()
    watch = Phases()
    run((2.0, 1.0), X, Y, replace(SETTINGS, n_iter=1, solver=solver), watch=watch)
    for_each = [name for name in watch.names if name != "solve"]
    assert for_each == ["kernel", "select", "AGOP"] * 2
    assert watch.names.index("kernel") < watch.names.index("solve") < watch.names.index("select")
    if solver == "pcg":
        assert watch.residuals
        assert watch.residuals[-1] < watch.residuals[0]
