"""What a fitted tree estimator consists of, as a document and arrays, and back.

A leaf is a document as `fastrfm.persistence.models` makes it, its arrays among the tree's. What
follows from the leaves, their importances, is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fastrfm._version import __version__
from fastrfm.estimators import (
    RFMClassifier,
    RFMRegressor,
    TreeRFMClassifier,
    TreeRFMRegressor,
)
from fastrfm.estimators.leaves import ConstantLeaf
from fastrfm.estimators.tree_base import BaseTree
from fastrfm.estimators.tree_fit import FittedTree, Leaf, importances_of
from fastrfm.persistence.errors import ModelFileError
from fastrfm.persistence.models import (
    model_of,
    model_state,
    parameters_state,
    read_feature_names,
    with_parameters,
)
from fastrfm.persistence.record import Record
from fastrfm.persistence.tables import ENCODER_FIELDS, check_attributes, encoder_of, encoder_state
from fastrfm.persistence.values import ArrayStore
from fastrfm.tree import Splits

__all__ = ["TREES", "TREE_SCHEMA", "tree_of", "tree_state"]

# As `fastrfm.persistence.models.SCHEMA`, and counted with it: 1 knows no trees.
TREE_SCHEMA = 2
# A small file whose leaves share their arrays would fill the memory with their metrics: they may
# take so many times the bytes of the arrays, and what is no harm in any case. A metric is at most
# 2 d / n as large as its rows of d float32 columns.
MOST_METRIC_BYTES_A_BYTE = 64
HARMLESS_BYTES = 2**30

Tree = TreeRFMRegressor | TreeRFMClassifier

TREES: dict[str, type[Tree]] = {
    "TreeRFMRegressor": TreeRFMRegressor,
    "TreeRFMClassifier": TreeRFMClassifier,
}
_OF_ALL = (
    "n_features_in_",
    "feature_names_in_",
    "trees_",
    "temperature_",
    "feature_importances_",
    "_split_encoder",
    "_metadata_requests",
)
_OF_TARGETS = {
    "TreeRFMRegressor": ("_target_ndim",),
    "TreeRFMClassifier": ("classes_", "_priors"),
}
_FIELDS = (
    "schema",
    "fastrfm",
    "estimator",
    "parameters",
    "n_features",
    "feature_names",
    "encoder",
    "temperature",
    "trees",
    "targets",
)
_TREE_FIELDS = ("directions", "thresholds", "spreads", "children", "leaf_weights", "leaves")
_CONSTANT_FIELDS = ("constant", "n_rows")


def tree_state(
    model: BaseTree, centers_dtype: str | None = None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the document and the arrays that `tree_of` makes an equal estimator of.

    Parameters
    ----------
    model : TreeRFMRegressor or TreeRFMClassifier
    centers_dtype : {"float16"}, default=None
        In which the leaves' rows are stored; None: their own.

    Raises
    ------
    NotFittedError
        If the estimator has not been fitted.
    TypeError
        If it is of another class, or holds something that cannot be kept.
    ValueError
        If a training row is beyond the range of float16.
    """
    name = type(model).__name__
    if TREES.get(name) is not type(model):
        raise TypeError(f"only {', '.join(TREES)} themselves can be saved; this is {type(model)}")
    check_is_fitted(model)
    kept = (*model.get_params(deep=False), *_OF_ALL, *_OF_TARGETS[name])
    check_attributes(model, kept, f"this {name}")
    store = ArrayStore()
    names = getattr(model, "feature_names_in_", None)
    document = {
        "schema": TREE_SCHEMA,
        "fastrfm": __version__,
        "estimator": name,
        "parameters": parameters_state(model, store),
        "n_features": int(model.n_features_in_),
        "feature_names": None if names is None else store.add("feature_names_in_", names),
        "encoder": encoder_state(model._split_encoder, "encoder", store),
        "temperature": float(model.temperature_),
        "trees": [
            _tree_state(tree, centers_dtype, store.within(f"trees.{i}."))
            for i, tree in enumerate(model.trees_)
        ],
        "targets": (
            {"ndim": int(model._target_ndim)}
            if isinstance(model, TreeRFMRegressor)
            else {
                "classes": store.add("classes_", model.classes_),
                "priors": store.add("targets.priors", model._priors),
            }
        ),
    }
    return document, store.arrays


def tree_of(document: Any, arrays: Mapping[str, NDArray[Any]]) -> Tree:
    """Return the estimator that `tree_state` was given.

    Raises
    ------
    ModelFileError
        If there can be no such estimator.
    """
    schema = document.get("schema")
    if type(schema) is int and schema > TREE_SCHEMA:
        raise ModelFileError(
            f"it was written by fastrfm {document.get('fastrfm')!s:.20}, in schema {schema}; this "
            f"is fastrfm {__version__}, which reads schemas up to {TREE_SCHEMA}: update fastrfm"
        )
    record = Record(document, "the model", arrays, _FIELDS)
    record.integer("schema", low=TREE_SCHEMA)
    model = with_parameters(TREES[record.choice("estimator", tuple(TREES))], record)
    d = model.n_features_in_ = record.integer("n_features", low=1)
    names = read_feature_names(record, d)
    if names is not None:
        model.feature_names_in_ = names
    model._split_encoder = encoder_of(record.record("encoder", ENCODER_FIELDS), d, names)
    model.temperature_ = record.number("temperature")
    if isinstance(model, TreeRFMRegressor):
        model._target_ndim = record.record("targets", ("ndim",)).integer("ndim", low=1)
        if model._target_ndim > 2:
            raise record.wrong("targets", "of one or two axes", f"of {model._target_ndim}")
    else:
        targets = record.record("targets", ("classes", "priors"))
        classes = targets.array("classes", dtypes=None, shape=(None,))
        if len(classes) < 2 or len(np.unique(classes)) < len(classes):
            raise targets.wrong("classes", "at least two, each once", "not")
        model.classes_ = classes
        model._priors = targets.array("priors", shape=(len(classes),), low=0.0)
    budget = _Budget(
        HARMLESS_BYTES + MOST_METRIC_BYTES_A_BYTE * sum(a.nbytes for a in arrays.values())
    )
    model.trees_ = [_tree_of(tree, model, budget) for tree in record.records("trees", _TREE_FIELDS)]
    if not model.trees_:
        raise record.wrong("trees", "at least one", "none")
    _check_outputs(model, record)
    model._summarise()
    return model


def _tree_state(tree: FittedTree, centers_dtype: str | None, store: ArrayStore) -> dict[str, Any]:
    splits = tree.splits
    return {
        "directions": store.add("directions", splits.directions),
        "thresholds": store.add("thresholds", splits.thresholds),
        "spreads": store.add("spreads", splits.spreads),
        "children": store.add("children", splits.children.astype(np.int64)),
        "leaf_weights": store.add("leaf_weights", tree.leaf_weights),
        "leaves": [
            _leaf_state(leaf, centers_dtype, store.within(f"leaves.{i}."))
            for i, leaf in enumerate(tree.leaves)
        ],
    }


def _leaf_state(leaf: Leaf, centers_dtype: str | None, store: ArrayStore) -> dict[str, Any]:
    if isinstance(leaf, ConstantLeaf):
        return {"constant": store.add("constant", leaf.classes_), "n_rows": int(leaf.n_rows)}
    return model_state(leaf, centers_dtype, store)[0]


class _Budget:
    """How many more bytes the metrics of leaves may take."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, leaf: RFMRegressor | RFMClassifier) -> None:
        self.left -= sum(member.metric_.nbytes for member in leaf.members_)
        if self.left < 0:
            raise ModelFileError("its leaves have metrics far larger than the file")


def _tree_of(record: Record, model: Tree, budget: _Budget) -> FittedTree:
    d = len(model._split_encoder.source_)
    directions = record.array("directions", shape=(None, d))
    s = len(directions)
    splits = Splits(
        directions,
        record.array("thresholds", shape=(s,)),
        record.array("spreads", shape=(s,), low=0.0),
        record.array("children", dtypes=[np.int64], shape=(s, 2)).astype(np.intp),
    )
    _check_children(record, splits.children)
    leaves: list[Leaf] = []
    items = record.content["leaves"]
    if not isinstance(items, list) or len(items) != splits.n_leaves:
        raise record.wrong("leaves", f"a list of {splits.n_leaves}, one more than splits", "not")
    for number, item in enumerate(items):
        where = f"{record.where}.leaves[{number}]"
        leaf = _leaf_of(item, where, model, record.arrays)
        if not isinstance(leaf, ConstantLeaf):
            budget.take(leaf)
        leaves.append(leaf)
    return FittedTree(
        splits,
        tuple(leaves),
        record.array("leaf_weights", shape=(splits.n_leaves,), low=0.0),
        importances_of(leaves, model.n_features_in_),
    )


def _check_children(record: Record, children: NDArray[np.intp]) -> None:
    """Refuse what is no tree: each split but the first, and each leaf, has one parent before it."""
    s = len(children)
    is_split = children >= 0
    is_tree = (
        np.array_equal(np.sort(children[is_split]), np.arange(1, s) if s else [])
        and np.array_equal(np.sort(~children[~is_split]), np.arange(s + 1) if s else [])
        and (children > np.arange(s)[:, None])[is_split].all()
    )
    if not is_tree:
        raise record.wrong("children", "those of a tree, parents first", "not")


def _leaf_of(item: Any, where: str, model: Tree, arrays: Mapping[str, NDArray[Any]]) -> Leaf:
    if isinstance(item, dict) and "constant" in item and isinstance(model, TreeRFMClassifier):
        record = Record(item, where, arrays, _CONSTANT_FIELDS)
        classes = record.array("constant", dtypes=None, shape=(1,))
        leaf: Leaf = ConstantLeaf(classes, record.integer("n_rows", low=1))
    else:
        try:
            leaf = model_of(item, arrays)
        except ModelFileError as error:
            raise ModelFileError(f"of {where}, {error}") from error
        if not isinstance(leaf, model._plain):
            raise ModelFileError(f"{where} is a {type(leaf).__name__}")
        if leaf.n_features_in_ != model.n_features_in_ or not np.array_equal(
            getattr(leaf, "feature_names_in_", []), getattr(model, "feature_names_in_", [])
        ):
            raise ModelFileError(f"{where} has other features than the model")
    if isinstance(model, TreeRFMClassifier):
        assert isinstance(leaf, (ConstantLeaf, RFMClassifier))
        if not np.isin(leaf.classes_, model.classes_).all():
            raise ModelFileError(f"{where} has classes that the model does not have")
    return leaf


def _check_outputs(model: Tree, record: Record) -> None:
    """Refuse regressors whose leaves have other numbers of outputs than another leaf."""
    if not isinstance(model, TreeRFMRegressor):
        return
    outputs = {leaf.dual_coef_.shape[1] for leaf in model._plain_leaves()}
    if len(outputs) > 1 or (model._target_ndim == 1 and outputs != {1}):
        raise record.wrong("trees", "of leaves with as many outputs as targets", "not")
