"""The same machine by xRFM and by fastrfm: how far apart are their predictions?

The rows of docs/guide/from_xrfm.rst. Needs the extra `bench`.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale
from xrfm import xRFM

import fastrfm

PAIRS = {
    "xRFM's default": (
        None,
        {"norm": 2, "exponent": 1, "bandwidth": 10, "alpha": 1e-3, "diagonal": False, "n_iter": 5},
    ),
    "l1, diagonal": (
        {"kernel": "l1", "exponent": 1.0, "bandwidth": 5.0, "diag": True},
        {"norm": 1, "exponent": 1, "bandwidth": 5, "alpha": 1e-2, "diagonal": True, "n_iter": 3},
    ),
    "l2, adaptive bandwidth": (
        {"kernel": "l2", "exponent": 1.2, "bandwidth": 4.0, "bandwidth_mode": "adaptive"},
        {
            "norm": 2,
            "exponent": 1.2,
            "bandwidth": "4*median",
            "alpha": 1e-2,
            "diagonal": False,
            "n_iter": 3,
        },
    ),
}


def main() -> None:
    """Print a line for each pair."""
    print(f"xrfm {version('xrfm')}, torch {torch.__version__}, fastrfm {fastrfm.__version__}")
    X, y = make_friedman1(3000, n_features=20, noise=0.5, random_state=0)
    X, y = scale(X).astype(np.float32), scale(y).astype(np.float32)
    train, val, test = slice(1500), slice(1500, 2000), slice(2000, None)

    def rmse(prediction: np.ndarray, other: np.ndarray) -> float:
        return float(np.sqrt(np.mean((prediction - other) ** 2)))

    for name, (theirs, ours) in PAIRS.items():
        params = theirs and {"model": theirs, "fit": {"reg": ours["alpha"], "iters": 3}}
        peer = xRFM(params, device=torch.device("cpu"), verbose=False, random_state=0)
        peer.fit(X[train], y[train, None], X[val], y[val, None])
        model = fastrfm.RFMRegressor(agop_power=0.5, standardize=False, **ours)
        model.fit(X[train], y[train], X_val=X[val], y_val=y[val])
        a, b = peer.predict(X[test])[:, 0], model.predict(X[test])
        print(
            f"{name:24s} test RMSE {rmse(a, y[test]):.4f} and {rmse(b, y[test]):.4f}, "
            f"difference: RMS {rmse(a, b):.5f}, largest {np.abs(a - b).max():.5f}"
        )
    model = fastrfm.RFMRegressor().fit(X[:2000], y[:2000])
    print(f"fastrfm's default, all 2,000 rows: {rmse(model.predict(X[test]), y[test]):.4f}")


if __name__ == "__main__":
    main()
