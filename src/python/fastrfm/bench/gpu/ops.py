"""Time one operation by all contenders in turn, having held their results to the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.cases import Problem
from fastrfm.bench.gpu.cases import OpCase, floor_seconds
from fastrfm.bench.gpu.contenders import OURS, Contender
from fastrfm.bench.gpu.device import Call, Device
from fastrfm.bench.gpu.truth import Truth
from fastrfm.bench.oracle import limit_of

__all__ = ["CALL_LIMIT_SECONDS", "Prepared", "floors", "measure_op", "prepare", "time_by_turns"]

# The fewest and the most timed runs of each contender.
ROUNDS = (3, 20)
# Longer calls are timed once, by the run after the warm-up.
ONCE_SECONDS = 2.0
# Nobody waits for a call that takes longer: PyTorch's gradients for p = 1 would at 1,024 features.
CALL_LIMIT_SECONDS = 6.0
# By how many of the rows that is foreseen.
PROBE = 32


@dataclass(frozen=True)
class Prepared:
    """A contender that has run once.

    Attributes
    ----------
    call : callable
        What is timed.
    error : float
        Of its result at a sample of rows.
    peak_bytes : int
    whole : ndarray or None
        An AGOP, which the truth has seen few rows of, so that the contenders' must agree.
    """

    call: Call
    error: float
    peak_bytes: int
    whole: NDArray[Any] | None


def prepare(contender: Contender, problem: Problem, truth: Truth) -> Prepared:
    """Warm up: run once, measure memory, compare."""
    call = contender.prepare(problem)
    result, peak_bytes = contender.peak(call)
    if problem.case.op != "agop":
        return Prepared(call, truth.error(contender.to_host(result, truth.rows)), peak_bytes, None)
    at_rows = contender.prepare(problem.at_rows(truth.rows))
    error = truth.error(contender.to_host(at_rows()))
    return Prepared(call, error, peak_bytes, contender.to_host(result))


def time_by_turns(
    calls: Mapping[str, Call], device: Device, rounds_seconds: float
) -> dict[str, list[float]]:
    """Return the seconds of each call, in rounds over all of them.

    Parameters
    ----------
    calls : mapping of str to callable
    device : Device
    rounds_seconds : float
        For each call, within which there are as many rounds as `ROUNDS` allows.
    """
    times = {name: [device.seconds(call)] for name, call in calls.items()}
    quick = {name: call for name, call in calls.items() if times[name][0] < ONCE_SECONDS}
    if quick:
        once = sum(times[name][0] for name in quick)
        rounds = int(np.clip(rounds_seconds * len(quick) / max(once, 1e-9), *ROUNDS))
        # Their first run paid for memory that its allocator had not kept.
        times |= {name: [] for name in quick}
        for _ in range(rounds):
            for name, call in quick.items():
                times[name].append(device.seconds(call))
    return times


def measure_op(
    case: OpCase,
    device: Device,
    contenders: Sequence[Contender],
    ceilings: Mapping[str, Any],
    rounds_seconds: float,
) -> dict[str, Any]:
    """Return the entry of a case; the first contender is fastrfm.

    Raises
    ------
    Exception
        What fastrfm raises; what the others do is noted for each.
    """
    problem = _problem(case)
    truth = Truth(problem, device)
    ready: dict[str, Prepared] = {}
    results: dict[str, dict[str, Any]] = {}
    for contender in contenders:
        try:
            foreseen = 0.0 if contender.name == OURS else _foreseen(contender, problem, device)
            if foreseen > CALL_LIMIT_SECONDS:
                results[contender.name] = {"reason": f"would take about {foreseen:.0f} s a call"}
                continue
            ready[contender.name] = prepare(contender, problem, truth)
        except Exception as error:
            if contender.name == OURS:
                raise
            results[contender.name] = {"reason": _short(error)}
        contender.release()
    times = _timed(contenders, ready, results, device, rounds_seconds)
    reason = None
    for name, seconds in times.items():
        one = ready[name]
        limit = limit_of(case.case.op, ours=name == OURS)
        results[name] = {
            "reason": None,
            "median": median(seconds),
            "min": min(seconds),
            "max": max(seconds),
            "runs": len(seconds),
            "peak_bytes": one.peak_bytes,
            "error": _finite(one.error),
            "accurate": bool(one.error <= limit),
        }
        if name == OURS and not one.error <= limit:
            reason = f"wrong: error {one.error:.1e}, allowed {limit:.0e}"
    agreement = _agreement(ready)
    ready.clear()
    for contender in contenders:
        contender.release()
    if agreement is not None and not agreement <= limit_of(case.case.op, ours=False):
        reason = reason or f"wrong: {OURS} and PyTorch differ by {agreement:.1e}"
    entry = {"reason": reason, **floors(case, ceilings), "agreement": agreement}
    return entry | {"results": {c.name: results[c.name] for c in contenders}}


def floors(case: OpCase, ceilings: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the least seconds by plain float32 products, and by three TF32 ones each."""
    copy, sgemm, tf32 = (ceilings[name] for name in ("copy", "sgemm", "tf32"))
    # One addition or multiply-add a lane and cycle: half of sgemm's flops.
    lanes = sgemm / 2
    return {
        "floor": floor_seconds(case, copy, sgemm, lanes),
        "tensor_floor": None if tf32 is None else floor_seconds(case, copy, tf32 / 3, lanes),
    }


@lru_cache(maxsize=1)  # the contenders' inputs are made of the same arrays
def _problem(case: OpCase) -> Problem:
    return case.problem()


def _foreseen(contender: Contender, problem: Problem, device: Device) -> float:
    """Return about how long a call will take, by one over a part of the rows."""
    part = replace(problem, X=problem.X[: max(1, len(problem.X) // PROBE)].copy())
    call = contender.prepare(part)
    call()
    return PROBE * device.seconds(call)


def _timed(
    contenders: Sequence[Contender],
    ready: dict[str, Prepared],
    results: dict[str, dict[str, Any]],
    device: Device,
    rounds_seconds: float,
) -> dict[str, list[float]]:
    """Return all seconds; whose memory does not suffice beside the others' results drops out."""
    while True:
        try:
            calls = {name: one.call for name, one in ready.items()}
            return time_by_turns(calls, device, rounds_seconds)
        except Exception as error:
            others = [name for name in ready if name != OURS]
            if not others:
                raise
            # By turns is not possible with all of them: the largest goes.
            largest = max(others, key=lambda name: ready[name].peak_bytes)
            del ready[largest]
            results[largest] = {"reason": f"not beside the others: {_short(error)}"}
            for contender in contenders:
                contender.release()


def _agreement(ready: Mapping[str, Prepared]) -> float | None:
    """Return how far our whole AGOP is from a peer's in float32, relative to its largest entry."""
    ours = ready[OURS].whole if OURS in ready else None
    peers = [one.whole for name, one in ready.items() if name != OURS and "TF32" not in name]
    if ours is None or not peers or peers[0] is None:
        return None
    return float(np.abs(ours - peers[0]).max() / np.abs(peers[0]).max())


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _short(error: Exception) -> str:
    """Return the first line: PyTorch's errors go on with advice."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
