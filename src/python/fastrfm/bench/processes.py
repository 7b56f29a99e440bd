"""The parent's side: start the contenders' processes, ask them, run them in turn."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fastrfm.bench.cases import Case
from fastrfm.bench.contenders import OURS
from fastrfm.bench.oracle import PEER_LIMITS
from fastrfm.bench.protocol import Prepared, Request, Timing

__all__ = ["BLAS_OVERRIDES", "Measurement", "Process", "ProcessError", "interleave", "start"]

# They make a BLAS use the kernels of another processor than it runs on.
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Idle threads of OpenMP and BLAS libraries go on spinning for some 30 ms after a call, on cores
# that the next contender wants.
REST_SECONDS = 0.05
# A contender may have something to write when it ends, such as a list of what it compiled.
EXIT_SECONDS = 5.0
# The fewest and the most rounds. Where one call takes long, two, or its first run alone: by then
# its threads run and its code is loaded, see `fastrfm.bench.worker`.
ROUNDS = (3, 15)
LONG_ROUNDS = (2, 2)
FIT_ROUNDS = (1, 3)
LONG_SECONDS = 4.0
FIRST_RUN_COUNTS_SECONDS = 10.0
# Nobody waits for a call that takes longer. PyKeOps' matvec at n = 10,000, d = 784 would.
CALL_LIMIT_SECONDS = 60.0


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

    def add(self, timing: Timing) -> None:
        """Add a run."""
        self.seconds.append(timing.seconds)
        self.peak_bytes = max(self.peak_bytes, timing.peak_bytes)

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
        """Let the process end, and end it if it does not."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        try:
            self._child.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
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
    folder: Path | None = None,
) -> dict[str, Measurement]:
    """Run one case in rounds A B C A B C, so that a slow moment meets all of them.

    Parameters
    ----------
    case : Case
    processes : mapping of str to Process
    budget : float
        Seconds for the rounds of one contender; there are as many as fit, from 3 to 15. Slow
        contenders get fewer (see `LONG_SECONDS`), a whole fit 1 to 3.
    notify : callable
        Is told what happens now.
    folder : Path, optional
        Where the tables of whole fits lie.
    """
    results: dict[str, Measurement] = {}
    prepared: dict[str, Prepared] = {}
    for name, process in processes.items():
        notify(f"{case.label}: {name}, warm-up and check")
        try:
            if not process.ask("supports", case):
                continue
            results[name] = Measurement()
            prepared[name] = process.ask("prepare", case, limit=CALL_LIMIT_SECONDS, folder=folder)
        except ProcessError as error:
            results[name] = Measurement(reason=str(error))
            continue
        results[name].error = prepared[name].error
        difference = prepared[name].differs_from(prepared.get(OURS, prepared[name]))
        if difference > PEER_LIMITS.get(case.op, 0):
            results[name].reason = f"differs from {OURS}'s whole result by {difference:.1e}"
    for name, warm_up in prepared.items():
        if warm_up.first is not None and warm_up.first.seconds > FIRST_RUN_COUNTS_SECONDS:
            results[name].add(warm_up.first)
    done = 0
    while True:
        due = [
            name
            for name, result in results.items()
            if result.reason is None and _wants_round(case, result, prepared[name], done, budget)
        ]
        if not due:
            break
        done += 1
        for name in due:
            notify(f"{case.label}: {name}, round {done}")
            time.sleep(REST_SECONDS)
            try:
                timing = processes[name].ask("run")
            except ProcessError as error:
                results[name] = Measurement(reason=str(error))
                continue
            results[name].add(timing)
            if case.is_fit:
                results[name].error = timing.test_error
    for name in results:
        try:
            processes[name].ask("drop")
        except ProcessError:
            pass  # it has died, which its measurement says
    return results


def _wants_round(
    case: Case, result: Measurement, warm_up: Prepared, done: int, budget: float
) -> bool:
    """Whether a contender takes part in one round more."""
    if warm_up.first is not None and warm_up.first.seconds > FIRST_RUN_COUNTS_SECONDS:
        return False
    last = result.seconds[-1] if result.seconds else 0.0
    if case.is_fit:
        fewest, most = FIT_ROUNDS
    elif warm_up.first is not None and warm_up.first.seconds > LONG_SECONDS:
        fewest, most = LONG_ROUNDS
    else:
        fewest, most = ROUNDS
    return done < fewest or (done < most and sum(result.seconds) + last <= budget)
