"""What of a fitted estimator is shown: which estimator, which member, under which names."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.fitted import FittedMember

__all__ = [
    "checked_count",
    "encoded_names",
    "finite_values",
    "given_names",
    "heaviest",
    "input_names",
    "member_caption",
    "member_number",
    "rfm_of",
]

Names = Sequence[str] | NDArray[Any] | None


def rfm_of(estimator: Any) -> BaseRFM:
    """Return the fitted RFM that an estimator is, or that a pipeline ends with.

    Raises
    ------
    TypeError
        For any other estimator.
    NotFittedError
        For one that is not fitted.
    """
    last = estimator
    while isinstance(last, Pipeline):
        last = last.steps[-1][1]
    if not isinstance(last, BaseRFM):
        hint = "; pass its best_estimator_" if hasattr(estimator, "best_estimator_") else ""
        raise TypeError(
            "expected a fitted RFMRegressor or RFMClassifier, or a Pipeline that ends with one; "
            f"got {type(last).__name__}{hint}"
        )
    check_is_fitted(last)
    return last


def heaviest(rfm: BaseRFM) -> int:
    """Return the number of the member whose attributes the estimator shows as its own."""
    return int(np.argmax(rfm.member_weights_))


def member_number(rfm: BaseRFM, member: int | None) -> int:
    """Return the index of the member to show, the heaviest for None.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If there is no such member.
    """
    if member is None:
        return heaviest(rfm)
    if not isinstance(member, Integral) or isinstance(member, bool):
        raise TypeError(f"member must be None or an index of members_; got {member!r}")
    number, last = int(member), len(rfm.members_) - 1
    if not 0 <= number <= last:
        wanted = "only member 0" if last == 0 else f"members 0 to {last}"
        raise ValueError(f"member={number}, but the estimator has {wanted}")
    return number


def member_caption(rfm: BaseRFM, number: int) -> str:
    """Say which member is shown and, on a second line, what its kernel is."""
    shown: FittedMember = rfm.members_[number]
    kernel = f"norm {shown.norm_:g}, exponent {shown.exponent_:g}"
    if len(rfm.members_) == 1:
        return kernel
    total = float(np.sum(rfm.member_weights_))
    share = f"{rfm.member_weights_[number] / total:.0%}" if total > 0 else "none"
    return f"member {number}, {share} of the weight\n{kernel}, {shown.columns_} columns"


def input_names(estimator: Any, names: Names) -> NDArray[np.str_]:
    """Return the names of the input features of the RFM.

    Those given; else those it was fitted with; else those that the steps before it in a pipeline
    say; else x0, x1, ...

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
    names : sequence of str or None

    Raises
    ------
    ValueError
        If not as many as there are features are given.
    """
    rfm = rfm_of(estimator)
    if names is not None:
        return given_names(names, rfm.n_features_in_)
    labels = _encoder_of(rfm, heaviest(rfm))._labels
    if not hasattr(rfm, "feature_names_in_") and isinstance(estimator, Pipeline):
        try:
            said = [str(name) for name in estimator[:-1].get_feature_names_out()]
        except (AttributeError, ValueError):  # a step that cannot say
            said = []
        if len(said) == rfm.n_features_in_:
            labels = said
    return np.asarray(labels, dtype=str)


def encoded_names(estimator: Any, number: int, names: Names) -> NDArray[np.str_]:
    """Return the names of a member's encoded features.

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
    number : int
        Of the member.
    names : sequence of str or None
        Of the encoded features, or of the input features, from which the others then follow.

    Raises
    ------
    ValueError
        If neither as many as there are encoded features are given, nor as many as input features.
    """
    rfm = rfm_of(estimator)
    encoder = _encoder_of(rfm, number)
    source: NDArray[np.intp] = encoder.source_
    names = _as_sequence(names)
    if names is not None and len(names) != rfm.n_features_in_:
        if len(names) != len(source):
            also = (
                ""
                if len(source) == rfm.n_features_in_
                else f", or for each of {rfm.n_features_in_} input features"
            )
            raise ValueError(
                f"feature_names has {len(names)} entries; one is wanted for each of "
                f"{len(source)} encoded features{also}"
            )
        return np.asarray(names, dtype=str)
    of_inputs = input_names(estimator, names)
    return np.asarray(
        [
            of_inputs[feature] + encoded[len(encoder._labels[feature]) :]
            for feature, encoded in zip(source, encoder.encoded_feature_names_, strict=True)
        ],
        dtype=str,
    )


def given_names(names: Names, n_features: int) -> NDArray[np.str_]:
    """Return names as an array, x0, x1, ... for None.

    Raises
    ------
    TypeError
        If they are no sequence, or one string.
    ValueError
        If there are not `n_features` of them.
    """
    names = _as_sequence(names)
    if names is None:
        names = [f"x{i}" for i in range(n_features)]
    if len(names) != n_features:
        raise ValueError(f"feature_names has {len(names)} entries for {n_features} features")
    return np.asarray(names, dtype=str)


def checked_count(name: str, value: Any) -> int:
    """Return a count of at least 1.

    Raises
    ------
    TypeError, ValueError
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer; got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}")
    return int(value)


def finite_values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return numbers to draw as an array.

    Raises
    ------
    ValueError
        If there are none, or if one is not finite.
    """
    found: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if not found.size:
        raise ValueError(f"{name} is empty")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has values that are not finite")
    return found


def _as_sequence(names: Any) -> Names:
    if names is None or (isinstance(names, Sequence) and not isinstance(names, str)):
        return names
    if hasattr(names, "__array__"):  # arrays, an index or a series of pandas
        found: NDArray[Any] = np.asarray(names)
        if found.ndim == 1:
            return found
    raise TypeError(f"feature_names must be a sequence of strings; got {type(names).__name__}")


def _encoder_of(rfm: BaseRFM, number: int) -> Any:
    return rfm._encoders[rfm.members_[number].columns_]
