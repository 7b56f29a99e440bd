"""The fit of trees of plain estimators, once rows and targets are checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from fastrfm.estimators.base import PREDICT_ROWS, BaseRFM
from fastrfm.estimators.leaves import ConstantLeaf, LeafData, LeafWatch, fit_leaves
from fastrfm.estimators.tree_blend import best_temperature
from fastrfm.estimators.tree_checkpointed import TreeKeeper
from fastrfm.preprocessing import TableEncoder
from fastrfm.selection import of_rows
from fastrfm.sklearn_compat import take_rows
from fastrfm.tree import Splits, grow

__all__ = ["FittedTree", "Growth", "Rows", "Targets", "fit_trees", "fitted_tree", "importances_of"]

Array = NDArray[np.floating[Any]]
Weights = NDArray[np.float64] | None
Leaf = BaseRFM | ConstantLeaf

# A leaf with fewer of the validation rows chooses by leave-one-out: over 100 rows the standard
# error of a mean squared error is a seventh of it.
FEWEST_VALIDATION_ROWS = 100


@dataclass(frozen=True)
class FittedTree:
    """One of the trees whose mean an estimator is.

    Attributes
    ----------
    splits : Splits
        Where rows go, by `directions`, `thresholds`, `spreads` and `children`.
    leaves : tuple
        A fitted RFMRegressor or RFMClassifier each; of a classifier's leaf with rows of a single
        class, a `ConstantLeaf`.
    leaf_weights : ndarray of shape (n_leaves,)
        Sum of the weights of the rows that each leaf was fitted to: their number, without weights.
    importances : ndarray of shape (n_leaves, n_features)
        `feature_importances_` of each leaf; 0 for a constant one.
    """

    splits: Splits
    leaves: tuple[Leaf, ...]
    leaf_weights: NDArray[np.float64]
    importances: NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Rows of a table, of positive weight.

    Attributes
    ----------
    table : array-like or frame of shape (m, n_features)
        As the caller has it: not copied, though it may have other rows besides.
    y : ndarray of shape (n,) or (n, n_outputs)
    weight : ndarray of shape (n,) or None
        That of the row times that of its class.
    sample_weight : ndarray of shape (n,) or None
        That of the row.
    numbers : ndarray of shape (n,), intp, or None
        Of the rows in the table; None: all of it.
    """

    table: Any
    y: NDArray[Any]
    weight: Weights = None
    sample_weight: Weights = None
    numbers: NDArray[np.intp] | None = None

    def taken(self) -> Any:
        """Return the rows: the table itself, or a copy of a part of it."""
        return self.table if self.numbers is None else take_rows(self.table, self.numbers)

    def of(self, rows: NDArray[np.intp]) -> Rows:
        """Return some of them."""
        weight, sample_weight = (of_rows(w, rows) for w in (self.weight, self.sample_weight))
        numbers = rows if self.numbers is None else self.numbers[rows]
        return Rows(self.table, self.y[rows], weight, sample_weight, numbers)

    def encoded(self, encoder: TableEncoder, owner: Any) -> Array:
        """Return the rows encoded, a part of them copied at a time; messages name `owner`."""
        if self.numbers is None:
            return encoder.transform(self.table, estimator=owner)
        found = np.empty((len(self), len(encoder.source_)), encoder.dtype_)
        for part, piece in zip(self._parts(), self.pieces(encoder, owner), strict=True):
            found[part] = piece
        return found

    def pieces(self, encoder: TableEncoder, owner: Any) -> Iterator[Array]:
        """Yield the rows encoded, some at a time."""
        for part in self._parts():
            numbers = (
                np.arange(part.start, part.stop) if self.numbers is None else self.numbers[part]
            )
            yield encoder.transform(take_rows(self.table, numbers), estimator=owner)

    def _parts(self) -> Iterator[slice]:
        parts: Iterator[slice] = gen_batches(len(self), PREDICT_ROWS)
        return parts

    def __len__(self) -> int:
        return len(self.y)


class Targets(Protocol):
    """What the fit of a tree has to know of the targets."""

    n_features_in_: int

    def _constant_leaf(self, y: NDArray[Any]) -> ConstantLeaf | None:
        """Return the leaf of these targets where no plain estimator can be fitted to them."""

    def _values(self, leaf: Leaf, X: Any) -> NDArray[np.float64]:
        """Return what is averaged over leaves, of shape (len(X), c)."""

    def _coded(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Return the targets as values that are right, of shape (len(y), c)."""


@dataclass(frozen=True)
class Growth:
    """How trees are grown; the estimators' parameters of the same names."""

    max_leaf_size: int
    n_trees: int
    split_rows: int
    overlap: float
    temperature: float | str
    n_jobs: int | None


def fitted_tree(
    splits: Splits,
    leaves: Sequence[Leaf],
    rows: Sequence[NDArray[np.intp]],
    weight: Weights,
    n_features: int,
) -> FittedTree:
    """Return the tree whose leaves were fitted to these rows."""
    return FittedTree(
        splits,
        tuple(leaves),
        np.array([len(part) if weight is None else weight[part].sum() for part in rows], float),
        importances_of(leaves, n_features),
    )


def importances_of(leaves: Sequence[Leaf], n_features: int) -> NDArray[np.float64]:
    """Return each leaf's importances, of shape (len(leaves), n_features)."""
    none = np.zeros(n_features)
    return np.stack(
        [none if isinstance(f, ConstantLeaf) else f.feature_importances_ for f in leaves]
    )


def fit_trees(
    targets: Targets,
    plain: BaseRFM,
    rows: Rows,
    encoder: TableEncoder,
    Y: Array,
    growth: Growth,
    *,
    validation: Rows | None,
    leaves_validate: bool,
    rng: np.random.RandomState,
    watch: LeafWatch,
    keeper: TreeKeeper,
) -> tuple[list[FittedTree], float]:
    """Grow trees, fit their leaves, choose the temperature.

    Parameters
    ----------
    targets : Targets
    plain : RFMRegressor or RFMClassifier
        Copies of it are fitted to the leaves.
    rows : Rows
    encoder : TableEncoder
        Of the rows as splits see them.
    Y : ndarray of shape (n, c)
        The coded targets.
    growth : Growth
    validation : Rows or None
        Rows that choose the temperature.
    leaves_validate : bool
        Whether they also choose in the leaves.
    rng : RandomState
    watch : LeafWatch
    keeper : TreeKeeper

    Returns
    -------
    trees : list of FittedTree
    temperature : float
    """
    validation_encoded = None if validation is None else validation.encoded(encoder, targets)
    grown = _grow_all(targets, plain, rows, rows.encoded(encoder, targets), Y, growth, rng)
    parts = [part for _, of_tree in grown for part in of_tree]
    judging: list[NDArray[np.intp]] | None = None
    if leaves_validate and validation_encoded is not None:
        judging = [
            np.flatnonzero(leaf_of == leaf)
            for splits, _ in grown
            for leaf_of in [splits.leaf_of(validation_encoded)]
            for leaf in range(splits.n_leaves)
        ]
    constant = [targets._constant_leaf(rows.y[part]) for part in parts]
    varied = [i for i, leaf in enumerate(constant) if leaf is None]

    def data(number: int) -> LeafData:
        own = rows.of(parts[varied[number]])
        found = LeafData(own.taken(), own.y, own.sample_weight)
        if judging is None or validation is None:
            return found
        lying = judging[varied[number]]
        if hasattr(plain, "classes_"):
            lying = lying[np.isin(validation.y[lying], own.y)]
        if len(lying) < FEWEST_VALIDATION_ROWS:
            return found
        judge = validation.of(lying)
        return replace(found, X_val=judge.taken(), y_val=judge.y)

    sizes = [len(parts[i]) for i in varied]
    fitted = iter(fit_leaves(plain, data, sizes, varied, watch, keeper, growth.n_jobs))
    leaves = [next(fitted) if leaf is None else leaf for leaf in constant]
    trees = []
    for splits, of_tree in grown:
        own, leaves = leaves[: len(of_tree)], leaves[len(of_tree) :]
        trees.append(fitted_tree(splits, own, of_tree, rows.weight, targets.n_features_in_))
    if not isinstance(growth.temperature, str):
        return trees, float(growth.temperature)
    assert validation is not None
    assert validation_encoded is not None
    judged = validation.taken()
    temperature = best_temperature(
        [tree.splits for tree in trees],
        validation_encoded,
        [[targets._values(leaf, judged) for leaf in tree.leaves] for tree in trees],
        targets._coded(validation.y),
        validation.weight,
    )
    return trees, temperature


def _grow_all(
    targets: Targets,
    plain: BaseRFM,
    rows: Rows,
    encoded: Array,
    Y: Array,
    growth: Growth,
    rng: np.random.RandomState,
) -> list[tuple[Splits, list[NDArray[np.intp]]]]:
    """Return the splits of each tree, and the rows of its leaves."""
    return [
        grow(
            encoded,
            Y,
            plain._settings(plain._kinds()[0], rows.weight),
            # Where rows are held out, so few may be left that none would be split.
            max_leaf_size=min(growth.max_leaf_size, len(rows) - 1),
            split_rows=growth.split_rows,
            overlap=growth.overlap,
            # A constant leaf costs nothing, whatever its size.
            splits_constant=targets._constant_leaf(rows.y[:1]) is None,
            rng=rng,
            sample_weight=rows.weight,
        )
        for _ in range(growth.n_trees)
    ]
