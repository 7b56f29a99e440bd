"""Machines whose metric is one of patches, against sums over patches written out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split

import oracle
from fastrfm.patches import PatchRFMClassifier, PatchRFMRegressor
from fastrfm.patches.grid import Grid
from fastrfm.patches.kernel import PatchKernel

Array = NDArray[Any]
pytestmark = pytest.mark.core


def all_patches(images: Array, size: int, stride: int) -> dict[tuple[int, int], Array]:
    """Return (n, height, width, channels) as (n, patch) by place in the grid."""
    tops = range(0, images.shape[1] - size + 1, stride)
    lefts = range(0, images.shape[2] - size + 1, stride)
    return {
        (a, b): images[:, top : top + size, left : left + size].reshape(len(images), -1)
        for a, top in enumerate(tops)
        for b, left in enumerate(lefts)
    }


def tent(step: tuple[int, int], shift: int) -> float:
    return float(np.prod([max(0.0, 1 - abs(s) / (shift + 1)) for s in step]))


def kernel_of_patches(
    x: dict[tuple[int, int], Array], z: dict[tuple[int, int], Array], shift: int, **kernel: Any
) -> Array:
    return np.asarray(
        sum(
            tent((p[0] - q[0], p[1] - q[1]), shift) * oracle.kernel_matrix(x[p], z[q], **kernel)
            for p in x
            for q in z
        )
    )


def unit_power(images: Array) -> Array:
    power = np.sqrt((images**2).mean(axis=tuple(range(1, images.ndim)), keepdims=True))
    return np.asarray(images / power)


@pytest.mark.parametrize(("size", "stride", "shift"), [(2, 1, 1), (3, 2, 0), (2, 2, 2), (9, 1, 1)])
def test_kernel_prediction_and_agop(size: int, stride: int, shift: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(7, 5, 6, 2))
    grid = Grid(5, 6, 2, size=size, stride=stride, shift=shift)
    rows, columns, _ = grid.patch_shape
    assert (rows, columns) == (min(size, 5), min(size, 6))
    if rows != columns:
        x = {(0, 0): images.reshape(7, -1)}
    else:
        x = all_patches(images, size, stride)
    assert grid.shape == tuple(np.max(list(x), axis=0) + 1)
    patches = grid.patches(images.reshape(7, -1))
    np.testing.assert_array_equal(patches, list(x.values()))

    root = rng.normal(size=(patches.shape[2],) * 2)
    kernel = {"metric": root @ root.T, "bandwidth": 3.0}
    ours = PatchKernel(grid, patches, kernel["metric"], 3.0)
    K = kernel_of_patches(x, x, shift, **kernel)
    scale = np.trace(K) / 7
    np.testing.assert_allclose(ours.matrix(), K / scale, rtol=1e-10)
    assert ours.scale == pytest.approx(scale)

    coef = rng.normal(size=(7, 2))
    np.testing.assert_allclose(ours.predict(patches, coef), K @ coef / scale, rtol=1e-9, atol=1e-11)

    G = np.zeros((patches.shape[2],) * 2)
    for p in x:
        centres = np.concatenate([x[q] for q in x])
        weights = np.concatenate(
            [tent((p[0] - q[0], p[1] - q[1]), shift) / scale * coef for q in x]
        )
        G += oracle.agop(x[p], centres, weights, **kernel)
    np.testing.assert_allclose(ours.agop(patches, coef), G, rtol=1e-8, atol=1e-10 * G.max())
    assert np.linalg.eigvalsh(K).min() > 0


def test_fit_is_recursion_and_leave_one_out_is_what_it_says() -> None:
    """Each iteration refitted without a row predicts that row as the closed form says."""
    rng = np.random.default_rng(1)
    images = rng.normal(size=(14, 4, 4))
    y = images[:, 1, 1] * images[:, 2, 2] + images[:, 0, 0]
    model = PatchRFMRegressor(patch_size=2, alpha=0.1, n_iter=2, bandwidth=2.0).fit(images, y)
    assert len(model.history_) == 3
    assert model.best_iter_ == int(np.argmin([row["score"] for row in model.history_]))

    x = all_patches(unit_power(images)[..., None], 2, 1)
    centred = y - y.mean()
    metric = np.eye(4)
    for row in model.history_:
        kernel = {"metric": metric, "bandwidth": 2.0}
        K = kernel_of_patches(x, x, 1, **kernel)
        scale = np.trace(K) / 14
        K /= scale
        errors = []
        for i in range(14):
            rest = np.delete(np.arange(14), i)
            coef = np.linalg.solve(K[np.ix_(rest, rest)] + 0.1 * np.eye(13), centred[rest])
            errors.append(centred[i] - K[i, rest] @ coef)
        assert row["loo_mse"] == pytest.approx(np.mean(np.square(errors)), rel=1e-6)
        coef = np.linalg.solve(K + 0.1 * np.eye(14), centred)[:, None]
        if row["iteration"] == model.best_iter_:
            np.testing.assert_allclose(model.dual_coef_, coef, rtol=1e-6)
            np.testing.assert_allclose(model.patch_metric_, metric, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(model.predict(images), y.mean() + K @ coef[:, 0], rtol=1e-6)
        places = list(x)
        G = sum(
            oracle.agop(
                x[p],
                np.concatenate([x[q] for q in places]),
                np.concatenate(
                    [tent((p[0] - q[0], p[1] - q[1]), 1) / scale * coef for q in places]
                ),
                **kernel,
            )
            for p in places
        )
        metric = np.asarray(G) / np.max(G)


def test_a_patch_of_the_whole_image_makes_the_plain_machine() -> None:
    rng = np.random.default_rng(2)
    X = unit_power(rng.normal(size=(20, 9)))
    y = X[:, 0] * X[:, 1]
    model = PatchRFMRegressor(patch_size=3, shift=0, n_iter=0, alpha=0.01).fit(X, y)
    K = oracle.kernel_matrix(X)
    coef = np.linalg.solve(K + 0.01 * np.eye(20), y - y.mean())
    np.testing.assert_allclose(model.predict(X), y.mean() + K @ coef, rtol=1e-8)
    np.testing.assert_allclose(model.patch_agop_, oracle.agop(X, X, coef[:, None]), rtol=1e-8)


def test_classes() -> None:
    X, y = load_digits(return_X_y=True)
    names = np.array([f"digit {k}" for k in range(10)])
    X, X_test, y, y_test = train_test_split(X, names[y], train_size=200, random_state=0)
    model = PatchRFMClassifier(patch_size=4, n_iter=1, random_state=0).fit(X, y)
    assert model.score(X_test[:300], y_test[:300]) > 0.93
    assert model.decision_function(X_test[:5]).shape == (5, 10)
    np.testing.assert_array_equal(model.classes_, names)
    assert model.patch_metric_.shape == model.patch_agop_.shape == (16, 16)
    assert model.patch_shape_ == (4, 4, 1)
    assert model.image_shape_ == (8, 8, 1)
    # Images as they are, and as floats of half the precision.
    images = X_test[:50].reshape(-1, 8, 8)
    np.testing.assert_array_equal(model.predict(images), model.predict(X_test[:50]))
    single = clone(model).fit(X.astype(np.float32), y)
    assert np.mean(single.predict(images) == model.predict(images)) > 0.95
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(images), model.predict(images))


def test_two_classes_and_a_search() -> None:
    X, y = load_digits(n_class=2, return_X_y=True)
    X, y = X[:80], y[:80]
    model = PatchRFMClassifier(patch_size=3, stride=2, n_iter=1, shift=0)
    scores = model.fit(X, y).decision_function(X)
    assert scores.shape == (80,)
    np.testing.assert_array_equal(model.predict(X), (scores > 0).astype(int))
    search = GridSearchCV(model, {"patch_size": [2, 3]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.95


def test_images_of_zeros_and_constant_targets() -> None:
    X = np.zeros((6, 9))
    X[3:] = np.arange(27).reshape(3, 9)
    model = PatchRFMRegressor(patch_size=2).fit(X, np.full(6, 3.0))
    np.testing.assert_allclose(model.predict(X), 3.0)
    assert len(model.history_) == 1


IMAGES = np.random.default_rng(3).normal(size=(6, 4, 4))
NUMBERS = np.arange(6.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: PatchRFMRegressor().fit(np.ones((6, 12)), NUMBERS),
            r"X has rows of 12 pixels, which are no square image; give image_shape",
        ),
        (
            lambda: PatchRFMRegressor(image_shape=(4, 5)).fit(IMAGES, NUMBERS),
            r"images of X have the shape \(4, 4\), not image_shape \(4, 5\)",
        ),
        (
            lambda: PatchRFMRegressor(image_shape=(4, 5)).fit(np.ones((6, 16)), NUMBERS),
            r"image_shape \(4, 5\) has 20 numbers; X has rows of 16",
        ),
        (
            lambda: PatchRFMRegressor(image_shape=(16,)).fit(np.ones((6, 16)), NUMBERS),
            r"image_shape must be \(height, width\) or \(height, width, channels\); got \(16,\)",
        ),
        (
            lambda: PatchRFMRegressor().fit(np.full((6, 16), np.nan), NUMBERS),
            r"X contains NaN at row 0, column 0",
        ),
        (lambda: PatchRFMRegressor().fit(IMAGES, NUMBERS[:5]), r"inconsistent numbers of samples"),
        (
            lambda: PatchRFMClassifier().fit(IMAGES, np.zeros(6, int)),
            r"y must have 2 or more classes; got 1 class",
        ),
        (
            lambda: PatchRFMRegressor(patch_size=0).fit(IMAGES, NUMBERS),
            r"'patch_size' parameter of PatchRFMRegressor must be an int",
        ),
        (
            lambda: PatchRFMRegressor().fit(IMAGES, NUMBERS).predict(np.ones((2, 9))),
            r"image_shape \(4, 4, 1\) has 16 numbers; X has rows of 9",
        ),
        (
            lambda: PatchRFMRegressor(alpha=1e-30).fit(np.ones((6, 16)), NUMBERS),
            r"the kernel matrix plus alpha = 1e-30 is not positive definite; raise alpha",
        ),
    ],
)
def test_wrong_input(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_not_fitted() -> None:
    with pytest.raises(NotFittedError):
        PatchRFMRegressor().predict(IMAGES)
