"""One iteration's ridge regressions: with each ridge that is tried, and the best of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.ridge import RidgeFit, fit_ridge
from fastrfm.ridge.early_stop import HeldOutRows
from fastrfm.selection import Candidate, Selection, Verdict
from fastrfm.settings import RecursionSettings, plan_of
from fastrfm.threads import one_blas_thread
from fastrfm.watch import Watch

__all__ = [
    "LOOSE_TOL",
    "BestRidge",
    "System",
    "best_ridge",
    "neighbours",
    "solve",
]

Array = NDArray[np.floating[Any]]

# An iterative solver stops here while the metric still moves: the AGOP, and the choice among
# iterations, do not feel more. On pol (13,500 rows) and elevators (14,940) the test error at this
# residual is within 0.4 % of the direct solve's, for a third to a half of the iterations to 1e-4.
LOOSE_TOL = 1e-2

# Up to so many rows BLAS has one thread: a second one saves little, and costs much where the cores
# have other work (442 rows on two busy cores, all of a fit: 26 s with two threads, 1.1 with one).
ONE_THREAD_ROWS = 1_000

# A ridge this much worse than the best is as good, and the largest of them is taken: with more rows
# than a search has, or a better metric, too small a ridge is what costs (pumadyn32nm, 7,373 rows:
# RMSE .315 with the strictly best, .294 so).
NEARLY = 0.002


@dataclass(frozen=True)
class System:
    """``(K + alpha W^-1) coef = Y`` but for alpha."""

    X: Array
    Y: Array
    kernel: Kernel
    root: Root
    sample_weight: NDArray[np.float64] | None


@dataclass
class BestRidge:
    """The best of the ridges tried in an iteration."""

    ridge: RidgeFit
    verdict: Verdict
    asked_alpha: float
    tol: float
    scores: dict[float, float]
    seconds: dict[str, float]


def best_ridge(
    system: System,
    alphas: tuple[float, ...],
    settings: RecursionSettings,
    selection: Selection | None,
    *,
    start: Array | None,
    iterative_tol: float,
    watch: Watch,
    held_out: HeldOutRows | None = None,
) -> BestRidge:
    """Solve with each ridge and keep the largest that the selection likes nearly best.

    Where that is at an end of those tried, the settings' next one is tried too.

    Parameters
    ----------
    system : System
    alphas : tuple of float
        Ascending. One that is too small for the precision is passed over, but the last.
    settings : RecursionSettings
    selection : Selection or None
        None: the first ridge.
    start : ndarray of shape (n, c) or None
        Where an iterative solver begins.
    iterative_tol : float
        Where it ends, if that is more than the settings' `tol`.
    watch : Watch
    held_out : HeldOutRows or None
        Rows whose error may end it before.
    """
    tried: dict[float, tuple[RidgeFit, Verdict]] = {}
    seconds = {"solve": 0.0, "select": 0.0}
    factorises = plan_of(system.X, system.Y, settings).solver == "cholesky"
    tol = max(settings.tol, iterative_tol)
    if factorises:
        # Of a search only the best is worth refining, and a warning.
        tol = np.inf if len(alphas) > 1 else settings.tol
    waiting, asked = list(alphas), set(alphas)
    with _threads_for(len(system.X)):
        while waiting:
            alpha = waiting.pop(0)
            clock = [perf_counter()]
            # A ridge too small for the precision is not worth a larger one: that is tried anyway.
            may_fail = bool(waiting or tried)
            try:
                ridge = solve(
                    system, alpha, settings, start, tol, watch, held_out, may_fail=may_fail
                )
            except np.linalg.LinAlgError:
                if not may_fail:
                    raise
                seconds["solve"] += perf_counter() - clock[0]
                continue
            clock.append(perf_counter())
            verdict = Verdict(np.nan)
            if selection is not None:
                watch.phase("select")
                verdict = selection.judge(Candidate(system.X, system.kernel, system.root, ridge))
            ridge.release()
            clock.append(perf_counter())
            for phase, elapsed in zip(seconds, np.diff(clock).tolist(), strict=True):
                seconds[phase] += elapsed
            tried[alpha] = ridge, verdict
            start = ridge.coef
            if not waiting and len(alphas) > 1:
                # The best at an end of what was tried: there may be a better one beyond.
                beyond = set(neighbours(settings.alphas, _choose(tried))) - asked
                waiting += sorted(beyond)
                asked |= beyond
    chosen = _choose(tried)
    scores = {float(ridge.alpha): verdict.score for ridge, verdict in tried.values()}
    return BestRidge(*tried[chosen], chosen, tol, scores, seconds)


def _choose(tried: dict[float, tuple[RidgeFit, Verdict]]) -> float:
    """Return the largest ridge whose score is nearly the best."""
    least = min((verdict.score for _, verdict in tried.values()), default=np.nan)
    nearly = [a for a, (_, verdict) in tried.items() if verdict.score <= least * (1 + NEARLY)]
    return max(nearly) if nearly else next(iter(tried))


def _threads_for(n: int) -> AbstractContextManager[None]:
    return one_blas_thread() if n <= ONE_THREAD_ROWS else nullcontext()


def neighbours(alphas: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """Return `alpha` and the next smaller and larger ones."""
    i = alphas.index(alpha)
    return alphas[max(0, i - 1) : i + 2]


def solve(
    system: System,
    alpha: float,
    settings: RecursionSettings,
    start: Array | None,
    tol: float,
    watch: Watch,
    held_out: HeldOutRows | None = None,
    *,
    may_fail: bool = False,
) -> RidgeFit:
    """Solve with one ridge, to the relative residual `tol`, or until `held_out` rows do not gain.

    Raises
    ------
    numpy.linalg.LinAlgError
        If it `may_fail` and the system is not numerically positive definite.
    """
    plan = plan_of(system.X, system.Y, settings)
    return fit_ridge(
        system.X,
        system.Y,
        system.kernel,
        system.root,
        alpha=alpha,
        # On a device what is free may be less by the time of the solve, which plans again.
        solver=plan.solver if backend.device_memory() is None else settings.solver,
        tol=tol,
        memory_limit=settings.memory_limit,
        reserved=settings.reserved_bytes,
        start=start,
        sample_weight=system.sample_weight,
        on_failure="error" if may_fail else "raise_alpha",
        watch=watch,
        held_out=held_out,
    )
