"""Measure points one after the other, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastrfm.bench.scaling.points import Point
from fastrfm.bench.scaling.store import Store

__all__ = ["ROUNDS", "run_points"]

# Rounds over all points, so that a busy minute does not fall on one size alone; the second and
# third leave out what took longer in the first than a passing disturbance lasts.
ROUNDS = 3
REPEATED_SECONDS = 5.0
# A fit of 200,000 rows took 806 s on two idle cores (bench/results/larger.md); these may be busy.
POINT_SECONDS = 3_600.0
# How threads wait for each other: asleep. A thread that spins on a core which others want would
# count the others' work as CPU seconds of ours.
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Of what a child that failed said.
LAST_CHARACTERS = 300


def run_points(
    points: Sequence[Point],
    store: Store,
    stamp: Mapping[str, Any],
    *,
    say: Callable[[str], None],
    seconds: float = POINT_SECONDS,
    rounds: int = ROUNDS,
) -> int:
    """Measure what the store lacks, or has with a reason why not; return how many went wrong.

    Parameters
    ----------
    points : sequence of Point
        In this order.
    store : Store
        Gets each line at once.
    stamp : mapping
        Goes into every line.
    say : callable
        Takes a line for whoever waits.
    seconds : float
        Within which a point is to be done.
    rounds : int
    """
    wrong = 0
    for turn in range(rounds):
        known = store.read()
        for point in points:
            before = known.get((point, turn))
            if before is not None and before["reason"] is None:
                continue
            if turn:
                first = known.get((point, 0))
                if first is None or first["reason"] is not None:
                    continue
                if first["seconds"] > REPEATED_SECONDS:
                    continue
            result = _in_child(point, seconds)
            store.append(point, turn, {**result, "load": os.getloadavg()[0], **stamp})
            wrong += result["reason"] is not None and not result.get("missing")
            took = result["reason"] or f"{result['seconds']:.2f} s"
            say(f"round {turn + 1}, {point.label}: {took}")
    return wrong


def _in_child(point: Point, seconds: float) -> dict[str, Any]:
    environment = {**os.environ, **ENVIRONMENT}
    environment.update(dict.fromkeys(THREAD_VARIABLES, str(point.threads)))
    command = [sys.executable, "-m", "fastrfm.bench.scaling.measure", json.dumps(point.fields())]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"not done within {seconds:.0f} s"}
    if done.returncode:
        said = done.stderr.strip()[-LAST_CHARACTERS:].splitlines() or [""]
        return {"reason": f"exit status {done.returncode}: {said[-1]}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
