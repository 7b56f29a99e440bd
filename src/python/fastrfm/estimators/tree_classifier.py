"""TreeRFMClassifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples

from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.classifier import RFMClassifier
from fastrfm.estimators.collected import collected, is_collection, lazy_for_collections
from fastrfm.estimators.device import as_given, host_data
from fastrfm.estimators.leaves import ConstantLeaf, without_name_warnings
from fastrfm.estimators.tree_base import BaseTree
from fastrfm.estimators.tree_fit import Leaf
from fastrfm.estimators.tree_parameters import describe, signature_with
from fastrfm.sklearn_compat import check_targets


@describe(RFMClassifier)
class TreeRFMClassifier(ClassifierMixin, BaseTree):
    """A tree whose leaves are Recursive Feature Machines, each of its own features.

    The tree of xRFM [1]_: rows are halved along the top eigenvector of the AGOP of a small machine,
    the direction in which the classes' indicators change most, until no leaf has more than
    `max_leaf_size`. Each leaf is an :class:`RFMClassifier` of its own rows, so that the metric may
    differ from one part of the data to another, and time grows with the number of rows instead of
    its square. Near a threshold the leaves of both sides have a say: the probabilities of leaves
    are averaged.

    A class that a leaf of n rows has not seen has a probability of 1 / (n + 1) there, shared by the
    absent classes by their frequencies. Up to `max_leaf_size` rows it is an `RFMClassifier`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    trees_ : list
        For each tree its `leaves`, the fitted `RFMClassifier` of each (or, of rows of a single
        class, what has that class as `classes_`); its `splits`; `leaf_weights`, the number of rows
        (or the sum of their weights) of each leaf; `importances` of shape (n_leaves, n_features),
        the `feature_importances_` of each leaf.
    temperature_ : float
        The temperature in use.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    feature_importances_ : ndarray of shape (n_features,)
        Mean over all leaves, weighted by their rows; sums to 1.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` has feature names that are all strings.

    See Also
    --------
    RFMClassifier : One leaf of it.
    TreeRFMRegressor : The same for numbers; says what `time_limit`, `callbacks`, `memory_limit` and
        `n_jobs` mean for leaves.

    References
    ----------
    .. [1] D. Beaglehole, D. Holzmueller, A. Radhakrishnan, M. Belkin. xRFM: accurate, scalable, and
       interpretable feature learning models for tabular data (2025).
       https://arxiv.org/abs/2508.10053

    Examples
    --------
    >>> from fastrfm import TreeRFMClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = TreeRFMClassifier(max_leaf_size=500, norm=2, n_iter=1, random_state=0)
    >>> len(model.fit(X, y).trees_[0].leaves)
    4
    """

    _plain: ClassVar[type[BaseRFM]] = RFMClassifier
    _signature = signature_with(RFMClassifier)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTree._parameter_constraints,
        "class_weight": RFMClassifier._parameter_constraints["class_weight"],
    }

    def __init__(self, **parameters: Any) -> None:
        self._set_parameters(parameters)

    __init__.__signature__ = _signature  # type: ignore[attr-defined]

    @lazy_for_collections
    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, as in `classes_`. As all predictions, CuPy's for CuPy's `X`, tensors for a
            tensor.
        """
        best = np.argmax(self._blend(X), axis=1)
        labels: NDArray[Any] = as_given(X, self.classes_[best])
        return labels

    @lazy_for_collections
    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Estimate the classes' probabilities: the weighted mean of the leaves'.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        probabilities: NDArray[np.float64] = as_given(X, self._blend(X))
        return probabilities

    @lazy_for_collections
    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return what is largest for the predicted class: probabilities.

        Leaves calibrate their scores each in its own way, so that these cannot be averaged.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes, the second's probability minus the first's: positive predicts the
            second. Otherwise one column for each class.
        """
        blend = self._blend(X)
        if len(self.classes_) == 2:
            blend = blend[:, 1] - blend[:, 0]
        decisions: NDArray[np.float64] = as_given(X, blend)
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

    def _validate_targets(self, y: ArrayLike) -> NDArray[Any]:
        y_array: NDArray[Any] = column_or_1d(check_targets(self, y), warn=True)
        check_classification_targets(y_array)
        return y_array

    def _check_kept(self, y: NDArray[Any]) -> None:
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y contains only one "
                f"class: {classes.tolist()[0]!r}"
            )

    def _learn_targets(self, plain: BaseRFM) -> None:
        assert isinstance(plain, RFMClassifier)
        self.classes_ = plain.classes_
        self._priors: NDArray[np.float64] = plain._with_first_class(plain._priors[None])[0]

    def _constant_leaf(self, y: NDArray[Any]) -> ConstantLeaf | None:
        classes = np.unique(y)
        return ConstantLeaf(classes, len(y)) if len(classes) == 1 else None

    def _values(self, leaf: Leaf, X: Any) -> NDArray[np.float64]:
        if isinstance(leaf, ConstantLeaf):
            n_rows, own = leaf.n_rows, np.ones((_num_samples(X), 1))
        else:
            assert isinstance(leaf, RFMClassifier)
            with without_name_warnings():
                n_rows, own = len(leaf.X_fit_), leaf.predict_proba(X)
        if len(leaf.classes_) == len(self.classes_):
            return own
        present = np.searchsorted(self.classes_, leaf.classes_)
        absent = np.setdiff1d(np.arange(len(self.classes_)), present)
        # Laplace's rule of succession, for all absent classes together.
        unseen = 1.0 / (n_rows + 1)
        probabilities = np.empty((len(own), len(self.classes_)))
        probabilities[:, present] = (1.0 - unseen) * own
        of_absent = self._priors[absent]
        probabilities[:, absent] = unseen * of_absent / of_absent.sum()
        return probabilities

    def _coded(self, y: NDArray[Any]) -> NDArray[np.float64]:
        indicators: NDArray[np.float64] = (y[:, None] == self.classes_).astype(np.float64)
        return indicators
