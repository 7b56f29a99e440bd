"""Dask's collections as arguments of the estimators. Dask is imported for them alone."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sklearn.utils.validation import check_is_fitted

from fastrfm.remote import RemoteTable
from fastrfm.ridge.plan import CHOLESKY_ROWS

__all__ = ["collected", "is_collection", "lazy_for_collections", "opened"]

# Whose types are Dask's: other packages' arrays may have a graph, or none.
_PACKAGES = ("dask", "dask_expr", "dask_cudf")

Method = TypeVar("Method", bound=Callable[..., Any])


def is_collection(X: Any) -> bool:
    """Return whether `X` is Dask's."""
    return type(X).__module__.partition(".")[0] in _PACKAGES and hasattr(X, "__dask_graph__")


def collected(data: Any) -> Any:
    """Return a collection's data in this process; all else as it is."""
    return data.compute() if is_collection(data) else data


@contextmanager
def opened(X: Any, solver: str) -> Iterator[Any]:
    """Yield what a fit to `X` has: a `RemoteTable` of rows that stay with Dask's workers, or data.

    So many rows as "auto" would factorise are fitted in this process, and so is all that is to be.
    Where the fit fails or is interrupted, workers give up what they do for it.

    Raises
    ------
    RuntimeError
        If `distributed` is not installed, or there is no client.
    """
    if not is_collection(X) or solver == "cholesky":
        yield collected(X)
        return
    cluster = _part("cluster").Cluster()
    try:
        rows: RemoteTable = _part("collections").CollectionRows(X, cluster)
        if solver == "auto" and len(rows) <= CHOLESKY_ROWS:
            yield collected(X)
        elif not len(rows):
            raise ValueError(f"X has no rows: shape {rows.shape}; at least 1 is needed")
        else:
            yield rows
    except BaseException:
        cluster.cancel()
        raise


def lazy_for_collections(method: Method) -> Method:
    """Make a method that predicts rows give a Dask array for a Dask collection."""

    @functools.wraps(method)
    def predict(self: Any, X: Any) -> Any:
        if not is_collection(X):
            return method(self, X)
        check_is_fitted(self)
        return _part("lazy").lazily(self, method.__name__, X)

    return predict  # type: ignore[return-value]


def _part(name: str) -> Any:
    """Return a module of `fastrfm.dask`."""
    try:
        return importlib.import_module(f"fastrfm.dask.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("dask", "distributed"):
            raise
        raise RuntimeError(
            f"X is a Dask collection, and {error.name} is not installed; "
            'pip install "fastrfm[dask]"'
        ) from None
