"""Displays: what is drawn is what the estimator holds, under the right names."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastrfm
from cases import plain_classifier, plain_regressor
from fastrfm.displays import (
    EigenvectorDisplay,
    FeatureImportanceDisplay,
    MetricDisplay,
    TrainingDisplay,
)
from fastrfm.importance_spread import importance_spread

matplotlib.use("Agg")

DISPLAYS = [MetricDisplay, FeatureImportanceDisplay, EigenvectorDisplay, TrainingDisplay]


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted() -> Any:
    """Return one member with a full metric and named features."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return plain_classifier(n_iter=1).fit(X, y)


@pytest.fixture(scope="module")
def diagonal() -> Any:
    X, y = load_diabetes(return_X_y=True)
    return plain_regressor(n_iter=1, diagonal=True, alpha=1.0).fit(X, y)


@pytest.fixture(scope="module")
def several() -> Any:
    """Return a diagonal and a full member, the second the heavier."""
    X, y = make_friedman1(150, 10, noise=1, random_state=0)
    model = fastrfm.RFMRegressor(random_state=0).fit(X, y)
    assert [member.agop_.ndim for member in model.members_] == [1, 2]
    assert model.member_weights_[1] > model.member_weights_[0]
    return model


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 2)), columns=["price $ a $", "size"])
    frame["colour"] = np.where(rng.random(80) < 0.5, "red", "blue")
    frame["rooms"] = rng.integers(0, 5, 80).astype(float)
    frame["kind"] = rng.choice(["a", "b", "c"], 80)
    frame.loc[::7, "size"] = np.nan
    return frame


@pytest.fixture(scope="module")
def of_table(table: pd.DataFrame) -> Any:
    """Return several members, whose encoded features differ, on a table."""
    y = table["rooms"].isin([1, 4]) ^ (table["price $ a $"] > 0.5)
    model = fastrfm.RFMClassifier(random_state=0, n_iter=1).fit(table, y)
    assert len({len(member.X_fit_.T) for member in model.members_}) > 1
    return model


def labels(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def test_nothing_is_imported_before_something_is_plotted() -> None:
    code = (
        "import sys, fastrfm, fastrfm.displays, fastrfm.importance_spread, fastrfm.report; "
        "fastrfm.MetricDisplay; assert not {'jinja2', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for display in DISPLAYS:
        assert getattr(fastrfm, display.__name__) is display
        assert display.__name__ in dir(fastrfm)
    with pytest.raises(AttributeError, match="module 'fastrfm' has no attribute 'Metric'"):
        _ = fastrfm.Metric


# ---- the metric


def test_metric_display_orders_features_by_weight(fitted: Any) -> None:
    display = MetricDisplay.from_estimator(fitted, max_features=7)
    order = np.argsort(-np.diag(fitted.metric_))[:7]
    shown_matrix = display.ax_.images[0].get_array()
    np.testing.assert_allclose(shown_matrix, fitted.metric_[np.ix_(order, order)])
    names = list(fitted.feature_names_in_[order])
    assert labels(display.ax_.yaxis) == names
    assert labels(display.ax_.xaxis) == names
    assert display.ax_.get_title() == "Learned metric M, 7 of 30 features\nnorm 2, exponent 1"
    written = {float(text.get_text()) for text in display.ax_.texts}
    assert float(f"{fitted.metric_.max():.2g}") in written
    low, high = display.ax_.images[0].get_clim()
    assert low == -high == -np.abs(shown_matrix).max()


def test_a_diagonal_metric_is_drawn_as_bars(diagonal: Any) -> None:
    display = MetricDisplay.from_estimator(diagonal)
    widths = [patch.get_width() for patch in display.ax_.patches]
    np.testing.assert_allclose(widths, np.sort(diagonal.metric_))
    order = np.argsort(diagonal.metric_, kind="stable")
    assert labels(display.ax_.yaxis) == [f"x{i}" for i in order]
    assert not display.ax_.images


def test_each_member_has_its_metric_and_its_names(of_table: Any) -> None:
    for number, member in enumerate(of_table.members_):
        display = MetricDisplay.from_estimator(of_table, member=number, max_features=100)
        np.testing.assert_array_equal(display.metric, member.metric_)
        encoder = of_table._encoders[member.columns_]
        assert list(display.feature_names) == encoder.encoded_feature_names_
        assert f"\nmember {number}, " in display.ax_.get_title()
    heaviest = int(np.argmax(of_table.member_weights_))
    assert f"member {heaviest}, " in MetricDisplay.from_estimator(of_table).ax_.get_title()


def test_given_names_are_of_encoded_or_of_input_features(of_table: Any) -> None:
    names = ["p", "q", "r", "s", "t"]
    heaviest = of_table.members_[int(np.argmax(of_table.member_weights_))]
    encoded = of_table.encoded_feature_names_
    shown = MetricDisplay.from_estimator(of_table, feature_names=names).feature_names
    expected = [
        name.replace("price $ a $", "p").replace("size", "q")
        .replace("colour", "r").replace("rooms", "s")
        .replace("kind", "t")
        for name in encoded
    ]  # fmt: skip
    assert list(shown) == expected
    own = [f"e{i}" for i in range(len(encoded))]
    assert list(MetricDisplay.from_estimator(of_table, feature_names=own).feature_names) == own
    d = len(heaviest.X_fit_.T)
    message = (
        f"feature_names has 3 entries; one is wanted for each of {d} encoded features, or for "
        "each of 5 input features"
    )
    for display in (MetricDisplay, EigenvectorDisplay):
        with pytest.raises(ValueError, match=message):
            display.from_estimator(of_table, member=None, feature_names=["a", "b", "c"])


def test_names_are_no_mathematics_and_are_cut_where_long() -> None:
    names = ["a $ and \\frac $", "one\nline", "x" * 20 + "middle" + "y" * 20]
    display = FeatureImportanceDisplay([0.5, 0.3, 0.2], feature_names=names).plot()
    display.figure_.canvas.draw()
    last, second, first = labels(display.ax_.yaxis)
    assert (first, second) == ("a $ and \\frac $", "one line")
    assert last == "x" * 14 + "\N{HORIZONTAL ELLIPSIS}" + "y" * 13
    assert not any(text.get_parse_math() for text in display.ax_.get_yticklabels())


# ---- importances


def test_importance_display_draws_bars_or_an_image(fitted: Any) -> None:
    bars = FeatureImportanceDisplay.from_estimator(fitted, max_features=4)
    widths = [patch.get_width() for patch in bars.ax_.patches]
    np.testing.assert_allclose(widths, np.sort(100 * fitted.feature_importances_)[-4:])
    order = np.argsort(fitted.feature_importances_)[-4:]
    assert labels(bars.ax_.yaxis) == list(fitted.feature_names_in_[order])
    assert bars.standard_errors is None
    image = FeatureImportanceDisplay.from_estimator(fitted, image_shape=(5, 6))
    np.testing.assert_allclose(
        image.ax_.images[0].get_array(), 100 * fitted.feature_importances_.reshape(5, 6)
    )


def test_importances_of_one_member(several: Any) -> None:
    display = FeatureImportanceDisplay.from_estimator(several, member=0)
    agop = several.members_[0].agop_
    np.testing.assert_allclose(display.importances, agop / agop.sum())
    whole = FeatureImportanceDisplay.from_estimator(several)
    np.testing.assert_array_equal(whole.importances, several.feature_importances_)


def test_spread_is_drawn_as_lines_of_one_standard_error() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X, y = X[:100], y[:100]
    model = plain_regressor(n_iter=1, alpha=1.0, random_state=0).fit(X, y)
    display = FeatureImportanceDisplay.from_estimator(
        model, X, y, n_resamples=4, random_state=3, max_features=6
    )
    errors = importance_spread(model, X, y, n_resamples=4, random_state=3).standard_errors
    np.testing.assert_array_equal(display.standard_errors, errors)
    order = np.argsort(model.feature_importances_)[-6:]
    (lines,) = [c for c in display.ax_.collections if hasattr(c, "get_segments")]
    ends = np.array([segment[:, 0] for segment in lines.get_segments()])
    np.testing.assert_allclose(ends.mean(axis=1), 100 * model.feature_importances_[order])
    np.testing.assert_allclose(np.ptp(ends, axis=1), 200 * errors[order])
    assert "±1 standard error" in display.ax_.get_xlabel()
    assert "4 refits to random halves of 100 rows" in display.ax_.get_title()


def test_lines_end_where_shares_end() -> None:
    display = FeatureImportanceDisplay([0.9, 0.1], standard_errors=[0.3, 0.2]).plot()
    (lines,) = [c for c in display.ax_.collections if hasattr(c, "get_segments")]
    ends = [segment[:, 0] for segment in lines.get_segments()]
    np.testing.assert_allclose(ends, [[0, 30], [60, 100]])


# ---- eigenvectors


def test_eigenvector_display_holds_the_agops_eigenvectors(fitted: Any) -> None:
    names = np.array([f"f{i}" for i in range(30)])
    display = EigenvectorDisplay.from_estimator(fitted, n_vectors=3, feature_names=names)
    assert len(display.axes_) == 3
    values, vectors = np.linalg.eigh(fitted.agop_)
    np.testing.assert_allclose(display.shares, values[::-1][:3] / values.sum())
    for vector, expected in zip(display.vectors, vectors.T[::-1], strict=False):
        assert abs(vector @ expected) == pytest.approx(1)
        assert vector[np.abs(vector).argmax()] > 0
    for vector, ax in zip(display.vectors, display.axes_, strict=True):
        order = np.argsort(-np.abs(vector))[:12][::-1]
        np.testing.assert_array_equal([p.get_width() for p in ax.patches], vector[order])
        assert labels(ax.yaxis) == list(names[order])
        colors = {p.get_facecolor() for p in ax.patches if p.get_width() > 0}
        assert colors == {to_rgba("#D55E00")}
    image = EigenvectorDisplay.from_estimator(fitted, n_vectors=2, image_shape=(5, 6))
    shown = image.axes_[1].images[0].get_array()
    np.testing.assert_array_equal(shown.ravel(), image.vectors[1])


@pytest.mark.parametrize("d", [5, 1_100])
def test_eigenvectors_by_either_method(d: int) -> None:
    """Against a construction, below and above where Lanczos iterations take over."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((d, 4)))
    values = np.array([4.0, 2.0, 1.0, 0.5])
    display = EigenvectorDisplay((basis * values) @ basis.T, n_vectors=3)
    np.testing.assert_allclose(display.shares, values[:3] / values.sum(), rtol=1e-8)
    np.testing.assert_allclose(np.abs(np.sum(display.vectors * basis[:, :3].T, axis=1)), 1)
    again = EigenvectorDisplay((basis * values) @ basis.T, n_vectors=3)
    np.testing.assert_array_equal(again.vectors, display.vectors)


@pytest.mark.parametrize("d", [3, 1_100])
def test_a_constant_predictor_has_no_directions(d: int) -> None:
    display = EigenvectorDisplay(np.zeros((d, d)), n_vectors=4).plot(max_features=5)
    assert len(display.axes_) == min(4, d)
    np.testing.assert_array_equal(display.shares, 0)
    np.testing.assert_allclose(np.linalg.norm(display.vectors, axis=1), 1)


def test_eigenvectors_of_the_heaviest_full_member(several: Any, diagonal: Any) -> None:
    light = copy.copy(several)
    light.member_weights_ = several.member_weights_[::-1]
    for model in (several, light):
        display = EigenvectorDisplay.from_estimator(model, n_vectors=2)
        expected = EigenvectorDisplay(several.members_[1].agop_, n_vectors=2)
        np.testing.assert_array_equal(display.vectors, expected.vectors)
        assert display.axes_[0].get_title().startswith("member 1, eigenvector 1\n")
        share = model.member_weights_[1] / model.member_weights_.sum()
        assert f"member 1, {share:.0%} of the weight" in display.figure_.get_suptitle()
    message = (
        "the AGOP of member 0 is diagonal, so its eigenvectors are the features themselves; "
        "choose member 1, or fit with diagonal=False"
    )
    with pytest.raises(ValueError, match=message):
        EigenvectorDisplay.from_estimator(several, member=0)
    with pytest.raises(ValueError, match="the AGOP of every member is diagonal, so its eigenvec"):
        EigenvectorDisplay.from_estimator(diagonal)
    with pytest.raises(ValueError, match="eigenvectors of a diagonal AGOP are the features"):
        EigenvectorDisplay(diagonal.agop_)


# ---- training


def test_training_display_draws_the_history(several: Any) -> None:
    display = TrainingDisplay.from_estimator(several)
    score, residual, seconds = display.axes_
    line, mark = score.lines
    history = several.history_
    np.testing.assert_array_equal(line.get_ydata(), [e["score"] for e in history])
    assert list(mark.get_xdata()) == [several.best_iter_]
    np.testing.assert_array_equal(residual.lines[0].get_ydata(), [e["residual"] for e in history])
    assert residual.get_yscale() == "log"
    ends = [bar.get_y() + bar.get_height() for bar in seconds.patches[-len(history) :]]
    np.testing.assert_allclose(ends, [sum(e["seconds"].values()) for e in history])
    assert labels(score.xaxis) == [str(e["iteration"]) for e in history]
    assert display.axes_[0].get_title() == "mean squared error (coded targets)"
    assert "member 1, " in display.figure_.get_suptitle()


def test_training_display_of_an_error_rate() -> None:
    X, y = load_wine(return_X_y=True)
    model = plain_classifier(n_iter=3, early_stopping=False).fit(X, y)
    assert TrainingDisplay.from_estimator(model).axes_[0].get_title() == "error rate"


def entry(iteration: int, rows: int, score: float, residual: float = 1e-6) -> dict[str, Any]:
    seconds = {"solve": 1.0, "select": 0.0, "agop": 0.5}
    return {"iteration": iteration, "rows": rows, "score": score, "residual": residual} | {
        "seconds": seconds
    }


def test_a_search_and_the_fit_after_it_are_drawn_in_turn() -> None:
    searched = [entry(i, 2_000, score) for i, score in enumerate([0.5, 0.2, 0.3])]
    full = [entry(0, 9_000, np.nan), entry(1, 9_000, np.nan, residual=0.0)]
    display = TrainingDisplay(searched + full, 1).plot()
    score, residual, seconds = display.axes_
    assert [list(line.get_xdata()) for line in score.lines if line.get_marker() == "o"] == [
        [0, 1, 2]
    ]
    (mark,) = [line for line in score.lines if line.get_marker() == "*"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([1], [0.2])
    drawn = [list(line.get_xdata()) for line in residual.lines if line.get_marker() == "o"]
    assert drawn == [[0, 1, 2], [3]]  # no logarithm of 0
    assert [text.get_text() for text in seconds.texts] == [
        "choosing\n2,000 rows",
        "final fit\n9,000 rows",
    ]
    assert labels(seconds.xaxis) == ["0", "1", "2", "0", "1"]
    assert "select" not in [text.get_text() for text in seconds.get_legend().get_texts()]


def test_long_histories_and_a_single_entry() -> None:
    long = TrainingDisplay([entry(i, 10, 1.0 / (i + 1)) for i in range(100)], 99).plot()
    assert len(labels(long.axes_[0].xaxis)) <= 12
    one = TrainingDisplay([entry(0, 10, np.nan, residual=0.0)], 0).plot()
    assert one.axes_[1].get_yscale() == "linear"
    # No marker stands on the edge, where half of it would be cut.
    whole = TrainingDisplay([entry(0, 10, 1.0, 1e-6), entry(1, 10, 0.5, 9.9e-6)], 1).plot()
    bottom, top = whole.axes_[1].get_ylim()
    assert 0.5e-6 < bottom < 0.95e-6
    assert 1.05e-5 < top < 2e-5
    with pytest.raises(ValueError, match="history is empty"):
        TrainingDisplay([], 0)


# ---- what all of them share


def test_pipelines_are_unwrapped_and_lend_their_names(table: pd.DataFrame) -> None:
    X = table[["price $ a $", "size"]].fillna(0.0)
    y = X["size"] * X["price $ a $"]
    pipeline = make_pipeline(StandardScaler(), plain_regressor(n_iter=1)).fit(X, y)
    assert not hasattr(pipeline[-1], "feature_names_in_")
    for display in (MetricDisplay, FeatureImportanceDisplay, EigenvectorDisplay):
        assert set(display.from_estimator(pipeline).feature_names) == set(X.columns)
        assert set(display.from_estimator(pipeline[-1]).feature_names) == {"x0", "x1"}
    TrainingDisplay.from_estimator(pipeline)
    unnamed = make_pipeline(StandardScaler(), plain_regressor(n_iter=1)).fit(X.to_numpy(), y)
    assert set(MetricDisplay.from_estimator(unnamed).feature_names) == {"x0", "x1"}


@pytest.mark.parametrize("display", DISPLAYS)
def test_unsuitable_estimators(display: Any, fitted: Any) -> None:
    with pytest.raises(NotFittedError, match="This RFMRegressor instance is not fitted yet"):
        display.from_estimator(fastrfm.RFMRegressor())
    with pytest.raises(NotFittedError):
        display.from_estimator(make_pipeline(StandardScaler(), fastrfm.RFMRegressor()))
    message = (
        "expected a fitted RFMRegressor or RFMClassifier, or a Pipeline that ends with one; got "
    )
    with pytest.raises(TypeError, match=message + "Ridge$"):
        display.from_estimator(Ridge())
    search = GridSearchCV(fitted, {})
    search.best_estimator_ = fitted
    with pytest.raises(TypeError, match=message + "GridSearchCV; pass its best_estimator_"):
        display.from_estimator(search)
    for wrong in (True, "first", 0.0):
        with pytest.raises(TypeError, match="member must be None or an index of members_; got "):
            display.from_estimator(fitted, member=wrong)
    for wrong in (1, -1):
        with pytest.raises(
            ValueError, match=f"member={wrong}, but the estimator has only member 0"
        ):
            display.from_estimator(fitted, member=wrong)


def test_members_that_are_not_there(several: Any) -> None:
    with pytest.raises(ValueError, match="member=2, but the estimator has members 0 to 1"):
        MetricDisplay.from_estimator(several, member=2)


@pytest.mark.parametrize("display", DISPLAYS[:3])
def test_unsuitable_options(display: Any, fitted: Any) -> None:
    with pytest.raises(ValueError, match="max_features must be at least 1; got 0"):
        display.from_estimator(fitted, max_features=0)
    with pytest.raises(TypeError, match=r"max_features must be an integer; got 1\.5"):
        display.from_estimator(fitted, max_features=1.5)
    with pytest.raises(ValueError, match="feature_names has 2 entries"):
        display.from_estimator(fitted, feature_names=["a", "b"])
    for wrong in ("a" * 30, set("ab"), 30, np.zeros((30, 2))):
        with pytest.raises(TypeError, match="feature_names must be a sequence of strings; got "):
            display.from_estimator(fitted, feature_names=wrong)


@pytest.mark.parametrize("display", [FeatureImportanceDisplay, EigenvectorDisplay])
def test_unsuitable_image_shapes(display: Any, fitted: Any) -> None:
    message = r"image_shape=\(5, 5\) has 25 pixels, but there are 30 features"
    with pytest.raises(ValueError, match=message):
        display.from_estimator(fitted, image_shape=(5, 5))
    for wrong in ((30,), (5.5, 4), (-5, -6), 30, "56"):
        with pytest.raises(ValueError, match="image_shape must be two positive integers"):
            display.from_estimator(fitted, image_shape=wrong)


def test_values_that_cannot_be_drawn() -> None:
    for make in (MetricDisplay, EigenvectorDisplay):
        name = "metric" if make is MetricDisplay else "agop"
        with pytest.raises(ValueError, match=f"{name} is empty"):
            make(np.zeros((0, 0)))
        with pytest.raises(ValueError, match=f"{name} has values that are not finite"):
            make(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="importances is empty"):
        FeatureImportanceDisplay([])
    with pytest.raises(ValueError, match="importances has values that are not finite"):
        FeatureImportanceDisplay([np.nan, 1.0])
    for wrong in (-0.1, np.nan):
        with pytest.raises(ValueError, match="standard_errors must not be negative or NaN"):
            FeatureImportanceDisplay([0.5, 0.5], standard_errors=[wrong, 0.1])


def test_other_unsuitable_input(fitted: Any) -> None:
    with pytest.raises(ValueError, match="X has 1 features, but the estimator was fitted to 30"):
        FeatureImportanceDisplay.from_estimator(fitted, [[0.0]] * 9, [0] * 9)
    with pytest.raises(ValueError, match="n_vectors must be at least 1; got 0"):
        EigenvectorDisplay.from_estimator(fitted, n_vectors=0)
    with pytest.raises(ValueError, match="X and y belong together; y is missing"):
        FeatureImportanceDisplay.from_estimator(fitted, [[0.0]])
    with pytest.raises(ValueError, match="the spread is that of all members"):
        FeatureImportanceDisplay.from_estimator(fitted, [[0.0]], [0], member=0)
    with pytest.raises(ValueError, match=r"metric must be of shape \(d, d\) or \(d,\); got \(2, 3"):
        MetricDisplay(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"agop must be of shape \(d, d\); got \(2, 3\)"):
        EigenvectorDisplay(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"importances must be of shape \(d,\); got \(1, 2\)"):
        FeatureImportanceDisplay([[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"standard_errors must be of shape \(2,\)"):
        FeatureImportanceDisplay([0.5, 0.5], standard_errors=[0.1])
    with pytest.raises(ValueError, match="feature_names has 1 entries for 2 features"):
        FeatureImportanceDisplay([0.5, 0.5], feature_names=["a"])


@pytest.mark.parametrize("display", DISPLAYS)
def test_axes_that_are_given_are_drawn_on(display: Any, fitted: Any) -> None:
    figure, ax = plt.subplots(figsize=(9, 4))
    before = plt.get_fignums()
    shown = display.from_estimator(fitted, ax=ax)
    figure.canvas.draw()  # labels and layout are made only now
    assert isinstance(shown, display)
    assert shown.figure_ is figure
    assert plt.get_fignums() == before
    if hasattr(shown, "ax_"):
        assert shown.ax_ is ax
    else:
        assert all(one.get_figure() is figure for one in shown.axes_)
        assert not ax.axison
    # Constructed, it can be plotted again.
    assert shown.plot() is shown
    assert shown.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be None"):
        display.from_estimator(fitted, ax="left")


def test_several_axes(fitted: Any) -> None:
    figure, axes = plt.subplots(2, 2)
    shown = EigenvectorDisplay.from_estimator(fitted, ax=axes)
    assert shown.axes_ == list(axes.ravel())
    assert figure.get_suptitle() == ""
    with pytest.raises(ValueError, match="ax has 4 axes, but 3 are to be drawn on"):
        TrainingDisplay.from_estimator(fitted, ax=list(axes.ravel()))
    with pytest.raises(TypeError, match="ax must hold matplotlib Axes; got int"):
        EigenvectorDisplay.from_estimator(fitted, n_vectors=2, ax=[1, 2])
    loose = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="ax is no subplot, so it cannot be divided into 3"):
        TrainingDisplay.from_estimator(fitted, ax=loose)
    one = EigenvectorDisplay.from_estimator(fitted, n_vectors=1, ax=loose)
    assert one.axes_ == [loose]
