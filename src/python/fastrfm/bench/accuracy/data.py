"""The tables of a folder, ``reg/*.npz`` and so on, and their splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedKFold

__all__ = ["KINDS", "Caps", "Rows", "Split", "find_sets", "load_split", "load_tuning", "n_splits"]

Array = NDArray[Any]

KINDS = ("reg", "cls", "uci121", "img")
FOLDS = 10
# A tenth of fewer rows than this is too few to score by: such a set's split s tests folds 2s and
# 2s + 1 together. (At 1,000 rows the standard error of an error rate of 0.1 is 0.03 on a tenth.)
PAIRED_BELOW_ROWS = 1_000
# Images come without folds; so many are made, by person where there are several of one.
IMAGE_FOLDS = 4
SEED = 1234


@dataclass(frozen=True)
class Caps:
    """The most rows to train on and to test on, drawn by a fixed seed; None: all."""

    max_rows: int | None = None
    max_test: int | None = None


@dataclass(frozen=True)
class Rows:
    """Some rows of a set.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        float32, as the file has it: unscaled, NaN where missing, categories as codes.
    y : ndarray of shape (n,)
        float64, or the position of the class among the training rows' classes; -1 for a class that
        they lack.
    """

    X: Array
    y: Array


@dataclass(frozen=True)
class Split:
    """Training and test rows of a set.

    Attributes
    ----------
    categorical : ndarray of shape (d,)
        bool.
    n_classes : int
        Among the training rows; 0 for regression.
    """

    train: Rows
    test: Rows
    categorical: Array
    n_classes: int


def find_sets(
    folder: Path, kinds: Sequence[str] = KINDS, names: Sequence[str] | None = None
) -> list[str]:
    """Return sets as "kind/name", sorted within each kind.

    Parameters
    ----------
    folder : Path
    kinds : sequence of {"reg", "cls", "uci121", "img"}
    names : sequence of str, optional
        Only these, as "name" or "kind/name".

    Raises
    ------
    ValueError
        If there is none, or a name is not found.
    """
    found = [f"{kind}/{path.stem}" for kind in kinds for path in sorted(_files(folder, kind))]
    if not found:
        raise ValueError(f"no {' or '.join(f'{kind}/*.npz' for kind in kinds)} in {folder}")
    if names is None:
        return found
    for name in names:
        if not any(name in (each, each.split("/")[1]) for each in found):
            raise ValueError(f"no set {name!r} of kind {', '.join(kinds)} in {folder}")
    return [each for each in found if each in names or each.split("/")[1] in names]


def n_splits(folder: Path, name: str) -> int:
    """Return how many splits a set has."""
    with _open(folder, name) as file:
        return len(_test_masks(file, name))


def load_split(folder: Path, name: str, split: int, caps: Caps) -> Split:
    """Return split `split` of a set.

    Raises
    ------
    ValueError
        If the set has no such split, or the file lacks an array.
    """
    with _open(folder, name) as file:
        masks = _test_masks(file, name)
        if not 0 <= split < len(masks):
            raise ValueError(f"{name} has the splits 0 to {len(masks) - 1}, got {split}")
        test = masks[split]
        train = file["kfold_train"][:, split] if name.startswith("uci121/") else ~test
        return _make_split(file, name, train, test, split, caps)


def load_tuning(folder: Path, name: str, caps: Caps) -> Split:
    """Return the rows that the collection of 121 sets chooses parameters by: `tune` 1 and 2."""
    with _open(folder, name) as file:
        return _make_split(file, name, file["tune"] == 1, file["tune"] == 2, 0, caps)


def _files(folder: Path, kind: str) -> list[Path]:
    return list((folder / kind).glob("*.npz"))


def _open(folder: Path, name: str) -> Any:
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise ValueError(f"no {name}.npz in {folder}")
    return np.load(path)


def _test_masks(file: Any, name: str) -> list[Array]:
    """Return the test rows of every split."""
    if "kfold_test" in file and name.startswith("uci121/"):
        return list(file["kfold_test"].T)
    if "fold" in file:
        fold = file["fold"]
        width = 2 if len(fold) < PAIRED_BELOW_ROWS else 1
        return [fold // width == s for s in range(FOLDS // width)]
    if "test_mask" in file:
        return [file["test_mask"]]
    if not name.startswith("img/"):
        raise ValueError(f"{name}.npz has none of the arrays 'fold', 'kfold_test', 'test_mask'")
    y = file["y"]
    if "identity" in file:  # or a person's face in training tells of the same in the test
        folds = GroupKFold(IMAGE_FOLDS).split(y, y, file["identity"])
    else:
        folds = StratifiedKFold(IMAGE_FOLDS, shuffle=True, random_state=SEED).split(y, y)
    return [np.isin(np.arange(len(y)), test) for _, test in folds]


def _make_split(file: Any, name: str, train: Array, test: Array, split: int, caps: Caps) -> Split:
    y = file["y"]
    X = file["X"].reshape(len(y), -1).astype(np.float32)
    categorical = file["cat_mask"] if "cat_mask" in file else np.zeros(X.shape[1], bool)
    # In random order also where none is left out: contenders may hold out the last ones.
    rng = np.random.default_rng(SEED + split)
    train_rows = rng.permutation(np.flatnonzero(train))[: caps.max_rows]
    test_rows = rng.permutation(np.flatnonzero(test))[: caps.max_test]
    if name.startswith("reg/"):
        y = y.astype(np.float64)
        n_classes = 0
    else:
        classes = np.unique(y[train_rows])
        codes = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        y = np.where(classes[codes] == y, codes, -1)
        n_classes = len(classes)
    return Split(
        Rows(X[train_rows], y[train_rows]), Rows(X[test_rows], y[test_rows]), categorical, n_classes
    )
