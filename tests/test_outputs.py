"""Rotating the outputs: the same AGOP from fewer of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import fastrfm
import oracle
from backends import Backend
from cases import Array, assert_accurate
from fastrfm import _cpu
from fastrfm.cuda import Cuda
from fastrfm.outputs import DROPPED, rotate_outputs, rotation_pays
from fastrfm.rooms import Cpu

pytestmark = pytest.mark.core


@pytest.fixture
def outputs_of_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each compiled pass adds its number of outputs, in every room."""
    seen: list[int] = []

    def watch(room: type) -> None:
        compiled = room.gradient_sums  # type: ignore[attr-defined]

        def watched(self: Any, X: Array, Z: Array, coef: Array, *rest: Any, **options: Any) -> Any:
            seen.append(coef.shape[1])
            return compiled(self, X, Z, coef, *rest, **options)

        monkeypatch.setattr(room, "gradient_sums", watched)

    watch(Cpu)
    watch(Cuda)
    return seen


def digits(dtype: type) -> tuple[Array, Array]:
    """Return standardised rows and centred indicators of ten classes, which sum to 0."""
    X, y = load_digits(return_X_y=True)
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9)
    Y = np.eye(10)[y] - np.eye(10)[y].mean(axis=0)
    return X[:600].astype(dtype), Y[:600].astype(dtype)


def low_rank_outputs(rng: np.random.Generator, m: int, c: int, rank: int) -> Array:
    """Return coefficients (m, c) of exact rank, but for rounding."""
    return rng.standard_normal((m, rank)) @ rng.standard_normal((rank, c))


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("diagonal", [False, True])
def test_low_rank_outputs_agree_with_the_oracle(
    backend: Backend,
    dtype: type,
    kernel: dict[str, float],
    center: bool,
    diagonal: bool,
    outputs_of_passes: list[int],
) -> None:
    rng = np.random.default_rng(0)
    X, Z = (rng.standard_normal((n, 8)).astype(dtype) for n in (800, 600))
    coef = low_rank_outputs(rng, 600, 9, 2).astype(dtype)
    options = {"bandwidth": 4.0, "center": center, "diagonal": diagonal, **kernel}
    G = backend.agop(X, Z, coef, **options)
    assert outputs_of_passes == [2]
    if kernel["norm"] >= 1:  # below, phi has a pole where coordinates tie
        assert_accurate("agop", G, oracle.agop(X, Z, coef, **options), dtype)


@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 1.0])
def test_classes_need_an_output_less(
    dtype: type, alpha: float, outputs_of_passes: list[int]
) -> None:
    """The coefficients of a real problem: what is dropped is below the dtype's rounding."""
    X, Y = digits(dtype)
    coef = fastrfm.solve_ridge(X, Y, alpha=alpha)
    G = fastrfm.agop(X, X, coef)
    assert outputs_of_passes == [9]
    one_by_one = [fastrfm.agop(X, X, column[:, None]).astype(np.float64) for column in coef.T]
    expected = np.sum(one_by_one, axis=0)
    allowed = 1e-6 if dtype == np.float32 else 1e-13
    assert np.abs(G - expected).max() <= allowed * np.trace(expected)


def test_outputs_of_full_rank_stay_as_they_are(outputs_of_passes: list[int]) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((900, 10)), rng.standard_normal((900, 4))
    assert rotation_pays(900, 900, 10, 4, 4)
    G = fastrfm.agop(X, X, coef)
    assert outputs_of_passes == [4]
    sums = _cpu.gradient_sums(X, X, coef, None, 2.0, 1.0, 10.0, False, False)[0]
    np.testing.assert_array_equal(G, sums / 900)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_rule_bounds_what_is_dropped(dtype: type, scale: float) -> None:
    """Singular values from 1 to 4e-15: the dropped ones together stay below the bound."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((n, 17)))[0] for n in (300, 17))
    S = 8.0 ** -np.arange(17.0)
    rotated = rotate_outputs(scale * (U * S) @ V.T, np.dtype(dtype)) / scale
    assert rotated.shape == (300, 6 if dtype == np.float32 else 12)
    norms = np.linalg.norm(rotated, axis=0)
    np.testing.assert_allclose(norms, S[: len(norms)], rtol=1e-4)
    lost = (U * S**2) @ U.T - rotated @ rotated.T
    bound = DROPPED[np.dtype(dtype)] ** 2 * (S**2).sum()
    assert np.trace(lost) <= bound + 1e-14
    assert np.abs(lost).max() <= bound + 1e-14


def test_no_outputs_are_needed_for_zeros() -> None:
    assert rotate_outputs(np.zeros((5, 3)), np.dtype(np.float64)).shape == (5, 1)


def test_same_bits_for_every_thread_count(dtype: type, outputs_of_passes: list[int]) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 9)).astype(dtype)
    coef = low_rank_outputs(rng, 900, 12, 3).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            results.append(fastrfm.agop(X, X, coef, center=True))
    assert outputs_of_passes == [3, 3, 3]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_small_pass_is_not_worth_a_rotation() -> None:
    assert not rotation_pays(50, 50, 5, 3, 3)
    assert not rotation_pays(10**5, 10**5, 100, 1, 1)
    assert not rotation_pays(10, 1000, 5, 500, 500)  # few rows, many outputs
    assert rotation_pays(5000, 5000, 32, 100, 100)
    assert rotation_pays(5000, 5000, 32, 100, 2)
    assert not rotation_pays(5000, 5000, 32, 1000, 2)
