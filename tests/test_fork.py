"""After a fork, parent and child both go on, with all their threads and the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fork_probe

PROBE = Path(__file__).with_name("fork_probe.py")
LIMIT = 120  # seconds; each case takes a few

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and counts threads in /proc"),
]


# glibc's malloc is made for this. AddressSanitizer's (GCC 12's, at least) leaves the child a lock
# that a thread which was allocating held, and every thread of the child waits for it for ever.
UNDER_ADDRESS_SANITIZER = "libasan" in os.environ.get("LD_PRELOAD", "")


@pytest.mark.parametrize("case", [case.__name__ for case in fork_probe.CASES])
def test_the_core_works_on_both_sides_of_a_fork(case: str) -> None:
    if UNDER_ADDRESS_SANITIZER and case == fork_probe.during_an_op.__name__:
        pytest.skip("AddressSanitizer's allocator does not survive a fork while a thread allocates")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(fork_probe.THREADS),
        "OPENBLAS_NUM_THREADS": "1",  # the probe counts threads
    }
    with subprocess.Popen(
        [sys.executable, str(PROBE), case],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the children, which hold the pipes
            pytest.fail(f"{case} hangs")
    assert process.returncode == 0, errors
    assert output == "done\n"
