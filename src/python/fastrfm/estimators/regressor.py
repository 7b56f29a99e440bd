"""RFMRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array

from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.collected import collected, is_collection, lazy_for_collections
from fastrfm.estimators.device import as_given, host_data
from fastrfm.losses import Loss, SquaredError
from fastrfm.sklearn_compat import check_targets


class RFMRegressor(MultiOutputMixin, RegressorMixin, BaseRFM):
    """Kernel ridge regression whose Mahalanobis metric is learned from the data.

    A Recursive Feature Machine [1]_: fit, take the Average Gradient Outer Product (AGOP) of
    the predictor, make it the metric, repeat; then keep the best iteration. The kernel is
    ``exp(-(||A^T (x - z)||_p / L)^q)`` with ``M = A A^T`` the metric.

    The targets are standardised inside, each output on its own.

    With the default ``norm="auto"`` it is a weighted sum of up to four such machines, which differ
    in kernel and metric. Ridge, iteration and weights are chosen by leave-one-out in closed form.

    Parameters
    ----------
    norm : float, default="auto"
        The `p` of the distance, in (0, 2]. "auto" fits several members, which differ in norm,
        exponent, bandwidth and in how they see the columns, and adds them up by weights; a
        number fits one plain RFM with that norm.
    exponent : float, default="auto"
        The `q` of the kernel, in (0, `norm`]; 1 with `norm` 2 is the Laplace kernel.
    bandwidth : float or str, default="auto"
        The `L` of the kernel. A string such as ``"4*median"`` takes a multiple of the
        median distance between rows, measured anew at each iteration.
    alpha : float, default="auto"
        Ridge, as in :class:`sklearn.kernel_ridge.KernelRidge`: ``(K + alpha I) coef = Y``.
        "auto" searches six values from 3e-5 to 3.
    diagonal : bool, default="auto"
        Learn only the diagonal of the metric: a weight for each feature.
    agop_power : float, default="auto"
        Power of the AGOP that becomes `A`; 0.5 makes the AGOP itself the metric.
    n_iter : int, default="auto"
        Largest number of metric updates; there is one fit more. 0 is plain kernel ridge regression.
        "auto" makes 3.
    center_gradients : bool, default=False
        Subtract the mean gradient before the outer product.
    rank_tolerance : float, default=1e-7
        Eigenvalues of the metric below this part of the largest are cut. The fewer remain,
        the faster the next iteration.
    solver : {"auto", "cholesky", "pcg"}, default="auto"
        How the linear system is solved: "cholesky" factorises it, "pcg" runs preconditioned
        conjugate gradients, "auto" takes Cholesky up to 5,000 rows. See :func:`solve_ridge`.
        Searches, which are of few rows, factorise.
    tol : float, default=1e-4
        Relative residual at which a solution is accepted. "pcg" stops at 1e-2 while the metric
        still moves; the iteration that is kept is solved again to `tol`.
    categorical_features : "from_dtype", array-like of bool, int or str, or None, \
            default="from_dtype"
        Which features are categories, as in
        :class:`sklearn.ensemble.HistGradientBoostingRegressor`: a mask, indices or names. With
        "from_dtype" the columns of a frame that are categorical, strings or booleans; None: none.
        Levels that `fit` has not seen, and missing ones, are no error.
    standardize : bool, default=True
        Give each numeric column of `X` mean 0 and standard deviation 1. With `norm` "auto", also
        draw in what is beyond 3 standard deviations, or, for one of the members, take ranks.
    validation_fraction : float, default=None
        Part of the rows to set aside for choosing what is "auto", the iteration and the members'
        weights; what was chosen is then fitted to all rows. None chooses by leave-one-out in
        closed form, which sets none aside; of more than 2,000 rows a
        search runs on so many of them and is judged by others.
    early_stopping : bool, default=True
        Stop when an iteration's score is 1.1 times worse than the best so far. With `X_val`, also
        end the last solve by "pcg", before `tol`, when the squared error of at most 1,000 of those
        rows has not improved for 20 steps.
    agop_samples : int, default=20_000
        Number of rows, drawn at random at each iteration, that the AGOP averages over;
        stratified over the targets.
    agop_output_samples : int, default=None
        Estimate the AGOP, without bias, from this many random mixtures of the outputs for each
        tile of rows instead of from all outputs; see :func:`agop`. For many outputs: 1 or 2 cost
        little more than a single output. None is exact. Not with `center_gradients`.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute. "cuda" is CuPy's current device; an error says what it lacks. "auto" takes
        it where it can be used and has the memory, for data that lie there and for fits of 1e11
        operations or more (some thousand rows).
    memory_limit : int, default=None
        Bytes that a fit may allocate beside the arrays it is given. "auto" and "pcg" keep to it
        by not storing the kernel matrix; a fit that needs more is refused before it starts. On a
        CUDA device it bounds what each solve takes there.
    time_limit : float, default=None
        Seconds after which `fit` should be done. It stops before the step that would exceed them,
        as far as it can tell from the steps before, and keeps the best; one fit is made in any
        case.
    random_state : int or RandomState, default=None
        Draws the rows that are sampled (for searches, validation, the AGOP, the median distance)
        and the mixtures of outputs.
    verbose : int, default=0
        1 shows a bar with the phase, the residual and the time left on standard error, 2 also
        logs each iteration to the logger ``fastrfm``.
    callbacks : iterable of callable, default=None
        Each is called with each entry of `history_` as soon as its iteration is complete; one that
        returns True ends the fit, which keeps the best so far.

    Attributes
    ----------
    members_ : list
        The predictors that are added up. Each has, of its own, all the attributes from `metric_`
        to `agop_` below, and `columns_`: how numeric columns were scaled.
    member_weights_ : ndarray of shape (n_members,)
        At least 0; they need not sum to 1. All 0 where no member was better than the mean.
    metric_ : ndarray of shape (d, d) or (d,)
        The metric `M` of the heaviest member's kernel, in the d encoded features; its diagonal if
        that alone was learned.
    dual_coef_ : ndarray of shape (n_samples, n_outputs)
        Coefficients of the kernel at the rows of `X_fit_`, for the
        standardised targets.
    X_fit_ : ndarray of shape (n_samples, d)
        The training rows, encoded; those of the search where a fit ended
        before it came to all rows. With a `norm`, numbers of int8 and uint8, and of a memory-mapped
        float32 array, stay as they are, and `metric_` and `agop_` are in their units.
    norm_, exponent_, bandwidth_, alpha_ : float
        The kernel and the ridge in use. `alpha_` exceeds `alpha` where the factorisation
        failed otherwise (a warning says so).
    best_iter_ : int
        Iteration that was kept.
    n_iter_ : int
        Number of metric updates made.
    history_ : list of dict
        For each iteration: iteration, rows (fitted), norm, exponent, solver, residual (relative, of
        the linear system), stopped_early (whether `X_val` ended the solve),
        score (mean squared error of the standardised targets), alpha, alphas (those
        tried, with their scores), bandwidth, rank (columns of `A`), seconds (of the phases solve,
        select, agop).
    agop_ : ndarray of shape (d, d) or (d,)
        AGOP of the heaviest member, in encoded features, summed over outputs.
    device_ : {"cpu", "cuda"}
        Where it predicts: where it was fitted, "cpu" once it has been loaded, or what `to_device`
        has said.
    feature_importances_ : ndarray of shape (n_features,)
        Each feature's part of the trace of the members' AGOPs, weighted, encoded columns added up;
        sums to 1 (all zero for a constant predictor).
    encoded_feature_names_ : list of str
        The d encoded features: "age", "age is missing", "colour=red".
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of shape (n_features,)
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

    @lazy_for_collections
    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the units of the training targets, and of their shape. CuPy's for CuPy's `X`, a
            tensor for a tensor.
        """
        f = self._raw_predict(X)
        y: NDArray[np.float64] = self._target_scaler.inverse_transform(f)
        predictions: NDArray[np.float64] = as_given(X, y[:, 0] if self._target_ndim == 1 else y)
        return predictions

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination, as :meth:`sklearn.base.RegressorMixin.score`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        y, sample_weight = host_data(collected(y)), host_data(collected(sample_weight))
        if is_collection(X):
            return float(r2_score(y, collected(self.predict(X)), sample_weight=sample_weight))
        return float(super().score(host_data(X), y, sample_weight))

    def _validate_targets(self, y: ArrayLike) -> NDArray[Any]:
        y_array: NDArray[Any] = check_targets(self, y, multi_output=True, y_numeric=True)
        self._target_ndim = y_array.ndim
        return y_array

    def _fit_targets(
        self, y: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        columns = _as_columns(y)
        with np.errstate(over="ignore", invalid="ignore"):
            self._target_scaler = StandardScaler().fit(columns, sample_weight=weight)
        if not np.isfinite(self._target_scaler.var_).all():
            raise ValueError(
                "y is too large: the variance of its values is not finite in float64; divide y by "
                "a power of ten"
            )
        Y: NDArray[np.float64] = self._target_scaler.transform(columns)
        Y[:, np.ptp(columns, axis=0) == 0] = 0  # not what rounding leaves of y minus its mean
        return Y

    def _encode_targets(self, y: ArrayLike | None) -> NDArray[np.float64]:
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
