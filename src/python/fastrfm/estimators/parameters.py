"""The parameters of the estimators: what they may be, and what they ask of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from fastrfm.bandwidth import BandwidthRule
from fastrfm.kernels import Kernel
from fastrfm.members import AUTO_ALPHAS, AUTO_N_ITER, Kind, kinds
from fastrfm.outputs import check_not_centred
from fastrfm.preprocessing import Columns, TableEncoder
from fastrfm.settings import RecursionSettings

__all__ = ["Parameters"]

_AUTO = StrOptions({"auto"})


class Parameters(BaseEstimator):
    """What `RFMRegressor` and `RFMClassifier` are given; each documents it."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "norm": [Interval(Real, 0, 2, closed="right"), _AUTO],
        "exponent": [Interval(Real, 0, 2, closed="right"), _AUTO],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), str],
        "alpha": [Interval(Real, 0, None, closed="left"), _AUTO],
        "diagonal": ["boolean", _AUTO],
        "agop_power": [Interval(Real, 0, None, closed="neither"), _AUTO],
        "n_iter": [Interval(Integral, 0, None, closed="left"), _AUTO],
        "center_gradients": ["boolean"],
        "rank_tolerance": [Interval(Real, 0, 1, closed="left")],
        "solver": [StrOptions({"auto", "cholesky", "pcg"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "standardize": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "early_stopping": ["boolean"],
        "agop_samples": [Interval(Integral, 1, None, closed="left")],
        "agop_output_samples": [Interval(Integral, 1, None, closed="left"), None],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "memory_limit": [Interval(Integral, 1, None, closed="left"), None],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "callbacks": [Iterable, None],
    }

    def __init__(
        self,
        *,
        norm: float | str = "auto",
        exponent: float | str = "auto",
        bandwidth: float | str = "auto",
        alpha: float | str = "auto",
        diagonal: bool | str = "auto",
        agop_power: float | str = "auto",
        n_iter: int | str = "auto",
        center_gradients: bool = False,
        rank_tolerance: float = 1e-7,
        solver: str = "auto",
        tol: float = 1e-4,
        categorical_features: Any = "from_dtype",
        standardize: bool = True,
        validation_fraction: float | None = None,
        early_stopping: bool = True,
        agop_samples: int = 20_000,
        agop_output_samples: int | None = None,
        device: str = "auto",
        memory_limit: int | None = None,
        time_limit: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Iterable[Callable[[dict[str, Any]], Any]] | None = None,
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
        self.categorical_features = categorical_features
        self.standardize = standardize
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.agop_samples = agop_samples
        self.agop_output_samples = agop_output_samples
        self.device = device
        self.memory_limit = memory_limit
        self.time_limit = time_limit
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def _kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of members to fit, having checked the parameters against each other."""
        norm, exponent = _given(self.norm), _given(self.exponent)
        bandwidth: float | str | None = self.bandwidth
        if isinstance(bandwidth, str) and bandwidth == "auto":
            bandwidth = None
        if bandwidth is not None:
            BandwidthRule.parse(bandwidth)
        samples = None if self.agop_output_samples is None else int(self.agop_output_samples)
        check_not_centred("agop_output_samples", samples, "center_gradients", self.center_gradients)
        if norm is not None and exponent is not None:
            Kernel(norm=norm, exponent=exponent)  # refuses exponent > norm
        found = kinds(
            norm=norm,
            exponent=exponent,
            bandwidth=bandwidth,
            diagonal=None if isinstance(self.diagonal, str) else bool(self.diagonal),
            agop_power=_given(self.agop_power),
        )
        if self.standardize:
            return found
        # Columns are to stay as they are: no ranks, nothing compressed.
        return tuple(dict.fromkeys(replace(kind, columns="standard") for kind in found))

    def _encoder(self, columns: Columns) -> TableEncoder:
        return TableEncoder(
            categorical_features=self.categorical_features,
            scaling=columns if self.standardize else None,
        )

    def _allows_raw(self, kinds_: tuple[Kind, ...]) -> bool:
        """Return whether units of columns can be a part of the metric's root."""
        # For a norm other than 2 the root of a full metric is the symmetric one, which has none.
        return not self.standardize or all(k.norm == 2 or k.diagonal for k in kinds_)

    def _settings(self, kind: Kind, weight: NDArray[np.float64] | None) -> RecursionSettings:
        # A ridge is in units of a row of weight 1: where rows weigh less, so does what is searched.
        unit = 1.0 if weight is None else min(1.0, float(weight.mean()))
        searched = tuple(alpha * unit for alpha in AUTO_ALPHAS)
        samples = None if self.agop_output_samples is None else int(self.agop_output_samples)
        return RecursionSettings(
            norm=float(kind.norm),
            exponent=float(kind.exponent),
            bandwidth=BandwidthRule.parse(kind.bandwidth),
            alphas=searched if isinstance(self.alpha, str) else (float(self.alpha),),
            diagonal=bool(kind.diagonal),
            agop_power=float(kind.agop_power),
            n_iter=AUTO_N_ITER if isinstance(self.n_iter, str) else int(self.n_iter),
            center_gradients=bool(self.center_gradients),
            rank_tolerance=float(self.rank_tolerance),
            solver=self.solver,
            tol=float(self.tol),
            agop_samples=int(self.agop_samples),
            agop_output_samples=samples,
            memory_limit=None if self.memory_limit is None else int(self.memory_limit),
            early_stopping=bool(self.early_stopping),
        )

    def _checked_callbacks(self) -> list[Callable[[dict[str, Any]], Any]]:
        callbacks = list(self.callbacks or ())
        for callback in callbacks:
            if not callable(callback):
                raise TypeError(f"callbacks must be an iterable of callables; got {callback!r}")
        return callbacks


def _given(value: float | str) -> float | None:
    """Return a parameter, None where it is "auto"."""
    return None if isinstance(value, str) else float(value)
