"""Rows drawn stratified over the targets: shares, chances, and what the AGOP gains."""

from __future__ import annotations

import numpy as np
import pytest

import fastrfm
from cases import Array
from fastrfm.losses import SquaredError
from fastrfm.recursion import RecursionSettings, run_recursion
from fastrfm.sampling import draw_rows, draw_stratified_rows, strata_of_targets
from fastrfm.selection import LeaveOneOut


def indicators(counts: list[int]) -> Array:
    """Return shuffled centred indicators of classes of these sizes."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    Y = np.eye(len(counts))[labels]
    return Y - Y.mean(axis=0)


def test_classes_are_strata() -> None:
    Y = indicators([50, 30, 20])
    strata = strata_of_targets(Y, 40)
    assert sorted(np.bincount(strata).tolist()) == [20, 30, 50]
    for k in range(3):
        assert len(np.unique(Y[strata == k], axis=0)) == 1


def test_numbers_are_binned_by_quantiles() -> None:
    y = np.random.default_rng(0).lognormal(size=(103, 1))
    strata = strata_of_targets(y, 40)
    assert set(np.bincount(strata)) == {10, 11}  # 103 rows in 40 / 4 bins
    ends = [(y[strata == k].min(), y[strata == k].max()) for k in range(10)]
    assert all(ends[k][1] < ends[k + 1][0] for k in range(9))


def test_several_outputs_are_binned_along_their_first_principal_direction() -> None:
    rng = np.random.default_rng(0)
    t = rng.standard_normal(200)
    Y = np.outer(t, [3.0, -4.0]) + 7 + 1e-9 * rng.standard_normal((200, 2))
    strata = strata_of_targets(Y, 80)
    along = np.array([t[strata == k].mean() for k in range(20)])
    assert (np.diff(along) > 0).all() or (np.diff(along) < 0).all()


def test_too_many_classes_for_the_sample_are_binned() -> None:
    Y = indicators([3] * 30)
    assert len(np.unique(strata_of_targets(Y, 40))) == 10


@pytest.mark.parametrize("counts", [[600, 300, 100], [997, 2, 1], [333, 333, 334], [1, 1, 8]])
@pytest.mark.parametrize("share", [0.1, 0.37, 0.9])
def test_each_stratum_has_its_share_within_a_row(counts: list[int], share: float) -> None:
    strata = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    n = len(strata)
    size = max(1, round(share * n))
    for seed in range(50):
        rows = draw_stratified_rows(strata, size, np.random.RandomState(seed))
        assert len(rows) == size
        assert (np.diff(rows) > 0).all()
        drawn = np.bincount(strata[rows], minlength=len(counts))
        exact = size * np.array(counts) / n
        assert (drawn >= np.floor(exact)).all()
        assert (drawn <= np.ceil(exact)).all()


def test_every_row_has_the_same_chance() -> None:
    """Shares of 4.2, 2.1 and 0.7 rows: 20,000 draws tell 0.35 from any other chance by 0.02."""
    strata = np.repeat([0, 1, 2], [12, 6, 2])
    rng = np.random.RandomState(0)
    draws = 20_000
    times = np.zeros(20)
    for _ in range(draws):
        times[draw_stratified_rows(strata, 7, rng)] += 1
    standard_error = np.sqrt(0.35 * 0.65 / draws)
    assert np.abs(times / draws - 0.35).max() < 5 * standard_error


@pytest.mark.parametrize(
    "draw", [draw_rows, lambda n, *rest: draw_stratified_rows(np.zeros(n, int), *rest)]
)
def test_a_sample_of_all_rows_is_all_rows(draw: object) -> None:
    assert callable(draw)
    for size in (5, 6):
        np.testing.assert_array_equal(draw(5, size, np.random.RandomState(0)), np.arange(5))


@pytest.mark.core
def test_the_trace_of_the_agop_varies_less_than_with_uniform_rows() -> None:
    """A skewed target: its slope, and so the gradient, is large where it is large."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 3))
    Y = np.exp(1.5 * X[:, :1])
    coef = fastrfm.solve_ridge(X, Y)
    squares = (fastrfm.gradients(X, X, coef) ** 2).sum(axis=(1, 2))
    strata = strata_of_targets(Y, 60)
    state = np.random.RandomState(0)
    stratified = [squares[draw_stratified_rows(strata, 60, state)].mean() for _ in range(2000)]
    uniform = [squares[draw_rows(600, 60, state)].mean() for _ in range(2000)]
    for means in (stratified, uniform):
        standard_error = np.std(means) / np.sqrt(2000)
        assert abs(np.mean(means) - squares.mean()) < 5 * standard_error
    assert np.var(stratified) < 0.6 * np.var(uniform)


@pytest.mark.core
def test_the_recursion_draws_its_rows_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 150 + 30 rows 36 are drawn: 30 and 6, at each of the iterations."""
    from fastrfm import backend

    rng = np.random.default_rng(0)
    Y = np.repeat([[0.2], [-0.8]], [150, 30], axis=0)
    X = rng.standard_normal((180, 4)) - Y
    negative = {tuple(row) for row in X[150:]}
    seen: list[tuple[int, int]] = []
    compiled = backend.gradient_sums

    def watched(rows: Array, *rest: object, **options: object) -> object:
        seen.append((len(rows), sum(tuple(row) in negative for row in rows)))
        return compiled(rows, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(backend, "gradient_sums", watched)
    settings = RecursionSettings(n_iter=2, agop_samples=36, early_stopping=False)
    selection = LeaveOneOut(Y, SquaredError(), None)
    run_recursion(X, Y, settings, selection=selection, rng=np.random.RandomState(0))
    assert seen[:2] == [(36, 6), (36, 6)]
