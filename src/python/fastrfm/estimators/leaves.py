"""The leaves of a tree: fitted one after another or by joblib, watched as one fit."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock, current_thread, main_thread
from time import perf_counter
from typing import Any

import numpy as np
from joblib import cpu_count
from joblib.parallel import get_active_backend
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.progress import Callback, logging_to_someone
from fastrfm.estimators.tree_checkpointed import LeafCheckpoint, TreeKeeper

__all__ = ["ConstantLeaf", "LeafData", "LeafWatch", "fit_leaves", "without_name_warnings"]

_logger = logging.getLogger("fastrfm")
# A limit under which a leaf makes the one fit that is made in any case.
_NO_TIME = 1e-9


@contextmanager
def without_name_warnings() -> Iterator[None]:
    """Let a leaf not repeat what the tree has warned of: that `X` has no feature names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        yield


@dataclass(frozen=True)
class ConstantLeaf:
    """A leaf whose rows are all of one class.

    Attributes
    ----------
    classes_ : ndarray of shape (1,)
    n_rows : int
    """

    classes_: NDArray[Any]
    n_rows: int


@dataclass(frozen=True)
class LeafData:
    """What a leaf is fitted to: arguments of `fit`."""

    X: Any
    y: NDArray[Any]
    sample_weight: NDArray[np.float64] | None
    X_val: Any = None
    y_val: Any = None


class LeafWatch:
    """A bar of leaves, a log line for each, the callbacks, and each leaf's part of the time.

    Parameters
    ----------
    verbose : int
        From 1 on a bar on standard error, from 2 on also a line for each leaf, to the logger
        ``fastrfm`` at level INFO.
    callbacks : sequence of callable
        Each is called with each entry of each leaf's history, and "leaf", its number, in it.
    time_limit : float or None
        Seconds, from now on.
    """

    def __init__(
        self, verbose: int, callbacks: Sequence[Callback], time_limit: float | None
    ) -> None:
        self._start = perf_counter()
        self._verbose = verbose
        self._callbacks = list(callbacks)
        self._time_limit = time_limit
        self._lock = Lock()
        self._stopped = False
        self._failed = False

    @property
    def listens(self) -> bool:
        """Whether there are callbacks."""
        return bool(self._callbacks)

    def callbacks_of(self, leaf: int) -> list[Callback]:
        """Return the callbacks of a leaf that is fitted in this process."""
        return [lambda entry: self.tell(leaf, entry)]

    def fail(self) -> None:
        """Hear that the fit has failed: threads that fit leaves yet are to end."""
        self._failed = True

    def tell(self, leaf: int, entry: dict[str, Any]) -> bool:
        """Call the callbacks; return whether one of them has ended the fit.

        Raises
        ------
        RuntimeError
            If the fit has failed, for nobody to hear: a thread can only end by itself.
        """
        with self._lock:
            if self._failed:
                raise RuntimeError("the fit of the tree has failed")
            for callback in self._callbacks:
                answer = callback({**entry, "leaf": leaf})
                if isinstance(answer, bool | np.bool_) and answer:
                    self._stopped = True
            return self._stopped

    def limit_of(self, work: float, left: float, jobs: int) -> float | None:
        """Return a leaf's time limit: its part of the time, as of the work, that is left."""
        if self._stopped:
            return _NO_TIME
        if self._time_limit is None:
            return None
        seconds = self._time_limit - (perf_counter() - self._start)
        return max(_NO_TIME, seconds * min(1.0, jobs * work / left))

    def watched(self, fitted: Iterator[BaseRFM], sizes: Sequence[int]) -> list[BaseRFM]:
        """Return the leaves, of `sizes` rows, as they come, and tell of each."""
        leaves: list[BaseRFM] = []
        with (
            logging_to_someone(self._verbose > 1),
            tqdm(total=len(sizes), desc="fastrfm", unit="leaf", disable=not self._verbose) as bar,
        ):
            for leaf in fitted:
                if self._verbose > 1:
                    number = len(leaves) + 1
                    rows = sizes[len(leaves)]
                    seconds = perf_counter() - self._start
                    _logger.info(f"leaf {number} of {len(sizes)}: {rows:,} rows, {seconds:.2f} s")
                leaves.append(leaf)
                bar.update()
        return leaves


def fit_leaves(
    leaf: BaseRFM,
    data: Callable[[int], LeafData],
    sizes: Sequence[int],
    names: Sequence[int],
    watch: LeafWatch,
    keeper: TreeKeeper,
    n_jobs: int | None,
) -> list[BaseRFM]:
    """Fit a copy of an estimator for each leaf.

    joblib's backend and number of jobs are those of `joblib.parallel_config`, by default processes.
    In those joblib bounds the threads of BLAS and OpenMP; where the backend is threads, each gets
    its part of the OpenMP threads here.

    Parameters
    ----------
    leaf : RFMRegressor or RFMClassifier
    data : callable
        Returns what the leaf of a number is fitted to; called when its turn comes, so that not all
        leaves are copied at a time.
    sizes : sequence of int
        Rows of each leaf.
    names : sequence of int
        Each leaf's number for callbacks and checkpoints: among all, constant ones included.
    watch : LeafWatch
    keeper : TreeKeeper
    n_jobs : int or None

    Returns
    -------
    leaves : list of RFMRegressor or RFMClassifier
        In the order of `sizes`.
    """
    backend, configured = get_active_backend()
    jobs = min(backend.effective_n_jobs(configured if n_jobs is None else n_jobs), len(sizes))
    alone = jobs <= 1
    shares_memory = alone or bool(getattr(backend, "supports_sharedmem", False))
    threads = max(1, cpu_count() // jobs) if shares_memory and not alone else None
    work = np.square(np.array(sizes, np.float64))
    left = np.cumsum(work[::-1])[::-1]

    def tasks() -> Iterator[Any]:
        for number in range(len(sizes)):
            listens = watch.callbacks_of(names[number]) if shares_memory else watch.listens
            limit = watch.limit_of(work[number], left[number], jobs)
            yield data(number), listens, limit, keeper.leaf(names[number])

    if alone:
        return watch.watched((_fit_leaf(leaf, *task) for task in tasks()), sizes)
    as_they_come = getattr(backend, "supports_return_generator", False)
    # One leaf at a time: each is minutes of work.
    parallel = Parallel(
        n_jobs=jobs,
        batch_size=1,
        pre_dispatch=jobs,
        return_as="generator" if as_they_come else "list",
    )
    fit = delayed(_fit_leaf if shares_memory else _fit_leaf_elsewhere)
    fitted = parallel(fit(leaf, *task, threads=threads) for task in tasks())

    def told() -> Iterator[BaseRFM]:
        if shares_memory:
            yield from fitted
            return
        for name, one in zip(names, fitted, strict=True):
            for message, category in one.warnings:
                warnings.warn(message, category, stacklevel=2)
            for entry in one.entries:
                watch.tell(name, entry)
            yield one.leaf

    try:
        return watch.watched(told(), sizes)
    except BaseException:
        # Or a traceback that is kept would keep the leaves yet to come going.
        watch.fail()
        if as_they_come:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", r".*tasks .* have been", UserWarning)
                fitted.close()
        raise


def _fit_leaf(
    leaf: BaseRFM,
    data: LeafData,
    callbacks: list[Callback] | None,
    time_limit: float | None,
    checkpoint: LeafCheckpoint,
    threads: int | None = None,
) -> BaseRFM:
    fitted: BaseRFM = clone(leaf).set_params(time_limit=time_limit, callbacks=callbacks)
    with nullcontext() if threads is None else threadpool_limits(threads, "openmp"):
        # The tree has checked the parameters.
        fitted._fit(data.X, data.y, data.sample_weight, data.X_val, data.y_val, checkpoint.state())
    # What any leaf's rows fit by themselves, whatever was left of the time.
    fitted.set_params(time_limit=leaf.time_limit, callbacks=None)
    return fitted


@dataclass(frozen=True)
class _FromElsewhere:
    """A leaf of another process, what its callbacks would have heard, and what it warned of."""

    leaf: BaseRFM
    entries: list[dict[str, Any]]
    warnings: list[tuple[str, type[Warning]]]


def _fit_leaf_elsewhere(
    leaf: BaseRFM,
    data: LeafData,
    listens: bool,
    time_limit: float | None,
    checkpoint: LeafCheckpoint,
    threads: int | None = None,
) -> _FromElsewhere:
    entries: list[dict[str, Any]] = []
    callbacks: list[Callback] | None = [lambda entry: entries.append(entry)] if listens else None
    # Filters are those of all threads: of a worker with several (Dask's) warnings stay there.
    alone = current_thread() is main_thread()
    with warnings.catch_warnings(record=True) if alone else nullcontext() as caught:
        fitted = _fit_leaf(leaf, data, callbacks, time_limit, checkpoint, threads)
    said = [(str(warning.message), warning.category) for warning in caught or []]
    return _FromElsewhere(fitted, entries, said)
