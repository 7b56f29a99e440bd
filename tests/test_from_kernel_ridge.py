"""Without updates of the metric the regressor is KernelRidge, as the guide says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.kernel_ridge import KernelRidge

from fastrfm import RFMRegressor

pytestmark = pytest.mark.core

GAMMA, ALPHA = 0.07, 0.3
SAME = {
    "laplacian": {"norm": 1, "exponent": 1, "bandwidth": 1 / GAMMA},
    "rbf": {"norm": 2, "exponent": 2, "bandwidth": 1 / np.sqrt(GAMMA)},
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kernel", SAME)
def test_is_kernel_ridge(kernel: str, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    X, X_test = rng.normal(size=(150, 4)), rng.normal(size=(50, 4))
    y = 100 + 7 * np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)
    weight = rng.uniform(0.2, 3, size=150) if weighted else None
    mean = np.average(y, axis=0, weights=weight)

    theirs = KernelRidge(kernel=kernel, gamma=GAMMA, alpha=ALPHA)
    theirs.fit(X, y - mean, sample_weight=weight)
    ours = RFMRegressor(alpha=ALPHA, n_iter=0, standardize=False, **SAME[kernel])
    ours.fit(X, y, sample_weight=weight)

    expected = theirs.predict(X_test) + mean
    assert_allclose(ours.predict(X_test), expected, rtol=1e-6)
    scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight))
    assert_allclose(ours.dual_coef_ * scale, theirs.dual_coef_, rtol=1e-6, atol=1e-9)
