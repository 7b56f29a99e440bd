"""From lines of results to ranks, normalised errors, ratios and wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastrfm.bench.accuracy.contenders import OURS, PACKAGES, REFERENCE
from fastrfm.bench.accuracy.store import Line
from fastrfm.bench.accuracy.tasks import Cell

__all__ = [
    "GROUPS",
    "MUCH_WORSE",
    "ErrorTable",
    "Summary",
    "against_reference",
    "error_table",
    "much_worse",
    "normalised",
    "pairwise",
    "ranks",
    "summarise",
]

Array = NDArray[Any]

# Title -> kinds of sets.
GROUPS = {
    "regression": ("reg",),
    "classification": ("cls", "uci121"),
    "classification, cls alone": ("cls",),
    "classification, uci121 alone": ("uci121",),
    "images": ("img",),
}
# A set on which fastrfm's error is more than so many times the best peer's is named.
MUCH_WORSE = 1.2
# Ratios of error rates count an error below this part of a test row as this: 0 has no ratio.
FEWEST_WRONG = 0.5
# Means over splits of the same counts may differ by rounding.
DECIMALS = 12


@dataclass(frozen=True)
class ErrorTable:
    """Test errors, means over the splits that all contenders have.

    Attributes
    ----------
    sets, contenders : list of str
    errors : ndarray of shape (sets, contenders)
        RMSE or error rate; NaN where a fit failed.
    floors : ndarray of shape (sets,)
        What ratios take for less.
    log_losses : ndarray of shape (sets, contenders)
        NaN where a fit failed, and for regression.
    seconds : ndarray of shape (sets, contenders)
        Of a fit.
    splits : list of int
        How many of each set.
    incomplete : list of str
        Sets that not all contenders have a split of; they are left out.
    """

    sets: list[str]
    contenders: list[str]
    errors: Array
    floors: Array
    log_losses: Array
    seconds: Array
    splits: list[int]
    incomplete: list[str]


@dataclass(frozen=True)
class Summary:
    """One contender over all sets of a table; NaN where nothing can be said.

    Attributes
    ----------
    mean_rank, mean_normalised : float
        A failed fit is the last of its set.
    mean_error, mean_log_loss : float
        Over the sets on which nobody failed.
    ratio : float
        Geometric mean of the error over fastrfm's, where neither failed.
    median_seconds : float
    failed : int
        Sets on which a fit failed.
    """

    contender: str
    mean_rank: float
    mean_normalised: float
    mean_error: float
    ratio: float
    mean_log_loss: float
    median_seconds: float
    failed: int


def error_table(lines: Mapping[Cell, Line], kinds: Sequence[str]) -> ErrorTable:
    """Return the errors on the sets of some kinds; of all contenders but the reference."""
    by_set: dict[str, dict[str, dict[int, Line]]] = {}
    for cell, line in lines.items():
        if cell.set.split("/")[0] in kinds and cell.contender != REFERENCE:
            by_set.setdefault(cell.set, {}).setdefault(cell.contender, {})[cell.split] = line
    present = {contender for measured in by_set.values() for contender in measured}
    contenders = [name for name in PACKAGES if name in present]
    rows, splits, incomplete = {}, [], []
    for name in sorted(by_set, key=lambda name: (kinds.index(name.split("/")[0]), name)):
        measured = by_set[name]
        common = set.intersection(*(set(measured.get(who, {})) for who in contenders))
        if not common:
            incomplete.append(name)
            continue
        splits.append(len(common))
        rows[name] = [[measured[who][split] for split in sorted(common)] for who in contenders]
    shape = (len(rows), len(contenders))
    key = "rmse" if "reg" in kinds else "error_rate"

    def means(part: str, key: str) -> Array:
        values = [[_mean(cell, part, key) for cell in row] for row in rows.values()]
        return np.round(np.array(values, float).reshape(shape), DECIMALS)

    return ErrorTable(
        list(rows),
        contenders,
        means("scores", key),
        np.array([_floor(row, key) for row in rows.values()]),
        means("scores", "log_loss"),
        means("seconds", "fit"),
        splits,
        incomplete,
    )


def ranks(errors: Array) -> Array:
    """Return the rank on each set, 1 for the least error, means for ties, failures last."""
    ranked: Array = rankdata(np.where(np.isnan(errors), np.inf, errors), axis=1)
    return ranked


def normalised(errors: Array) -> Array:
    """Return (error - best) / (worst - best) on each set; 1 for failures, 0 where all are equal."""
    finite = np.where(np.isnan(errors), -np.inf, errors)
    worst = finite.max(axis=1, keepdims=True)
    best = np.where(np.isnan(errors), np.inf, errors).min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(worst > best, (errors - best) / (worst - best), 0.0)
    return np.where(np.isnan(errors), 1.0, scaled)


def summarise(table: ErrorTable) -> list[Summary]:
    """Return a summary of each contender."""
    if not table.sets:
        return []
    all_ranks, all_normalised = ranks(table.errors), normalised(table.errors)
    nobody_failed = ~np.isnan(table.errors).any(axis=1)
    floored = np.maximum(table.errors, table.floors[:, None])
    ours = floored[:, table.contenders.index(OURS)] if OURS in table.contenders else None
    return [
        Summary(
            name,
            float(all_ranks[:, j].mean()),
            float(all_normalised[:, j].mean()),
            _nan_mean(table.errors[nobody_failed, j]),
            float("nan")
            if ours is None
            else float(np.exp(_nan_mean(np.log(floored[:, j] / ours)))),
            _nan_mean(table.log_losses[nobody_failed, j]),
            _nan_median(table.seconds[:, j]),
            int(np.isnan(table.errors[:, j]).sum()),
        )
        for j, name in enumerate(table.contenders)
    ]


def pairwise(errors: Array) -> tuple[Array, Array]:
    """Return wins[i, j], the sets on which i has less error than j, and ties[i, j].

    A failure loses to every success and ties with another failure.
    """
    filled = np.where(np.isnan(errors), np.inf, errors)
    wins = (filled[:, :, None] < filled[:, None, :]).sum(axis=0)
    ties = (filled[:, :, None] == filled[:, None, :]).sum(axis=0)
    return wins, ties


def much_worse(table: ErrorTable) -> list[tuple[str, float, str]]:
    """Return (set, ratio, peer) where fastrfm's error exceeds `MUCH_WORSE` times the best peer's.

    The ratio is infinite where fastrfm failed and a peer did not.
    """
    if OURS not in table.contenders or len(table.contenders) < 2:
        return []
    j = table.contenders.index(OURS)
    found = []
    for name, row, floor in zip(table.sets, table.errors, table.floors, strict=True):
        floored = np.maximum(np.where(np.isnan(row), np.inf, row), floor)
        peers = np.delete(floored, j)
        if np.isfinite(peers).any() and floored[j] > MUCH_WORSE * peers.min():
            peer = np.delete(np.array(table.contenders), j)[peers.argmin()]
            found.append((name, float(floored[j] / peers.min()), str(peer)))
    return sorted(found, key=lambda each: -each[1])


def against_reference(lines: Mapping[Cell, Line]) -> dict[str, Array]:
    """Return each contender's accuracy less that of the reference, in points, on each set.

    Means over the splits that both have. Sets where one failed are left out.
    """
    reference: dict[str, dict[int, Line]] = {}
    for cell, line in lines.items():
        if cell.contender == REFERENCE:
            reference.setdefault(cell.set, {})[cell.split] = line
    points: dict[str, Array] = {}
    for name in PACKAGES:
        differences = []
        for a_set, theirs in reference.items():
            ours = {c.split: x for c, x in lines.items() if (c.set, c.contender) == (a_set, name)}
            common = sorted(set(ours) & set(theirs))
            pair = [
                _mean([which[split] for split in common], "scores", "error_rate")
                for which in (theirs, ours)
            ]
            if common and np.isfinite(pair).all():
                differences.append(round(100 * (pair[0] - pair[1]), DECIMALS))
        if differences and name != REFERENCE:
            points[name] = np.array(differences)
    return points


def _mean(lines: Sequence[Line], part: str, key: str) -> float:
    """Return the mean of an entry; NaN if a line failed or has no such entry."""
    values = [line.get(part, {}).get(key, np.nan) for line in lines]
    return float(np.mean(values)) if values else float("nan")


def _floor(row: Sequence[Sequence[Line]], key: str) -> float:
    tested = [sum(line.get("n_test", 0) for line in cell) for cell in row]
    return FEWEST_WRONG / max(*tested, 1) if key == "error_rate" else 0.0


def _nan_mean(values: Array) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _nan_median(values: Array) -> float:
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else float("nan")
