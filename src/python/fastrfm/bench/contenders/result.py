"""What a contender hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """A prepared run.

    Attributes
    ----------
    call : callable
        What is timed. It returns the result in the contender's own array type.
    to_numpy : callable
        Converts that; not timed. The result of a whole fit is its prediction of the scored rows.
    """

    call: Callable[[], Any]
    to_numpy: Callable[[Any], NDArray[Any]] = np.asarray
