"""The median distance of weighted rows: that of rows repeated as often as their weights say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrfm.bandwidth import BandwidthRule, median_distance


@settings(max_examples=200)
@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=12).filter(any),
    norm=st.sampled_from([2.0, 1.0, 1.5]),
    levels=st.integers(1, 4),
    scale=st.sampled_from([1.0, 2.0**-1074, 2.0**1000]),
    seed=st.integers(0, 2**20),
)
def test_whole_weights_are_repeated_rows(
    counts: list[int], norm: float, levels: int, scale: float, seed: int
) -> None:
    """Exactly, for rows on a grid: many distances are equal, and some are zero."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, levels, (len(counts), 2)).astype(np.float64)
    root = np.array([1.0, 0.5])
    weights = scale * np.array(counts, np.float64)
    expected = median_distance(np.repeat(rows, counts, axis=0), root, norm)
    assert median_distance(rows, root, norm, weights) == expected
    rule = BandwidthRule.parse("3*median")
    assert rule.bandwidth(rows, root, norm, weights) == 3 * expected


def test_weights_of_one_are_none() -> None:
    rows = np.random.default_rng(0).standard_normal((301, 4))
    assert median_distance(rows, None, 2.0, np.ones(301)) == median_distance(rows, None, 2.0)


def test_weights_move_the_median() -> None:
    """Points 0, 1, 3: distances 1, 2, 3 with the pair weights 0.5 b, b, 0.5."""
    rows = np.array([[0.0], [1.0], [3.0]])
    for b, expected in ((0.1, 3.0), (1.0, 2.0), (100.0, 2.0), (1 / 3, 2.5)):
        weights = np.array([0.5, b, 1.0])
        assert median_distance(rows, None, 2.0, weights) == pytest.approx(expected), b


def test_a_fixed_bandwidth_does_not_look() -> None:
    assert BandwidthRule(7.0).bandwidth(np.empty((0, 1)), None, 2.0, np.empty(0)) == 7.0


@pytest.mark.parametrize("weights", [[1.0, 1.0], [2.0, 0.0], [0.5, 3.0]])
def test_one_where_no_two_rows_differ(weights: list[float]) -> None:
    rows = np.array([[1.0, 2.0], [1.0, 2.0]])
    assert median_distance(rows, None, 2.0, np.array(weights)) == 1.0
