"""Count the threads of a process that was told how many to have; print them as JSON.

Not a test module: ``test_threads.py`` runs it in a process of its own, since most such limits are
read when the core is loaded.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

if sys.argv[1:] == ["one_core"]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

import fastrfm
from cases import plain_regressor
from fastrfm import backend
from fork_probe import blas_threads, live_threads

X = np.random.default_rng(0).standard_normal((600, 24))


def use() -> None:
    """Run every kind of work: an op, a fit by each solver, a prediction."""
    fastrfm.agop(X, X, X[:, :2])
    for solver in ("cholesky", "pcg"):
        model = plain_regressor(n_iter=1, solver=solver, random_state=0)
        model.fit(X, X[:, 0] * X[:, 1]).predict(X)


def environment() -> dict[str, Any]:
    """Leave the numbers to the environment."""
    use()
    return {"max_threads": backend.max_threads(), "live": live_threads()}


def limits() -> dict[str, Any]:
    """Work under a limit, then without."""
    with threadpool_limits(1, user_api="openmp"):
        use()
        limited = {"limited_max_threads": backend.max_threads(), "limited_live": live_threads()}
    return {**limited, **environment()}


def in_worker(_: int) -> tuple[int, list[int]]:
    """Work in a worker of joblib."""
    use()
    return backend.max_threads(), sorted(blas_threads())


def inner() -> dict[str, Any]:
    """Work in processes that joblib has told to have one thread each."""
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        seen = joblib.Parallel(n_jobs=2)(joblib.delayed(in_worker)(i) for i in range(2))
    return {"max_threads": [s[0] for s in seen], "blas": [s[1] for s in seen]}


CASES = {"environment": environment, "limits": limits, "one_core": environment, "joblib": inner}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(CASES[sys.argv[1]]()))
