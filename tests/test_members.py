"""Which kinds of members are fitted, their weights, and the calibration of their scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fastrfm.calibration import Calibration
from fastrfm.combination import combine, stacking_weights
from fastrfm.members import AUTO_KINDS, kinds


def test_without_a_norm_all_kinds_that_admit_the_exponent() -> None:
    assert kinds() == AUTO_KINDS
    assert {kind.norm for kind in kinds()} == {1.0, 2.0}
    smooth = kinds(exponent=1.9)
    assert {kind.norm for kind in smooth} == {2.0}
    assert all(kind.exponent == 1.9 for kind in smooth)


def test_what_makes_kinds_equal_leaves_one_of_them() -> None:
    found = kinds(exponent=1.0, bandwidth=3.0, diagonal=True, agop_power=0.5)
    assert len(found) == len(set(found)) == 3
    assert all(kind.bandwidth == 3.0 and kind.diagonal for kind in found)


@pytest.mark.parametrize(
    ("norm", "exponent", "diagonal"), [(2.0, 1.3, False), (1.0, 1.0, True), (0.5, 0.5, True)]
)
def test_a_norm_is_one_plain_kind(norm: float, exponent: float, diagonal: bool) -> None:
    (kind,) = kinds(norm=norm)
    assert (kind.norm, kind.exponent, kind.diagonal) == (norm, exponent, diagonal)
    assert kind.columns == "standard"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.booleans())
def test_stacking_weights_are_the_constrained_minimum(seed: int, c: int, weighted: bool) -> None:
    """Against a general optimiser with bounds."""
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((40, c))
    predictions = [scale * Y + rng.standard_normal((40, c)) for scale in (0.5, 1.0, -0.3)]
    w = rng.uniform(0.1, 3.0, 40) if weighted else None

    def error(v: np.ndarray) -> float:
        difference = (combine(predictions, v) - Y) ** 2
        return float((difference * (1.0 if w is None else w[:, None])).sum())

    expected = minimize(error, np.full(3, 0.3), bounds=[(0, None)] * 3, tol=1e-12)
    found = stacking_weights(predictions, Y, w)
    assert (found >= 0).all()
    assert error(found) <= expected.fun * (1 + 1e-6)
    shrunk = stacking_weights(predictions, Y, w, shrinkage=0.25)
    np.testing.assert_allclose(shrunk, 0.75 * found + 0.25 / 3)


def test_predictions_worse_than_the_mean_get_no_weight() -> None:
    Y = np.random.default_rng(0).standard_normal((50, 1))
    np.testing.assert_array_equal(stacking_weights([-Y, -2 * Y], Y), [0.0, 0.0])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6), st.floats(0.5, 3), st.floats(0.001, 0.2))
def test_probabilities_keep_the_order_of_scores(
    seed: int, n_classes: int, power: float, floor: float
) -> None:
    rng = np.random.default_rng(seed)
    priors = rng.dirichlet(np.ones(n_classes))
    scores = rng.normal(size=(30, n_classes))
    scores += (1 - scores.sum(axis=1, keepdims=True)) / n_classes
    p = Calibration(priors, power, floor).probabilities(scores)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert (p > 0).all()
    # The largest score has the largest probability.
    np.testing.assert_allclose(p[np.arange(30), scores.argmax(axis=1)], p.max(axis=1))


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_scores_at_the_priors_are_the_priors(power: float) -> None:
    priors = np.array([0.001, 0.299, 0.7])
    p = Calibration(priors, power, floor=0.2).probabilities(priors[None])
    np.testing.assert_allclose(p, priors[None], rtol=1e-12)


def test_calibration_finds_out_how_sure_scores_are() -> None:
    """Scores drawn half as far towards the label as they should be want a power above 1."""
    rng = np.random.default_rng(0)
    truth = rng.beta(0.3, 0.3, 4000)
    codes = (rng.uniform(size=4000) < truth).astype(np.intp)
    timid = 0.5 + 0.5 * (truth - 0.5)
    fitted = {}
    for name, p in (("timid", timid), ("right", np.clip(truth, 1e-3, 1 - 1e-3))):
        scores = np.stack([1 - p, p], axis=1)
        fitted[name] = Calibration.fit(scores, codes, np.array([0.5, 0.5]))
        rows = np.arange(4000)
        loss = -np.log(fitted[name].probabilities(scores)[rows, codes]).mean()
        assert loss <= -np.log(scores[rows, codes]).mean() + 1e-3
    assert fitted["timid"].power > 1.2
    assert fitted["right"].power == pytest.approx(1.0, abs=0.2)


def test_weights_count_as_rows_in_a_calibration() -> None:
    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.ones(3), 60)
    codes = rng.integers(0, 3, 60)
    counts = rng.integers(1, 4, 60)
    priors = np.full(3, 1 / 3)
    by_weight = Calibration.fit(scores, codes, priors, counts.astype(float))
    by_rows = Calibration.fit(np.repeat(scores, counts, 0), np.repeat(codes, counts), priors)
    assert (by_weight.power, by_weight.floor) == (by_rows.power, by_rows.floor)
