"""What the tree estimators share: parameters, the fit, the blend of leaves."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _num_samples, check_is_fitted

from fastrfm.estimators.base import CHECKPOINT_MINUTES, BaseRFM
from fastrfm.estimators.checkpointed import Checkpointing
from fastrfm.estimators.collected import collected
from fastrfm.estimators.device import host_data
from fastrfm.estimators.leaves import ConstantLeaf, LeafWatch
from fastrfm.estimators.tree_blend import encoded_chunks, leaf_shares
from fastrfm.estimators.tree_checkpointed import TreeKeeper
from fastrfm.estimators.tree_fit import FittedTree, Growth, Leaf, Rows, fit_trees, fitted_tree
from fastrfm.estimators.tree_parameters import OWN_CONSTRAINTS
from fastrfm.estimators.tree_placed import MovableLeaves
from fastrfm.estimators.weights import class_weights_of, combined_weights
from fastrfm.preprocessing import TableEncoder
from fastrfm.preprocessing.columns import refuse_repeated_names
from fastrfm.selection import hold_out
from fastrfm.sklearn_compat import check_feature_names, check_weights, take_rows
from fastrfm.tree import Splits

if TYPE_CHECKING:
    from sklearn.utils import Tags
    from typing_extensions import Self

# Rows that choose the temperature, and the largest part of all rows: the standard error of their
# error is a few per cent, and leaves lack no more than a tenth of their rows.
HELD_OUT_ROWS = 2_000
HELD_OUT_FRACTION = 0.1
# Parameters that are the whole tree's, not a leaf's.
_OF_TREE = ("random_state", "verbose", "callbacks")


class BaseTree(MovableLeaves, ABC, BaseEstimator):
    """Trees of Recursive Feature Machines without their targets.

    Subclasses say what is in a leaf (`_plain`) and what is averaged over leaves (`_values`).
    """

    _plain: ClassVar[type[BaseRFM]]
    _signature: ClassVar[inspect.Signature]
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **OWN_CONSTRAINTS,
        **BaseRFM._parameter_constraints,
    }

    def _set_parameters(self, parameters: dict[str, Any]) -> None:
        bound = self._signature.bind(self, **parameters)
        bound.apply_defaults()
        for name, value in list(bound.arguments.items())[1:]:
            setattr(self, name, value)

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        *,
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_minutes: float | None = CHECKPOINT_MINUTES,
        checkpoint_steps: int | None = None,
        resume_from: str | PathLike[str] | None = None,
    ) -> Self:
        """Split the rows, fit a plain estimator to those of each leaf, choose the temperature.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            As for the plain estimator. Each leaf encodes its own rows, by their means, deviations
            and levels: what is near in the whole table may be far in a leaf. The rows of a Dask
            collection are gathered.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; the classifier takes labels of shape (n_samples,).
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, at least 0, as for the plain estimator. Leaves have equal numbers
            of rows, whatever these weigh.
        X_val, y_val : array-like, optional
            Rows that choose the temperature, and, in a leaf with at least 100 of them, all that
            the leaf chooses.
        checkpoint : str or path-like, optional
            A folder, made if need be, to keep the state of the fit in: a file for each leaf, as the
            plain estimator's `checkpoint`. Those of an earlier fit are removed. Where leaves are
            fitted on other machines, all of them have to see it under this path.
        checkpoint_minutes : float or None, default=5
            Minutes between two checkpoints of a leaf.
        checkpoint_steps : int, optional
            Steps of conjugate gradients between two checkpoints, if that comes earlier.
        resume_from : str or path-like, optional
            Such a folder, of a fit of an estimator with the same parameters to the same data, which
            goes on from there: leaves that are done are not fitted anew, and it comes to the same,
            bit for bit but for the seconds in the histories (on the same machine, with the same
            number of threads and without `time_limit`). It is also where further checkpoints go,
            unless `checkpoint` says otherwise.

        Returns
        -------
        self : object
            The fitted estimator. A fit that fails or is interrupted leaves the estimator as it was
            before.

        Raises
        ------
        TypeError, ValueError
            For bad data or parameters.
        MemoryError
            If the fit of a leaf would need more than `memory_limit`.
        RuntimeError
            If `device` is "cuda" and CUDA cannot be used: says what is missing.
        NotADirectoryError, FileNotFoundError, fastrfm.CheckpointError
            If `resume_from` is not there, is damaged, or is of another fit: says in what.
        """
        state = Checkpointing(checkpoint, checkpoint_minutes, checkpoint_steps, resume_from)
        before = dict(self.__dict__)
        try:
            return self._fit(X, y, sample_weight, X_val, y_val, state)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        X_val: Any,
        y_val: ArrayLike | None,
        state: Checkpointing,
    ) -> Self:
        X, y, sample_weight, X_val, y_val = map(collected, (X, y, sample_weight, X_val, y_val))
        X, y, sample_weight = _rows_of(X), host_data(y), host_data(sample_weight)
        X_val, y_val = _rows_of(X_val), host_data(y_val)
        keeper = TreeKeeper(state, check_random_state(self.random_state))
        rng = keeper.rng
        plain = self._leaf(rng)
        columns = plain._kinds()[0].columns  # checks the parameters against each other
        callbacks = plain.set_params(callbacks=self.callbacks)._checked_callbacks()
        plain.set_params(callbacks=None)
        watch = LeafWatch(self.verbose, callbacks, self.time_limit)
        if (X_val is None) != (y_val is None):
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val belong together; {missing} is missing")
        refuse_repeated_names(X)
        check_feature_names(self, X, reset=True)
        encoder = plain._encoder(columns)
        if not _num_samples(X):
            encoder.fit(X, estimator=self)  # says so, of X and not of y
        y_array = self._validate_targets(y)
        check_consistent_length(X, y_array)
        class_weight = getattr(self, "class_weight", None)
        weight, unit = combined_weights(sample_weight, class_weight, X, y_array)
        given = None if sample_weight is None else check_weights(sample_weight, X, np.float64)
        rows = Rows(X, y_array, weight, given)
        if weight is not None and not weight.all():
            kept = np.flatnonzero(weight)
            rows, unit = rows.of(kept), None if unit is None else unit[kept]
        self._check_kept(rows.y)
        encoder.fit(rows.taken(), rows.weight, estimator=self)
        Y = plain._fit_targets(rows.y, rows.weight)
        self._learn_targets(plain)
        if unit is not None:
            # The same in every leaf, whichever classes are there.
            labels, first = np.unique(rows.y, return_index=True)
            of_class = dict(zip(labels.tolist(), unit[first].tolist(), strict=True))
            plain.set_params(class_weight=of_class)
        validation = None
        if X_val is not None:
            Y_val = plain._encode_targets(y_val)
            check_consistent_length(X_val, y_val)
            values = np.asarray(y_val)
            if hasattr(self, "classes_"):
                values = values.ravel()  # of a column it has been warned
            validation = Rows(X_val, values, class_weights_of(y_val, rows.y, unit))
        self._split_encoder: TableEncoder = encoder

        def data() -> dict[str, Iterable[NDArray[Any]]]:
            judging = [] if validation is None else validation.pieces(encoder, self)
            of_judging = [] if validation is None else [Y_val, _or_none(validation.weight)]
            return {
                "sample_weight": [_or_none(rows.weight), _or_none(unit)],
                "X": rows.pieces(encoder, self),
                "y": [Y],
                "X_val": judging,
                "y_val": of_judging,
            }

        keeper.begin(self, data)

        everything = np.arange(len(rows))
        if len(rows) <= self.max_leaf_size:
            plain.set_params(verbose=self.verbose, callbacks=callbacks)
            of_leaf = keeper.leaf(0).state()
            plain._fit(rows.taken(), rows.y, rows.sample_weight, X_val, y_val, of_leaf)
            plain.set_params(verbose=0, callbacks=None)
            undivided = Splits.none(len(encoder.source_))
            trees = [
                fitted_tree(undivided, [plain], [everything], rows.weight, self.n_features_in_)
            ]
            self._store(trees, 0.0 if isinstance(self.temperature, str) else self.temperature)
            return self
        fitted = everything
        if validation is None and isinstance(self.temperature, str):
            fraction = min(HELD_OUT_FRACTION, HELD_OUT_ROWS / len(rows))
            strata = rows.y if hasattr(self, "classes_") else None
            fitted, held_out = hold_out(len(rows), fraction, strata, rng)
            validation = rows.of(held_out)
            rows = rows.of(fitted)
        self._store(
            *fit_trees(
                self,
                plain,
                rows,
                encoder,
                np.asarray(Y[fitted], encoder.dtype_),
                Growth(**{name: getattr(self, name) for name in OWN_CONSTRAINTS}),
                validation=validation,
                leaves_validate=X_val is not None,
                rng=rng,
                watch=watch,
                keeper=keeper,
            )
        )
        return self

    def _leaf(self, rng: np.random.RandomState) -> BaseRFM:
        """Return the plain estimator that leaves are copies of.

        A number as `random_state` is every leaf's own: what one leaf is can be repeated.
        """
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = int(rng.randint(np.iinfo(np.int32).max))
        names = [name for name in self._plain._get_param_names() if name not in _OF_TREE]
        return self._plain(**{name: getattr(self, name) for name in names}, random_state=seed)

    def _store(self, trees: list[FittedTree], temperature: float) -> None:
        self.trees_ = trees
        self.temperature_ = float(temperature)
        self._summarise()

    def _summarise(self) -> None:
        """Set the attributes that follow from the trees."""
        weights = np.concatenate([tree.leaf_weights for tree in self.trees_])
        importances = np.concatenate([tree.importances for tree in self.trees_])
        shares = weights @ importances
        total = shares.sum()
        self.feature_importances_ = shares / total if total > 0 else np.zeros(self.n_features_in_)

    def _blend(self, X: Any) -> NDArray[np.float64]:
        """Return the mean over trees of the leaves' weighted values, of shape (n_samples, c)."""
        check_is_fitted(self)
        X = _rows_of(X)
        n = _num_samples(X)
        splits = [tree.splits for tree in self.trees_]
        blend = None
        shares = leaf_shares(splits, self.temperature_, self._split_encoder, X, self)
        for tree, leaf, rows, weights in shares:
            part = X if len(rows) == n else take_rows(X, rows)
            values = self._values(self.trees_[tree].leaves[leaf], part)
            if blend is None:
                blend = np.zeros((n, values.shape[1]))
            blend[rows] += weights[:, None] * values
        assert blend is not None  # a table without rows has been refused
        blend /= len(self.trees_)
        return blend

    def apply(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the leaf of each tree in which each row lies.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_trees)
            Numbers in `trees_[t].leaves`.
        """
        check_is_fitted(self)
        X = _rows_of(X)
        found = np.empty((_num_samples(X), len(self.trees_)), np.intp)
        for rows, encoded in encoded_chunks(self._split_encoder, X, self):
            for tree, of_tree in zip(self.trees_, found.T, strict=True):
                of_tree[rows] = tree.splits.leaf_of(encoded)
        return found

    def save(
        self, path: str | PathLike[str], *, centers_dtype: Literal["float16"] | None = None
    ) -> None:
        """Write the fitted estimator to a file, which :func:`fastrfm.load` reads.

        Parameters
        ----------
        path : str or path-like
        centers_dtype : {"float16"}, default=None
            Store the leaves' training rows in half precision.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        OSError
            If the file cannot be written.
        TypeError
            For a subclass, or an attribute or parameter that the file cannot keep.
        ValueError
            If a training row is beyond float16's range, or `path` is a device.

        See Also
        --------
        fastrfm.RFMRegressor.save : Says what is in a file, and what of a model is not.
        """
        from fastrfm.persistence import save

        save(self, path, centers_dtype=centers_dtype)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _more_tags(self) -> dict[str, Any]:
        # The tags of scikit-learn 1.5.
        return {"allow_nan": True}

    @abstractmethod
    def _validate_targets(self, y: ArrayLike) -> NDArray[Any]:
        """Check `y`."""

    def _check_kept(self, y: NDArray[Any]) -> None:
        """Check the targets of the rows that have weight."""

    @abstractmethod
    def _learn_targets(self, plain: BaseRFM) -> None:
        """Take over what a plain estimator has learned of all targets."""

    @abstractmethod
    def _constant_leaf(self, y: NDArray[Any]) -> ConstantLeaf | None:
        """See `Targets`."""

    @abstractmethod
    def _values(self, leaf: Leaf, X: Any) -> NDArray[np.float64]:
        """See `Targets`."""

    @abstractmethod
    def _coded(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """See `Targets`."""


def _or_none(array: NDArray[Any] | None) -> NDArray[Any]:
    """Return an array that stands for none."""
    return np.empty(0) if array is None else array


def _rows_of(X: Any) -> Any:
    """Return a table as one of the host whose rows can be taken."""
    X = host_data(X)
    # Sparse ones of all formats are refused later, in words.
    is_table = X is None or hasattr(X, "__getitem__") or scipy.sparse.issparse(X)
    return X if is_table else np.asarray(X)
