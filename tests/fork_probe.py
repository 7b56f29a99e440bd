"""Use the core, fork in one of the ways that Python programs do, and use it on both sides.

Not a test module: ``test_fork.py`` runs it in a process of its own, because a child of a process
with threads is what Python 3.12 and newer warn of, and because a failure is a hang. It prints
"done" if every process got the bits that it should, on as many threads as it should.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import joblib
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

import fastrfm
from cases import plain_regressor
from fastrfm.threads import one_blas_thread

THREADS = 3
CHILD_SECONDS = 60  # a child that hangs kills itself

rng = np.random.default_rng(0)
X = rng.standard_normal((600, 24)).astype(np.float32)
coef = rng.standard_normal((600, 2)).astype(np.float32)


def op() -> bytes:
    """Run an op that is worth more than `THREADS` threads."""
    return fastrfm.agop(X, X, coef).tobytes()


def fit(solver: str) -> bytes:
    """Run a fit of BLAS and OpenMP by turns; for one BLAS thread its bits are fixed.

    A short one: on a single core, every call of a BLAS with two threads waits for the scheduler.
    """
    model = plain_regressor(n_iter=1, solver=solver, tol=0.1, random_state=0)
    return model.fit(X[:300], X[:300, 0] * X[:300, 1]).dual_coef_.tobytes()


def live_threads() -> int:
    """Count the main thread and OpenMP's, which bear its name (unlike, say, pyarrow's)."""
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    return names.count(Path("/proc/self/comm").read_text())


def in_child(work: Callable[[], None]) -> None:
    """Fork, run `work` in the child, and wait for it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(CHILD_SECONDS)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, os.waitstatus_to_exitcode(status)


def expect(result: bytes) -> Callable[[], None]:
    """Return the check that the op gives `result`, and on `THREADS` threads, the only ones here."""

    def check() -> None:
        assert op() == result
        deadline = time.monotonic() + 10  # a Python thread that has ended takes its own down later
        while live_threads() != THREADS and time.monotonic() < deadline:
            time.sleep(0.01)
        assert live_threads() == THREADS, live_threads()

    return check


def main_thread() -> None:
    """Fork from the thread that has used the core, more than once."""
    check = expect(op())
    check()
    for _ in range(3):
        in_child(check)
        check()


def nested() -> None:
    """Fork in a child that has used its own threads."""
    check = expect(op())

    def child() -> None:
        check()
        in_child(check)
        check()

    in_child(child)
    check()


def other_threads_use() -> None:
    """Fork from the main thread, while the thread that has used the core is alive, and after."""
    used, leave = threading.Event(), threading.Event()
    results = []

    def user() -> None:
        results.append(op())
        used.set()
        leave.wait()
        results.append(op())

    thread = threading.Thread(target=user)
    thread.start()
    used.wait()
    in_child(expect(results[0]))
    leave.set()
    thread.join()
    assert results[0] == results[1]
    in_child(expect(results[0]))
    expect(results[0])()


def from_another_thread() -> None:
    """Fork from a Python thread, which has used the core as the main thread has."""
    result = op()

    def forker() -> None:
        in_child(expect(result))
        assert op() == result
        in_child(expect(result))
        assert op() == result

    run_in_thread(forker)
    expect(result)()


def during_an_op() -> None:
    """Fork while another Python thread is inside an op."""
    result, stop, wrong = op(), threading.Event(), []

    def user() -> None:
        while not stop.is_set():
            if op() != result:
                wrong.append(True)

    thread = threading.Thread(target=user)
    thread.start()
    try:
        for _ in range(5):
            in_child(expect(result))
            assert op() == result
    finally:
        stop.set()
        thread.join()
    assert not wrong


def multiprocessing_pool() -> None:
    """Use the core in workers that multiprocessing forks, and in the ones that replace them."""
    result = op()
    with get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        for answer in pool.imap_unordered(call_op, range(6)):
            assert answer == result
    assert op() == result


def joblib_multiprocessing() -> None:
    """Use the core in workers of joblib's "multiprocessing" backend."""
    result = op()
    for _ in range(2):
        parallel = joblib.Parallel(n_jobs=2, backend="multiprocessing")
        assert parallel(joblib.delayed(op)() for _ in range(4)) == [result] * 4
    assert op() == result


def fits(solver: str) -> None:
    """Run a whole fit in a child after one in the parent."""
    with threadpool_limits(2, user_api="blas"):
        fit(solver)  # BLAS has used its threads too
        expected = fit_on_one_blas_thread(solver)

        def child() -> None:
            fit(solver)
            assert fit_on_one_blas_thread(solver) == expected

        in_child(child)
        child()


def cholesky() -> None:
    """Run a fit by Cholesky on both sides."""
    fits("cholesky")


def pcg() -> None:
    """Run a fit by pcg on both sides."""
    fits("pcg")


def one_blas_thread_held() -> None:
    """Fork while another Python thread has BLAS on one thread: the child is not held to it."""
    held, leave = threading.Event(), threading.Event()

    def holder() -> None:
        with one_blas_thread():
            held.set()
            leave.wait()

    def child() -> None:
        assert blas_threads() == {2}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {2}

    with threadpool_limits(2, user_api="blas"):
        thread = threading.Thread(target=holder)
        thread.start()
        held.wait()
        assert blas_threads() == {1}
        in_child(child)
        assert blas_threads() == {1}
        leave.set()
        thread.join()
        assert blas_threads() == {2}


def fit_on_one_blas_thread(solver: str) -> bytes:
    """Run a fit whose bits do not depend on BLAS."""
    with threadpool_limits(1, user_api="blas"):
        return fit(solver)


def blas_threads() -> set[int]:
    """Return the numbers of threads of the BLAS libraries."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def call_op(_: int) -> bytes:
    """Run the op in a pool's worker."""
    signal.alarm(CHILD_SECONDS)
    return op()


def run_in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a Python thread and raise here what it raised there."""
    failures: list[BaseException] = []

    def target() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


CASES = [
    main_thread,
    nested,
    other_threads_use,
    from_another_thread,
    during_an_op,
    multiprocessing_pool,
    joblib_multiprocessing,
    cholesky,
    pcg,
    one_blas_thread_held,
]

if __name__ == "__main__":
    {case.__name__: case for case in CASES}[sys.argv[1]]()
    sys.stdout.write("done\n")
