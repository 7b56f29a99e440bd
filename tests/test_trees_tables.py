"""What trees copy of a table, and in which shapes they take validation labels."""

from __future__ import annotations

import tracemalloc
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from fastrfm import RFMClassifier, TreeRFMClassifier, TreeRFMRegressor, tree
from fastrfm.estimators import tree_fit
from fastrfm.estimators.leaves import ConstantLeaf
from fastrfm.members import PAPERS

QUICK = PAPERS | {"n_iter": 1, "alpha": 0.1, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 4)).astype(np.float32)
LABELS = np.where(X[:, 0] > 0.5, "high", np.where(X[:, 1] > 0, "middle", "low"))


class Ended(BaseException):
    """Ends a fit where leaves are to be fitted."""


@pytest.mark.parametrize("temperature", [0.1, "auto"])
def test_the_table_is_not_copied(temperature: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its encoding, which is gone when leaves are fitted."""
    rows, columns = 60_000, 60
    table = RNG.standard_normal((rows, columns), dtype=np.float32)
    held: list[int] = []

    def fit_leaves(leaf: Any, data: Any, sizes: list[int], *others: Any) -> Any:
        held.extend(tracemalloc.get_traced_memory())
        assert all(len(data(number).X) == size for number, size in enumerate(sizes[:2]))
        raise Ended

    monkeypatch.setattr(tree_fit, "fit_leaves", fit_leaves)
    monkeypatch.setattr(tree_fit, "PREDICT_ROWS", 1_000)
    monkeypatch.setattr(tree, "PROJECTED_ROWS", 1_000)
    model = TreeRFMRegressor(max_leaf_size=20_000, split_rows=100, temperature=temperature, **QUICK)
    tracemalloc.start()
    try:
        with pytest.raises(Ended):
            model.fit(table, table[:, 0] + table[:, 1])
    finally:
        tracemalloc.stop()
    at_leaves, most = held
    assert most < 2 * table.nbytes  # the encoding, chunks, and what is of a row
    assert at_leaves < table.nbytes / 2


def test_rows_of_frames_are_encoded_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As all at once: with rows held out, of weight 0, and categories."""
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": pd.Categorical(LABELS)})
    weight = np.where(np.arange(300) % 7 == 0, 0.0, 1.0)
    y = X[:, 0] + X[:, 1] * X[:, 2]
    model = TreeRFMRegressor(max_leaf_size=60, split_rows=50, **QUICK)
    expected = model.fit(frame, y, weight).predict(frame)
    kept = weight > 0
    np.testing.assert_array_equal(model.fit(frame[kept], y[kept]).predict(frame), expected)
    monkeypatch.setattr(tree_fit, "PREDICT_ROWS", 16)
    np.testing.assert_array_equal(model.fit(frame, y, weight).predict(frame), expected)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize(
    "model", [RFMClassifier(**QUICK), TreeRFMClassifier(max_leaf_size=100, **QUICK)], ids=repr
)
def test_validation_labels_may_be_a_column(model: Any, class_weight: str | None) -> None:
    model.set_params(class_weight=class_weight)
    train, rest = slice(0, 220), slice(220, None)
    expected = model.fit(X[train], LABELS[train], X_val=X[rest], y_val=LABELS[rest])
    probabilities = expected.predict_proba(X)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model.fit(X[train], LABELS[train], X_val=X[rest], y_val=LABELS[rest, None])
    np.testing.assert_array_equal(model.predict_proba(X), probabilities)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_callbacks_hear_numbers_in_trees(n_jobs: int | None) -> None:
    """Where some leaves, of one class, are not fitted, too."""
    labels = np.where(X[:, 0] > 0, "right", np.where(X[:, 1] > 0, "high", "low"))
    numbers: list[int] = []
    model = TreeRFMClassifier(
        max_leaf_size=60,
        n_trees=2,
        n_jobs=n_jobs,
        callbacks=[lambda entry: numbers.append(entry["leaf"])],
        **QUICK,
    )
    with joblib.parallel_config(backend="threading"):
        model.fit(X, labels)
    all_leaves = [leaf for tree in model.trees_ for leaf in tree.leaves]
    fitted = [i for i, leaf in enumerate(all_leaves) if not isinstance(leaf, ConstantLeaf)]
    assert len(fitted) < len(all_leaves)
    assert sorted(set(numbers)) == fitted
