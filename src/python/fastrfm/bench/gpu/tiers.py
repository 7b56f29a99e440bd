"""Plain float32 against tensor cores for p = 2, and from where on the latter should be taken."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import exp, inf, log
from statistics import median
from typing import Any

from fastrfm.bench.cases import Problem
from fastrfm.bench.gpu.cases import OpCase
from fastrfm.bench.gpu.contenders import Ours
from fastrfm.bench.gpu.device import Call, Device
from fastrfm.bench.gpu.ops import prepare, time_by_turns
from fastrfm.bench.gpu.store import Entry
from fastrfm.bench.gpu.truth import Truth
from fastrfm.bench.oracle import limit_of

__all__ = ["CROSSOVER_NOW", "TIERS", "TIER_VARIABLE", "measure_tiers", "pair_flops", "suggest"]

# src/cuda/form.cu reads it at every launch, so that one process can take both by turns.
TIER_VARIABLE = "FASTRFM_CUDA_TIER"
TIERS = ("simt", "tensor")
# kTensorFlops in src/cuda/form.cu; a test holds the two to each other.
CROSSOVER_NOW = 128


@contextmanager
def tier(name: str) -> Iterator[None]:
    """Make all products of p = 2 in float32 those of a tier."""
    before = os.environ.get(TIER_VARIABLE)
    os.environ[TIER_VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[TIER_VARIABLE]
        else:
            os.environ[TIER_VARIABLE] = before


def pair_flops(case: OpCase) -> int:
    """Return what `with_form` in src/cuda/form.hpp compares with its crossover.

    Twice the features, and for the AGOP the d + 1 columns of each output (weighted_sums.hpp). K V
    with its own points, or of few outputs, has no second product there.
    """
    d, c = case.case.d, case.case.c
    return 2 * (d + c * (d + 1)) if case.case.op == "agop" else 2 * d


def measure_tiers(case: OpCase, device: Device, rounds_seconds: float) -> dict[str, Any]:
    """Return the entry of a case: seconds and errors of both tiers."""
    problem = case.problem()
    truth = Truth(problem, device)
    ours = Ours(device)
    calls: dict[str, Call] = {}
    errors = {}
    for name in TIERS:
        with tier(name):
            one = prepare(ours, problem, truth)
        calls[name] = _in_tier(name, ours, problem)
        errors[name] = one.error
    times = time_by_turns(calls, device, rounds_seconds)
    limit = limit_of(case.case.op, ours=True)
    wrong = [f"{name} {error:.1e}" for name, error in errors.items() if not error <= limit]
    return {
        "reason": f"wrong: error of {', '.join(wrong)}, allowed {limit:.0e}" if wrong else None,
        "flops": pair_flops(case),
        "results": {
            name: {"median": median(times[name]), "runs": len(times[name]), "error": errors[name]}
            for name in TIERS
        },
    }


def _in_tier(name: str, ours: Ours, problem: Problem) -> Call:
    call = ours.prepare(problem)

    def run() -> Any:
        with tier(name):
            return call()

    run()
    return run


def suggest(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Return the crossover that costs least over all cases, None where there are none.

    "flops" is the suggested value: from so many operations a pair on tensor cores; None: never.
    "lost" is how much slower than with the better tier everywhere the cases are with it, as a
    geometric mean, "lost_now" with the crossover `now`.
    """
    good = [entry for entry in entries if entry["reason"] is None]
    if not good:
        return None

    def lost(crossover: float) -> float:
        total = 0.0
        for entry in good:
            times = [entry["results"][name]["median"] for name in TIERS]
            total += log(times[entry["flops"] >= crossover] / min(times))
        return exp(total / len(good)) - 1

    values = sorted({entry["flops"] for entry in good})
    candidates = [*map(float, values), inf]
    # Of equally good ones the largest: plain float32 asks for less of the card.
    best = min(candidates, key=lambda value: (lost(value), -value))
    return {
        "flops": None if best == inf else int(best),
        "lost": lost(best),
        "now": CROSSOVER_NOW,
        "lost_now": lost(CROSSOVER_NOW),
        "cases": len(good),
    }
