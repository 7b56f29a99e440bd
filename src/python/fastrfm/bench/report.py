"""The report: one dict, written as JSON, from which table and plot are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastrfm.bench.cases import Case
from fastrfm.bench.contenders import OURS
from fastrfm.bench.machine_rates import MeasuredRates
from fastrfm.bench.memory import METHOD
from fastrfm.bench.processes import Measurement
from fastrfm.bench.work import Floor, Rates, floor, work_of

__all__ = ["Report", "make_report"]

Report = dict[str, Any]


def make_report(
    mode: str,
    machine: Mapping[str, Any],
    versions: Mapping[str, str],
    absent: Mapping[str, str],
    rates: MeasuredRates,
    measured: Mapping[Case, Mapping[str, Measurement]],
) -> Report:
    """Return everything that was found, as JSON can hold it (NaN becomes null)."""
    return {
        "mode": mode,
        "machine": dict(machine),
        "versions": dict(versions),
        "skipped": dict(absent),
        "rates": asdict(rates),
        "peak_memory_is": METHOD,
        "cases": [
            _case_entry(case, results, rates.for_floors()) for case, results in measured.items()
        ],
    }


def _case_entry(case: Case, results: Mapping[str, Measurement], rates: Rates) -> dict[str, Any]:
    work = work_of(case)
    least = None if work is None else floor(work, rates)
    ours = results.get(OURS)
    reference = ours.median if ours is not None and ours.seconds else None
    return {
        "label": case.label,
        **asdict(case),
        "work": None if work is None else asdict(work),
        "floor": None if least is None else asdict(least),
        "results": {
            name: _result_entry(name, result, reference, least) for name, result in results.items()
        },
    }


def _result_entry(
    name: str, result: Measurement, reference: float | None, least: Floor | None
) -> dict[str, Any]:
    error = result.error if math.isfinite(result.error) else None
    if not result.seconds:
        return {"reason": result.reason, "error": error}
    entry: dict[str, Any] = {
        "seconds": result.seconds,
        "median": result.median,
        "min": min(result.seconds),
        "max": max(result.seconds),
        "ratio": None if reference is None else result.median / reference,
        "peak_bytes": result.peak_bytes,
        "error": error,
        "reason": None,
    }
    if name.startswith(OURS) and least is not None:
        entry["roofline_fraction"] = least.roofline / result.median
        entry["fraction_with_values"] = least.with_values / result.median
    return entry
