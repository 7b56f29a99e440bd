"""The parent's side: start the contenders' processes, ask them, run them in turn."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from fastrfm.bench.cases import Case
from fastrfm.bench.contenders import OURS
from fastrfm.bench.oracle import PEER_LIMITS
from fastrfm.bench.protocol import Prepared, Request

__all__ = ["BLAS_OVERRIDES", "Measurement", "Process", "ProcessError", "interleave", "start"]

# They make a BLAS use the kernels of another processor than it runs on.
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Idle threads of OpenMP and BLAS libraries go on spinning for some 30 ms after a call, on cores
# that the next contender wants.
REST_SECONDS = 0.05
ROUNDS = (3, 15)
FIT_ROUNDS = (1, 3)


class ProcessError(Exception):
    """A contender could not do what it was asked."""


@dataclass
class Measurement:
    """What one contender did in one case.

    Attributes
    ----------
    seconds : list of float
        One a round; empty if there is a `reason`.
    peak_bytes : int
        The highest over the rounds.
    error : float
        Against the oracle, see `fastrfm.bench.oracle.check`; for a whole fit the test RMSE.
    reason : str or None
        Why it was not timed.
    """

    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    error: float = float("nan")
    reason: str | None = None

    @property
    def median(self) -> float:
        """Median seconds."""
        return median(self.seconds)


class Process:
    """One contender's process.

    Parameters
    ----------
    name : str
    threads : int
    overrides : bool
        Whether it keeps the environment variables in `BLAS_OVERRIDES`.
    """

    def __init__(self, name: str, threads: int, *, overrides: bool = True) -> None:
        environment = dict(os.environ)
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        if not overrides:
            for variable in BLAS_OVERRIDES:
                environment.pop(variable, None)
        self.name = name
        self._child = subprocess.Popen(
            [sys.executable, "-m", "fastrfm.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def ask(self, what: str, case: Case | None = None, **options: Any) -> Any:
        """Send a `Request` and wait for the answer.

        Raises
        ------
        ProcessError
            With what the contender said.
        """
        assert self._child.stdin is not None
        try:
            pickle.dump(Request(what, case, **options), self._child.stdin)
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says why
        return self.receive()

    def receive(self) -> Any:
        """Wait for an answer; the first one says whether the contender is installed."""
        assert self._child.stdout is not None
        try:
            ok, value = pickle.load(self._child.stdout)
        except EOFError:
            code = self._child.wait()
            raise ProcessError(f"its process ended, with code {code}") from None
        if not ok:
            raise ProcessError(value)
        return value

    def close(self) -> None:
        """End the process."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        self._child.terminate()
        self._child.wait()


def start(names: Sequence[str], threads: int) -> tuple[dict[str, Process], dict[str, str]]:
    """Start all at once (they import for seconds); return those that run, and why others do not."""
    running, absent = {}, {}
    for name, process in [(name, Process(name, threads)) for name in names]:
        try:
            process.receive()
        except ProcessError as error:
            absent[name] = str(error)
            process.close()
        else:
            running[name] = process
    return running, absent


def interleave(
    case: Case,
    processes: Mapping[str, Process],
    *,
    budget: float,
    notify: Callable[[str], None],
) -> dict[str, Measurement]:
    """Run one case in rounds A B C A B C, so that a slow moment meets all of them.

    Parameters
    ----------
    case : Case
    processes : mapping of str to Process
    budget : float
        Seconds to spend; the rounds are as many as fit, from 3 to 15, of a whole fit 1 to 3.
    notify : callable
        Is told what happens now.
    """
    results: dict[str, Measurement] = {}
    prepared: dict[str, Prepared] = {}
    for name, process in processes.items():
        notify(f"{case.label}: {name}, warm-up and check")
        try:
            if not process.ask("supports", case):
                continue
            results[name] = Measurement()
            prepared[name] = process.ask("prepare", case)
        except ProcessError as error:
            results[name] = Measurement(reason=str(error))
            continue
        results[name].error = prepared[name].error
        difference = prepared[name].differs_from(prepared.get(OURS, prepared[name]))
        if difference > PEER_LIMITS.get(case.op, 0):
            results[name].reason = f"differs from {OURS}'s whole result by {difference:.1e}"
    round_seconds = sum(warm_up.seconds for warm_up in prepared.values())
    fewest, most = FIT_ROUNDS if case.is_fit else ROUNDS
    spent, done = 0.0, 0
    while done < fewest or (done < most and spent + round_seconds < budget):
        started = time.perf_counter()
        for name, result in results.items():
            if result.reason is not None:
                continue
            notify(f"{case.label}: {name}, round {done + 1}")
            time.sleep(REST_SECONDS)
            try:
                timing = processes[name].ask("run")
            except ProcessError as error:
                results[name] = Measurement(reason=str(error))
                continue
            result.seconds.append(timing.seconds)
            result.peak_bytes = max(result.peak_bytes, timing.peak_bytes)
            if case.is_fit:
                result.error = timing.test_error
        round_seconds = time.perf_counter() - started
        spent += round_seconds
        done += 1
    for name in results:
        try:
            processes[name].ask("drop")
        except ProcessError:
            pass  # it has died, which its measurement says
    return results
