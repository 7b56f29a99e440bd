"""Who is measured: fastrfm, and what people use without it. Each runs in a process of its own."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from fastrfm.bench.cases import Case, Problem
from fastrfm.bench.contenders.result import Run

__all__ = ["CONTENDERS", "OURS", "OURS_OUT", "Contender", "load_contender"]

OURS = "fastrfm"
OURS_OUT = "fastrfm, out="
# Name -> module. The name is what `fastrfm bench --peers` takes and what the table shows.
CONTENDERS = {
    OURS: "ours",
    OURS_OUT: "ours_out",
    "xRFM": "xrfm_package",
    "PyTorch": "textbook_torch",
    "PyKeOps": "keops",
    "scikit-learn": "sklearn_package",
}


class Contender(Protocol):
    """A module of this folder."""

    def version(self) -> str:
        """Return the name and version of what is measured."""

    def supports(self, case: Case) -> bool:
        """Return whether there is such an operation."""

    def prepare(self, problem: Problem) -> Run:
        """Convert the inputs, untimed, and return what is timed."""

    def sgemm(self, size: int) -> float:
        """Return the seconds of one float32 product of square matrices."""


def load_contender(name: str) -> Any:
    """Import a contender's module, a `Contender`.

    Raises
    ------
    ImportError
        If what it measures is not installed.
    """
    return importlib.import_module(f"{__name__}.{CONTENDERS[name]}")
