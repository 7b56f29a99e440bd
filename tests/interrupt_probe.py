"""Run one long op until Ctrl-C and report the moment at which Python saw it.

Not a test module: ``test_interrupt.py`` runs it in a process of its own and sends the signal.
Two lines of output: "running", just before the op starts, then "seen TIME" (time.monotonic, the
same clock in every process of a machine), or "finished" if the op was too short to interrupt.
"""

from __future__ import annotations

import signal
import sys
import time

import numpy as np

import fastrfm

# (rows, centres, features, norm): many seconds of work on one machine, little memory
CASES = {
    "kernel_matmul-p2": (400_000, 400_000, 32, 2.0),
    "kernel_matmul-p1.5": (100_000, 100_000, 32, 1.5),
    "kernel_matrix-p2": (8_000, 8_000, 4_000, 2.0),
    "kernel_matrix-p1.5": (8_000, 8_000, 300, 1.5),
    "symmetric-p1.5": (10_000, 0, 400, 1.5),
    "gradients-p2": (20_000, 2_000_000, 8, 2.0),
    "agop-p2": (200_000, 400_000, 32, 2.0),
    "agop-p1.5": (100_000, 100_000, 32, 1.5),
}


def say(line: str) -> None:
    """Write a line to the process that waits for it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(case: str) -> None:
    """Prepare the arrays, announce the op, run it."""
    # A process that was started in the background may ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    n, m, d, norm = CASES[case]
    op = case.split("-")[0]
    rng = np.random.default_rng(0)
    X = rng.random((n, d), dtype=np.float32)
    Z = rng.random((m, d), dtype=np.float32)
    coef = rng.random((m, 1), dtype=np.float32)
    out = np.empty((n, m if m else n), np.float32) if op in ("kernel_matrix", "symmetric") else None
    try:
        say("running")
        if op == "symmetric":
            fastrfm.kernel_matrix(X, norm=norm, out=out)
        elif op == "kernel_matrix":
            fastrfm.kernel_matrix(X, Z, norm=norm, out=out)
        else:
            getattr(fastrfm, op)(X, Z, coef, norm=norm)
    except KeyboardInterrupt:
        say(f"seen {time.monotonic()}")
    else:
        say("finished")
        return
    # the core must be usable after the interruption
    K = fastrfm.kernel_matrix(X[:5, :3], bandwidth=1.0)
    assert np.isfinite(K).all()
    assert (np.diagonal(K) == 1).all()


if __name__ == "__main__":
    run(sys.argv[1])
