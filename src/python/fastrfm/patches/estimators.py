"""PatchRFMRegressor and PatchRFMClassifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, get_lapack_funcs
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import check_consistent_length, check_random_state, gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fastrfm.patches.grid import Grid
from fastrfm.patches.kernel import PatchKernel
from fastrfm.ridge.leave_one_out import leave_one_out
from fastrfm.sklearn_compat import check_targets
from fastrfm.validation import check_array2d

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]

# Images predicted at once: their patches are held.
PREDICT_IMAGES = 1_024


class BasePatchRFM(ABC, BaseEstimator):
    """What the regressor and the classifier share: parameters, the fit, the raw prediction."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "image_shape": [tuple, list, None],
        "patch_size": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "shift": [Interval(Integral, 0, None, closed="left")],
        "bandwidth": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "agop_samples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        image_shape: tuple[int, ...] | None = None,
        patch_size: int = 5,
        stride: int = 1,
        shift: int = 1,
        bandwidth: float = 10.0,
        alpha: float = 1e-3,
        n_iter: int = 2,
        agop_samples: int = 300,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.patch_size = patch_size
        self.stride = stride
        self.shift = shift
        self.bandwidth = bandwidth
        self.alpha = alpha
        self.n_iter = n_iter
        self.agop_samples = agop_samples
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn the metric of patches.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width[, channels])
            Images; as rows, with the channels of a pixel side by side.
        y : array-like of shape (n_samples,)
            Targets or labels.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        TypeError, ValueError
            For arrays or parameters of another type, NaN, infinity, wrong shapes, or values out of
            range.
        """
        y = check_targets(self, y, y_numeric=not isinstance(self, ClassifierMixin))
        rows, shape = _as_rows(X, self.image_shape)
        check_consistent_length(rows, y)
        targets = self._fit_targets(y)
        self.n_features_in_ = rows.shape[1]
        self.image_shape_ = shape
        self._grid = Grid(*shape, size=self.patch_size, stride=self.stride, shift=self.shift)
        self._offset = targets.mean(axis=0)
        Y = targets - self._offset
        patches = self._grid.patches(_of_unit_power(rows))
        drawn = check_random_state(self.random_state).permutation(len(rows))[: self.agop_samples]
        metric = None
        self.history_ = []
        best = (np.inf, np.inf)
        for iteration in range(self.n_iter + 1):
            kernel = PatchKernel(self._grid, patches, metric, self.bandwidth)
            coef, residuals = _fit_ridge(kernel.matrix(), Y, self.alpha)
            score = self._error(targets, targets - residuals), float(np.mean(residuals**2))
            self.history_.append({"iteration": iteration, "score": score[0], "loo_mse": score[1]})
            G = kernel.agop(patches[:, drawn], coef)
            if score < best:
                best = score
                self._kernel, self.dual_coef_, self.patch_agop_ = kernel, coef, G
                self.best_iter_ = iteration
                self.patch_metric_: Array = np.eye(len(G)) if metric is None else metric
            largest = G.max()
            if largest <= 0:  # a constant predictor, of which there is nothing to learn
                break
            metric = G / largest
        return self

    @property
    def patch_shape_(self) -> tuple[int, int, int]:
        """Rows, columns and channels of a patch."""
        check_is_fitted(self)
        return self._grid.patch_shape

    def _raw_predict(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        rows, _ = _as_rows(X, self.image_shape_)
        parts = [
            self._kernel.predict(self._grid.patches(_of_unit_power(rows[part])), self.dual_coef_)
            for part in gen_batches(len(rows), PREDICT_IMAGES)
        ]
        return np.asarray(np.concatenate(parts) + self._offset)

    @abstractmethod
    def _fit_targets(self, y: Array) -> NDArray[np.float64]:
        """Return the targets as columns."""

    @abstractmethod
    def _error(self, targets: Array, predicted: Array) -> float:
        """Return what the iteration is chosen by."""


class PatchRFMRegressor(RegressorMixin, BasePatchRFM):
    """Kernel ridge regression of images with a learned metric of patches.

    The kernel ``sum_p sum_p' w(p - p') exp(-|x_p - z_p'|_M / bandwidth)`` compares patches in
    places that are up to `shift` steps apart, by weights w that fall linearly to 0. Its predictor's
    gradients by each patch make the average gradient outer product over all images, places and
    outputs, which is the next metric M: a convolutional Recursive Feature Machine [1]_, with a
    Laplace kernel in the place of a network's tangent kernel. The iteration of least leave-one-out
    error is kept.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        ``(height, width)`` or ``(height, width, channels)``; None: square and grey, or as `X` has
        it.
    patch_size : int, default=5
        Rows and columns of a patch.
    stride : int, default=1
        Pixels from one patch to the next.
    shift : int, default=1
        Patches up to this many steps apart, in each direction, are compared; 0: those in the same
        place. The fit takes time in proportion to ``(2 shift + 1)^2``.
    bandwidth : float, default=10.0
        Of the Laplace kernel.
    alpha : float, default=1e-3
        Ridge, of a kernel matrix whose diagonal has the mean 1.
    n_iter : int, default=2
        Number of metric updates; there is one fit more. 0 learns no metric.
    agop_samples : int, default=300
        Images, drawn at random, that the average gradient outer product is over.
    random_state : int or RandomState, default=None
        Draws them.

    Attributes
    ----------
    patch_metric_ : ndarray of shape (q, q)
        The metric of patches, of q = rows x columns x channels pixels in this order.
    patch_agop_ : ndarray of shape (q, q)
        The average gradient outer product of the predictor over patches.
    dual_coef_ : ndarray of shape (n_samples, n_outputs)
        Coefficients of the kernel at the training images.
    best_iter_ : int
        Iteration that was kept.
    history_ : list of dict
        For each iteration its leave-one-out error (score, loo_mse).
    image_shape_ : tuple of int
        ``(height, width, channels)``.
    n_features_in_ : int
        Number of pixels times channels.

    See Also
    --------
    PatchRFMClassifier : The same for classes.
    fastrfm.RFMRegressor : With a metric of all features.

    Notes
    -----
    Each image is scaled to a mean square of 1. n images take n^2 numbers in float64, and each
    iteration the time of about ``places (2 shift + 1)^2`` kernel matrices of patches.

    References
    ----------
    .. [1] Beaglehole, Radhakrishnan, Pandit, Belkin, "Mechanism of feature learning in
       convolutional neural networks", arXiv:2309.00570.
    """

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width[, channels])
            Images.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        return np.asarray(self._raw_predict(X)[:, 0])

    def _fit_targets(self, y: Array) -> NDArray[np.float64]:
        return y.astype(np.float64).reshape(-1, 1)

    def _error(self, targets: Array, predicted: Array) -> float:
        return float(np.mean((targets - predicted) ** 2))


class PatchRFMClassifier(ClassifierMixin, BasePatchRFM):
    """Least-squares classifier of images with a learned metric of patches.

    :class:`PatchRFMRegressor` of the classes' indicators. The iteration of least leave-one-out
    error rate is kept, and of equal ones that of least squared error.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        ``(height, width)`` or ``(height, width, channels)``; None: square and grey, or as `X` has
        it.
    patch_size : int, default=5
        Rows and columns of a patch.
    stride : int, default=1
        Pixels from one patch to the next.
    shift : int, default=1
        Patches up to this many steps apart, in each direction, are compared; 0: those in the same
        place. The fit takes time in proportion to ``(2 shift + 1)^2``.
    bandwidth : float, default=10.0
        Of the Laplace kernel.
    alpha : float, default=1e-3
        Ridge, of a kernel matrix whose diagonal has the mean 1.
    n_iter : int, default=2
        Number of metric updates; there is one fit more. 0 learns no metric.
    agop_samples : int, default=300
        Images, drawn at random, that the average gradient outer product is over.
    random_state : int or RandomState, default=None
        Draws them.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    patch_metric_, patch_agop_, dual_coef_, best_iter_, history_, image_shape_, n_features_in_
        As of :class:`PatchRFMRegressor`.

    See Also
    --------
    PatchRFMRegressor : The same for numbers; its formula.
    fastrfm.RFMClassifier : With a metric of all features.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastrfm.patches import PatchRFMClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = PatchRFMClassifier(patch_size=4, n_iter=1, random_state=0).fit(X[:300], y[:300])
    >>> print(f"accuracy {model.score(X[300:800], y[300:800]):.2f}")
    accuracy 0.96
    """

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width[, channels])
            Images.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        raw = self._raw_predict(X)
        return np.asarray(self.classes_[raw.argmax(axis=1)])

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the classes' indicators; for two classes, twice the second's less 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width[, channels])
            Images.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
        """
        raw = self._raw_predict(X)
        return np.asarray(2 * raw[:, 1] - 1 if raw.shape[1] == 2 else raw)

    def _fit_targets(self, y: Array) -> NDArray[np.float64]:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must have 2 or more classes; got {len(self.classes_)} class")
        return np.eye(len(self.classes_))[codes]

    def _error(self, targets: Array, predicted: Array) -> float:
        return float(np.mean(targets.argmax(axis=1) != predicted.argmax(axis=1)))


def _as_rows(X: Any, shape: tuple[int, ...] | None) -> tuple[Array, tuple[int, int, int]]:
    """Return images as rows, and their height, width and channels."""
    array = np.asarray(X)
    if array.ndim in (3, 4):
        own = (*array.shape[1:], 1)[:3]
        if shape is not None and (*shape, 1)[:3] != own:
            raise ValueError(
                f"images of X have the shape {array.shape[1:]}, not image_shape {shape}"
            )
        shape = own
        array = array.reshape(len(array), -1)
    rows = check_array2d("X", array)
    if shape is None:
        side = round(np.sqrt(rows.shape[1]))
        shape = (side, side)
        if side * side != rows.shape[1]:
            raise ValueError(
                f"X has rows of {rows.shape[1]} pixels, which are no square image; give image_shape"
            )
    if len(shape) not in (2, 3) or not all(isinstance(s, Integral) and s > 0 for s in shape):
        raise ValueError(
            f"image_shape must be (height, width) or (height, width, channels); got {shape!r}"
        )
    height, width, channels = (*(int(s) for s in shape), 1)[:3]
    if height * width * channels != rows.shape[1]:
        raise ValueError(
            f"image_shape {tuple(shape)} has {height * width * channels} numbers; X has rows of "
            f"{rows.shape[1]}"
        )
    return rows, (height, width, channels)


def _of_unit_power(rows: Array) -> Array:
    """Return rows scaled to a mean square of 1; rows of zeros stay."""
    rows = rows.astype(np.float64 if rows.dtype == np.float64 else np.float32)
    power = np.sqrt(np.mean(np.square(rows, dtype=np.float64), axis=1, keepdims=True))
    return np.asarray(rows / np.where(power > 0, power, 1)).astype(rows.dtype)


def _fit_ridge(
    K: NDArray[np.float64], Y: NDArray[np.float64], alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coefficients and the leave-one-out residuals; K is overwritten."""
    K[np.diag_indices_from(K)] += alpha
    try:
        lower = cholesky(K, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise ValueError(
            f"the kernel matrix plus alpha = {alpha:g} is not positive definite; raise alpha"
        ) from error
    coef = cho_solve((lower, True), Y, check_finite=False)
    (potri,) = get_lapack_funcs(("potri",), (lower,))
    inverse = potri(lower, lower=True, overwrite_c=True)[0]
    return coef, leave_one_out(np.diag(inverse), coef, alpha)
