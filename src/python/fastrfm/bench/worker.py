"""The process of one contender: it prepares, checks and runs cases as its parent says.

``python -m fastrfm.bench.worker NAME`` reads requests from stdin and answers on stdout (see
`fastrfm.bench.protocol`). Contenders print; that goes nowhere.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench import rates
from fastrfm.bench.cases import FIT_FEATURES, Case, Problem, make_problem
from fastrfm.bench.contenders import OURS, load_contender
from fastrfm.bench.contenders.result import Run
from fastrfm.bench.fits import rmse
from fastrfm.bench.memory import PeakMemory
from fastrfm.bench.oracle import WrongResultError, check
from fastrfm.bench.protocol import Prepared, Request, Timing

# A whole fit is not run once more to warm up, but a small one is.
SMALL_FIT_ROWS = 300
# The time of these is proportional to the points (the centres stay), of which a part is tried to
# see how long all would take.
PROBED = ("kernel_matmul", "agop")
PROBE_PART = 50


class TooSlowError(Exception):
    """One call would take longer than it may."""


class Worker:
    """One contender, and the case that it has been given."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._contender = load_contender(name)
        self._memory = PeakMemory()
        self._problem: Problem | None = None
        self._run: Run | None = None

    def answer(self, request: Request) -> Any:
        """Do what a request says."""
        match request.what:
            case "version":
                return self._contender.version()
            case "supports":
                return self._contender.supports(request.case)
            case "prepare":
                return self._prepare(request.case, request.limit, request.folder)
            case "run":
                return self._timed()[1]
            case "drop":
                self._problem = self._run = None
                return None
            case "sgemm":
                return rates.sgemm_rate(self._contender.sgemm, quick=request.quick)
            case "memory_rates":
                threads, quick = request.threads, request.quick
                return rates.copy_rate(threads, quick=quick), rates.fill_rate(threads, quick=quick)
        raise ValueError(f"unknown request {request.what!r}")

    def _prepare(self, case: Any, limit: float, folder: Path | None) -> Prepared:
        """Warm up and check."""
        self._problem = self._run = None
        if case.is_fit:
            small = Case(case.op, SMALL_FIT_ROWS, FIT_FEATURES)
            self._contender.prepare(make_problem(small)).call()
        problem = make_problem(case, folder)
        if case.op in PROBED:
            self._probe(problem, limit)
        self._problem = problem
        self._run = self._contender.prepare(problem)
        if case.is_fit:
            return Prepared(float("nan"))
        result, first = self._timed()
        error = check(problem, result, self._at, ours=self._name.startswith(OURS))
        return Prepared(error, first, result if case.op == "agop" else None)

    def _probe(self, problem: Problem, limit: float) -> None:
        n = len(problem.Z)
        rows = -(-n // PROBE_PART)
        run: Run = self._contender.prepare(problem.at_rows(np.arange(rows)))
        run.call()  # starts threads
        start = time.perf_counter()
        run.call()
        seconds = (time.perf_counter() - start) * n / rows
        if seconds > limit:
            raise TooSlowError(
                f"too slow: about {seconds:.0f} s a call, judged by {rows:,} of {n:,} rows; "
                f"the limit is {limit:.0f} s"
            )

    def _at(self, problem: Problem) -> NDArray[Any]:
        run: Run = self._contender.prepare(problem)
        return run.to_numpy(run.call())

    def _timed(self) -> tuple[NDArray[Any], Timing]:
        assert self._problem is not None
        assert self._run is not None
        self._memory.reset()
        start = time.perf_counter()
        result = self._run.call()
        seconds = time.perf_counter() - start
        peak = self._memory.peak()
        array = self._run.to_numpy(result)
        if not np.isfinite(array).all():
            raise WrongResultError("wrong: not finite")
        test_error = rmse(self._problem, array) if self._problem.case.is_fit else float("nan")
        return array, Timing(seconds, peak, test_error)


def serve(name: str, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""

    def send(ok: bool, value: Any) -> None:
        pickle.dump((ok, value), answers)
        answers.flush()

    try:
        worker = Worker(name)
    except ImportError as error:
        send(False, f"not installed ({error})")
        return
    except Exception as error:  # such as a folder that cannot be written
        send(False, f"cannot be loaded ({type(error).__name__}: {error})")
        return
    send(True, None)
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        try:
            value = worker.answer(request)
        except (TooSlowError, WrongResultError) as error:
            send(False, str(error))
        except Exception as error:  # a contender may fail in any way; the others go on
            send(False, f"{type(error).__name__}: {error}".splitlines()[0][:200])
        else:
            send(True, value)


def main() -> None:
    """Keep the pipe to the parent, and let everything else that writes write to nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.simplefilter("ignore")
    serve(sys.argv[1], sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
