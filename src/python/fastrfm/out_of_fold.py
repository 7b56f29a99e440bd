"""Predictions of an ensemble for rows that its members, metric and all, have not been fitted to."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.ensemble import as_found, work_of_member
from fastrfm.problem import Ensemble, Problem
from fastrfm.recursion import run_recursion
from fastrfm.watch import SILENT, Quiet, Watch, Work

__all__ = ["predict_out_of_fold"]

FOLDS = 5
# Members of a smaller part of the weights are left out, and the others count for them: they cost
# as much time as the heavy ones.
LEAST_PART = 0.1


def predict_out_of_fold(
    problem: Problem,
    ensemble: Ensemble,
    strata: NDArray[np.intp],
    rng: np.random.RandomState,
    watch: Watch = SILENT,
) -> NDArray[np.float64] | None:
    """Predict each row by the ensemble's members fitted, metric and all, without its fold.

    Ridge, number of updates and weights stay those of the ensemble, but for members of little
    weight, which are left out. Equal rows are in one fold.

    Parameters
    ----------
    problem : Problem
    ensemble : Ensemble
    strata : ndarray of shape (n,)
        What each fold has its share of: the classes, from 0.
    rng : RandomState
    watch : Watch

    Returns
    -------
    ndarray of shape (n, c), or None
        None if the watch did not let it end.
    """
    problem = problem.here()
    folds = _folds(problem, strata, rng)
    total = ensemble.weights.sum()
    heavy = np.flatnonzero(ensemble.weights >= LEAST_PART * total)
    weights = ensemble.weights[heavy]
    weights = weights * (total / weights.sum()) if total > 0 else weights
    settings = [as_found(ensemble.members[i], ensemble.results[i]) for i in heavy]
    works = [
        work_of_member(problem, ensemble.members[i], setting)
        for i, setting in zip(heavy, settings, strict=True)
    ]
    if not watch.affords(Work(tuple(FOLDS * work.flops for work in works))):
        return None
    watch.expect(FOLDS * works)
    quiet = Quiet(watch)
    predictions = np.zeros(problem.Y.shape)
    for fold in range(FOLDS):
        left_out = np.flatnonzero(folds == fold)
        if len(left_out) in (0, len(problem)):
            continue
        rest = problem.of_rows(np.flatnonzero(folds != fold))
        for i, setting, weight in zip(heavy, settings, weights, strict=True):
            if not watch.may_continue():
                return None
            member = ensemble.members[i]
            watch.begin(work_of_member(rest, member, setting))
            refitted = partial(
                run_recursion,
                rest.tables[member.columns],
                rest.Y,
                setting,
                selection=None,
                rng=rng,
                sample_weight=rest.sample_weight,
                watch=quiet,
                only_predicts=True,
                units=problem.units.get(member.columns),
            )
            without = watch.keeper.recursion(f"fold {fold} of member {i}", rng, refitted)
            if len(without.history) <= setting.n_iter and not watch.may_continue():
                return None
            predictions[left_out] += weight * backend.kernel_matmul(
                problem.tables[member.columns][left_out],
                rest.tables[member.columns],
                without.coef,
                without.kernel,
                without.root,
            )
    return predictions


def _folds(
    problem: Problem, strata: NDArray[np.intp], rng: np.random.RandomState
) -> NDArray[np.intp]:
    """Return each row's fold: equal rows in the same one, each stratum dealt out evenly."""
    X = next(iter(problem.tables.values()))
    dtype = np.result_type(X, np.int16)  # of numbers of classes and of X
    rows, which = np.unique(
        np.column_stack([strata.astype(dtype), X]),
        axis=0,
        return_inverse=True,
    )
    order = rng.permutation(len(rows))
    order = order[np.argsort(rows[order, 0], kind="stable")]
    folds = np.empty(len(rows), np.intp)
    folds[order] = np.arange(len(rows)) % FOLDS
    result: NDArray[np.intp] = folds[which.ravel()]
    return result
