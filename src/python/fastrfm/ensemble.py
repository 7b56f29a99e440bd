"""Several Recursive Feature Machines fitted to the same rows, chosen and weighted by the same rows.

With up to `SEARCH_ROWS` rows each member searches its ridge and its iteration on all of them, by
leave-one-out in closed form, and is what the search found. With more, the search runs on so many of
them and is judged by others, and every member of weight is then fitted once to all rows with what
was found: the ridge, the number of metric updates, the weights.

Knows no estimator and prints nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastrfm.combination import combine, stacking_weights
from fastrfm.losses import Loss
from fastrfm.memory import bytes_in_memory, within_memory_limit
from fastrfm.preprocessing import Columns
from fastrfm.problem import Ensemble, Member, Problem, Validation
from fastrfm.recursion import (
    Array,
    RecursionResult,
    RecursionSettings,
    refit,
    run_recursion,
    work_of,
)
from fastrfm.remote import RemoteRows
from fastrfm.ridge.cholesky import cholesky_bytes
from fastrfm.ridge.early_stop import HeldOutRows
from fastrfm.sampling import draw_stratified_rows, strata_of_targets
from fastrfm.selection import HeldOut, LeaveOneOut, StandInLeaveOneOut, row_count
from fastrfm.settings import plan_of
from fastrfm.watch import SILENT, Watch, Work

__all__ = ["as_found", "fit_ensemble", "work_of_member"]

# More rows are not searched. Of 4,000 rows, 2,000 searched and the others judging / all searched,
# by leave-one-out: adult .1488 / .1513, credit_default .1860 / .1863 (error), pol .0925 / .0931,
# kin40k .1330 / .1319 (RMSE), in a tenth to a sixth of the time. Learning the metric anew from all
# rows counts: 8,000 of pol .0710 against .0827 with the metric of the search; kin40k .0959, .1032.
SEARCH_ROWS = 2_000
# Rows that judge a search on a part: their predictions cost a pass over the kernel, twice that of
# filling it; the standard error of their score is a few per cent.
JUDGING_ROWS = 4_000
# A member whose weight is below this part of the sum is not fitted to all rows: it would cost as
# much as the others and change predictions by less than they are certain.
LEAST_PART = 0.05
# A fit that is ended early warns of coefficients whose residual is so many times that asked for.
MUCH_LOOSER = 10.0
# A memory limit makes the search smaller, down to this.
FEWEST_SEARCH_ROWS = 250
# With fewer rows that the search does not use, leave-one-out judges it. (Not measured.)
FEWEST_JUDGING_ROWS = 1_000

Judge = HeldOut | LeaveOneOut | StandInLeaveOneOut


def fit_ensemble(
    problem: Problem,
    members: Sequence[Member],
    loss: Loss,
    *,
    validation: Validation | None,
    shrinkage_rows: float,
    rng: np.random.RandomState,
    watch: Watch = SILENT,
) -> Ensemble:
    """Choose, fit and weight the members.

    Parameters
    ----------
    problem : Problem
    members : sequence of Member
    loss : Loss
        By which ridges and iterations are compared.
    validation : Validation or None
        None: leave-one-out, or, of many rows, those that the search does not use.
    shrinkage_rows : float
        The members' weights are drawn towards equal ones, by as much as so many rows that call for
        equal ones would draw them.
    rng : RandomState
    watch : Watch
    """
    searches = len(members) > 1 or len(members[0].settings.alphas) > 1
    rows = None if validation is None else validation.rows
    # Of rows that are fitted in the end none can say when to stop.
    given = None if validation is None or rows is not None else validation.problem
    by_search = False
    if searches:
        rows, by_search, validation = _search_rows(problem, members, rows, validation, rng)
    searched = problem if rows is None else problem.part(rows)
    if searches:
        searched = searched.here()
    # Both are asked now, so that what memory does not allow is refused before any work.
    held = _bytes_of(problem, None if rows is None else searched, validation)
    judged = validation is None
    of_all = [
        _within_limit(member, problem, held, judged=judged and not by_search) for member in members
    ]
    if searches:
        members = [_within_limit(member, searched, held, judged=judged) for member in members]
    else:
        members = of_all
    judges = _judges(searched, members, loss, validation, rng, searches=searches)

    works = [
        work_of_member(searched, member, member.settings, judged=searches) for member in members
    ]
    watch.expect(works)
    full_works = [work_of_member(problem, member, _plain(member.settings)) for member in of_all]
    if by_search:
        watch.expect(full_works)

    if by_search:
        # Whatever the search finds is to be fitted to all rows at least once.
        watch.reserve(work_of_member(problem, of_all[0], replace(of_all[0].settings, n_iter=0)))
    found: list[RecursionResult] = []
    for i, (member, work) in enumerate(zip(members, works, strict=True)):
        if found and not watch.affords(work):
            break
        watch.begin(work)
        search = partial(
            run_recursion,
            searched.tables[member.columns],
            searched.Y,
            replace(member.settings, solver="cholesky") if searches else member.settings,
            selection=judges[member.columns],
            rng=rng,
            sample_weight=searched.sample_weight,
            watch=watch,
            units=problem.units.get(member.columns),
        )
        found.append(watch.keeper.recursion(f"search of member {i}", rng, search))
    watch.reserve(None)
    judge = judges[members[0].columns]
    # Members that are fitted already cost nothing more.
    least_part = LEAST_PART if by_search else 0.0
    shrinkage = shrinkage_rows / (shrinkage_rows + row_count(len(judge.Y), judge.sample_weight))
    weights = _weights(found, judge, shrinkage, least_part)
    kept = np.flatnonzero(weights) if weights.any() else np.array([_best(found)])
    predictions = combine([_predictions(found[i]) for i in kept], weights[kept])

    if by_search:
        watch.forget(full_works)
        watch.expect(
            [work_of_member(problem, of_all[i], as_found(of_all[i], found[i])) for i in kept]
        )
    results, tables = [], []
    for i in kept:
        result, table = _finish(
            problem, searched, given, of_all[i], found[i], rng, watch, i, by_search=by_search
        )
        results.append(result)
        tables.append(table)
    return Ensemble(
        tuple(members[i] for i in kept),
        tuple(results),
        tuple(tables),
        weights[kept],
        predictions,
        judge.Y,
        judge.sample_weight,
        by_leave_one_out=validation is None,
    )


def _search_rows(
    problem: Problem,
    members: Sequence[Member],
    rows: NDArray[np.intp] | None,
    validation: Validation | None,
    rng: np.random.RandomState,
) -> tuple[NDArray[np.intp] | None, bool, Validation | None]:
    """Return the rows of the search, None for all, whether they are a part, and what judges it.

    `rows` are those that may be searched.
    """
    available = np.arange(len(problem)) if rows is None else rows
    most = _affordable_rows(problem, members)
    if len(available) <= most:
        return rows, False, validation
    strata = strata_of_targets(problem.Y[available], most)
    drawn = available[draw_stratified_rows(strata, most, rng)]
    others = np.setdiff1d(available, drawn, assume_unique=True)
    if validation is None and len(others) >= FEWEST_JUDGING_ROWS:
        judging = np.sort(rng.choice(others, min(len(others), JUDGING_ROWS), replace=False))
        validation = Validation(problem.of_rows(judging))
    return drawn, True, validation


def _affordable_rows(problem: Problem, members: Sequence[Member]) -> int:
    """Return `SEARCH_ROWS`, or as many fewer as the memory limit asks for."""
    rows = SEARCH_ROWS
    limit = members[0].settings.memory_limit
    while limit is not None and rows > FEWEST_SEARCH_ROWS:
        X = problem.tables[members[0].columns]
        if cholesky_bytes(rows, X.shape[1], problem.Y.shape[1], problem.Y.dtype) < limit // 2:
            break
        rows //= 2
    return rows


def _within_limit(member: Member, problem: Problem, held: int, *, judged: bool) -> Member:
    """Return the member with the part of its memory limit that solves must leave.

    `held` bytes are those of all tables, this one's included.
    """
    X = problem.tables[member.columns]
    if isinstance(X, RemoteRows):
        return member
    settings = within_memory_limit(
        member.settings,
        len(problem),
        X.shape[1],
        problem.Y.shape[1],
        problem.Y.dtype,
        tables=held,
        judged=judged,
    )
    return replace(member, settings=settings)


def _bytes_of(problem: Problem, searched: Problem | None, validation: Validation | None) -> int:
    """Return the bytes of all tables: each coding of all rows, of those searched and judging."""
    problems = [problem, searched, None if validation is None else validation.problem]
    parts = (part for part in problems if part is not None)
    return sum(bytes_in_memory(X) for part in parts for X in part.tables.values())


def _judges(
    searched: Problem,
    members: Sequence[Member],
    loss: Loss,
    validation: Validation | None,
    rng: np.random.RandomState,
    *,
    searches: bool,
) -> dict[Columns, Judge]:
    """Return for each kind of columns the selection, all of the same rows."""
    names = dict.fromkeys(member.columns for member in members)
    Y, weight, unit = searched.Y, searched.sample_weight, searched.unit_weight
    if validation is not None:
        judging = validation.problem
        return {
            name: HeldOut(judging.Y, loss, judging.sample_weight, judging.tables[name])
            for name in names
        }
    X = searched.tables[members[0].columns]
    if searches or plan_of(X, Y, members[0].settings).solver == "cholesky":
        judge: Judge = LeaveOneOut.draw(Y, loss, rng, weight, unit, all_rows=searches)
    else:
        judge = StandInLeaveOneOut.draw(Y, loss, rng, weight, unit)
    return dict.fromkeys(names, judge)


def _finish(
    problem: Problem,
    searched: Problem,
    given: Problem | None,
    member: Member,
    found: RecursionResult,
    rng: np.random.RandomState,
    watch: Watch,
    number: int,
    *,
    by_search: bool,
) -> tuple[RecursionResult, Array]:
    """Fit what was found to all rows, as far as time allows; return the rows that were fitted.

    `given` are rows that are not fitted; `number` is the member's, for the keeper.
    """
    settings = member.settings
    table, of_search = problem.tables[member.columns], searched.tables[member.columns]
    again = found.loose or (settings.solver == "pcg" and found.history[-1]["solver"] != "pcg")
    if len(searched) == len(problem) and not again:
        return found, table
    held_out = None
    if given is not None and settings.early_stopping:
        held_out = HeldOutRows.few(given.tables[member.columns], given.Y, given.sample_weight)
    run = as_found(member, found)
    work = work_of_member(problem, member, run)
    result = found
    if by_search and watch.affords(work):
        watch.begin(work)
        fit = partial(
            run_recursion,
            table,
            problem.Y,
            run,
            selection=None,
            rng=rng,
            sample_weight=problem.sample_weight,
            watch=watch,
            held_out=held_out,
            units=problem.units.get(member.columns),
        )
        full = watch.keeper.recursion(f"fit of member {number}", rng, fit)
        # One that was ended on the way has another metric than the search judged.
        if full.best_iter == found.best_iter:
            result = replace(full, history=found.history + full.history, verdict=found.verdict)
            if not result.loose:
                return result, table
    one = work_of_member(problem, member, replace(run, n_iter=0))
    if not watch.affords(one):
        residual = result.history[-1 if result is not found else result.best_iter]["residual"]
        if residual > MUCH_LOOSER * settings.tol:
            warnings.warn(
                "the fit was ended before its coefficients were solved to tol="
                f"{settings.tol:g}; the relative residual is {residual:.2g}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return result, table if result is not found else of_search
    watch.begin(one)
    again_to_tol = partial(
        refit,
        table,
        problem.Y,
        result,
        settings,
        rng,
        sample_weight=problem.sample_weight,
        watch=watch,
        held_out=held_out,
    )
    return watch.keeper.recursion(f"refit of member {number}", rng, again_to_tol), table


def work_of_member(
    problem: Problem, member: Member, settings: RecursionSettings, *, judged: bool = False
) -> Work:
    """Estimate the work of a member's recursion on the rows of a problem."""
    d, c = problem.tables[member.columns].shape[1], problem.Y.shape[1]
    return work_of(len(problem), d, c, settings, judged=judged)


def _plain(settings: RecursionSettings) -> RecursionSettings:
    return replace(settings, alphas=settings.alphas[:1])


def as_found(member: Member, result: RecursionResult) -> RecursionSettings:
    """Return the settings that repeat what was found, without a choice."""
    return replace(member.settings, n_iter=result.best_iter, alphas=(result.alpha,))


def _weights(
    found: Sequence[RecursionResult], judge: Judge, shrinkage: float, least_part: float
) -> NDArray[np.float64]:
    """Return the members' weights, 0 for those below `least_part` of their sum."""
    if len(found) == 1:
        return np.ones(1)
    predictions = [_predictions(result) for result in found]
    weights = stacking_weights(predictions, judge.Y, judge.sample_weight)
    kept = np.flatnonzero(weights >= least_part * weights.sum())
    weights = np.zeros(len(found))
    weights[kept] = stacking_weights(
        [predictions[i] for i in kept], judge.Y, judge.sample_weight, shrinkage=shrinkage
    )
    return weights


def _predictions(result: RecursionResult) -> Array:
    assert result.verdict.predictions is not None  # every search is judged
    return result.verdict.predictions


def _best(found: Sequence[RecursionResult]) -> int:
    return int(np.argmin([result.verdict.score for result in found]))
