"""RFMClassifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fastrfm.calibration import Calibration
from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.collected import collected, is_collection, lazy_for_collections
from fastrfm.estimators.device import as_given, host_data
from fastrfm.estimators.progress import FitWatch
from fastrfm.losses import ClassificationError, Loss, SquaredError
from fastrfm.out_of_fold import predict_out_of_fold
from fastrfm.problem import Ensemble, Problem
from fastrfm.sampling import draw_stratified_rows
from fastrfm.sklearn_compat import check_targets

# Rows whose predictions out of fold calibrate probabilities: the standard error of a log-loss over
# them is a few per cent.
OUT_OF_FOLD_ROWS = 2_000


class RFMClassifier(ClassifierMixin, BaseRFM):
    """Least-squares classifier with a kernel whose Mahalanobis metric is learned.

    A Recursive Feature Machine [1]_: fit, take the Average Gradient Outer Product (AGOP) of
    the predictor, make it the metric, repeat; then keep the best iteration. The kernel is
    ``exp(-(||A^T (x - z)||_p / L)^q)`` with ``M = A A^T`` the metric.

    The targets are the classes' indicators (that of the second class, where there are two),
    centred on the classes' priors: far from the data the prediction returns to the priors.

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
        stratified over the classes.
    agop_output_samples : int, default=None
        Estimate the AGOP, without bias, from this many random mixtures of the outputs for each
        tile of rows instead of from all outputs; see :func:`agop`. For many outputs: 1 or 2 cost
        little more than a single output. None is exact. Not with `center_gradients`.
    class_weight : dict or "balanced", default=None
        Weights of the classes; "balanced" gives each class the same sum. They multiply
        `sample_weight`, and the priors are the weighted ones.
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
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    metric_ : ndarray of shape (d, d) or (d,)
        The metric `M` of the heaviest member's kernel, in the d encoded features; its diagonal if
        that alone was learned.
    dual_coef_ : ndarray of shape (n_samples, 1) or (n_samples, n_classes)
        Coefficients of the kernel at the rows of `X_fit_`; one column for
        two classes.
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
        score (mean squared error of the class indicators; with a given `norm`
        the error rate, ties broken by the former), alpha, alphas (those tried, with their scores),
        bandwidth, rank (columns of `A`), seconds (of the phases solve, select, agop).
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseRFM._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    # All of the parameters again: scikit-learn reads their names from this signature.
    def __init__(
        self,
        *,
        norm: float | str = "auto",
        exponent: float | str = "auto",
        bandwidth: float | str = "auto",
        alpha: float | str = "auto",
        diagonal: bool | str = "auto",
        agop_power: float | str = "auto",
        n_iter: int | str = "auto",
        center_gradients: bool = False,
        rank_tolerance: float = 1e-7,
        solver: str = "auto",
        tol: float = 1e-4,
        categorical_features: Any = "from_dtype",
        standardize: bool = True,
        validation_fraction: float | None = None,
        early_stopping: bool = True,
        agop_samples: int = 20_000,
        agop_output_samples: int | None = None,
        class_weight: dict[Any, float] | str | None = None,
        device: str = "auto",
        memory_limit: int | None = None,
        time_limit: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Iterable[Callable[[dict[str, Any]], Any]] | None = None,
    ) -> None:
        super().__init__(
            norm=norm,
            exponent=exponent,
            bandwidth=bandwidth,
            alpha=alpha,
            diagonal=diagonal,
            agop_power=agop_power,
            n_iter=n_iter,
            center_gradients=center_gradients,
            rank_tolerance=rank_tolerance,
            solver=solver,
            tol=tol,
            categorical_features=categorical_features,
            standardize=standardize,
            validation_fraction=validation_fraction,
            early_stopping=early_stopping,
            agop_samples=agop_samples,
            agop_output_samples=agop_output_samples,
            device=device,
            memory_limit=memory_limit,
            time_limit=time_limit,
            random_state=random_state,
            verbose=verbose,
            callbacks=callbacks,
        )
        self.class_weight = class_weight

    # Error by rows 0 / 50 / 200: on 64 sets of at most 1,500 rows .1278 / .1276 / .1291 where the
    # members' kinds were chosen and .1716 / .1687 / .1672 elsewhere; on 37 small ones, 4 folds
    # each, .1636 / .1618 / .1639.
    _shrinkage_rows: ClassVar[float] = 50.0

    @lazy_for_collections
    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class with the largest score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, as in `classes_`. As all predictions, CuPy's for CuPy's `X`, tensors for a
            tensor.
        """
        best = np.argmax(self._class_scores(X), axis=1)
        labels: NDArray[Any] = as_given(X, self.classes_[best])
        return labels

    @lazy_for_collections
    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Estimate the classes' probabilities.

        Least-squares scores estimate probabilities, but too timidly or too boldly, and they leave
        [0, 1]: raised to a floor and to a power, rows scaled to sum to 1. Floor and power
        make the log-loss of predictions of rows left out the least. Far from all data the
        probabilities are the classes' priors. The largest is that of the class predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        scores = self._class_scores(X)
        probabilities: NDArray[np.float64] = as_given(X, self._calibration.probabilities(scores))
        return probabilities

    @lazy_for_collections
    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return least-squares scores, whose largest is the predicted class.

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
        if len(self.classes_) == 2:
            scores = scores[:, 1] - scores[:, 0]
        decisions: NDArray[np.float64] = as_given(X, scores)
        return decisions

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, as :meth:`sklearn.base.ClassifierMixin.score`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        y, sample_weight = host_data(collected(y)), host_data(collected(sample_weight))
        if is_collection(X):
            return float(accuracy_score(y, collected(self.predict(X)), sample_weight=sample_weight))
        return float(super().score(host_data(X), y, sample_weight))

    def _class_scores(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        return self._with_first_class(self._raw_predict(X) + self._priors)

    def _with_first_class(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.hstack([1.0 - scores, scores]) if scores.shape[1] == 1 else scores

    def _validate_targets(self, y: ArrayLike) -> NDArray[Any]:
        y_array: NDArray[Any] = column_or_1d(check_targets(self, y), warn=True)
        check_classification_targets(y_array)
        return y_array

    def _fit_targets(
        self, y: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y contains only one "
                f"class: {self.classes_.tolist()[0]!r}"
            )
        indicators = self._indicators(y)
        self._priors: NDArray[np.float64] = np.average(indicators, axis=0, weights=weight)
        Y: NDArray[np.float64] = indicators - self._priors
        return Y

    def _encode_targets(self, y: ArrayLike | None) -> NDArray[np.float64]:
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
        # Brier's score is less noisy than the error rate, and chooses as well.
        chooses_members = isinstance(self.norm, str)
        return SquaredError() if chooses_members else ClassificationError(self._priors)

    def _calibrate(
        self, problem: Problem, ensemble: Ensemble, rng: np.random.RandomState, watch: FitWatch
    ) -> None:
        predictions, Y, weight = ensemble.predictions, ensemble.Y, ensemble.sample_weight
        priors = self._with_first_class(self._priors[None])[0]
        learned = any(result.best_iter > 0 for result in ensemble.results)
        if ensemble.by_leave_one_out and learned:
            # The metric of leave-one-out predictions knows the labels.
            codes = self._with_first_class(problem.Y + self._priors).argmax(axis=1)
            if len(problem) > OUT_OF_FOLD_ROWS:
                rows = draw_stratified_rows(codes, OUT_OF_FOLD_ROWS, rng)
                problem, codes = problem.of_rows(rows), codes[rows]
            out_of_fold = predict_out_of_fold(problem, ensemble, codes, rng, watch)
            if out_of_fold is None:
                self._calibration = Calibration(priors)
                return
            predictions, Y, weight = out_of_fold, problem.Y, problem.sample_weight
        codes = self._with_first_class(Y + self._priors).argmax(axis=1)
        scores = self._with_first_class(predictions + self._priors)
        self._calibration = Calibration.fit(scores, codes, priors, weight)
