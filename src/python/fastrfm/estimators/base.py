"""What the regressor and the classifier share: parameters, the fit, the raw prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from fastrfm import backend
from fastrfm.bandwidth import BandwidthRule
from fastrfm.estimators.progress import iteration_log
from fastrfm.kernels import Kernel
from fastrfm.memory import within_memory_limit
from fastrfm.metric import Root, metric_of_root
from fastrfm.outputs import check_not_centred
from fastrfm.preprocessing import TableEncoder
from fastrfm.recursion import (
    Array,
    RecursionResult,
    RecursionSettings,
    Selection,
    plan_of,
    refit,
    run_recursion,
)
from fastrfm.selection import HeldOut, LeaveOneOut, Loss, StandInLeaveOneOut, hold_out

if TYPE_CHECKING:
    from typing_extensions import Self

# Rows standardised and transformed at a time. Enough that the transform of the centres,
# repeated for each chunk, is a small part: it costs d / 16384 of the kernel evaluations.
PREDICT_ROWS = 16_384


class BaseRFM(ABC, BaseEstimator):
    """A Recursive Feature Machine without its targets.

    Subclasses say how `y` becomes the columns of a kernel ridge regression
    (`_fit_targets`, `_encode_targets`) and what the error of a prediction is (`_loss`).
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "norm": [Interval(Real, 0, 2, closed="right")],
        "exponent": [Interval(Real, 0, 2, closed="right")],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), str],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "diagonal": ["boolean"],
        "agop_power": [Interval(Real, 0, None, closed="neither")],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "center_gradients": ["boolean"],
        "rank_tolerance": [Interval(Real, 0, 1, closed="left")],
        "solver": [StrOptions({"auto", "cholesky", "pcg"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "standardize": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "early_stopping": ["boolean"],
        "agop_samples": [Interval(Integral, 1, None, closed="left")],
        "agop_output_samples": [Interval(Integral, 1, None, closed="left"), None],
        "memory_limit": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "callbacks": [Iterable, None],
    }

    def __init__(
        self,
        *,
        norm: float = 2.0,
        exponent: float = 1.0,
        bandwidth: float | str = 10.0,
        alpha: float = 1e-3,
        diagonal: bool = False,
        agop_power: float = 0.5,
        n_iter: int = 5,
        center_gradients: bool = False,
        rank_tolerance: float = 1e-7,
        solver: str = "auto",
        tol: float = 1e-4,
        standardize: bool = True,
        validation_fraction: float | None = None,
        early_stopping: bool = True,
        agop_samples: int = 20_000,
        agop_output_samples: int | None = None,
        memory_limit: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Iterable[Callable[[dict[str, Any]], None]] | None = None,
    ) -> None:
        self.norm = norm
        self.exponent = exponent
        self.bandwidth = bandwidth
        self.alpha = alpha
        self.diagonal = diagonal
        self.agop_power = agop_power
        self.n_iter = n_iter
        self.center_gradients = center_gradients
        self.rank_tolerance = rank_tolerance
        self.solver = solver
        self.tol = tol
        self.standardize = standardize
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.agop_samples = agop_samples
        self.agop_output_samples = agop_output_samples
        self.memory_limit = memory_limit
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Learn the metric and fit the kernel ridge regression.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            float64 is computed in float64; float32, integers and bool in float32.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; the classifier takes labels of shape (n_samples,).
        X_val, y_val : array-like, optional
            Rows that choose the iteration. The coefficients are those of all rows of `X`.

        Returns
        -------
        self : object
            The fitted estimator. A fit that fails or is interrupted leaves the estimator
            as it was before.

        Raises
        ------
        ValueError
            For bad data or parameters.
        MemoryError
            If the fit would need more than `memory_limit`; nothing large has been allocated then.
        """
        with self._all_or_nothing():
            return self._fit(X, y, X_val, y_val)

    def _fit(
        self, X: ArrayLike, y: ArrayLike, X_val: ArrayLike | None, y_val: ArrayLike | None
    ) -> Self:
        settings = self._settings()
        rng = check_random_state(self.random_state)
        X_array, y_array = self._validate_training_data(X, y)
        scaler = TableEncoder(categorical_features=None, standardize=self.standardize).fit(X_array)
        X_fit = scaler.transform(X_array)
        Y = self._fit_targets(y_array).astype(X_fit.dtype)
        (n, d), c = X_fit.shape, Y.shape[1]
        settings = within_memory_limit(settings, n, d, c, X_fit.dtype)
        loss = self._loss()

        selection: Selection
        rows: NDArray[np.intp] | slice = slice(None)
        if X_val is not None or y_val is not None:
            selection = self._given_validation(X_val, y_val, scaler, loss)
        elif self.validation_fraction is not None:
            labels = y_array if hasattr(self, "classes_") else None
            rows, held_out = hold_out(len(Y), self.validation_fraction, labels, rng)
            selection = HeldOut(X_fit[held_out], Y[held_out], loss)
        elif self._factorises(X_fit, Y, settings):
            selection = LeaveOneOut.draw(Y, loss, rng)
        else:
            selection = StandInLeaveOneOut.draw(Y, loss, rng)

        with iteration_log(self.n_iter, self.verbose, self._checked_callbacks()) as notify:
            result = run_recursion(
                X_fit[rows], Y[rows], settings, selection=selection, rng=rng, on_iteration=notify
            )
        if result.loose or not isinstance(rows, slice):
            result = refit(X_fit, Y, result, settings, rng)
        self._store(result, X_fit, scaler)
        return self

    def _factorises(self, X: Array, Y: Array, settings: RecursionSettings) -> bool:
        """Whether the solver factorises, as closed-form leave-one-out needs."""
        return plan_of(X, Y, settings).solver == "cholesky"

    def _settings(self) -> RecursionSettings:
        bandwidth = BandwidthRule.parse(self.bandwidth)
        Kernel(norm=self.norm, exponent=self.exponent)  # refuses exponent > norm, before any work
        samples = None if self.agop_output_samples is None else int(self.agop_output_samples)
        check_not_centred("agop_output_samples", samples, "center_gradients", self.center_gradients)
        return RecursionSettings(
            norm=float(self.norm),
            exponent=float(self.exponent),
            bandwidth=bandwidth,
            alpha=float(self.alpha),
            diagonal=bool(self.diagonal),
            agop_power=float(self.agop_power),
            n_iter=int(self.n_iter),
            center_gradients=bool(self.center_gradients),
            rank_tolerance=float(self.rank_tolerance),
            solver=self.solver,
            tol=float(self.tol),
            agop_samples=int(self.agop_samples),
            agop_output_samples=samples,
            memory_limit=None if self.memory_limit is None else int(self.memory_limit),
            early_stopping=bool(self.early_stopping),
        )

    def _checked_callbacks(self) -> list[Callable[[dict[str, Any]], None]]:
        callbacks = list(self.callbacks or ())
        for callback in callbacks:
            if not callable(callback):
                raise TypeError(f"callbacks must be an iterable of callables; got {callback!r}")
        return callbacks

    def _given_validation(
        self, X_val: ArrayLike | None, y_val: ArrayLike | None, scaler: TableEncoder, loss: Loss
    ) -> HeldOut:
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val belong together; {missing} is missing")
        X_array = validate_data(self, X_val, reset=False)
        Y: Array = self._encode_targets(y_val).astype(scaler.dtype_)
        check_consistent_length(X_array, Y)
        return HeldOut(scaler.transform(X_array), Y, loss)

    def _store(self, result: RecursionResult, X_fit: Array, scaler: TableEncoder) -> None:
        d = X_fit.shape[1]
        metric = metric_of_root(result.root)
        if metric is None:
            metric = np.ones(d) if self.diagonal else np.eye(d)
        trace = result.agop if result.agop.ndim == 1 else np.diag(result.agop)
        total = trace.sum()
        self._scaler = scaler
        self._root: Root = result.root
        self._kernel = result.kernel
        self.X_fit_ = X_fit
        self.dual_coef_ = result.coef
        self.metric_ = metric
        self.agop_ = result.agop
        self.feature_importances_ = trace / total if total > 0 else np.zeros(d)
        self.norm_ = result.kernel.norm
        self.exponent_ = result.kernel.exponent
        self.bandwidth_ = result.kernel.bandwidth
        self.alpha_ = result.alpha
        self.best_iter_ = result.best_iter
        self.n_iter_ = len(result.history) - 1
        self.history_ = result.history

    def _raw_predict(self, X: ArrayLike) -> Array:
        """``K(X, X_fit_) @ dual_coef_``, of shape (n_samples, c), chunk by chunk."""
        check_is_fitted(self)
        X_array = validate_data(self, X, reset=False)
        f = np.empty((len(X_array), self.dual_coef_.shape[1]), self.dual_coef_.dtype)
        for start in range(0, len(X_array), PREDICT_ROWS):
            chunk = slice(start, start + PREDICT_ROWS)
            f[chunk] = backend.kernel_matmul(
                self._scaler.transform(X_array[chunk]),
                self.X_fit_,
                self.dual_coef_,
                self._kernel,
                self._root,
            )
        return f

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Put the attributes back if the fit does not end, Ctrl-C included."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    @abstractmethod
    def _validate_training_data(
        self, X: ArrayLike, y: ArrayLike
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Check `X` and `y` and set the feature attributes; `X` keeps its numeric dtype."""

    @abstractmethod
    def _fit_targets(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Learn the coding of the targets and return them coded, of shape (n, c)."""

    @abstractmethod
    def _encode_targets(self, y: ArrayLike) -> NDArray[np.float64]:
        """Check and code further targets; the shape is (n, c)."""

    @abstractmethod
    def _loss(self) -> Loss:
        """Return the error by which iterations are compared, for coded targets."""
