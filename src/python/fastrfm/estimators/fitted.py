"""What a fit leaves behind of each member."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.kernels import Kernel
from fastrfm.metric import Root, agop_in_units, metric_of_root
from fastrfm.preprocessing import Columns, TableEncoder
from fastrfm.problem import Member
from fastrfm.recursion import Array, RecursionResult
from fastrfm.remote import RemoteRows

__all__ = ["OF_HEAVIEST", "FittedMember", "fitted_member", "importances", "metric_in_use"]

# Attributes of the estimator that are those of its heaviest member.
OF_HEAVIEST = (
    "metric_",
    "dual_coef_",
    "X_fit_",
    "norm_",
    "exponent_",
    "bandwidth_",
    "alpha_",
    "agop_",
    "best_iter_",
    "n_iter_",
    "history_",
)


@dataclass(frozen=True)
class FittedMember:
    """One of the predictors whose weighted sum an estimator is.

    Attributes
    ----------
    metric_ : ndarray of shape (d, d) or (d,)
        The metric `M` of the kernel, in encoded features; its diagonal if that alone was learned.
    dual_coef_ : ndarray of shape (n, c)
        Coefficients of the kernel at the rows of `X_fit_`.
    X_fit_ : ndarray of shape (n, d)
        The training rows, encoded.
    norm_, exponent_, bandwidth_, alpha_ : float
    agop_ : ndarray of shape (d, d) or (d,)
        AGOP of the member, in encoded features and coded targets, summed over outputs.
    best_iter_, n_iter_ : int
        The iteration that was kept, and the number of metric updates made.
    history_ : list of dict
    columns_ : {"standard", "compressed", "ranked"}
        How numeric columns were scaled.
    """

    metric_: NDArray[np.floating[Any]]
    dual_coef_: Array
    X_fit_: Array = field(repr=False)
    norm_: float
    exponent_: float
    bandwidth_: float
    alpha_: float
    agop_: NDArray[np.float64] = field(repr=False)
    best_iter_: int
    n_iter_: int
    history_: list[dict[str, Any]] = field(repr=False)
    columns_: Columns
    _kernel: Kernel = field(repr=False)
    _root: Root = field(repr=False)

    def decide(self, X: Array) -> Array:
        """Return ``K(X, X_fit_) @ dual_coef_`` for encoded rows, of shape (len(X), c)."""
        result: Array = backend.kernel_matmul(
            X, self.X_fit_, self.dual_coef_, self._kernel, self._root
        )
        return result


def fitted_member(
    member: Member, result: RecursionResult, X_fit: Array | RemoteRows
) -> FittedMember:
    """Return the member that a recursion on the rows `X_fit` ended with."""
    if isinstance(X_fit, RemoteRows):
        X_fit = X_fit.gathered(member.settings.memory_limit)
    return FittedMember(
        metric_=metric_in_use(result.root, X_fit.shape[1], diagonal=member.settings.diagonal),
        dual_coef_=result.coef,
        X_fit_=X_fit,
        norm_=result.kernel.norm,
        exponent_=result.kernel.exponent,
        bandwidth_=result.kernel.bandwidth,
        alpha_=result.alpha,
        agop_=result.agop,
        best_iter_=result.best_iter,
        n_iter_=max(entry["iteration"] for entry in result.history),
        history_=result.history,
        columns_=member.columns,
        _kernel=result.kernel,
        _root=result.root,
    )


def metric_in_use(root: Root, n_features: int, *, diagonal: bool) -> NDArray[np.floating[Any]]:
    """Return the metric of a root, (d, d) or (d,): the identity in full, or as its diagonal."""
    metric = metric_of_root(root)
    if metric is not None:
        # Of raw columns even the first metric has weights.
        return np.diag(metric) if metric.ndim == 1 and not diagonal else metric
    return np.ones(n_features) if diagonal else np.eye(n_features)


def importances(
    member: FittedMember, encoder: TableEncoder, n_features: int
) -> NDArray[np.float64]:
    """Return each input feature's share of the AGOP's trace, of shape (n_features,).

    Parameters
    ----------
    member : FittedMember
    encoder : TableEncoder
        Of the member's columns.
    n_features : int

    Returns
    -------
    ndarray of shape (n_features,)
        Sums to 1; all 0 for a constant predictor.
    """
    diagonal = member.agop_ if member.agop_.ndim == 1 else np.diag(member.agop_)
    if encoder.units_ is not None:
        diagonal = agop_in_units(diagonal, encoder.units_)
    shares = np.bincount(encoder.source_, diagonal, n_features)
    total = shares.sum()
    return shares / total if total > 0 else np.zeros(n_features)
