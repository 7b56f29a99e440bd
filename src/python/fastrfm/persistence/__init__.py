"""Models in files, without pickle: `BaseRFM.save` and `fastrfm.load`."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from fastrfm.estimators.tree_base import BaseTree
from fastrfm.persistence.container import read_container, write_container
from fastrfm.persistence.errors import ModelFileError
from fastrfm.persistence.models import model_of, model_state
from fastrfm.persistence.trees import TREES, tree_of, tree_state

if TYPE_CHECKING:
    from fastrfm.estimators import (
        RFMClassifier,
        RFMRegressor,
        TreeRFMClassifier,
        TreeRFMRegressor,
    )
    from fastrfm.estimators.base import BaseRFM

__all__ = ["ModelFileError", "load", "save"]

LONGEST_REASON = 300  # scikit-learn's messages show whole arrays


def save(
    model: BaseRFM | BaseTree,
    path: str | PathLike[str],
    *,
    centers_dtype: Literal["float16"] | None = None,
) -> None:
    """Write a fitted estimator; see :meth:`fastrfm.RFMRegressor.save`."""
    if centers_dtype not in (None, "float16"):
        raise ValueError(f"centers_dtype must be None or 'float16'; got {centers_dtype!r}")
    if isinstance(model, BaseTree):
        document, arrays = tree_state(model, centers_dtype)
    else:
        document, arrays = model_state(model, centers_dtype)
    try:
        _estimator_of(document, arrays)
    except ModelFileError as error:
        # Better now than when it is loaded and this model is gone.
        raise ValueError(f"this {type(model).__name__} cannot be saved: {error}") from error
    write_container(path, document, arrays)


def load(
    path: str | PathLike[str],
) -> RFMRegressor | RFMClassifier | TreeRFMRegressor | TreeRFMClassifier:
    """Read an estimator that its method `save` has written.

    Nothing in the file is run: it holds numbers and names, and what they are is checked before it
    is used. Its checksum finds what happened to it by accident; it is no signature, and does not
    tell who wrote it.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    model : RFMRegressor, RFMClassifier, TreeRFMRegressor or TreeRFMClassifier
        It predicts what the saved one did: with the same bits on the same kind of processor, and
        within rounding on others.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ModelFileError
        If the file is not a model: foreign, truncated, altered, inconsistent, or of a later schema
        than this fastrfm knows.

    See Also
    --------
    fastrfm.RFMRegressor.save : Writes the file, and says what is in it.

    Examples
    --------
    >>> import fastrfm, os, tempfile
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = fastrfm.RFMRegressor(n_iter=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.frfm"))
    ...     again = fastrfm.load(os.path.join(folder, "model.frfm"))
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    try:
        document, arrays = read_container(path)
        try:
            return _estimator_of(document, arrays)
        except ModelFileError as error:
            raise ModelFileError(
                f"its checksum is right, but {error}; save did not write it"
            ) from error
        # What a check of our own did not foresee; a message of another package's.
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            reason = shorten(str(error), LONGEST_REASON, placeholder=" ...")
            raise ModelFileError(
                f"its checksum is right, but its content is not that of a model: {reason}; save "
                "did not write it"
            ) from error
    except ModelFileError as error:
        raise ModelFileError(f"{path} cannot be loaded: {error}") from error


def _estimator_of(
    document: Any, arrays: Mapping[str, NDArray[Any]]
) -> RFMRegressor | RFMClassifier | TreeRFMRegressor | TreeRFMClassifier:
    name = document.get("estimator") if isinstance(document, dict) else None
    return tree_of(document, arrays) if name in TREES else model_of(document, arrays)
