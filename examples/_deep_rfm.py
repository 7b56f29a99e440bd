"""Layers of Recursive Feature Machines and random features, for the scripts that look at them."""

import numpy as np
from threadpoolctl import threadpool_limits

import fastrfm

# The protocol of arXiv 2402.13728.
BANDWIDTH, ALPHA, WIDTH = 2.0, 1e-3, 512


def deep_rfm(X, y, *others, depth, learn=True, slope=0.0, dropout=0.0, seed=0):
    """Return what each layer makes of X, and of other rows that it does not learn from.

    Each layer scales its rows to length 1, fits a Laplace kernel machine to labels of +-1, takes
    the average gradient outer product M, and hands on ``relu(W M^(1/2) x)`` with W random, `WIDTH`
    wide.

    Parameters
    ----------
    X, others : (n, d)
    y : (n,) integers from 0
    learn : False leaves M out: random features alone
    slope : what is left of negative numbers; 0 is a ReLU, 1 a linear layer
    dropout : part of the features that the machine does not see, others for each row
    """
    rng = np.random.default_rng(seed)
    signs = (2 * np.eye(y.max() + 1)[y] - 1).astype(np.float32)
    features = [[Z.reshape(len(Z), -1).astype(np.float32) for Z in (X, *others)]]
    for _ in range(depth):
        rows = [Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in features[-1]]
        features[-1] = rows
        d = rows[0].shape[1]
        weights = rng.normal(size=(d, WIDTH)) / np.sqrt(d)
        if learn:
            seen = rows[0]
            if dropout:
                kept = rng.random(seen.shape) >= dropout
                seen = (seen * kept / (1 - dropout)).astype(np.float32)
            coef = fastrfm.solve_ridge(seen, signs, alpha=ALPHA, bandwidth=BANDWIDTH)
            agop = fastrfm.agop(seen, seen, coef, bandwidth=BANDWIDTH)
            # Threads gain nothing at this size, and wait for each other for seconds on busy cores.
            with threadpool_limits(1, "blas"):
                w, V = np.linalg.eigh(agop / agop.max())
            weights = V * np.sqrt(np.clip(w, 0, None)) @ V.T @ weights
        linear = [Z @ weights.astype(np.float32) for Z in rows]
        features.append([np.where(Z > 0, Z, np.float32(slope) * Z) for Z in linear])
    features[-1] = [Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in features[-1]]
    return [list(layers) for layers in zip(*features, strict=True)]
