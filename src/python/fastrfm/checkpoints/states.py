"""The pieces of a fit's state as documents with arrays, and back.

Each piece is a small dataclass; it becomes a dict of its fields, in which `persistence.values`
writes numbers, arrays and containers. No pickle: nothing in a checkpoint is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from fastrfm._version import __version__
from fastrfm.arrays import is_on_device, to_host
from fastrfm.checkpoints.identity import CheckpointError, Identity
from fastrfm.kernels import Kernel
from fastrfm.persistence.container import CHECKPOINT_KIND
from fastrfm.persistence.values import ArrayStore, decode, encode
from fastrfm.recursion import RecursionResult, RecursionState
from fastrfm.ridge.pcg import CgState
from fastrfm.selection import Verdict

__all__ = ["Checkpoint", "Finished", "Unfinished", "checkpoint_of", "checkpoint_state"]

# Raised by one whenever a file written before would be misread, or its fit go on differently.
SCHEMA = 1
_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")

RandomNumbers = dict[str, Any]  # as RandomState.get_state(legacy=False) returns


@dataclass(frozen=True)
class Finished:
    """A recursion that has come to its result, and the random numbers after it."""

    result: RecursionResult
    random_numbers: RandomNumbers


@dataclass(frozen=True)
class Unfinished:
    """The recursion in which the fit is.

    Attributes
    ----------
    name : str
    state : RecursionState or None
        Before its present iteration; None: it has not come to its first, or has none.
    random_numbers : dict or None
        Before that iteration.
    solve : int
        Number of the solve, in the iteration, that `cg` is of.
    cg : CgState or None
        None: it has not come to a step.
    """

    name: str
    state: RecursionState | None = None
    random_numbers: RandomNumbers | None = None
    solve: int = 0
    cg: CgState | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit.

    Attributes
    ----------
    identity : Identity
    random_numbers : dict
        At the beginning.
    finished : dict of str to Finished
    unfinished : Unfinished or None
    decisions : list of bool
        Whether the fit went on, each time that it asked between recursions.
    """

    identity: Identity
    random_numbers: RandomNumbers
    finished: dict[str, Finished] = field(default_factory=dict)
    unfinished: Unfinished | None = None
    decisions: list[bool] = field(default_factory=list)

    def generator(self) -> np.random.RandomState:
        """Return a generator as it was at the beginning."""
        name = self.random_numbers["bit_generator"]
        if name not in _GENERATORS:
            raise CheckpointError(f"its random numbers are of an unknown generator, {name!r:.40}")
        rng = np.random.RandomState(getattr(np.random, name)())
        rng.set_state(self.random_numbers)
        return rng


def checkpoint_state(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the document and the arrays that `checkpoint_of` makes an equal checkpoint of."""
    store = ArrayStore()
    finished = {
        name: {"result": _of_result(f.result), "random_numbers": f.random_numbers}
        for name, f in checkpoint.finished.items()
    }
    unfinished = None
    if checkpoint.unfinished is not None:
        state, cg = checkpoint.unfinished.state, checkpoint.unfinished.cg
        unfinished = _as_dict(checkpoint.unfinished) | {
            "state": None if state is None else _of_state(state),
            "cg": None if cg is None else _as_dict(cg),
        }
    content = {
        "identity": _as_dict(checkpoint.identity),
        "random_numbers": checkpoint.random_numbers,
        "finished": finished,
        "unfinished": unfinished,
        "decisions": checkpoint.decisions,
    }
    document = {
        "kind": CHECKPOINT_KIND,
        "schema": SCHEMA,
        "fastrfm": __version__,
        "content": encode(content, "state", store),
    }
    return document, store.arrays


def checkpoint_of(document: Any, arrays: dict[str, Any]) -> Checkpoint:
    """Return the checkpoint that `checkpoint_state` was given.

    Raises
    ------
    CheckpointError
        If it is of another version, or there can be none such.
    """
    if not isinstance(document, dict) or document.get("kind") != CHECKPOINT_KIND:
        raise CheckpointError(
            "it is a model, not a checkpoint; load it with fastrfm.load, or give the path that was "
            "the checkpoint of a fit"
        )
    version = (document.get("schema"), document.get("fastrfm"))
    if version != (SCHEMA, __version__):
        raise CheckpointError(
            f"it was written by fastrfm {version[1]!s:.40}, and this is fastrfm {__version__}, "
            "whose fit need not go on to the same; go on with that version, or fit anew without "
            "resume_from"
        )
    try:
        content = decode(document["content"], arrays)
        finished = {
            name: Finished(_result_of(f["result"]), f["random_numbers"])
            for name, f in content["finished"].items()
        }
        unfinished = None
        if content["unfinished"] is not None:
            unfinished = Unfinished(**content["unfinished"])
            unfinished = replace(
                unfinished,
                state=None if unfinished.state is None else _state_of(unfinished.state),
                cg=None if unfinished.cg is None else CgState(**_writeable(unfinished.cg)),
            )
        return Checkpoint(
            Identity(**content["identity"]),
            content["random_numbers"],
            finished,
            unfinished,
            content["decisions"],
        )
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"its checksum is right, but its content is not that of a checkpoint: {error!s:.200}; "
            "fastrfm did not write it"
        ) from error


def _as_dict(piece: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, arrays on the host."""
    values = {f.name: getattr(piece, f.name) for f in fields(piece)}
    return {name: to_host(v) if is_on_device(v) else v for name, v in values.items()}


def _of_result(result: RecursionResult) -> dict[str, Any]:
    nested = {"kernel": _as_dict(result.kernel), "verdict": _as_dict(result.verdict)}
    return _as_dict(result) | nested


def _result_of(content: Any) -> RecursionResult:
    nested = {"kernel": Kernel(**content["kernel"]), "verdict": Verdict(**content["verdict"])}
    return RecursionResult(**(content | nested))


def _of_state(state: RecursionState) -> dict[str, Any]:
    best = None
    if state.best is not None:
        best = _of_result(replace(state.best, history=[]))  # the recursion's own
    return _as_dict(state) | {"best": best}


def _state_of(content: Any) -> RecursionState:
    state = RecursionState(**content)
    if state.best is None:
        return state
    return replace(state, best=replace(_result_of(state.best), history=state.history))


def _writeable(content: Any) -> dict[str, Any]:
    """Return the fields of a state of CG with arrays that it can go on in."""
    return {
        name: np.array(value) if isinstance(value, np.ndarray) else value
        for name, value in content.items()
    }
