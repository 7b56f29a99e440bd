"""What a report says in tables: the data, the model, how sure a number is."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from fastrfm._version import __version__
from fastrfm.estimators.base import BaseRFM

__all__ = ["data_facts", "members_table", "number", "versions", "with_error"]

Fact = tuple[str, str]

NOT_DEFINED = "\N{EN DASH}"
# Of more classes the rest is counted, not listed.
MOST_CLASSES = 20


def number(value: float, digits: int = 4) -> str:
    """Return a number as people write it; a dash for what is not defined."""
    if not np.isfinite(value):
        return NOT_DEFINED
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.{digits}g}"


def with_error(value: float, error: float) -> str:
    """Return a value to the two digits of its standard error that mean something."""
    if not np.isfinite(value):
        return NOT_DEFINED
    if not np.isfinite(error) or error <= 0:
        return f"{value:,.3f}"
    decimals = int(np.clip(1 - np.floor(np.log10(error)), 0, 12))
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def data_facts(rfm: BaseRFM, X: Any, y: NDArray[Any], target: str, source: Any) -> list[Fact]:
    """Return what was fitted to, as names and values."""
    encoder = rfm._encoders[rfm.members_[int(np.argmax(rfm.member_weights_))].columns_]
    categorical = int(encoder.is_categorical_.sum())
    numeric = rfm.n_features_in_ - categorical
    missing = int(np.count_nonzero(encoder._scaler.has_missing))
    facts = [] if source is None else [("data", str(source))]
    facts += [
        ("rows", f"{_num_samples(X):,}"),
        (
            "columns",
            f"{rfm.n_features_in_:,}: {numeric:,} numeric ({missing:,} of them with missing "
            f"values), {categorical:,} categorical; {len(encoder.source_):,} once encoded",
        ),
        ("target", target),
    ]
    if hasattr(rfm, "classes_"):
        labels, counts = np.unique(y, return_counts=True)
        shown = [f"{label}: {count:,}" for label, count in zip(labels, counts, strict=True)]
        more = "" if len(shown) <= MOST_CLASSES else f", and {len(shown) - MOST_CLASSES} more"
        facts.append(("task", f"classification into {len(labels)} classes"))
        facts.append(("rows of each class", ", ".join(shown[:MOST_CLASSES]) + more))
    else:
        outputs = "" if y.ndim == 1 else f" of {y.shape[1]} outputs"
        facts.append(("task", f"regression{outputs}"))
        if y.ndim == 1:
            low, high = number(float(y.min())), number(float(y.max()))
            facts.append(
                (
                    "target's values",
                    f"from {low} to {high}, mean {number(float(y.mean()))}, standard deviation "
                    f"{number(float(y.std()))}",
                )
            )
    return facts


def members_table(rfm: BaseRFM) -> tuple[Sequence[str], list[list[str]]]:
    """Return the heads and the rows of a table of the members: what "auto" chose."""
    heads = (
        "member",
        "weight",
        "norm",
        "exponent",
        "numeric columns",
        "metric",
        "bandwidth",
        "ridge alpha",
        "iteration kept",
        "rows",
    )
    rows = []
    for index, (member, weight) in enumerate(zip(rfm.members_, rfm.member_weights_, strict=True)):
        rows.append(
            [
                str(index),
                f"{weight:.3f}",
                f"{member.norm_:g}",
                f"{member.exponent_:g}",
                member.columns_,
                "full" if member.metric_.ndim == 2 else "diagonal",
                number(member.bandwidth_),
                number(member.alpha_, 2),
                f"{member.best_iter_} of {member.n_iter_}",
                f"{len(member.X_fit_):,}",
            ]
        )
    return heads, rows


def versions() -> str:
    """Return the versions of what computed."""
    return (
        f"fastrfm {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}"
    )
