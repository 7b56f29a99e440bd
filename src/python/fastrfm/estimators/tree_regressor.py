"""TreeRFMRegressor."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score

from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.collected import collected, is_collection, lazy_for_collections
from fastrfm.estimators.device import as_given, host_data
from fastrfm.estimators.leaves import ConstantLeaf, without_name_warnings
from fastrfm.estimators.regressor import RFMRegressor
from fastrfm.estimators.tree_base import BaseTree
from fastrfm.estimators.tree_fit import Leaf
from fastrfm.estimators.tree_parameters import describe, signature_with
from fastrfm.sklearn_compat import check_targets


@describe(RFMRegressor)
class TreeRFMRegressor(MultiOutputMixin, RegressorMixin, BaseTree):
    """A tree whose leaves are Recursive Feature Machines, each of its own features.

    The tree of xRFM [1]_: rows are halved along the top eigenvector of the AGOP of a small machine,
    the direction in which the target changes most, until no leaf has more than `max_leaf_size`.
    Each leaf is an :class:`RFMRegressor` of its own rows, so that the metric may differ from one
    part of the data to another, and time grows with the number of rows instead of its square. Near
    a threshold the leaves of both sides have a say.

    Up to `max_leaf_size` rows it is an `RFMRegressor`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    trees_ : list
        For each tree its `leaves`, the fitted `RFMRegressor` of each; its `splits`; `leaf_weights`,
        the number of rows (or the sum of their weights) of each leaf; `importances` of shape
        (n_leaves, n_features), the `feature_importances_` of each leaf.
    temperature_ : float
        The temperature in use.
    feature_importances_ : ndarray of shape (n_features,)
        Mean over all leaves, weighted by their rows; sums to 1.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` has feature names that are all strings.

    See Also
    --------
    RFMRegressor : One leaf of it.
    TreeRFMClassifier : The same for classes.

    Notes
    -----
    `time_limit` is that of all leaves together: each gets its part of what is left when its turn
    comes, and makes one fit in any case. `callbacks` get each leaf's entries, with "leaf", its
    number through the `leaves` of all `trees_`, in them, at once where leaves are fitted in this
    process, otherwise when the leaf is done; once one returns True, each leaf yet to come makes one
    fit. `memory_limit` is that of each leaf. What is fitted does not depend on `n_jobs`, but for
    the rounding of LAPACK's factorisation, which depends on the number of threads.

    References
    ----------
    .. [1] D. Beaglehole, D. Holzmueller, A. Radhakrishnan, M. Belkin. xRFM: accurate, scalable, and
       interpretable feature learning models for tabular data (2025).
       https://arxiv.org/abs/2508.10053

    Examples
    --------
    >>> import numpy as np
    >>> from fastrfm import TreeRFMRegressor
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(600, 3))
    >>> y = np.where(X[:, 0] > 0, 2 + np.sin(3 * X[:, 1]), np.sin(3 * X[:, 2]))
    >>> model = TreeRFMRegressor(max_leaf_size=300, random_state=0).fit(X, y)
    >>> len(model.trees_[0].leaves)
    2
    """

    _plain: ClassVar[type[BaseRFM]] = RFMRegressor
    _signature = signature_with(RFMRegressor)

    def __init__(self, **parameters: Any) -> None:
        self._set_parameters(parameters)

    __init__.__signature__ = _signature  # type: ignore[attr-defined]

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
        blend = self._blend(X)
        y: NDArray[np.float64] = as_given(X, blend[:, 0] if self._target_ndim == 1 else blend)
        return y

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

    def _learn_targets(self, plain: BaseRFM) -> None:
        """Leaves know their own."""

    def _constant_leaf(self, y: NDArray[Any]) -> ConstantLeaf | None:
        return None

    def _values(self, leaf: Leaf, X: Any) -> NDArray[np.float64]:
        assert isinstance(leaf, RFMRegressor)
        with without_name_warnings():
            return leaf.predict(X).reshape(-1, leaf.dual_coef_.shape[1])

    def _coded(self, y: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(y, np.float64).reshape(len(y), -1)
