"""What leaves predict, put together by the weights that they have at a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from sklearn.utils.validation import _num_samples

from fastrfm.estimators.base import PREDICT_ROWS
from fastrfm.preprocessing import TableEncoder
from fastrfm.sklearn_compat import take_rows
from fastrfm.tree import Splits, without_light_leaves

__all__ = ["TEMPERATURES", "best_temperature", "encoded_chunks", "leaf_shares"]

# Those that "auto" tries; xRFM's.
TEMPERATURES = (0.0, *np.geomspace(0.025, 4.5, 20).tolist())


def best_temperature(
    trees: Sequence[Splits],
    X: NDArray[np.floating[Any]],
    values: Sequence[Sequence[NDArray[np.float64]]],
    Y: NDArray[np.float64],
    sample_weight: NDArray[np.float64] | None,
) -> float:
    """Return the temperature of the least squared error; of equal ones the lowest.

    Parameters
    ----------
    trees : sequence of Splits
        Their blends are averaged.
    X : ndarray of shape (m, d)
        Encoded rows that no leaf was fitted to.
    values : sequence of sequence of ndarray of shape (m, c)
        What each leaf of each tree predicts for them.
    Y : ndarray of shape (m, c)
        Outputs count equally, whatever their units.
    sample_weight : ndarray of shape (m,) or None
    """
    of_leaves = [np.stack(of_tree) for of_tree in values]
    scale = Y.std(axis=0)
    scale[scale == 0] = 1.0
    errors = []
    for temperature in TEMPERATURES:
        blend = np.zeros(Y.shape)
        for splits, of_tree in zip(trees, of_leaves, strict=True):
            weights = without_light_leaves(splits.weights(X, temperature))
            blend += np.einsum("ml,lmc->mc", weights, of_tree)
        squares = np.square((blend / len(trees) - Y) / scale).mean(axis=1)
        errors.append(np.average(squares, weights=sample_weight))
    best: float = TEMPERATURES[int(np.argmin(errors))]
    return best


def encoded_chunks(
    encoder: TableEncoder, X: Any, owner: Any
) -> Iterator[tuple[slice, NDArray[np.floating[Any]]]]:
    """Yield slices of the rows, and these encoded; a table without rows is an error."""
    n = _num_samples(X)
    for rows in gen_batches(n, PREDICT_ROWS) if n else [slice(0, 0)]:
        chunk = X if n <= PREDICT_ROWS else take_rows(X, rows)
        yield rows, encoder.transform(chunk, estimator=owner)


def leaf_shares(
    trees: Sequence[Splits], temperature: float, encoder: TableEncoder, X: Any, owner: Any
) -> Iterator[tuple[int, int, NDArray[np.intp], NDArray[np.float64]]]:
    """Yield, for each leaf with a say, tree and leaf, its rows and its weight at each of them.

    The weights of a row sum to 1 for each tree.

    Parameters
    ----------
    trees : sequence of Splits
    temperature : float
    encoder : TableEncoder
    X : array-like or frame of shape (n, n_features)
    owner : estimator
        Named in messages.
    """
    found: dict[tuple[int, int], list[tuple[NDArray[np.intp], NDArray[np.float64]]]] = {}
    for chunk, encoded in encoded_chunks(encoder, X, owner):
        for tree, splits in enumerate(trees):
            weights = without_light_leaves(splits.weights(encoded, temperature))
            for leaf in np.flatnonzero(weights.any(axis=0)).tolist():
                rows = np.flatnonzero(weights[:, leaf])
                share = (rows + chunk.start, weights[rows, leaf])
                found.setdefault((tree, leaf), []).append(share)
    for (tree, leaf), shares in sorted(found.items()):
        rows_of, weights_of = zip(*shares, strict=True)
        yield tree, leaf, np.concatenate(rows_of), np.concatenate(weights_of)
