"""Run one piece of work in a process of its own; print its peak memory as JSON.

Usage: python memory_probe.py '{"work": "solve" | "fit", "n": .., "d": .., ...}'. The peak is the
highest resident set: of the whole process, and above what was resident before the work, after a
small one has loaded and started everything. It is read from the kernel's own high-water mark:
`resource.getrusage` gives that of the process which started this one where that was higher.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import fastrfm
from fastrfm.members import PAPERS
from fastrfm.ridge import make_plan

# Rows of the first work, whose own peak must stay below that of the work itself: in 2,000 rows of
# float64 K takes 16 MB.
SMALL = 1_000


def give_back_free_memory() -> None:
    """Have the allocator return what earlier work left free, or later work takes it for nothing."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)


def resident() -> int:
    """Return the bytes resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """Return the most bytes ever resident."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def data(n: int, d: int, c: int, dtype: str) -> tuple[Any, Any]:
    """Return rows and targets; no temporary is larger than what comes after."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.dtype(dtype).type)
    Y = np.stack([X[:, j % d] * X[:, (j + 1) % d] for j in range(c)], axis=1)
    return X, Y


def main() -> None:
    """Do the work and print."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    options = json.loads(sys.argv[1])
    work, n, d = options.pop("work"), options.pop("n"), options.pop("d")
    c, dtype = options.pop("c", 1), options.pop("dtype", "float32")
    small = dict(options, memory_limit=None)
    info: dict[str, Any] = {}
    if work == "solve":
        fastrfm.solve_ridge(*data(SMALL, d, c, dtype), **small)
        if options.get("solver") == "pcg":
            # and as it goes without a stored K: what that way loads is not the solve's
            limit = make_plan(SMALL, d, c, dtype, "pcg", None).bytes - 1
            fastrfm.solve_ridge(*data(SMALL, d, c, dtype), **dict(options, memory_limit=limit))
        X, Y = data(n, d, c, dtype)
        give_back_free_memory()
        before = resident()
        _, info = fastrfm.solve_ridge(X, Y, return_info=True, **options)
    else:
        model = fastrfm.RFMRegressor(random_state=0, **PAPERS | small)
        model.fit(*data(SMALL, d, c, dtype))
        X, Y = data(n, d, c, dtype)
        give_back_free_memory()
        before = resident()
        model.set_params(**options).fit(X, Y)
        info["solver"] = model.history_[-1]["solver"]
    print(json.dumps({"peak": peak(), "taken": peak() - before, **info}))


if __name__ == "__main__":
    main()
