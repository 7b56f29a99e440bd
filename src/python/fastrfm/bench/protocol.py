"""What the parent and the contenders' processes say to each other, pickled over pipes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.cases import Case

__all__ = ["Prepared", "Request", "Timing"]


@dataclass(frozen=True)
class Request:
    """What the parent asks for; the answer is a pair (True, value) or (False, reason).

    Attributes
    ----------
    what : {"version", "supports", "prepare", "run", "drop", "sgemm", "memory_rates"}
    case : Case, optional
        For "supports" and "prepare".
    threads : int
        For "memory_rates".
    quick : bool
        For "sgemm" and "memory_rates": smaller arrays.
    limit : float
        For "prepare": the seconds that one call may take.
    folder : Path, optional
        For "prepare": where real tables lie.
    """

    what: str
    case: Case | None = None
    threads: int = 1
    quick: bool = False
    limit: float = float("inf")
    folder: Path | None = None


@dataclass(frozen=True)
class Timing:
    """The answer to "run": seconds, peak bytes, and of a whole fit its test error (else NaN)."""

    seconds: float
    peak_bytes: int
    test_error: float


@dataclass(frozen=True)
class Prepared:
    """The answer to "prepare": the warm-up.

    Attributes
    ----------
    error : float
        Against the oracle on a sub-block; NaN for a whole fit.
    first : Timing or None
        The first run; None for a whole fit, which is not run before its time is taken.
    whole : ndarray or None
        An AGOP: it is a mean over all rows, of which the oracle has seen few, so that the
        contenders' must agree.
    """

    error: float
    first: Timing | None = None
    whole: NDArray[Any] | None = None

    def differs_from(self, other: Prepared) -> float:
        """Return the largest difference of the whole results, relative to the largest entry."""
        if self.whole is None or other.whole is None:
            return 0.0
        return float(np.abs(self.whole - other.whole).max() / np.abs(other.whole).max())
