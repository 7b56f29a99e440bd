"""agop of weighted rows, in every room, against the oracle and against repeated rows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrfm
import oracle
from backends import Backend
from cases import (
    AGOP_MODE_IDS,
    AGOP_MODES,
    assert_accurate,
    coefficients,
    grid_rows,
    typical_bandwidth,
    uneven_weights,
)
from fastrfm.outputs import rotation_pays

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    ("n", "m", "d", "c"),
    [
        (1, 1, 1, 1), (2, 63, 2, 2), (63, 2, 3, 4), (65, 127, 5, 9), (127, 65, 7, 17),
        (129, 64, 9, 2), (300, 20, 3, 2), (6, 40, 2, 70), (4, 5, 100, 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("norm", [2.0, 1.5])
def test_sizes_around_the_tiles(
    backend: Backend, dtype: type, norm: float, n: int, m: int, d: int, c: int
) -> None:
    rng = np.random.default_rng(d)
    X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
    coef = coefficients(rng, m, c, dtype)
    options = {"norm": norm, "bandwidth": typical_bandwidth(X, Z, metric=None, norm=norm)}
    options["sample_weight"] = uneven_weights(n)
    for mode in AGOP_MODES[:2]:
        G = backend.agop(X, Z, coef, **options, **mode)
        assert_accurate("agop", G, oracle.agop(X, Z, coef, **options, **mode), dtype)


def assert_right_over_chunks(backend: Backend, n: int, dtype: type, mode: dict[str, bool]) -> None:
    """Hold it to the oracle's gradients where they do not fit the 64 MiB of a chunk."""
    d, c = 64, 264
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((3, d)).astype(dtype)
    coef, weights = coefficients(rng, 3, c, dtype), uneven_weights(n)
    of_centres = oracle.gradients(X, Z, np.eye(3))
    g = np.einsum("ikd,kl->ild", of_centres, coef.astype(np.float64))
    share = weights / weights.sum()
    if mode["center"]:
        g -= np.einsum("i,ild->ld", share, g)
    scaled = (g * np.sqrt(share)[:, None, None]).reshape(-1, d)
    expected = (scaled**2).sum(axis=0) if mode["diagonal"] else scaled.T @ scaled
    G = backend.agop(X, Z, coef, sample_weight=weights, **mode)
    assert_accurate("agop", G, expected, dtype)


@pytest.mark.parametrize("mode", AGOP_MODES[2:], ids=AGOP_MODE_IDS[2:])
def test_several_chunks_of_rows(cpu: Backend, dtype: type, mode: dict[str, bool]) -> None:
    """Each row has its own weight, not that of its place in the chunk."""
    assert_right_over_chunks(cpu, 1100, dtype, mode)


def test_several_chunks_of_rows_on_the_device(cuda: Backend) -> None:
    """As above, in what an emulator does in seconds."""
    assert_right_over_chunks(cuda, 600, np.float64, {"diagonal": True, "center": True})


@settings(max_examples=15)
@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=80).filter(any),
    m=st.integers(1, 60),
    d=st.integers(1, 20),
    mode=st.sampled_from(AGOP_MODES),
    seed=st.integers(0, 2**20),
)
def test_whole_weights_are_repeated_rows(
    backend: Backend, counts: list[int], m: int, d: int, mode: dict[str, bool], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    X, Z = rng.standard_normal((len(counts), d)), rng.standard_normal((m, d))
    coef = coefficients(rng, m, 2, np.float64)
    weighted = backend.agop(X, Z, coef, sample_weight=counts, **mode)
    repeated = backend.agop(np.repeat(X, counts, axis=0), Z, coef, **mode)
    size = np.abs(backend.agop(X, Z, coef)).max()  # centring may leave nothing
    np.testing.assert_allclose(weighted, repeated, rtol=1e-10, atol=1e-12 * size * len(counts))


@pytest.mark.parametrize("mode", AGOP_MODES, ids=AGOP_MODE_IDS)
def test_weights_of_one_are_none(backend: Backend, dtype: type, mode: dict[str, bool]) -> None:
    """To the bit: the roots of the weights are 1 too."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((150, 6)).astype(dtype), rng.standard_normal((90, 6)).astype(dtype)
    coef = coefficients(rng, 90, 3, dtype)
    plain = backend.agop(X, Z, coef, **mode)
    np.testing.assert_array_equal(
        backend.agop(X, Z, coef, sample_weight=np.ones(150), **mode), plain
    )


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e307])
def test_only_ratios_of_weights_matter(backend: Backend, dtype: type, size: float) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((70, 4)).astype(dtype), coefficients(rng, 70, 2, dtype)
    weights = rng.uniform(0.1, 1.0, 70)
    G = backend.agop(X, X, coef, sample_weight=size * weights)
    assert_accurate("agop", G, oracle.agop(X, X, coef, sample_weight=weights), dtype)


@pytest.mark.parametrize("samples", [1, 3])
def test_mixtures_of_weighted_rows_are_unbiased(backend: Backend, samples: int) -> None:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((150, 4)), rng.standard_normal((50, 4))
    coef, weights = coefficients(rng, 50, 7, np.float64), uneven_weights(150)
    exact = oracle.agop(X, Z, coef, bandwidth=3.0, sample_weight=weights)
    options: dict[str, Any] = {"bandwidth": 3.0, "sample_weight": weights}
    options["output_samples"] = samples
    count = 75 if backend.emulated else 600
    G = np.stack([backend.agop(X, Z, coef, random_state=s, **options) for s in range(count)])
    standard_error = G.std(axis=0) / np.sqrt(len(G))
    assert (np.abs(G.mean(axis=0) - exact) < 5 * standard_error).all()
    assert standard_error.max() < (0.15 if backend.emulated else 0.05) * exact.max()
    diagonal = backend.agop(X, Z, coef, random_state=0, diagonal=True, **options)
    np.testing.assert_allclose(diagonal, np.diagonal(G[0]), rtol=1e-9)


def test_weights_go_with_fewer_outputs(backend: Backend, dtype: type) -> None:
    """Of low rank, and so many rows that the pass takes rotated outputs."""
    n, m, d, c = 700, 600, 8, 9
    assert rotation_pays(n, m, d, c, c)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(dtype)
    coef = (rng.standard_normal((m, 2)) @ rng.standard_normal((2, c))).astype(dtype)
    options: dict[str, Any] = {"sample_weight": uneven_weights(n), "center": True}
    G = backend.agop(X, X[:m], coef, **options)
    assert_accurate("agop", G, oracle.agop(X, X[:m], coef, **options), dtype)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(4), ValueError,
         "sample_weight must have one weight for each row of X, shape (5,); got shape (4,)"),
        ([1, 1, -1, 1, 1], ValueError, "sample_weight must be at least 0; got -1 at row 2"),
        ([1, 1, np.nan, 1, 1], ValueError, "sample_weight contains NaN at entry 2"),
        (np.zeros(5), ValueError,
         "sample_weight is zero for every row; at least one must count"),
        (np.ones(5, complex), TypeError,
         "sample_weight has dtype complex128; expected a real number for each row"),
    ],
)  # fmt: skip
def test_wrong_weights_are_refused(weights: Any, error: type[Exception], message: str) -> None:
    X, Z = np.ones((5, 2)), np.ones((3, 2))
    with pytest.raises(error, match="^" + re.escape(message)):
        fastrfm.agop(X, Z, np.ones((3, 1)), sample_weight=weights)


def test_the_module_refuses_what_would_read_beyond_the_weights() -> None:
    X, coef = np.ones((5, 2)), np.ones((5, 1))
    for weights, message in (
        (np.ones(4), "row_weights must be (n,)"),
        (np.ones(10)[::2], "row_weights must be C-contiguous float64"),
        (np.ones(5, np.float32), "row_weights must be C-contiguous float64"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            fastrfm._cpu.gradient_sums(X, X, coef, None, 2.0, 1.0, 1.0, False, False, 0, 0, weights)
