"""The HTML report: its numbers, its safety, and how a browser shows it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes, load_digits, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import browser
import fastrfm
from cases import plain_classifier, plain_regressor
from fastrfm.importance_spread import importance_spread
from fastrfm.report import HeldOut, write_report
from fastrfm.report.facts import number, with_error
from fastrfm.report.held_out import Score, classification_scores, regression_scores
from fastrfm.report.pictures import inline_svg, reliability_bins

EVIL = "<script>alert('x')</script> & \"#id\" url(#a) $x$"


class Page(HTMLParser):
    """The elements of a page and the text of its table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        (found,) = [row for row in self.rows if row[0] == first]
        return found


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, pd.Series]:
    """Return a table with a column of an evil name, and labels that are as evil."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(120, 3)), columns=[EVIL, "b", "c"])
    X["colour"] = rng.choice(["red", "<i>blue</i>"], 120)
    X.loc[::9, "b"] = np.nan
    y = pd.Series(np.where(X[EVIL] + 0.2 * rng.normal(size=120) > 0, "yes <b>", "no"))
    return X, y


@pytest.fixture(scope="module")
def classified(
    table: tuple[pd.DataFrame, pd.Series], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any, HeldOut]:
    """Return the page, the model and what was held out of a classification by several members."""
    X, y = table
    model = fastrfm.RFMClassifier(random_state=0, n_iter=1).fit(X[:80], y[:80])
    assert len(model.members_) > 1
    held_out = HeldOut(y[80:], model.predict(X[80:]), model.predict_proba(X[80:]), 80)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, model, X, y, target=EVIL, held_out=held_out, source="a <file>.csv",
                 n_resamples=2)  # fmt: skip
    return path, model, held_out


@pytest.fixture(scope="module")
def regressed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, HeldOut]:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = plain_regressor(alpha=1.0, n_iter=2, random_state=0).fit(X, y)
    # As many points as are drawn in one bitmap.
    rng = np.random.default_rng(0)
    truth = rng.normal(size=1_500)
    held_out = HeldOut(truth, truth + 0.5 * rng.normal(size=1_500), n_fitted=300)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, model, X, y, target="progression", held_out=held_out, n_resamples=3)
    return path, model, held_out


# ---- scores


def test_scores_of_a_classification_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    classes = np.array(["a", "b", "c"])
    y = rng.choice(classes, 300, p=[0.5, 0.3, 0.2])
    p = rng.dirichlet(np.ones(3), 300) + 0.5 * (y[:, None] == classes)
    p /= p.sum(axis=1, keepdims=True)
    prediction = classes[p.argmax(axis=1)]
    found = {
        score.name: score
        for score in classification_scores(
            HeldOut(y, prediction, p), classes, np.random.default_rng(1)
        )
    }
    expected = {
        "accuracy": accuracy_score(y, prediction),
        "balanced accuracy": balanced_accuracy_score(y, prediction),
        "log-loss": log_loss(y, p, labels=classes),
        "ROC AUC": roc_auc_score(y, p, multi_class="ovr"),
    }
    assert {name: score.value for name, score in found.items()} == pytest.approx(expected)
    # Of a mean the standard error is known.
    accuracy = expected["accuracy"]
    known = np.sqrt(accuracy * (1 - accuracy) / 300)
    assert found["accuracy"].standard_error == pytest.approx(known, rel=0.2)
    binary = classification_scores(
        HeldOut(y[y != "c"], prediction[y != "c"], p[y != "c", :2]),
        classes[:2],
        np.random.default_rng(1),
    )
    assert binary[3].value == pytest.approx(roc_auc_score(y[y != "c"] == "b", p[y != "c", 1]))


def test_scores_of_a_regression_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for shape in ((200,), (200, 2)):
        y = 5 * rng.normal(size=shape)
        prediction = y + rng.normal(size=shape)
        r2, rmse, mae = regression_scores(HeldOut(y, prediction), np.random.default_rng(1))
        assert r2.value == pytest.approx(r2_score(y, prediction))
        columns = np.sqrt(mean_squared_error(y, prediction, multioutput="raw_values"))
        assert rmse.value == pytest.approx(np.mean(columns))
        assert mae.value == pytest.approx(mean_absolute_error(y, prediction))
    spread = np.abs(prediction - y).mean(axis=1).std(ddof=1) / np.sqrt(200)
    assert mae.standard_error == pytest.approx(spread, rel=0.2)


def test_weighted_scores_are_those_of_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, 200)
    rows = np.repeat(np.arange(200), weight)
    classes = np.array(["a", "b", "c"])
    y = rng.choice(classes, 200, p=[0.5, 0.3, 0.2])
    p = rng.dirichlet(np.ones(3), 200) + 0.5 * (y[:, None] == classes)
    p /= p.sum(axis=1, keepdims=True)
    prediction = classes[p.argmax(axis=1)]
    for kept in (classes, classes[:2]):
        of = np.isin(y, kept) & np.isin(prediction, kept)
        some = HeldOut(y[of], prediction[of], p[of][:, : len(kept)], 9, weight[of]).checked(kept)
        again = rows[of[rows]]
        repeated = HeldOut(y[again], prediction[again], p[again][:, : len(kept)])
        found, expected = (
            classification_scores(one, kept, np.random.default_rng(1)) for one in (some, repeated)
        )
        assert [s.value for s in found] == pytest.approx([s.value for s in expected])
        assert all(np.isfinite(s.standard_error) for s in found)
    x = rng.normal(size=200)
    z = x + rng.normal(size=200)
    numbers = HeldOut(x, z, sample_weight=weight).checked(None)
    found, expected = (
        regression_scores(one, np.random.default_rng(1))
        for one in (numbers, HeldOut(x[rows], z[rows]))
    )
    assert [s.value for s in found] == pytest.approx([s.value for s in expected])
    # Fewer rows than weights: a bootstrap of rows, not of their copies.
    assert found[2].standard_error > expected[2].standard_error


def test_scores_that_are_not_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = np.array([0, 1, 2])
    p = np.full((4, 3), 1 / 3)

    def scores(y: list[int]) -> list[Score]:
        held_out = HeldOut(np.array(y), np.zeros(4, int), p)
        return classification_scores(held_out, classes, np.random.default_rng(0))

    one_class = scores([0, 0, 0, 0])
    assert [np.isnan(score.value) for score in one_class] == [False, False, False, True]
    monkeypatch.setattr("fastrfm.report.held_out.MOST_RANKED", 100)
    expensive = scores([0, 1, 2, 0])
    assert expensive[3].value == 0.5
    assert np.isnan(expensive[3].standard_error)
    unseen = scores([0, 1, 2, 7])
    assert [np.isnan(score.value) for score in unseen] == [False, False, True, True]
    constant = regression_scores(HeldOut(np.ones(3), np.zeros(3)), np.random.default_rng(0))
    assert np.isnan(constant[0].value)
    assert constant[1].value == 1
    single = regression_scores(HeldOut(np.ones(1), np.zeros(1)), np.random.default_rng(0))
    assert all(np.isnan(score.standard_error) for score in single)


def test_reliability_bins_hold_equal_counts() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(2_000)
    means, parts, errors = reliability_bins(p, rng.random(2_000) < p)
    assert len(means) == 10
    np.testing.assert_allclose(means, np.arange(0.05, 1, 0.1), atol=0.03)
    assert (np.abs(parts - means) < 4 * errors).all()
    np.testing.assert_allclose(errors, np.sqrt(means * (1 - means) / 200), rtol=0.5)
    few = reliability_bins(np.array([0.2, 0.4]), np.array([True, True]))
    assert (few[0][0], few[1][0]) == pytest.approx((0.3, 1.0))
    assert few[2][0] > 0


def test_numbers_as_they_are_written() -> None:
    assert with_error(0.51234, 0.0342) == "0.512 ± 0.034"
    assert with_error(12_345.6, 1_234.0) == "12,346 ± 1,234"
    assert with_error(1.0, 0.0) == "1.000"
    assert with_error(np.nan, 0.1) == with_error(np.nan, np.nan) == "\N{EN DASH}"
    assert number(1_234.0) == "1,234"
    assert number(0.123456) == "0.1235"
    assert number(np.inf) == "\N{EN DASH}"


# ---- the page


def test_the_numbers_on_the_page(classified: tuple[Path, Any, HeldOut]) -> None:
    path, model, held_out = classified
    page = Page(path.read_text("utf-8"))
    assert page.row("accuracy")[1].startswith(
        f"{accuracy_score(held_out.y_true, held_out.prediction):.3f}"[:4]
    )
    top = np.argmax(model.feature_importances_)
    share = page.row(model.feature_names_in_[top])[1]
    assert share.startswith(f"{100 * model.feature_importances_[top]:.1f}% ± ")
    assert page.row("columns")[1].startswith("4: 3 numeric (1 of them with missing values), 1 cat")
    assert page.row("rows of each class")[1].startswith("no: ")
    assert page.row("data")[1] == "a <file>.csv"
    for index, member in enumerate(model.members_):
        cells = page.row(str(index))
        assert cells[1] == f"{model.member_weights_[index]:.3f}"
        assert float(cells[2]) == member.norm_
        assert cells[5] == ("full" if member.metric_.ndim == 2 else "diagonal")
        assert cells[8] == f"{member.best_iter_} of {member.n_iter_}"
        assert cells[9] == "80"


def test_the_standard_errors_of_importances_are_those_of_the_spread(
    regressed: tuple[Path, Any, HeldOut],
) -> None:
    path, model, _ = regressed
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    errors = importance_spread(model, X, y, n_resamples=3, random_state=0).standard_errors
    page = Page(path.read_text("utf-8"))
    for name, share, error in zip(X.columns, model.feature_importances_, errors, strict=True):
        assert page.row(name)[1] == f"{100 * share:.1f}% ± {100 * error:.1f}%"
    text = path.read_text("utf-8")
    assert "the same settings fitted to 300 rows" in text
    assert "most important<b>" in text
    # Many points are one bitmap, not 1,500 circles.
    assert len(text) < 400_000


def test_a_page_needs_nothing_and_runs_nothing(
    classified: tuple[Path, Any, HeldOut], regressed: tuple[Path, Any, HeldOut]
) -> None:
    for path, _, _ in (classified, regressed):
        text = path.read_text("utf-8")
        page = Page(text)
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "link", "iframe", "object", "embed", "base", "b>", "i"}
        for tag, attributes in page.elements:
            for name, value in attributes.items():
                assert not name.startswith("on"), (tag, name)
                if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                    assert value is not None
                    assert value.startswith(("#", "data:image/png;base64,")), (tag, value)
        assert not re.search(r"@import|url\((?!#)", re.sub(r">[^<]*<", "><", text))
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
        images = [
            attributes for tag, attributes in page.elements if attributes.get("role") == "img"
        ]
        assert len(images) == sum(tag == "figure" for tag, _ in page.elements) >= 5
        assert all(attributes["aria-label"] for attributes in images)
    # What is evil is there, as text.
    evil = classified[0].read_text("utf-8")
    assert "&lt;script&gt;alert" in evil
    assert "yes &lt;b&gt;" in evil


def test_text_of_a_picture_is_left_as_it_is() -> None:
    """Ids and colours are rewritten in attributes alone."""
    names = ['say "#id" url(#a)', "#010203", EVIL]

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        ax.set_yticks(range(3), names, parse_math=False)
        ax.plot([0, 1], [0, 2])

    svg = inline_svg(draw, key="k")
    texts = {
        re.sub("&lt;", "<", re.sub("&gt;", ">", re.sub("&amp;", "&", text)))
        for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    }
    assert set(names) <= texts
    assert "currentColor" in svg
    assert svg == inline_svg(draw, key="k")
    assert set(re.findall(r"url\(#(k-)", re.sub(r">[^<]*<", "><", svg))) == {"k-"}


def test_drawing_leaves_no_traces() -> None:
    from matplotlib import pyplot as plt

    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    inline_svg(lambda figure: figure.subplots().plot([1, 2]), key="a")
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == figures


@pytest.mark.slow
def test_images_pipelines_and_diagonal_metrics(tmp_path: Path) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:120].astype(np.float32), y[:120]
    model = plain_classifier(n_iter=1).fit(X, y)
    text = write_report(
        tmp_path / "image.html", model, X, y, image_shape=(8, 8), n_resamples=0
    ).read_text("utf-8")
    assert "Red and blue are opposite signs" in text
    assert "was not measured: not asked for" in text
    assert "No rows were held out" in text

    X, y = make_friedman1(60, 6, random_state=0)
    pipeline = make_pipeline(StandardScaler(), plain_regressor(n_iter=1, diagonal=True)).fit(X, y)
    text = write_report(str(tmp_path / "p.html"), pipeline, X, y, n_resamples=0).read_text("utf-8")
    assert "Every member weights the features one by one" in text
    assert "Pipeline(" in text

    Y = np.column_stack([y, -y])
    two = plain_regressor(n_iter=1).fit(X, Y)
    held_out = HeldOut(Y, two.predict(X), None, 60)
    text = write_report(
        tmp_path / "two.html", two, X, Y, held_out=held_out, n_resamples=0
    ).read_text("utf-8")
    assert "regression of 2 outputs" in text
    assert "true y, output 1" in text
    assert "The predictions are those of the same settings" not in text


def test_few_rows_still_make_a_page(tmp_path: Path) -> None:
    X, y = np.arange(3.0)[:, None], np.arange(3.0)
    model = plain_regressor(n_iter=0).fit(X, y)
    text = write_report(tmp_path / "few.html", model, X, y).read_text("utf-8")
    assert "No update of the metric predicted better" in text
    assert "was not measured: the spread over halves needs at least 4 rows; got 3" in text


def test_a_failure_leaves_the_old_page(tmp_path: Path) -> None:
    X, y = np.arange(3.0)[:, None], np.arange(3.0)
    model = plain_regressor(n_iter=0).fit(X, y)
    page, link = tmp_path / "report.html", tmp_path / "link.html"
    page.write_text("old")
    link.symlink_to(page)
    with (
        mock.patch("os.replace", side_effect=OSError("disk")),
        pytest.raises(OSError, match="disk"),
    ):
        write_report(link, model, X, y, n_resamples=0)
    assert page.read_text() == "old"
    assert write_report(link, model, X, y, n_resamples=0) == link
    assert link.is_symlink()
    assert "<html" in page.read_text("utf-8")
    assert {file.name for file in tmp_path.iterdir()} == {"report.html", "link.html"}
    refits = mock.patch("fastrfm.report.page.importance_spread", side_effect=AssertionError)
    with refits, pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(tmp_path / "no" / "report.html", model, X, y)


def test_unsuitable_input(classified: tuple[Path, Any, HeldOut], tmp_path: Path) -> None:
    _, model, _ = classified
    X, y = np.zeros((4, 4)), np.array(["no", "yes <b>"] * 2)
    path = tmp_path / "report.html"
    with pytest.raises(NotFittedError):
        write_report(path, fastrfm.RFMClassifier(), X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        write_report(path, model, X, y[:2])
    for held_out, message in (
        (HeldOut(y, y[:2]), r"held_out: y_true is of shape \(4,\), but prediction of \(2,\)"),
        (HeldOut(y[:0], y[:0]), "held_out has no rows"),
        (
            HeldOut(y, y, np.zeros((4, 3))),
            r"held_out: probabilities must be of shape \(4, 2\), a column for each of the model's "
            r"classes; got \(4, 3\)",
        ),
        (
            HeldOut(y, y, sample_weight=np.ones(3)),
            r"held_out: sample_weight must be of shape \(4,\), like y_true; got \(3,\)",
        ),
        (
            HeldOut(y, y, sample_weight=np.zeros(4)),
            "held_out: sample_weight must be finite, not negative and not 0 everywhere",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            write_report(path, model, X, y, held_out=held_out)
    with pytest.raises(ValueError, match=r"image_shape=\(3, 3\) has 9 pixels, but there are 4"):
        write_report(path, model, X, y, image_shape=(3, 3))
    missing = 'a report needs jinja2, matplotlib: pip install "fastrfm\\[plot\\]"'
    with (
        mock.patch("fastrfm.report.page.find_spec", return_value=None),
        pytest.raises(ImportError, match=missing),
    ):
        write_report(path, model, X, y)
    assert list(tmp_path.iterdir()) == []


# ---- in a browser


@pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.REASON)
@pytest.mark.parametrize("which", ["regressed", pytest.param("classified", marks=pytest.mark.slow)])
def test_a_browser_shows_it(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path: Path = request.getfixturevalue(which)[0]
    picture = tmp_path / "page.png"
    _, log = browser.chromium(path, f"--screenshot={picture}", height=3_000)
    assert browser.complaints(log) == []
    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[:2] == (3_000, 1_100)
    # Nearly all of it is paper, but blue bars are there too.
    assert (pixels[..., :3].min(axis=2) > 0.9).mean() > 0.6
    blue = np.abs(pixels[..., :3] - [0x00 / 255, 0x72 / 255, 0xB2 / 255]).max(axis=2) < 0.02
    assert blue.sum() > 2_000

    measured = browser.measure(path, tmp_path)
    title = EVIL if which == "classified" else "progression"
    assert measured["title"] == f"{title}: what fastrfm learned"
    assert measured["heading"] == f"Predicting {title}"
    assert measured["scripts"] == 1  # the measuring one
    assert measured["width"] <= measured["window"]
    assert measured["ids_twice"] == measured["broken_links"] == []
    assert "How to read this page" in measured["text"]
    assert len(measured["pictures"]) >= 5
    for one in measured["pictures"]:
        assert one["texts"]
        assert one["paths"] > 5
        assert one["overlapping"] == []
        assert one["outside"] == []
        assert all(min(size) > 10 for size in one["bitmaps"])
        if not one["hidden"]:
            assert one["width"] > 300
            assert one["height"] > 200
    assert any(one["bitmaps"] for one in measured["pictures"])
    shown = {text for one in measured["pictures"] for text in one["texts"]}
    cut = f"{EVIL[:14]}\N{HORIZONTAL ELLIPSIS}{EVIL[-13:]}"
    assert ("s5" if which == "regressed" else cut) in shown


@pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.REASON)
def test_a_page_in_the_dark_and_on_a_telephone(
    classified: tuple[Path, Any, HeldOut], tmp_path: Path
) -> None:
    dark = "--blink-settings=preferredColorScheme=0"
    measured = browser.measure(classified[0], tmp_path, dark, width=500)
    assert measured["width"] <= measured["window"]

    def lightness(color: str) -> float:
        return sum(int(part) for part in re.findall(r"\d+", color)[:3]) / 3

    assert lightness(measured["background"]) < 50 < 200 < lightness(measured["color"])
    # The pictures' text is that of the page.
    assert {one["color"] for one in measured["pictures"]} == {measured["color"]}
    assert max(one["width"] for one in measured["pictures"]) <= measured["window"]
