"""fastrfm.separation: against matrices written out, a slow loop, and the limits of the theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import Array
from fastrfm.separation import DataSeparation, data_separation, load_balance, pull_chain

# ---- data separation


def by_matrices(X: Array, y: Array) -> tuple[float, float, float]:
    """Return D, NC1 and NC2 from the scatter matrices, as their definitions read."""
    X = np.asarray(X, float).reshape(len(X), -1)
    classes = np.unique(y)
    S_within, S_between = np.zeros((2, X.shape[1], X.shape[1]))
    for c in classes:
        rows = X[y == c]
        for x in rows:
            S_within += np.outer(x - rows.mean(0), x - rows.mean(0)) / len(X)
        offset = rows.mean(0) - X.mean(0)
        S_between += len(rows) / len(X) * np.outer(offset, offset)
    means = np.array([X[y == c].mean(0) for c in classes])
    means -= means.mean(0)
    gram = means @ means.T
    frame = np.eye(len(classes)) - np.full((len(classes), len(classes)), 1 / len(classes))
    nc2 = np.linalg.norm(gram / np.linalg.norm(gram) - frame / np.linalg.norm(frame))
    D = np.log(np.trace(S_within @ np.linalg.pinv(S_between, rcond=1e-10)))
    return D, np.trace(S_within) / np.trace(S_between), nc2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 5))
def test_measures_against_matrices(seed: int, d: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, 20)])
    X = rng.normal(size=(len(y), d)) + 2 * rng.normal(size=(n_classes, d))[y] + 100
    found = data_separation([X], y)
    got = [found.log_ratio[0], found.nc1[0], found.nc2[0]]
    np.testing.assert_allclose(got, by_matrices(X, y), rtol=1e-6, atol=1e-12)


def two_layers() -> tuple[list[Array], Array]:
    rng = np.random.default_rng(3)
    y = np.repeat(["a", "b", "c"], 20)
    centres = np.repeat(rng.normal(size=(3, 2, 4)), 20, axis=0)
    return [centres + rng.normal(size=(60, 2, 4)), centres[:, :, 0]], y


def test_layers_of_any_shape_and_their_loads() -> None:
    layers, y = two_layers()
    layers[1] = layers[1] + 0.1 * layers[0][:, :, 1]
    found = data_separation(layers, y)
    assert isinstance(found, DataSeparation)
    for layer, X in enumerate(layers):
        np.testing.assert_allclose(found.log_ratio[layer], by_matrices(X, y)[0], rtol=1e-9)
    np.testing.assert_allclose(found.loads, found.log_ratio[:1] - found.log_ratio[1:])


def test_scale_shift_and_rotation_change_nothing() -> None:
    layers, y = two_layers()
    X = layers[0].reshape(60, 8)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    found = data_separation([X, 1e-9 * X @ turn + 5, 1e200 * X], y)
    for values in (found.log_ratio, found.nc1, found.nc2):
        np.testing.assert_allclose(values, values[0], rtol=1e-5)


def test_full_collapse() -> None:
    y = np.repeat(np.arange(4), 5)
    found = data_separation([np.eye(4)[y]], y)
    assert found.log_ratio[0] == -np.inf
    assert found.nc1[0] == 0
    np.testing.assert_allclose(found.nc2, 0, atol=1e-15)
    assert np.isnan(data_separation([np.eye(4)[y]] * 2, y).loads[0])


@pytest.mark.parametrize(
    ("features", "y", "message"),
    [
        ([], [0, 1], "features is empty; pass the features of at least one layer"),
        ([[[1.0], [2.0]]], [1, 1], "y has 1 class; the separation of classes needs 2 or more"),
        ([[[1.0], [2.0]]], [0, 1, 1], r"features\[0\] must have one row for each row of y; got 2"),
        ([[[1.0], [np.nan]]], [0, 1], r"features\[0\] contains NaN at row 1, column 0"),
        ([[1.0, 2.0]], [0, 1], r"features\[0\] must be a 2-D array"),
        (
            [[[1.0], [2.0]], [[3.0], [3.0]]],
            [0, 1],
            r"features\[1\] gives all classes the same mean; their separation is not defined",
        ),
        ([[[1.0], [3.0], [1.0], [3.0]]], [0, 0, 1, 1], r"features\[0\] gives all classes the same"),
    ],
)
def test_features_that_cannot_be_measured(features: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_separation(features, y)


def test_text_is_no_feature() -> None:
    with pytest.raises(TypeError, match=r"features\[0\] has dtype <U1"):
        data_separation([[["a"], ["b"]]], [0, 1])


# ---- the chain


def slow_chain(
    mu: float,
    mu_back: float,
    sigma: float,
    xi: Array,
    k: float,
    eta: float,
    order: int,
    gamma: float,
) -> tuple[list[float], list[float]]:
    """Return the last positions and the mean ones, block by block; `xi` is (n_steps, L)."""
    L = xi.shape[1]
    x, v = [0.0] * (L + 1) + [1.0], [0.0] * L
    history = []
    for draws in xi:
        new = list(x)
        for block in range(1, L + 1):
            force = k * (x[block + 1] - 2 * x[block] + x[block - 1]) + sigma * draws[block - 1]
            if order == 2:
                force += v[block - 1] / eta - gamma * v[block - 1]
            held = mu if force >= 0 else mu_back
            v[block - 1] = eta * np.sign(force) * max(abs(force) - held, 0.0)
            new[block] += v[block - 1] if order == 1 else eta * v[block - 1]
        x = new
        history.append(x)
    return x, list(np.mean(history[len(xi) // 2 :], axis=0))


@pytest.mark.parametrize("order", [1, 2])
def test_chains_against_a_slow_loop(order: int) -> None:
    friction = np.array([[0.0], [0.15]])
    noise = np.array([0.0, 0.1, 1.0])
    settings_ = dict(stiffness=1.3, step=0.1, order=order, damping=0.4)
    found = pull_chain(
        friction,
        noise,
        friction_backward=0.1,
        n_blocks=3,
        n_steps=61,
        random_state=5,
        **settings_,  # type: ignore[arg-type]
    )
    assert found.positions.shape == (2, 3, 5)
    assert found.mean_loads.shape == (2, 3, 4)
    rng = np.random.RandomState(5)
    xi = np.stack([rng.standard_normal((2, 3, 3)) for _ in range(61)])
    for i in range(2):
        for j in range(3):
            last, mean = slow_chain(
                friction[i, 0], 0.1, noise[j], xi[:, i, j], 1.3, 0.1, order, 0.4
            )
            np.testing.assert_allclose(found.positions[i, j], last, atol=1e-12)
            np.testing.assert_allclose(found.mean_loads[i, j], np.diff(mean), atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_without_friction_the_load_is_even(order: int) -> None:
    still = pull_chain(0.0, 0.0, step=0.1, n_steps=4000, order=order)
    np.testing.assert_allclose(still.loads, 1 / 8, atol=1e-6)
    shaken = pull_chain(np.zeros(20), 0.1, step=0.1, n_steps=4000, order=order, random_state=0)
    np.testing.assert_allclose(shaken.mean_loads.mean(axis=0), 1 / 8, atol=0.005)


def held_loads(friction: float, n_springs: int) -> Array:
    """Return the loads at which friction just holds the blocks that have moved.

    In balance ``d_(l+1) - d_l = friction`` for them (k = 1): m springs with loads a, a - friction,
    ... that sum to 1, m as large as leaves them positive.
    """
    for m in range(n_springs, 0, -1):
        largest = (1 + friction * m * (m - 1) / 2) / m
        loads = largest - friction * np.arange(m)
        if loads[-1] >= 0:
            break
    return np.pad(loads[::-1], (n_springs - m, 0))


@pytest.mark.parametrize("friction", [0.02, 0.05, 0.1, 0.3, 2.0])
def test_friction_without_noise_loads_the_last_springs(friction: float) -> None:
    loads = pull_chain(friction, 0.0, step=0.1, n_steps=4000).loads
    np.testing.assert_allclose(loads, held_loads(friction, 8), atol=1e-3)


def test_inertia_stops_within_friction() -> None:
    """At rest no block feels more than friction; momentum carries it past where it would stop."""
    for damping in (0.0, 0.2, 5.0):
        loads = pull_chain(0.05, 0.0, step=0.1, n_steps=6000, order=2, damping=damping).loads
        assert np.abs(np.diff(loads)).max() < 0.05 + 1e-9
    slow = pull_chain(0.05, 0.0, step=0.1, n_steps=6000, order=2, damping=10.0).loads
    np.testing.assert_allclose(slow, held_loads(0.05, 8), atol=1e-3)


def test_noise_makes_the_load_even_again() -> None:
    noise = np.array([0.0, 0.01, 0.02, 0.05, 0.2])
    chains = pull_chain(0.1, np.repeat(noise, 40).reshape(5, 40), step=0.05, random_state=0)
    balance = load_balance(chains.mean_loads).mean(axis=1)
    assert (np.diff(balance) < 0).all()
    assert balance[0] > 0.5
    assert abs(balance[-1]) < 0.01


def test_noise_and_uneven_friction_push_the_easier_way() -> None:
    chains = [
        pull_chain(0.1, np.full(20, 1.0), friction_backward=b, step=0.05, random_state=0)
        for b in (0.05, 0.2)
    ]
    easier_back, easier_on = (load_balance(c.mean_loads).mean() for c in chains)
    assert easier_back > 0.05
    assert easier_on < -0.05


def test_a_seed_repeats() -> None:
    a, b = (pull_chain([0.1, 0.2], 0.3, n_steps=50, random_state=7).positions for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(friction=-0.1), ValueError, "friction must be at least 0 and finite; got -0.1"),
        (dict(noise=[0.1, np.nan]), ValueError, "noise must be at least 0 and finite; got nan"),
        (dict(friction_backward="a"), TypeError, "friction_backward must be real numbers; got"),
        (
            dict(friction=[1, 2], noise=[1, 2, 3]),
            ValueError,
            r"cannot be broadcast: their shapes are \(2,\), \(2,\) and \(3,\)",
        ),
        (dict(n_blocks=0), ValueError, "n_blocks must be at least 1; got 0"),
        (dict(n_steps=1.5), TypeError, r"n_steps must be an integer; got 1.5 \(float\)"),
        (dict(order=3), ValueError, "order must be 1 or 2; got 3"),
        (dict(stiffness=0), ValueError, "stiffness must be greater than 0 and finite; got 0"),
        (
            dict(step=0.5),
            ValueError,
            r"step 0.5 is too long for stiffness 1: 4 \* stiffness \* step is 2 and",
        ),
        (
            dict(step=1.0, order=2),
            ValueError,
            r"stiffness 1 and damping 1: 2 \* stiffness \* step\^2 \+ damping \* step is 3 and",
        ),
    ],
)
def test_chains_that_cannot_be_pulled(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pull_chain(**arguments)


@pytest.mark.parametrize(("order", "stable", "unstable"), [(1, 0.499, 0.55), (2, 0.70, 0.80)])
def test_the_limit_of_the_step_is_sharp(order: int, stable: float, unstable: float) -> None:
    """L = 63 comes near the infinite chain's stiffest vibration."""
    calm = pull_chain(0.0, 0.0, n_blocks=63, step=stable, n_steps=500, order=order)
    assert np.abs(calm.positions).max() <= 2
    with pytest.raises(ValueError, match="too long"):
        pull_chain(0.0, 0.0, n_blocks=63, step=unstable, n_steps=500, order=order)


def test_balance() -> None:
    np.testing.assert_allclose(load_balance(np.eye(3)), [-1, 0, 1])
    assert np.isnan(load_balance([1.0, -1.0]))
    with pytest.raises(ValueError, match=r"loads must be of 2 layers or more; got shape \(1,\)"):
        load_balance([1.0])
