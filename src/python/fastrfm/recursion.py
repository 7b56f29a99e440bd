"""The recursion: fit a kernel ridge regression, take its AGOP, make that the metric, repeat.

Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024, doi 10.1126/science.adi5639. With
``A A^T`` the metric in use (the identity at iteration 0), iteration t does

1. solve ``(K + alpha I) coef = Y`` with ``K = exp(-(||A^T (x - z)||_p / L)^q)``;
2. score the predictor; the best iteration so far is kept, and only that one;
3. ``G = mean over rows of the sum over outputs of grad f grad f^T`` (the AGOP), then
   ``A = (G / max(G))^agop_power``.

The engine knows no estimator and prints nothing. What stands for a good iteration is the
caller's: see `fastrfm.selection`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.arrays import take_rows_of, to_host
from fastrfm.bandwidth import MEDIAN_ROWS
from fastrfm.cuda.place import on_device, rows_on_device
from fastrfm.kernels import Kernel
from fastrfm.metric import Root, agop_in_units, metric_from_agop, power_root
from fastrfm.outputs import draw_seed
from fastrfm.ridge.early_stop import HeldOutRows
from fastrfm.ridge.plan import CHOLESKY_ROWS
from fastrfm.ridge_search import (
    LOOSE_TOL,
    BestRidge,
    System,
    best_ridge,
    neighbours,
    solve,
)
from fastrfm.sampling import draw_rows, draw_stratified_rows, strata_of_targets
from fastrfm.selection import Selection, Verdict
from fastrfm.settings import RecursionSettings
from fastrfm.watch import SILENT, Watch, Work

__all__ = [
    "RecursionResult",
    "RecursionSettings",
    "RecursionState",
    "rank_of",
    "refit",
    "run_recursion",
    "work_of",
]

Array = NDArray[np.floating[Any]]


# For estimates of the work: a kernel value beside its distance, and products with K in a solve,
# and an eigendecomposition, for each cube of its size.
_KERNEL_FLOPS = 50.0
_PCG_ITERATIONS = 30.0
_EIGEN_FLOPS = 10.0


@dataclass(frozen=True)
class RecursionResult:
    """The best iteration, and a record of all.

    Attributes
    ----------
    kernel : Kernel
    root : None or ndarray of shape (d,) or (d, k)
        The transform `A` of the best iteration; the metric in use is ``A A^T``.
    coef : ndarray of shape (n, c)
        On the host, as all arrays here.
    alpha : float
        The ridge really used (a failed factorisation raises it).
    agop : ndarray of shape (d, d) or (d,)
        The AGOP of this predictor, in input space.
    best_iter : int
    history : list of dict
        One entry for each iteration: iteration, rows (fitted), norm, exponent, solver, residual,
        stopped_early (whether held-out rows ended the solve),
        score, alpha, alphas (those tried, and their scores), bandwidth, rank, seconds (of the
        phases solve, select, agop).
    loose : bool
        Whether `coef` was solved to `LOOSE_TOL` only, and wants a `refit`.
    verdict : Verdict
        The selection's, of the best iteration.
    """

    kernel: Kernel
    root: Root
    coef: Array
    alpha: float
    agop: NDArray[np.float64]
    best_iter: int
    history: list[dict[str, Any]]
    loose: bool
    verdict: Verdict


@dataclass(frozen=True)
class RecursionState:
    """All that a recursion knows before an iteration, but for the state of its random numbers.

    Attributes
    ----------
    iteration : int
    root : None or ndarray of shape (d,) or (d, k)
    start : ndarray of shape (n, c) or None
        Where an iterative solver begins.
    alphas : tuple of float
        The ridges to try.
    history : list of dict
    best : RecursionResult or None
        Its history is `history`.
    """

    iteration: int
    root: Root
    start: Array | None
    alphas: tuple[float, ...]
    history: list[dict[str, Any]]
    best: RecursionResult | None


def run_recursion(
    X: Array,
    Y: Array,
    settings: RecursionSettings,
    *,
    selection: Selection | None,
    rng: np.random.RandomState,
    sample_weight: NDArray[np.float64] | None = None,
    watch: Watch = SILENT,
    only_predicts: bool = False,
    held_out: HeldOutRows | None = None,
    units: NDArray[np.float64] | None = None,
) -> RecursionResult:
    """Fit, and learn the metric for `n_iter` updates (that is, `n_iter` + 1 fits).

    The recursion ends early when the selection calls an iteration hopeless
    (`early_stopping`), when a predictor's gradient is zero everywhere, so that there
    is no next metric, and when the watch does not let it go on.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
    Y : ndarray of shape (n, c), dtype of `X`
    settings : RecursionSettings
    selection : Selection or None
        Chooses the iteration and the ridge. None: the last iteration, with the first ridge.
    rng : RandomState
        Draws the rows of the AGOP (stratified over the targets), the mixtures of its outputs, and
        the rows of the median distance.
    sample_weight : ndarray of shape (n,), optional
        Positive weights of the rows: in the ridge regression, the AGOP and the median distance.
    watch : Watch
        Is told of phases and iterations, and asked before each iteration but the first.
    only_predicts : bool
        The result's AGOP is not wanted: it is zero, and the last one is not computed.
    held_out : HeldOutRows, optional
        Without a selection, their error may end the last iteration's iterative solve.
    units : ndarray of shape (d,), optional
        The metric is learned for the columns times these, at least 0; roots and AGOPs are for `X`
        as it is.
    """
    median_rows = draw_rows(len(X), MEDIAN_ROWS, rng)
    sample = _Sample(X[median_rows], None if sample_weight is None else sample_weight[median_rows])
    strata = _strata(Y, settings)
    # A device that has a memory of its own keeps them there from pass to pass.
    memory = backend.device_memory()
    X, targets = rows_on_device(memory, X), on_device(memory, Y)
    state = watch.keeper.resumed_iteration(rng)
    if state is None:
        state = RecursionState(0, units, None, settings.alphas, [], None)
    root, last_coef, alphas = state.root, on_device(memory, state.start), state.alphas
    history, best = state.history, state.best

    for iteration in range(state.iteration, settings.n_iter + 1):
        if iteration and not watch.may_continue():
            break
        watch.keeper.iteration(
            RecursionState(iteration, root, last_coef, alphas, history, best), rng
        )
        kernel = _kernel(settings, sample, root)
        is_last = iteration == settings.n_iter
        fit = best_ridge(
            System(X, targets, kernel, root, sample_weight),
            alphas,
            settings,
            selection,
            start=last_coef,
            iterative_tol=settings.tol if selection is None and is_last else LOOSE_TOL,
            watch=watch,
            held_out=held_out if selection is None and is_last else None,
        )
        last_coef, score = fit.ridge.coef, fit.verdict.score

        is_best = best is None or selection is None or score < best.verdict.score
        hopeless = (
            settings.early_stopping
            and selection is not None
            and best is not None
            and not is_best
            and selection.is_hopeless(score, best.verdict.score)
        )
        continues = not is_last and not hopeless
        start = perf_counter()
        agop = None
        if only_predicts and not continues:
            agop = np.zeros(X.shape[1])
        elif continues or (is_best and selection is not None) or is_last:
            watch.phase("AGOP")
            agop = _agop(X, strata, fit.ridge.coef, kernel, root, settings, rng, sample_weight)

        fit.seconds["agop"] = perf_counter() - start
        history.append(_entry(iteration, X, kernel, root, fit))
        if is_best and agop is not None:
            loose = settings.tol < fit.tol and settings.tol < fit.ridge.residual
            best = RecursionResult(
                kernel,
                root,
                to_host(fit.ridge.coef),
                float(fit.ridge.alpha),
                agop,
                iteration,
                history,
                loose,
                fit.verdict,
            )
        watch.iteration(history[-1])
        if not continues or agop is None or not agop.any():
            break
        root = power_root(
            metric_from_agop(agop if units is None else agop_in_units(agop, units)),
            power=settings.agop_power,
            norm=settings.norm,
            rank_tolerance=settings.rank_tolerance,
        )
        if units is not None:
            root = (units if root.ndim == 1 else units[:, None]) * root
        alphas = neighbours(settings.alphas, fit.asked_alpha)
    assert best is not None  # iteration 0 always becomes the first best
    return best


def refit(
    X: Array,
    Y: Array,
    result: RecursionResult,
    settings: RecursionSettings,
    rng: np.random.RandomState,
    *,
    sample_weight: NDArray[np.float64] | None = None,
    watch: Watch = SILENT,
    held_out: HeldOutRows | None = None,
) -> RecursionResult:
    """Fit the best iteration's kernel and metric again, to other (usually all) rows or tightly."""
    began = perf_counter()
    X = rows_on_device(backend.device_memory(), X)
    start = result.coef if len(result.coef) == len(X) else None
    system = System(X, Y, result.kernel, result.root, sample_weight)
    ridge = solve(system, result.alpha, settings, start, settings.tol, watch, held_out)
    ridge.release()
    solved = perf_counter()
    watch.phase("AGOP")
    strata = _strata(Y, settings)
    agop = _agop(X, strata, ridge.coef, result.kernel, result.root, settings, rng, sample_weight)
    seconds = {"solve": solved - began, "select": 0.0, "agop": perf_counter() - solved}
    fit = BestRidge(ridge, Verdict(np.nan), result.alpha, settings.tol, {}, seconds)
    entry = _entry(result.best_iter, X, result.kernel, result.root, fit)
    watch.iteration(entry)
    return replace(
        result,
        coef=to_host(ridge.coef),
        alpha=float(ridge.alpha),
        agop=agop,
        history=[*result.history, entry],
        loose=False,
    )


def _entry(iteration: int, X: Array, kernel: Kernel, root: Root, fit: BestRidge) -> dict[str, Any]:
    """Return what the history says of an iteration."""
    return {
        "iteration": iteration,
        "rows": len(X),
        "norm": kernel.norm,
        "exponent": kernel.exponent,
        "solver": fit.ridge.solver,
        "residual": float(fit.ridge.residual),
        "stopped_early": fit.ridge.stopped_early,
        "score": fit.verdict.score,
        "alpha": float(fit.ridge.alpha),
        "alphas": fit.scores,
        "bandwidth": float(kernel.bandwidth),
        "rank": rank_of(root, X.shape[1]),
        "seconds": fit.seconds,
    }


def work_of(n: int, d: int, c: int, settings: RecursionSettings, *, judged: bool) -> Work:
    """Estimate the work of a recursion on `n` rows of `d` columns with `c` outputs.

    Parameters
    ----------
    judged : bool
        Whether each solution is judged by leave-one-out, which triples its cost.
    """
    rows = min(n, settings.agop_samples)
    agop = rows * n * (2.0 * d + _KERNEL_FLOPS + 2.0 * d * c)
    kernel = n * n * (d + _KERNEL_FLOPS / 2.0)
    if n <= CHOLESKY_ROWS or settings.solver == "cholesky":
        solve = n**3 / 3.0 * (3.0 if judged else 1.0)
    else:
        solve = _PCG_ITERATIONS * n * n * (1.0 + c)
    counts = [min(len(settings.alphas), 4 if t else 6) for t in range(settings.n_iter + 1)]
    metric = 0.0 if settings.diagonal else _EIGEN_FLOPS * d**3
    return Work(tuple(count * (kernel + solve) + agop + metric for count in counts))


def rank_of(root: Root, n_features: int) -> int:
    """Rank of the metric: the width of the transformed space that distances really use."""
    if root is None:
        return n_features
    return int(np.count_nonzero(root)) if root.ndim == 1 else int(root.shape[1])


@dataclass(frozen=True)
class _Sample:
    """The rows on which the median distance is measured."""

    rows: Array
    weights: NDArray[np.float64] | None


def _kernel(settings: RecursionSettings, sample: _Sample, root: Root) -> Kernel:
    bandwidth = settings.bandwidth.bandwidth(sample.rows, root, settings.norm, sample.weights)
    return Kernel(norm=settings.norm, exponent=settings.exponent, bandwidth=bandwidth)


def _strata(Y: Array, settings: RecursionSettings) -> NDArray[np.intp] | None:
    """Return the strata that the rows of the AGOP are drawn from; None where it takes all rows."""
    if settings.agop_samples >= len(Y):
        return None
    return strata_of_targets(Y, settings.agop_samples)


def _agop(
    X: Array,
    strata: NDArray[np.intp] | None,
    coef: Array,
    kernel: Kernel,
    root: Root,
    settings: RecursionSettings,
    rng: np.random.RandomState,
    sample_weight: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    rows, row_weights = X, sample_weight
    if strata is not None:
        drawn = draw_stratified_rows(strata, settings.agop_samples, rng)
        rows = take_rows_of(X, drawn)
        row_weights = None if sample_weight is None else sample_weight[drawn]
    return backend.gradient_sums(
        rows,
        X,
        coef,
        kernel,
        root,
        diagonal=settings.diagonal,
        center=settings.center_gradients,
        output_samples=settings.agop_output_samples,
        seed=0 if settings.agop_output_samples is None else draw_seed(rng),
        row_weights=row_weights,
    )
