"""What an RFM learned, in a sentence whose numbers a reader can check."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrfm.demo.data import DataSet

# The part of the AGOP's trace that "most of it" means.
MOST = 0.8


def finding(data: DataSet, model: Any) -> str:
    """Say which features the predictor depends on."""
    shares = model.feature_importances_
    order = np.argsort(-shares)
    d = len(shares)
    few = int(np.searchsorted(np.cumsum(shares[order]), MOST)) + 1
    if data.image_shape is not None:
        return _finding_on_images(data, shares, few)
    first = ", ".join(f"{data.feature_names[i]} ({shares[i]:.0%})" for i in order[:3])
    return (
        f"On {data.name}, {few} of {d} features carry {MOST:.0%} of the AGOP's trace; "
        f"the first are {first}."
    )


def _finding_on_images(data: DataSet, shares: Any, few: int) -> str:
    """Compare the pixels that matter with those that merely vary."""
    deviations = data.X.std(axis=0)
    dull = (deviations > 0) & (deviations < 1.0)
    return (
        f"On {data.name}, {few} of {len(shares)} pixels carry {MOST:.0%} of the AGOP's trace; "
        f"the {dull.sum()} pixels that vary, but by a standard deviation below 1 grey level of "
        f"16, carry {shares[dull].sum():.1%}, although scaling made them as wide as the others."
    )
