"""After a fork, parent and child both go on, with all their threads and the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import fork_probe
import openmp_probe

LIMIT = 120  # seconds; each case takes a few

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and counts threads in /proc"),
]


# glibc's malloc is made for this. AddressSanitizer's (GCC 12's, at least) leaves the child a lock
# that a thread which was allocating held, and every thread of the child waits for it for ever.
UNDER_ADDRESS_SANITIZER = "libasan" in os.environ.get("LD_PRELOAD", "")


# Of the others, which begin a process each, the suite has enough.
QUICK = ("main_thread", "during_an_op", "pcg")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case.__name__, marks=[pytest.mark.slow] * (case.__name__ not in QUICK))
        for case in fork_probe.CASES
    ],
)
def test_the_core_works_on_both_sides_of_a_fork(case: str) -> None:
    if UNDER_ADDRESS_SANITIZER and case == fork_probe.during_an_op.__name__:
        pytest.skip("AddressSanitizer's allocator does not survive a fork while a thread allocates")
    environment = {
        "OMP_NUM_THREADS": str(fork_probe.THREADS),
        "OPENBLAS_NUM_THREADS": "1",  # the probe counts threads
    }
    run_probe(fork_probe.__file__, case, environment=environment)


# With that of scikit-learn 1.5.0, GCC 8's, the child hung: it has no omp_pause_resource, and the
# one of another libgomp ended nothing. `make test-oldest` runs this with an old scikit-learn.
@pytest.mark.skipif(
    openmp_probe.other_libgomp() is None, reason="this scikit-learn has no libgomp of its own"
)
def test_the_core_works_where_another_libgomp_comes_first() -> None:
    run_probe(openmp_probe.__file__, environment={"OMP_NUM_THREADS": str(fork_probe.THREADS)})


def run_probe(*command: str, environment: dict[str, str]) -> None:
    """Run a probe in a process of its own; the test fails where it hangs or does not finish."""
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the children, which hold the pipes
            pytest.fail(f"{' '.join(command)} hangs")
    assert process.returncode == 0, errors
    assert output == "done\n"
