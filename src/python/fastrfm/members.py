"""The kinds of predictor that an estimator combines, and what of them the caller may fix.

Measured on 47 data sets of at most 1,500 rows (bench/results/accuracy.md names its command): which
kernel suits a data set differs more than which bandwidth or ridge, so several are fitted and
weighted by their leave-one-out predictions. Geometric means over 15 regression sets of the test
RMSE, and over 32 classification sets of the error, against the first two of these kinds:
smooth added, .987 and 1.00; ranked added, .981 and .93; all four, .973 and .94; the first alone,
1.14 and 1.04.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fastrfm.preprocessing import Columns

__all__ = ["AUTO_ALPHAS", "AUTO_KINDS", "AUTO_N_ITER", "PAPERS", "Kind", "kinds"]

# The ridges that are searched: a factor of ten apart, beyond which leave-one-out chose on none of
# the 47 sets.
AUTO_ALPHAS = (3e-5, 3e-4, 3e-3, 3e-2, 0.3, 3.0)
# Error relative to three updates of the metric, for 0 to 4 of them: 1.20, 1.016, 1.001, 1, 1.006.
AUTO_N_ITER = 3
# A distance of a smaller norm is nearer to the sum of the coordinates' own: such a kernel has no
# use for rotations.
_LARGE_NORM = 1.5


@dataclass(frozen=True)
class Kind:
    """A kernel, the metric that it learns, and the columns that it sees.

    Attributes
    ----------
    columns : {"standard", "compressed", "ranked"}
        How numeric columns are scaled; see `fastrfm.preprocessing`.
    norm, exponent : float
    bandwidth : float or str
    diagonal : bool
    agop_power : float
    """

    columns: Columns
    norm: float
    exponent: float
    bandwidth: float | str
    diagonal: bool
    agop_power: float


# One RFM as the papers fit it: estimator parameters.
PAPERS: dict[str, Any] = {
    "norm": 2.0,
    "exponent": 1.0,
    "bandwidth": 10.0,
    "alpha": 1e-3,
    "diagonal": False,
    "agop_power": 0.5,
    "n_iter": 5,
}

_LAPLACE = Kind("compressed", 2.0, 1.3, "4*median", False, 0.35)
_PRODUCT = Kind("compressed", 1.0, 1.0, "0.7*median", True, 1.0)
_SMOOTH = Kind("compressed", 2.0, 1.6, "3*median", False, 0.35)
_RANKED = Kind("ranked", 1.0, 1.0, "0.7*median", True, 1.0)

AUTO_KINDS = (_LAPLACE, _PRODUCT, _SMOOTH, _RANKED)


def kinds(
    *,
    norm: float | None = None,
    exponent: float | None = None,
    bandwidth: float | str | None = None,
    diagonal: bool | None = None,
    agop_power: float | None = None,
) -> tuple[Kind, ...]:
    """Return the kinds to fit; what is None is chosen, what is not holds for all of them.

    With a norm there is one kind, of plainly standardised columns. Without one there are those of
    `AUTO_KINDS` that admit the given exponent, each once.
    """
    fixed: dict[str, Any] = {
        name: value
        for name, value in (
            ("exponent", exponent),
            ("bandwidth", bandwidth),
            ("diagonal", diagonal),
            ("agop_power", agop_power),
        )
        if value is not None
    }
    if norm is not None:
        kind = _LAPLACE if norm >= _LARGE_NORM else _PRODUCT
        kind = replace(kind, columns="standard", norm=norm, exponent=min(kind.exponent, norm))
        return (replace(kind, **fixed),)
    candidates = [replace(kind, **fixed) for kind in AUTO_KINDS]
    return tuple(dict.fromkeys(kind for kind in candidates if kind.exponent <= kind.norm))
