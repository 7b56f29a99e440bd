"""The parameters of the tree estimators: their own, and those of the estimators in their leaves.

The latter are written once, in `RFMRegressor` and `RFMClassifier`; signature and docstring of a
tree estimator are put together from theirs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeVar

from sklearn.utils._param_validation import Interval, StrOptions

__all__ = ["OWN_CONSTRAINTS", "describe", "signature_with"]

Class = TypeVar("Class", bound=type)

# Rows of a leaf. xRFM's 60,000 are for a GPU: a fit of them takes 8 GB and, on 2 cores, minutes;
# of 20,000 1 GB. Fewer gain little time, since each leaf searches 2,000 rows whatever its size, and
# lose accuracy on smooth targets: with leaves of 5,000 (bench/results/trees.md).
MAX_LEAF_SIZE = 20_000
# Rows of the machine that says where to split: as many as a leaf's search has, so it costs no more
# than one. Test error of 2,000 / 500, 4,000 rows in leaves of 1,000, norm 2: pol .106 / .115,
# elevators .358 / .355, california_housing .472 / .467, kin40k .212 / .212, credit_default .190 /
# .191.
SPLIT_ROWS = 2_000
# Test error of 0 / 0.1 / 0.25, 4,000 rows in 4 leaves, norm 2: pol .113 / .102 / .101, elevators
# .3546 / .3543 / .3542, california_housing .468 / .464 / .461, chess_krvk .457 / .446 / .448; 0.25
# gives each of them three tenths more rows than 0.1.
OVERLAP = 0.1

_OWN_DEFAULTS: dict[str, Any] = {
    "max_leaf_size": MAX_LEAF_SIZE,
    "n_trees": 1,
    "split_rows": SPLIT_ROWS,
    "overlap": OVERLAP,
    "temperature": "auto",
    "n_jobs": None,
}

# A leaf of fewer rows could be one of a single row.
OWN_CONSTRAINTS: dict[str, list[Any]] = {
    "max_leaf_size": [Interval(Integral, 20, None, closed="left")],
    "n_trees": [Interval(Integral, 1, None, closed="left")],
    "split_rows": [Interval(Integral, 20, None, closed="left")],
    "overlap": [Interval(Real, 0, 0.5, closed="both")],
    "temperature": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    "n_jobs": [Integral, None],
}

_OWN = """\
max_leaf_size : int, default=20_000
    Rows with more are split, so that no leaf has more. Up to so many rows, the model is what the
    plain estimator is.
n_trees : int, default=1
    Number of trees, whose predictions are averaged. They differ in the rows that say where to
    split.
split_rows : int, default=2_000
    Number of a node's rows, stratified over the targets, that fit the small machine whose AGOP
    says along which direction to split.
overlap : float, default=0.1
    The part of a node's rows, those next to the threshold, that the leaves of both sides are
    fitted to; at most 0.5.
temperature : float, default="auto"
    How softly rows belong to leaves: at a split, the weight of the right side is a logistic
    function of the distance from the threshold over `temperature` times the interquartile range of
    the node's rows. 0 is hard. "auto" tries 0 and twenty values from 0.025 to 4.5 on `X_val`, or on
    a tenth of the rows, at most 2,000, that no leaf is fitted to.
n_jobs : int, default=None
    Number of leaves fitted at a time, by joblib; -1 is one a core. The backend is that of
    ``joblib.parallel_config``, by default processes, whose threads joblib bounds. None is
    the context's, or one at a time with all threads."""


def signature_with(plain: type) -> inspect.Signature:
    """Return the signature of `__init__`: a tree's parameters, then those of its leaves."""
    (self, *of_leaves) = inspect.signature(plain.__init__).parameters.values()  # type: ignore[misc]
    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in _OWN_DEFAULTS.items()
    ]
    return inspect.Signature([self, *own, *of_leaves])


def describe(plain: type) -> Callable[[Class], Class]:
    """Return a decorator that replaces ``{parameters}`` in a docstring by their descriptions."""

    def described(cls: Class) -> Class:
        if plain.__doc__ is not None and cls.__doc__ is not None:  # as under python -OO
            text = inspect.cleandoc(plain.__doc__)
            of_leaves = text[text.index("norm : float") : text.index("\n\nAttributes\n")]
            doc = inspect.cleandoc(cls.__doc__)
            cls.__doc__ = doc.replace("{parameters}", f"{_OWN}\n{of_leaves}") + "\n"
        return cls

    return described
