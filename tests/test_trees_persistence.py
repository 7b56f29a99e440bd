"""Trees in files: what comes back, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from typer.testing import CliRunner

from cases import essentials
from fastrfm import ModelFileError, TreeRFMClassifier, TreeRFMRegressor, load
from fastrfm.cli import build_app
from fastrfm.estimators.leaves import ConstantLeaf
from fastrfm.members import PAPERS
from fastrfm.persistence.container import read_container, write_container

Array = NDArray[Any]

QUICK = PAPERS | {"n_iter": 1, "alpha": 0.1, "random_state": 0}


def regressor() -> tuple[TreeRFMRegressor, pd.DataFrame]:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X["sex"] = X["sex"].gt(0).map({False: "f", True: "m"})
    return TreeRFMRegressor(max_leaf_size=150, n_trees=2, **QUICK).fit(X, y), X


def classifier() -> tuple[TreeRFMClassifier, Array]:
    X, y = load_iris(return_X_y=True)
    labels = np.array(["a", "b", "c"])[y]
    tree = TreeRFMClassifier(max_leaf_size=40, class_weight="balanced", **QUICK).fit(X, labels)
    assert any(isinstance(leaf, ConstantLeaf) for leaf in tree.trees_[0].leaves)
    return tree, X


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trees") / "model.frfm"
    classifier()[0].save(path)
    return path


@pytest.mark.parametrize("made", [regressor, classifier])
def test_a_loaded_tree_is_the_same(made: Callable[[], Any], tmp_path: Path) -> None:
    model, X = made()
    model.save(tmp_path / "model.frfm")
    again = load(tmp_path / "model.frfm")
    assert type(again) is type(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.apply(X), model.apply(X))
    if isinstance(model, TreeRFMClassifier):
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.get_params() == model.get_params()
    assert again.temperature_ == model.temperature_
    np.testing.assert_array_equal(again.feature_importances_, model.feature_importances_)
    for one, other in zip(again.trees_, model.trees_, strict=True):
        np.testing.assert_array_equal(one.importances, other.importances)
        np.testing.assert_array_equal(one.leaf_weights, other.leaf_weights)
        assert [type(leaf) for leaf in one.leaves] == [type(leaf) for leaf in other.leaves]
    again.save(tmp_path / "again.frfm")
    assert (tmp_path / "again.frfm").read_bytes() == (tmp_path / "model.frfm").read_bytes()


def test_half_precision(tmp_path: Path) -> None:
    model, X = regressor()
    sizes = []
    for dtype in (None, "float16"):
        model.save(tmp_path / "model.frfm", centers_dtype=dtype)
        sizes.append((tmp_path / "model.frfm").stat().st_size)
    assert sizes[1] < sizes[0]
    change = load(tmp_path / "model.frfm").predict(X) - model.predict(X)
    assert 0 < np.abs(change).max() < 0.02 * np.std(model.predict(X))


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        TreeRFMRegressor().save(tmp_path / "model.frfm")
    model, _ = regressor()
    model.note_ = 3
    with pytest.raises(TypeError, match="has the attribute 'note_'"):
        model.save(tmp_path / "model.frfm")

    class Mine(TreeRFMRegressor):
        pass

    del model.note_
    model.__class__ = Mine
    with pytest.raises(TypeError, match="only TreeRFMRegressor, TreeRFMClassifier themselves"):
        model.save(tmp_path / "model.frfm")
    assert not (tmp_path / "model.frfm").exists()


def test_the_command_predicts_with_a_tree(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"size": rng.normal(size=60), "code": np.array(["01", "2"])[rng.integers(2, size=60)]}
    )
    kind = np.where((table["size"] > 0) ^ (table["code"] == "2"), "dear", "cheap")
    model = TreeRFMClassifier(max_leaf_size=30, **QUICK).fit(table, kind)
    model.save(tmp_path / "model.frfm")
    table.to_csv(tmp_path / "new.csv", index=False)
    paths = [str(tmp_path / name) for name in ("model.frfm", "new.csv", "out.csv")]
    arguments = ["predict", *paths[:2], "-o", paths[2], "--proba"]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(paths[2])
    np.testing.assert_array_equal(found["prediction"], model.predict(table))
    np.testing.assert_allclose(found["probability_dear"], model.predict_proba(table)[:, 1])


Change = Callable[[dict[str, Any], dict[str, Array]], Any]


def leaf(document: dict[str, Any], number: int) -> dict[str, Any]:
    of_tree: dict[str, Any] = document["trees"][0]["leaves"][number]
    return of_tree


def plain_leaf(document: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in document["trees"][0]["leaves"] if "members" in one)


def replace_array(name: str, change: Callable[[Array], Array]) -> Change:
    def changed(document: dict[str, Any], arrays: dict[str, Array]) -> None:
        stored = document["trees"][0][name]["array"]
        arrays[stored] = change(arrays[stored].copy())

    return changed


def loop(children: Array) -> Array:
    children[np.nonzero(children >= 0)[0][0]] = [0, -1]
    return children


BAD: dict[str, tuple[Change, str]] = {
    "later schema": (
        lambda d, a: d.update(schema=3),
        essentials("schema 3", "schemas up to 2", "update fastrfm"),
    ),
    "field missing": (lambda d, a: d.pop("temperature"), "the model lacks 'temperature'"),
    "temperature": (lambda d, a: d.update(temperature=-1.0), r"the model\.temperature is -1\.0"),
    "parameter": (
        lambda d, a: d["parameters"].update(max_leaf_size=1),
        "max_leaf_size",
    ),
    "unknown parameter": (lambda d, a: d["parameters"].update(x=1), "with 'x' in it"),
    "no trees": (lambda d, a: d.update(trees=[]), r"the model\.trees is none"),
    "cycle": (replace_array("children", loop), "those of a tree, parents first"),
    "children": (replace_array("children", lambda c: c + 1), "those of a tree"),
    "threshold": (replace_array("thresholds", lambda t: t * np.nan), "not finite"),
    "spread": (replace_array("spreads", lambda t: -1 - t), "at least 0"),
    "directions": (replace_array("directions", lambda t: t[:, :-1]), "of shape"),
    "leaf weights": (replace_array("leaf_weights", lambda w: w[1:]), "of shape"),
    "leaf missing": (lambda d, a: d["trees"][0]["leaves"].pop(), "one more than splits"),
    "leaf is no object": (
        lambda d, a: d["trees"][0]["leaves"].__setitem__(0, 7),
        r"of the model\.trees\[0\]\.leaves\[0\]",
    ),
    "another estimator in a leaf": (
        lambda d, a: plain_leaf(d).update(estimator="RFMRegressor"),
        r"of the model\.trees\[0\]\.leaves\[\d\], the model",
    ),
    "a tree in a leaf": (
        lambda d, a: d["trees"][0]["leaves"].__setitem__(0, copy.deepcopy(d)),
        r"of the model\.trees\[0\]\.leaves\[0\]",
    ),
    "features of a leaf": (
        lambda d, a: plain_leaf(d).update(feature_names={"objects": "classes_"}),
        r"leaves\[\d\]",
    ),
    "classes": (
        lambda d, a: d["targets"].update(classes=leaf(d, 0)["constant"]),
        "at least two, each once",
    ),
    "classes of a leaf": (
        lambda d, a: a.update(
            {d["targets"]["classes"]["strings"]: np.array([[98], [99], [100]], np.uint32)}
        ),
        "has classes that the model does not have",
    ),
    "priors": (lambda d, a: d["targets"].update(priors=d["targets"]["classes"]), "priors"),
    "constant leaf": (lambda d, a: leaf(d, 0).update(n_rows=0), "n_rows is 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    change, message = BAD[name]
    document, arrays = read_container(saved)
    change(document, arrays)
    write_container(tmp_path / "bad.frfm", document, arrays)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "bad.frfm")


def test_leaves_that_share_one_large_metric_are_refused(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastrfm.persistence.trees.HARMLESS_BYTES", 0)
    monkeypatch.setattr("fastrfm.persistence.trees.MOST_METRIC_BYTES_A_BYTE", 0)
    with pytest.raises(ModelFileError, match="metrics far larger than the file"):
        load(saved)


def test_altered_and_truncated_files_are_refused(saved: Path, tmp_path: Path) -> None:
    content = bytearray(saved.read_bytes())
    (tmp_path / "short.frfm").write_bytes(content[:-5])
    with pytest.raises(ModelFileError, match="truncated"):
        load(tmp_path / "short.frfm")
    content[-5] ^= 1
    (tmp_path / "altered.frfm").write_bytes(content)
    with pytest.raises(ModelFileError, match="altered"):
        load(tmp_path / "altered.frfm")
