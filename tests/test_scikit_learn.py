"""The estimators as scikit-learn wants them: its own checks, and its tools around a model.

Of every supported version of scikit-learn: `make test-oldest` runs this file under the first.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.exceptions import FitFailedWarning, NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

from cases import plain_classifier, plain_regressor
from fastrfm import RFMClassifier, RFMRegressor, TreeRFMClassifier, TreeRFMRegressor
from fastrfm.members import PAPERS

Array = NDArray[Any]

VERSION = parse_version(sklearn.__version__)
AT_LEAST_1_6 = VERSION.release >= (1, 6)
MODELS = [plain_regressor(n_iter=1, alpha=0.1), plain_classifier(n_iter=1, alpha=0.1)]
BOTH = pytest.mark.parametrize("model", MODELS, ids=["regressor", "classifier"])

CHECKED = [
    *(kind(solver=solver) for kind in (RFMRegressor, RFMClassifier) for solver in ("auto", "pcg")),
    *(
        kind(solver=solver)
        for kind in (plain_regressor, plain_classifier)
        for solver in ("cholesky", "pcg")
    ),
    # Each a tree of one leaf: no check has so many rows.
    *(kind(**PAPERS | {"n_iter": 0}) for kind in (TreeRFMRegressor, TreeRFMClassifier)),
]
# Of several leaves, which hold rows out and halve numbers of rows, not sums of weights.
DIVIDED = [
    kind(**PAPERS | {"n_iter": 0, "max_leaf_size": 20})
    for kind in (TreeRFMRegressor, TreeRFMClassifier)
]


def _marked(pair: Any) -> Any:
    """Return a check and its estimator; slow for classifiers by pcg: two fifths of the time."""
    is_slow = isinstance(pair[0], RFMClassifier) and pair[0].solver == "pcg"
    return pytest.param(*pair, marks=[pytest.mark.slow] * is_slow)


# Older versions hand pytest a generator, which it warns of.
_names, _checks = parametrize_with_checks(CHECKED).mark.args
all_checks = pytest.mark.parametrize(
    _names, [*map(_marked, _checks)], ids=parametrize_with_checks(CHECKED).mark.kwargs["ids"]
)


@pytest.mark.filterwarnings(f"ignore::{SkipTestWarning.__module__}.SkipTestWarning")
@all_checks
def test_scikit_learn_check(estimator: Any, check: Any) -> None:
    check(estimator)


_names, _of_divided = parametrize_with_checks(DIVIDED).mark.args


@pytest.mark.filterwarnings(f"ignore::{SkipTestWarning.__module__}.SkipTestWarning")
@pytest.mark.parametrize(
    _names, list(_of_divided), ids=parametrize_with_checks(DIVIDED).mark.kwargs["ids"]
)
def test_scikit_learn_check_of_a_divided_tree(estimator: Any, check: Any) -> None:
    if "sample_weight_equivalence" in str(check):
        pytest.skip("rows drawn at random are others where rows are repeated")
    check(estimator)


@pytest.fixture
def diabetes() -> tuple[pd.DataFrame, Array]:
    """Return the first 200 rows of diabetes."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X[:200], y[:200].to_numpy()


@pytest.fixture
def routing() -> Iterator[None]:
    """Turn metadata routing on."""
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@BOTH
def test_clone_forgets_the_fit_and_keeps_the_parameters(model: Any) -> None:
    X, y = load_iris(return_X_y=True)
    fitted = clone(model).fit(X, y)
    again = clone(fitted)
    assert again.get_params() == fitted.get_params() == model.get_params()
    assert not hasattr(again, "metric_")
    with pytest.raises(NotFittedError):
        again.predict(X)


@BOTH
@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy"])
def test_copies_of_a_fitted_model_predict_the_same(model: Any, way: str, tmp_path: Any) -> None:
    X, y = load_iris(return_X_y=True)
    fitted = clone(model).fit(X, y)
    if way == "pickle":
        again = pickle.loads(pickle.dumps(fitted))
    elif way == "joblib":
        joblib.dump(fitted, tmp_path / "model.joblib")
        again = joblib.load(tmp_path / "model.joblib")
    else:
        again = copy.deepcopy(fitted)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.get_params() == fitted.get_params()


def test_a_pickle_holds_each_array_once(diabetes: Any) -> None:
    """The heaviest member's attributes are the estimator's too."""
    X, y = diabetes
    fitted = plain_regressor(n_iter=1).fit(X, y)
    arrays = (fitted.X_fit_, fitted.dual_coef_, fitted.metric_, fitted.agop_)
    assert len(pickle.dumps(fitted)) < 1.5 * sum(array.nbytes for array in arrays) + 20_000


def test_grid_search_over_bandwidth_and_alpha(diabetes: Any) -> None:
    X, y = diabetes
    grid = {"bandwidth": [1.0, 20.0], "alpha": [1e-3, 1.0]}
    search = GridSearchCV(plain_regressor(n_iter=1), grid, cv=3).fit(X, y)
    assert search.best_params_ == {"bandwidth": 20.0, "alpha": 1.0}
    assert search.best_estimator_.alpha_ == 1.0
    np.testing.assert_array_equal(search.best_estimator_.feature_names_in_, X.columns)
    assert search.score(X, y) > 0.4


@pytest.mark.skipif(VERSION.release < (1, 5, 1), reason="1.5.0 takes strings for NumPy's dtypes")
def test_grid_search_over_bandwidths_in_median_distances(diabetes: Any) -> None:
    X, y = diabetes
    grid = {"bandwidth": [1.0, "4*median", "auto"]}
    search = GridSearchCV(plain_regressor(n_iter=1, alpha=1.0), grid, cv=3).fit(X, y)
    assert search.best_params_["bandwidth"] in ("4*median", "auto")


@pytest.mark.slow
def test_grid_search_in_processes_is_the_same(diabetes: Any) -> None:
    X, y = diabetes
    grid = {"norm": [1.0, 2.0]}
    scores = [
        GridSearchCV(plain_regressor(n_iter=1), grid, cv=2, n_jobs=jobs).fit(X, y).cv_results_
        for jobs in (1, 2)
    ]
    np.testing.assert_allclose(
        scores[0]["mean_test_score"], scores[1]["mean_test_score"], rtol=1e-9
    )


def test_grid_search_goes_on_where_some_parameters_do_not_go_together(diabetes: Any) -> None:
    X, y = diabetes
    grid = {"norm": [1.0, 2.0], "exponent": [1.0, 1.5]}  # an exponent above the norm is an error
    search = GridSearchCV(plain_regressor(n_iter=1), grid, cv=2)
    with pytest.warns() as warned:
        search.fit(X, y)
    assert [type(w.message) for w in warned] == [FitFailedWarning, UserWarning]
    assert "exponent" in str(warned[0].message)
    assert "non-finite" in str(warned[1].message)
    failed = np.isnan(search.cv_results_["mean_test_score"])
    assert [bool(f) for f in failed] == [
        p["exponent"] > p["norm"] for p in search.cv_results_["params"]
    ]
    assert np.isfinite(search.best_score_)


@BOTH
def test_an_error_in_fit_leaves_the_fitted_model(model: Any) -> None:
    X, y = load_iris(return_X_y=True)
    fitted = clone(model).fit(X, y)
    before = fitted.predict(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.fit(X[:, :2], y[:-1])
    fitted.set_params(exponent=2.0, norm=1.0)
    with pytest.raises(ValueError, match="exponent"):
        fitted.fit(X[:, :2], y)
    np.testing.assert_array_equal(fitted.predict(X), before)
    with pytest.raises(ValueError, match="4 features"):
        fitted.predict(X[:, :2])


def test_a_pipeline_hands_names_on(diabetes: Any) -> None:
    X, y = diabetes
    pipeline = make_pipeline(StandardScaler(), plain_regressor(n_iter=1))
    pipeline.set_output(transform="pandas").fit(X, y)
    np.testing.assert_array_equal(pipeline[-1].feature_names_in_, X.columns)
    np.testing.assert_array_equal(pipeline.feature_names_in_, X.columns)
    assert pipeline.n_features_in_ == 10


def test_a_column_transformer_before_the_model(diabetes: Any) -> None:
    X, y = diabetes
    X = X.assign(sex=X["sex"].gt(0).map({False: "f", True: "m"}))
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["sex"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipeline = make_pipeline(encode, plain_regressor(n_iter=1)).fit(X, y)
    assert list(pipeline[-1].feature_names_in_[:2]) == ["sex_f", "sex_m"]
    assert pipeline.score(X, y) > 0.4


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_feature_names_are_held_to(diabetes: Any, library: str) -> None:
    X, y = diabetes
    frame = X if library == "pandas" else pl.from_pandas(X)
    fitted = plain_regressor(n_iter=1).fit(frame, y)
    np.testing.assert_array_equal(fitted.feature_names_in_, X.columns)
    swapped = frame[["sex", "age", *X.columns[2:]]]
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(swapped)
    names = {"bmi": "BMI"}
    renamed = frame.rename(columns=names) if library == "pandas" else frame.rename(names)
    with pytest.raises(ValueError, match="unseen at fit time:\n- BMI"):
        fitted.predict(renamed)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        without = fitted.predict(X.to_numpy())
    np.testing.assert_array_equal(without, fitted.predict(frame))


@pytest.mark.usefixtures("routing")
@BOTH
def test_metadata_routing_brings_weights_to_fit_and_score(model: Any) -> None:
    X, y = load_iris(return_X_y=True)
    weight = np.where(np.arange(len(y)) % 3 == 0, 0.0, 1.0)
    asking = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    folds = [(np.arange(0, 150, 2), np.arange(1, 150, 2))]
    found = cross_validate(
        asking, X, y, cv=folds, params={"sample_weight": weight}, return_estimator=True
    )
    train, test = folds[0]
    by_hand = clone(model).fit(X[train], y[train], sample_weight=weight[train])
    expected = by_hand.score(X[test], y[test], sample_weight=weight[test])
    assert found["test_score"][0] == expected
    assert len(found["estimator"][0].X_fit_) == np.count_nonzero(weight[train])


@pytest.mark.usefixtures("routing")
def test_weights_that_nobody_asked_for_are_an_error() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="sample_weight"):
        cross_validate(MODELS[0], X, y, params={"sample_weight": np.ones(len(y))})


@pytest.mark.usefixtures("routing")
@pytest.mark.skipif(not AT_LEAST_1_6, reason="transform_input is new in scikit-learn 1.6")
def test_validation_rows_go_through_a_pipeline(diabetes: Any) -> None:
    X, y = diabetes
    model = plain_regressor(n_iter=2, standardize=False).set_fit_request(X_val=True, y_val=True)
    pipeline = Pipeline([("scale", StandardScaler()), ("rfm", model)], transform_input=["X_val"])
    pipeline.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    scaler = StandardScaler().fit(X[:150])
    by_hand = clone(model).fit(
        scaler.transform(X[:150]), y[:150], X_val=scaler.transform(X[150:]), y_val=y[150:]
    )
    assert [e["score"] for e in pipeline[-1].history_] == [e["score"] for e in by_hand.history_]


def test_classifiers_of_several_outputs() -> None:
    X, y = load_wine(return_X_y=True)
    Y = np.stack([y == 0, y == 1], axis=1)
    model = MultiOutputClassifier(plain_classifier(n_iter=1)).fit(X, Y)
    assert model.score(X, Y) > 0.95


@BOTH
@pytest.mark.parametrize("fitted", [False, True])
def test_html_and_text_show_what_differs_from_the_defaults(model: Any, fitted: bool) -> None:
    model = type(model)(norm=1.5)
    if fitted:
        model.fit(*load_iris(return_X_y=True))
    html = model._repr_html_()
    assert type(model).__name__ in html
    assert "1.5" in html
    assert ("Not fitted" not in html) == fitted
    assert repr(model) == f"{type(model).__name__}(norm=1.5)"
    assert "RFM" in make_pipeline(StandardScaler(), model)._repr_html_()


def test_what_kind_of_estimators_they_are() -> None:
    regressor, classifier = MODELS
    assert is_regressor(regressor)
    assert is_classifier(classifier)
    assert not is_classifier(regressor)
    assert not hasattr(regressor, "partial_fit")
    assert not hasattr(regressor, "predict_proba")
    if AT_LEAST_1_6:
        for model, several in ((regressor, True), (classifier, False)):
            tags = model.__sklearn_tags__()
            assert tags.input_tags.allow_nan
            assert not tags.input_tags.sparse
            assert tags.target_tags.required
            assert tags.target_tags.multi_output == several
