"""What the regressor and the classifier share: the fit, the raw prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import (
    check_consistent_length,
    check_random_state,
    gen_batches,
)
from sklearn.utils.validation import _num_samples, check_is_fitted

from fastrfm.checkpoints import identity_of
from fastrfm.ensemble import fit_ensemble
from fastrfm.estimators.checkpointed import Checkpointing
from fastrfm.estimators.collected import collected, opened
from fastrfm.estimators.device import device_of, fit_place, host_data
from fastrfm.estimators.fitted import OF_HEAVIEST, fitted_member, importances
from fastrfm.estimators.parameters import Parameters
from fastrfm.estimators.placed import Movable
from fastrfm.estimators.progress import FitWatch
from fastrfm.estimators.weights import class_weights_of, combined_weights, without_weightless
from fastrfm.losses import Loss
from fastrfm.members import Kind
from fastrfm.memory import check_tables_fit
from fastrfm.preprocessing import Columns, TableEncoder
from fastrfm.preprocessing.columns import refuse_repeated_names
from fastrfm.problem import Ensemble, Member, Problem, Validation
from fastrfm.remote import RemoteTable
from fastrfm.selection import hold_out
from fastrfm.sklearn_compat import check_feature_names, take_rows
from fastrfm.validation import floating_dtype

if TYPE_CHECKING:
    from sklearn.utils import Tags
    from typing_extensions import Self

# Rows encoded and transformed at a time. Enough that the transform of the centres,
# repeated for each chunk, is a small part: it costs d / 16384 of the kernel evaluations.
PREDICT_ROWS = 16_384
# A checkpoint of 1,000,000 rows with one output is 40 MB, written in a tenth of a second or two.
CHECKPOINT_MINUTES = 5.0


class BaseRFM(Movable, ABC, Parameters):
    """Recursive Feature Machines without their targets.

    Subclasses say how `y` becomes the columns of a kernel ridge regression
    (`_fit_targets`, `_encode_targets`) and what the error of a prediction is (`_loss`).
    """

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        *,
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_minutes: float | None = CHECKPOINT_MINUTES,
        checkpoint_steps: int | None = None,
        resume_from: str | PathLike[str] | None = None,
    ) -> Self:
        """Learn the metrics, choose what is "auto", and fit the kernel ridge regressions.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Numbers, and categories as `categorical_features` says; missing values are welcome.
            float64 is computed in float64; float32, integers and bool in float32. The rows of a
            Dask array or frame stay on the workers of the active client (`fastrfm.dask`).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; the classifier takes labels of shape (n_samples,).
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, at least 0: a weight of 2 counts as the row twice, also for
            leave-one-out, which then leaves out one of the two. Weights that are no such counts
            should be at most 1, or too small a ridge is chosen. As in any ridge regression,
            larger weights mean less regularisation.
        X_val, y_val : array-like, optional
            Rows that choose, instead of leave-one-out. The coefficients are those of all rows of
            `X`, and of these alone.

            All of them may be CuPy's arrays or PyTorch's tensors. Columns are encoded on the host,
            so they are copied there once, and the encoded rows to the device of the fit.

        checkpoint : str or path-like, optional
            A file to keep the state of the fit in. It is replaced as a whole, first at once, then
            at the intervals that follow, and at the end.
        checkpoint_minutes : float or None, default=5
            Minutes between two checkpoints. They are taken between iterations of the recursion and
            between steps of conjugate gradients; a factorisation is not interrupted.
        checkpoint_steps : int, optional
            Steps of conjugate gradients between two checkpoints, if that comes earlier.
        resume_from : str or path-like, optional
            A checkpoint of a fit of an estimator with the same parameters to the same data, which
            goes on from there and comes to the same, bit for bit but for the seconds in `history_`
            (on the same machine and without `time_limit`). It is also where further checkpoints go,
            unless `checkpoint` says otherwise. One of a fit that has ended, were it by `time_limit`
            or a callback, gives its result without fitting anew.

        Returns
        -------
        self : object
            The fitted estimator. A fit that fails or is interrupted leaves the estimator
            as it was before.

        Raises
        ------
        TypeError, ValueError
            For bad data or parameters.
        MemoryError
            If the fit would need more than `memory_limit`; nothing large has been allocated then.
        RuntimeError
            If `device` is "cuda" and CUDA cannot be used: says what is missing. For a Dask
            collection, if there is no client; `fastrfm.dask.ClusterError` if the cluster is lost.
        FileNotFoundError, fastrfm.CheckpointError
            If `resume_from` is not there, is damaged, or is of another fit: says in what.
        """
        state = Checkpointing(checkpoint, checkpoint_minutes, checkpoint_steps, resume_from)
        with self._all_or_nothing():
            return self._fit(X, y, sample_weight, X_val, y_val, state)

    def _fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        X_val: Any,
        y_val: ArrayLike | None,
        state: Checkpointing,
    ) -> Self:
        kinds_ = self._kinds()
        y, sample_weight = host_data(collected(y)), host_data(collected(sample_weight))
        X_val, y_val = host_data(collected(X_val)), host_data(collected(y_val))
        with opened(X, self.solver) as rows:
            return self._fit_rows(rows, y, sample_weight, X_val, y_val, kinds_, state)

    def _fit_rows(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        X_val: Any,
        y_val: Any,
        kinds_: tuple[Kind, ...],
        state: Checkpointing,
    ) -> Self:
        # The rows of a Dask collection stay with its workers; `X` stands for them meanwhile.
        remote = X if isinstance(X, RemoteTable) else None
        data_device = device_of(X)
        X = host_data(X)
        keeper, rng = state.keeper(check_random_state(self.random_state))
        watch = FitWatch(self.verbose, self._checked_callbacks(), self.time_limit, keeper)
        if (X_val is None) != (y_val is None):
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val belong together; {missing} is missing")
        header = X if remote is None else remote.header
        refuse_repeated_names(header)
        check_feature_names(self, header, reset=True)
        if not _num_samples(X):
            self._encoder(kinds_[0].columns).fit(X, estimator=self)  # says so, of X and not of y
        y_array = self._validate_targets(y)
        check_consistent_length(X, y_array)
        class_weight = getattr(self, "class_weight", None)
        weight, unit = combined_weights(sample_weight, class_weight, X, y_array)
        X, y_array, weight, unit = without_weightless(X, y_array, weight, unit)

        table, of_table = (X, weight) if remote is None else X.sample(weight)
        columns = kinds_[0].columns
        raw = self._allows_raw(kinds_)
        first = self._encoder(columns).fit(table, of_table, estimator=self, allow_raw=raw)
        encoders = {columns: first}
        if first.is_categorical_.all():
            # Without numbers all columns are the same, however numbers are scaled.
            kinds_ = tuple(dict.fromkeys(replace(kind, columns=columns) for kind in kinds_))
        for columns in dict.fromkeys(kind.columns for kind in kinds_):
            if columns not in encoders:
                encoder = self._encoder(columns)
                encoders[columns] = encoder.fit(table, of_table, estimator=self, allow_raw=raw)
        del table
        # Rows that stay raw are the caller's, those of workers theirs.
        made = [e for e in encoders.values() if remote is None and not e.is_raw_]
        widths = [(len(e.source_), e.dtype_) for e in made]
        check_tables_fit(_num_samples(X), widths, self.memory_limit)
        tables = {name: self._encoded(encoder, X) for name, encoder in encoders.items()}
        Y = self._fit_targets(y_array, weight).astype(floating_dtype(tables[kinds_[0].columns]))
        units = {name: e.units_ for name, e in encoders.items() if e.units_ is not None}
        problem = Problem(tables, Y, weight, unit, units)

        validation = None
        if X_val is not None:
            Y_val = self._encode_targets(y_val).astype(Y.dtype)
            check_consistent_length(X_val, Y_val)
            judging = {name: e.transform(X_val, estimator=self) for name, e in encoders.items()}
            validation = Validation(Problem(judging, Y_val, class_weights_of(y_val, y_array, unit)))
        elif self.validation_fraction is not None:
            labels = y_array if hasattr(self, "classes_") else None
            rows, held_out = hold_out(len(Y), self.validation_fraction, labels, rng)
            validation = Validation(problem.of_rows(held_out), rows)

        members = [Member(kind.columns, self._settings(kind, weight)) for kind in kinds_]
        place = fit_place(self.device, problem, members, data_device)
        with nullcontext() if remote is not None else place as number:
            keeper.begin(partial(identity_of, self, problem, validation))
            with watch.running():
                ensemble = fit_ensemble(
                    problem,
                    members,
                    self._loss(),
                    validation=validation,
                    shrinkage_rows=self._shrinkage_rows,
                    rng=rng,
                    watch=watch,
                )
                self._calibrate(problem, ensemble, rng, watch)
                watch.end()
        self._store(problem, ensemble, encoders)
        self._go_to(number)
        return self

    def _encoded(self, encoder: TableEncoder, X: Any) -> Any:
        """Return all rows encoded: an array, or rows that stay with Dask's workers."""
        if isinstance(X, RemoteTable):
            return X.encoded(encoder, self.device)
        return encoder.transform(X, estimator=self)

    def _store(
        self, problem: Problem, ensemble: Ensemble, encoders: dict[Columns, TableEncoder]
    ) -> None:
        self.members_ = [
            fitted_member(member, result, table)
            for member, result, table in zip(
                ensemble.members, ensemble.results, ensemble.tables, strict=True
            )
        ]
        self.member_weights_ = ensemble.weights
        self._encoders = {m.columns_: encoders[m.columns_] for m in self.members_}
        self._summarise()

    def _summarise(self) -> None:
        """Set the attributes that follow from the members and their weights."""
        first = self.members_[int(np.argmax(self.member_weights_))]
        for name in OF_HEAVIEST:
            setattr(self, name, getattr(first, name))
        shares = sum(
            weight * importances(m, self._encoders[m.columns_], self.n_features_in_)
            for m, weight in zip(self.members_, self.member_weights_, strict=True)
        )
        total = np.sum(shares)
        self.feature_importances_ = shares / total if total > 0 else np.zeros(self.n_features_in_)
        self.encoded_feature_names_ = self._encoders[first.columns_].encoded_feature_names_

    def save(
        self, path: str | PathLike[str], *, centers_dtype: Literal["float16"] | None = None
    ) -> None:
        """Write the fitted estimator to a file, which :func:`fastrfm.load` reads.

        One file, by convention with the suffix .frfm: a safetensors file with a description and a
        checksum. No pickle: nothing in it is run when it is loaded. It can be loaded on other
        hardware, and with other versions of the packages that fastrfm builds on.

        The file is replaced as a whole or not at all: if anything goes wrong, what was at `path`
        stays. The same model gives the same bytes.

        Parameters
        ----------
        path : str or path-like
        centers_dtype : {"float16"}, default=None
            Store the rows `X_fit_`, most of the file, in half precision; loaded, they have their
            own dtype again, and some of `dual_coef_` make up for most of what that changes. By how
            much predictions change, see Notes.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        OSError
            If the file cannot be written.
        TypeError
            For a subclass, or an attribute or parameter that the file cannot keep.
        ValueError
            If a value of `X_fit_` is beyond float16's range, 65,504, or `path` is a device.

        Notes
        -----
        All parameters and all fitted attributes come back equal, predictions with the same bits on
        the same kind of processor. What lives in the process does not come back: `callbacks`, and a
        `random_state` that is a generator rather than a number, are None in the loaded estimator;
        scikit-learn's metadata requests (`set_fit_request`) are as in a new one. NumPy's scalars
        among parameters come back as Python's, and array-likes other than arrays as lists.

        With ``centers_dtype="float16"``, predictions of rows not fitted changed by 1e-3, 1e-4 and
        4e-5 of the targets' standard deviation, root mean square, on the data sets pol, elevators
        and adult, and by at most 5e-3; their error by less than one part in 1,000.

        The file holds the training rows, encoded, and the levels of categories: whoever may not see
        the data may not see the model.
        """
        from fastrfm.persistence import save

        save(self, path, centers_dtype=centers_dtype)

    def _raw_predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Weighted sum of the members' ``K(X, X_fit_) @ dual_coef_``, (n_samples, c), by chunks."""
        check_is_fitted(self)
        X = host_data(X)
        n = _num_samples(X)
        f = np.zeros((n, self.dual_coef_.shape[1]))
        # Also of a table without rows the columns are checked, and scikit-learn's message is given.
        for rows in gen_batches(n, PREDICT_ROWS) if n else [slice(0, 0)]:
            chunk = X if n <= PREDICT_ROWS else take_rows(X, rows)
            encoded = {
                columns: encoder.transform(chunk, estimator=self)
                for columns, encoder in self._encoders.items()
            }
            with self._deciding() as members:
                for member, weight in zip(members, self.member_weights_, strict=True):
                    f[rows] += weight * member.decide(encoded[member.columns_])
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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _more_tags(self) -> dict[str, Any]:
        # The tags of scikit-learn 1.5.
        return {"allow_nan": True}

    # See `fit_ensemble`.
    _shrinkage_rows: ClassVar[float] = 0.0

    @abstractmethod
    def _validate_targets(self, y: ArrayLike) -> NDArray[Any]:
        """Check `y`."""

    @abstractmethod
    def _fit_targets(
        self, y: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Learn the coding of the targets and return them coded, of shape (n, c)."""

    @abstractmethod
    def _encode_targets(self, y: ArrayLike | None) -> NDArray[np.float64]:
        """Check and code further targets; the shape is (n, c)."""

    @abstractmethod
    def _loss(self) -> Loss:
        """Return the error by which iterations are compared, for coded targets."""

    def _calibrate(
        self, problem: Problem, ensemble: Ensemble, rng: np.random.RandomState, watch: FitWatch
    ) -> None:
        """Learn what a score means, where that is more than a prediction."""
