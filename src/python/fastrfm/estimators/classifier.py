"""RFMClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastrfm.estimators.base import BaseRFM
from fastrfm.selection import ClassificationError, Loss

# Least-squares scores leave [0, 1]. Raising the negative ones to this keeps a logarithmic
# loss finite. There is no cut at 1: it would make ties that the scores do not have.
SMALLEST_SCORE = 1e-6


class RFMClassifier(ClassifierMixin, BaseRFM):
    """Least-squares classifier with a kernel whose Mahalanobis metric is learned.

    A Recursive Feature Machine [1]_: fit, take the Average Gradient Outer Product (AGOP) of
    the predictor, make it the metric, repeat; then keep the best iteration. The kernel is
    ``exp(-(||A^T (x - z)||_p / L)^q)`` with ``M = A A^T`` the metric.

    The targets are the classes' indicators (that of the second class, where there are two),
    centred on the classes' priors: far from the data the prediction returns to the priors.

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
        Ridge, as in :class:`sklearn.kernel_ridge.KernelRidge`: ``(K + alpha I) coef = Y``.
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
        Stop when an iteration's accuracy is 1.1 times worse than the best so far.
    agop_samples : int, default=20_000
        Number of rows, drawn at random at each iteration, that the AGOP averages over;
        stratified over the classes.
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
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    metric_ : ndarray of shape (n_features, n_features) or (n_features,)
        The metric `M` of the kernel, in standardised features; its diagonal if `diagonal`.
    dual_coef_ : ndarray of shape (n_samples, 1) or (n_samples, n_classes)
        Coefficients of the kernel at the rows of `X_fit_`; one column for two classes.
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
        (error rate; the squared error breaks ties), alpha, bandwidth, rank (columns of
        `A`), seconds (of the phases solve, select, agop).
    agop_ : ndarray of shape (n_features, n_features) or (n_features,)
        AGOP of the predictor, in standardised features, summed over outputs.
    feature_importances_ : ndarray of shape (n_features,)
        Diagonal of `agop_`, scaled to sum to 1 (all zero for a constant predictor).
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where `X` has feature names that are all strings.

    See Also
    --------
    RFMRegressor : The same for numbers.

    References
    ----------
    .. [1] A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin. Mechanism for feature
       learning in neural networks and backpropagation-free machine learning models.
       Science 383 (2024). https://doi.org/10.1126/science.adi5639

    Examples
    --------
    >>> from fastrfm import RFMClassifier
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> model = RFMClassifier().fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.95)
    True
    """

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class with the largest score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, as in `classes_`.
        """
        best = np.argmax(self._class_scores(X), axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Estimate the classes' probabilities.

        Least-squares scores estimate probabilities but leave [0, 1]: negative ones are
        raised to 1e-6, and each row is scaled to sum to 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        scores = np.maximum(self._class_scores(X), SMALLEST_SCORE)
        probabilities: NDArray[np.float64] = scores / scores.sum(axis=1, keepdims=True)
        return probabilities

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Least-squares scores, whose largest is the predicted class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes, the second's score minus the first's: positive predicts the
            second. Otherwise one column for each class; a row sums to 1.
        """
        scores = self._class_scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def _class_scores(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        scores = self._raw_predict(X) + self._priors
        return np.hstack([1.0 - scores, scores]) if scores.shape[1] == 1 else scores

    def _validate_training_data(
        self, X: ArrayLike, y: ArrayLike
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        X_array, y_array = validate_data(self, X, y)
        check_classification_targets(y_array)
        self.classes_ = np.unique(y_array)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y contains only one "
                f"class: {self.classes_.tolist()[0]!r}"
            )
        return X_array, y_array

    def _fit_targets(self, y: NDArray[Any]) -> NDArray[np.float64]:
        indicators = self._indicators(y)
        self._priors: NDArray[np.float64] = indicators.mean(axis=0)
        Y: NDArray[np.float64] = indicators - self._priors
        return Y

    def _encode_targets(self, y: ArrayLike) -> NDArray[np.float64]:
        labels = column_or_1d(y, warn=True)
        unseen = np.setdiff1d(labels, self.classes_)
        if len(unseen):
            raise ValueError(f"y_val contains classes that y does not: {unseen.tolist()}")
        return self._indicators(labels) - self._priors

    def _indicators(self, y: NDArray[Any]) -> NDArray[np.float64]:
        codes = np.searchsorted(self.classes_, y)
        if len(self.classes_) == 2:
            return codes[:, None].astype(np.float64)
        return np.eye(len(self.classes_))[codes]

    def _loss(self) -> Loss:
        return ClassificationError(self._priors)
