"""RFMRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from fastrfm.estimators.base import BaseRFM
from fastrfm.selection import Loss, SquaredError


class RFMRegressor(MultiOutputMixin, RegressorMixin, BaseRFM):
    """Kernel ridge regression whose Mahalanobis metric is learned from the data.

    A Recursive Feature Machine [1]_: fit, take the Average Gradient Outer Product (AGOP) of
    the predictor, make it the metric, repeat; then keep the best iteration. The kernel is
    ``exp(-(||A^T (x - z)||_p / L)^q)`` with ``M = A A^T`` the metric.

    The targets are standardised inside, each output on its own.

    Parameters
    ----------
    norm : float, default=2.0
        The `p` of the distance, in (0, 2].
    exponent : float, default=1.0
        The `q` of the kernel, in (0, `norm`]; 1 with `norm` 2 is the Laplace kernel.
    bandwidth : float or str, default=10.0
        The `L` of the kernel. A string such as ``"4*median"`` takes a multiple of the
        median distance between rows, measured anew at each iteration.
    alpha : float, default=1e-3
        Ridge, as in :class:`sklearn.kernel_ridge.KernelRidge`: ``(K + alpha I) coef = y``.
    diagonal : bool, default=False
        Learn only the diagonal of the metric: a weight for each feature.
    agop_power : float, default=0.5
        Power of the AGOP that becomes `A`; 0.5 makes the AGOP itself the metric.
    n_iter : int, default=5
        Number of metric updates; there is one fit more. 0 is plain kernel ridge regression.
    center_gradients : bool, default=False
        Subtract the mean gradient before the outer product.
    rank_tolerance : float, default=1e-7
        Eigenvalues of the metric below this part of the largest are cut. The fewer remain,
        the faster the next iteration.
    solver : {"auto", "cholesky", "pcg"}, default="auto"
        How the linear system is solved: "cholesky" factorises it, "pcg" runs preconditioned
        conjugate gradients, "auto" takes Cholesky up to 5,000 rows. See :func:`solve_ridge`.
    tol : float, default=1e-4
        Relative residual at which a solution is accepted. "pcg" stops at 1e-2 while the metric
        still moves; the iteration that is kept is solved again to `tol`.
    standardize : bool, default=True
        Give each column of `X` mean 0 and standard deviation 1.
    validation_fraction : float, default=None
        Part of the rows to set aside for choosing the iteration; the chosen one is then
        fitted to all rows. None chooses by closed-form leave-one-out, which sets none aside
        (with "pcg", that of a regression on 4,000 of the rows with the same metric).
    early_stopping : bool, default=True
        Stop when an iteration's score is 1.1 times worse than the best so far.
    agop_samples : int, default=20_000
        Number of rows, drawn at random at each iteration, that the AGOP averages over;
        stratified over the targets.
    agop_output_samples : int, default=None
        Estimate the AGOP, without bias, from this many random mixtures of the outputs for each
        tile of rows instead of from all outputs; see :func:`agop`. For many outputs: 1 or 2 cost
        little more than a single output. None is exact. Not with `center_gradients`.
    memory_limit : int, default=None
        Bytes that a fit may allocate beside the arrays it is given. "auto" and "pcg" keep to it
        by not storing the kernel matrix; a fit that needs more is refused before it starts.
    random_state : int or RandomState, default=None
        Draws the rows that are sampled (for validation, the AGOP, the median distance) and the
        mixtures of outputs.
    verbose : int, default=0
        1 logs each iteration to the logger ``fastrfm``, 2 also the seconds of each phase.
    callbacks : iterable of callable, default=None
        Each is called with each entry of `history_` as soon as its iteration is complete.

    Attributes
    ----------
    metric_ : ndarray of shape (n_features, n_features) or (n_features,)
        The metric `M` of the kernel, in standardised features; its diagonal if `diagonal`.
    dual_coef_ : ndarray of shape (n_samples, n_outputs)
        Coefficients of the kernel at the rows of `X_fit_`, for the standardised targets.
    X_fit_ : ndarray of shape (n_samples, n_features)
        The training rows, standardised.
    norm_, exponent_, bandwidth_, alpha_ : float
        The kernel and the ridge in use. `alpha_` exceeds `alpha` where the factorisation
        failed otherwise (a warning says so).
    best_iter_ : int
        Iteration that was kept.
    n_iter_ : int
        Number of metric updates made.
    history_ : list of dict
        For each iteration: iteration, solver, residual (relative, of the linear system), score
        (mean squared error of the standardised targets), alpha, bandwidth, rank (columns of
        `A`), seconds (of the phases solve, select, agop).
    agop_ : ndarray of shape (n_features, n_features) or (n_features,)
        AGOP of the predictor, in standardised features and targets, summed over outputs.
    feature_importances_ : ndarray of shape (n_features,)
        Diagonal of `agop_`, scaled to sum to 1 (all zero for a constant predictor).
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where `X` has feature names that are all strings.

    See Also
    --------
    RFMClassifier : The same for classes.
    sklearn.kernel_ridge.KernelRidge : Kernel ridge regression with a fixed metric.

    References
    ----------
    .. [1] A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin. Mechanism for feature
       learning in neural networks and backpropagation-free machine learning models.
       Science 383 (2024). https://doi.org/10.1126/science.adi5639

    Examples
    --------
    >>> from fastrfm import RFMRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = RFMRegressor(alpha=1.0).fit(X, y)
    >>> model.feature_names_in_[model.feature_importances_.argmax()]
    'bmi'
    """

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the units of the training targets, and of their shape.
        """
        f = self._raw_predict(X).astype(np.float64)
        y: NDArray[np.float64] = self._target_scaler.inverse_transform(f)
        return y[:, 0] if self._target_ndim == 1 else y

    def _validate_training_data(
        self, X: ArrayLike, y: ArrayLike
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        X_array, y_array = validate_data(self, X, y, multi_output=True, y_numeric=True)
        self._target_ndim = y_array.ndim
        return X_array, y_array

    def _fit_targets(self, y: NDArray[Any]) -> NDArray[np.float64]:
        columns = _as_columns(y)
        self._target_scaler = StandardScaler().fit(columns)
        Y: NDArray[np.float64] = self._target_scaler.transform(columns)
        Y[:, np.ptp(columns, axis=0) == 0] = 0  # not what rounding leaves of y minus its mean
        return Y

    def _encode_targets(self, y: ArrayLike) -> NDArray[np.float64]:
        columns = _as_columns(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y_val"))
        expected = self._target_scaler.n_features_in_
        if columns.shape[1] != expected:
            raise ValueError(f"y_val has {columns.shape[1]} outputs, but y has {expected}")
        Y: NDArray[np.float64] = self._target_scaler.transform(columns)
        return Y

    def _loss(self) -> Loss:
        return SquaredError()


def _as_columns(y: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(y, dtype=np.float64).reshape(len(y), -1)
