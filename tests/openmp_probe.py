"""Use the core and fork where another package's libgomp comes first in the process.

Not a test module: ``test_fork.py`` runs it in a process of its own. PyTorch's wheels put their
libgomp before every other; here it is scikit-learn's, loaded in the same way. It prints "done" if
parent and children got the same bits.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import signal
import sys
from pathlib import Path

CHILD_SECONDS = 60  # a child that hangs kills itself


def other_libgomp() -> Path | None:
    """Return the libgomp in scikit-learn's wheel, if it has one."""
    for file in importlib.metadata.files("scikit-learn") or []:
        if file.name.startswith("libgomp"):
            return Path(str(file.locate()))
    return None


def main() -> None:
    """Load that libgomp, then fastrfm, and run an op on both sides of forks."""
    library = other_libgomp()
    assert library is not None
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)

    import numpy as np

    import fastrfm

    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((600, 24)), rng.standard_normal((600, 2))
    expected = fastrfm.agop(X, X, coef).tobytes()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            signal.alarm(CHILD_SECONDS)
            os._exit(0 if fastrfm.agop(X, X, coef).tobytes() == expected else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert fastrfm.agop(X, X, coef).tobytes() == expected


if __name__ == "__main__":
    main()
    sys.stdout.write("done\n")
