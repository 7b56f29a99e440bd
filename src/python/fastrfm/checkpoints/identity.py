"""Of which fit a checkpoint is: its parameters, and digests of its data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from fastrfm.remote import RemoteRows

if TYPE_CHECKING:
    from fastrfm.problem import Problem, Validation

__all__ = ["CheckpointError", "Identity", "identity_of", "identity_of_pieces", "key_of"]

Array = NDArray[Any]

# Parameters that do not matter for what a fit comes to: the state of a generator is in the file,
# time is that of the run, and a device or jobs change no more than last bits.
_FREE = ("callbacks", "device", "n_jobs", "random_state", "time_limit", "verbose")
# Rows are hashed in pieces of about so many bytes: of rows on a disk no more is in memory.
_PIECE = 1 << 24
_LONGEST_SHOWN = 60


class CheckpointError(ValueError):
    """A file is not a checkpoint from which this fit can go on; the message says why."""


@dataclass(frozen=True)
class Identity:
    """What must be the same for a fit to go on.

    Attributes
    ----------
    parameters : dict of str to str
        The estimator's class, its parameters, and those of the data, as text.
    data : dict of str to str
        Digests, by the names of the arguments.
    """

    parameters: dict[str, str]
    data: dict[str, str]

    def check(self, saved: Identity) -> None:
        """Raise `CheckpointError` unless the checkpoint's identity is this one."""
        # The seed is among them where it is a number.
        for name in [*self.parameters, *(saved.parameters.keys() - self.parameters.keys())]:
            ours, theirs = (_shown(which.parameters.get(name)) for which in (self, saved))
            if self.parameters.get(name) != saved.parameters.get(name):
                raise CheckpointError(
                    f"it is of a fit with {name}={theirs}, and this one has {name}={ours}; give it "
                    "what it had, or fit anew without resume_from"
                )
        for name, digest in self.data.items():
            if saved.data.get(name) != digest:
                raise CheckpointError(
                    f"it is of a fit to another {name}; pass the same data in the same order, or "
                    "fit anew without resume_from"
                )


def _parameters_of(estimator: Any) -> dict[str, str]:
    """Return an estimator's class, and those of its parameters that matter, as text."""
    parameters = {"estimator": type(estimator).__name__}
    for name, value in estimator.get_params(deep=False).items():
        if name not in _FREE:
            parameters[name] = _text(value)
    if isinstance(estimator.random_state, Integral):
        parameters["random_state"] = str(int(estimator.random_state))
    return parameters


def identity_of(estimator: Any, problem: Problem, validation: Validation | None) -> Identity:
    """Return the identity of the fit of an estimator (`BaseRFM`) to a problem."""
    parameters = _parameters_of(estimator)
    # Weights first: they also change how columns are scaled.
    weights = {"weight": problem.sample_weight, "unit": problem.unit_weight}
    data = {
        "sample_weight": _digest(weights),
        "X": _digest(problem.tables),
        "y": _digest({"Y": problem.Y}),
    }
    judging = None if validation is None else validation.problem
    data["X_val"] = "" if judging is None else _digest(judging.tables)
    data["y_val"] = (
        "" if judging is None else _digest({"Y": judging.Y, "weight": judging.sample_weight})
    )
    return Identity(parameters, data)


def identity_of_pieces(estimator: Any, data: Mapping[str, Iterable[Array]]) -> Identity:
    """Return the identity of a fit to arrays that are given in pieces; any of them may be empty."""
    digests = {}
    for name, pieces in data.items():
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(f"{piece.dtype.str} {piece.shape} ".encode())
            digest.update(np.ascontiguousarray(piece).data)
        digests[name] = digest.hexdigest()
    return Identity(_parameters_of(estimator), digests)


def key_of(identity: Identity, random_numbers: Mapping[str, Any]) -> str:
    """Return a name for a fit: its own, unless identity and random numbers are another's too."""
    content = [identity.parameters, identity.data, random_numbers]
    text = json.dumps(content, sort_keys=True, default=lambda array: array.tolist())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    """Return a parameter as text that equal ones share, as 2 and 2.0, a list and an array."""
    if hasattr(value, "tolist"):  # NumPy's
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        entries = sorted(f"{_text(name)}: {_text(entry)}" for name, entry in value.items())
        return f"{{{', '.join(entries)}}}"
    whole = isinstance(value, float) and value.is_integer()
    return repr(int(value) if whole else value)


def _digest(arrays: Mapping[Any, NDArray[Any] | None]) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        if array is None:
            digest.update(f"{name} None ".encode())
            continue
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        if isinstance(array, RemoteRows):
            digest.update(array.digest())
            continue
        if not array.size:
            continue
        rows_a_piece = max(1, _PIECE * len(array) // array.nbytes)
        for rows in gen_batches(len(array), rows_a_piece):
            digest.update(np.ascontiguousarray(array[rows]).data)
    return digest.hexdigest()


def _shown(text: str | None) -> str:
    if text is None:
        return "None or a generator"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
