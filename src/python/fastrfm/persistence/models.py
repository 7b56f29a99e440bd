"""What a fitted estimator consists of, as a document and arrays, and back.

What follows from the rest is not stored: the kernel of a member from its parameters, its metric
from the root, the encoded columns from the categories and statistics, the estimator's own
attributes from its heaviest member. It cannot contradict the rest then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from fastrfm._version import __version__
from fastrfm.calibration import Calibration
from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.classifier import RFMClassifier
from fastrfm.estimators.fitted import OF_HEAVIEST, FittedMember, metric_in_use
from fastrfm.estimators.regressor import RFMRegressor
from fastrfm.kernels import Kernel
from fastrfm.members import AUTO_KINDS
from fastrfm.persistence.container import CHECKPOINT_KIND
from fastrfm.persistence.errors import ModelFileError
from fastrfm.persistence.half import check_range, with_half_centers
from fastrfm.persistence.record import Record
from fastrfm.persistence.tables import (
    COLUMNS,
    ENCODER_FIELDS,
    RAW_ENCODER_FIELDS,
    check_attributes,
    encoder_of,
    encoder_state,
)
from fastrfm.persistence.values import ArrayStore, encode
from fastrfm.preprocessing import Columns, TableEncoder

__all__ = [
    "SCHEMA",
    "model_of",
    "model_state",
    "parameters_state",
    "read_feature_names",
    "with_parameters",
]

# Raised by one whenever a file written before could be misread, or one written now by an older
# fastrfm.
SCHEMA = 1

Model = RFMRegressor | RFMClassifier
Estimator = TypeVar("Estimator", bound=BaseEstimator)

_CLASSES: dict[str, type[Model]] = {
    "RFMRegressor": RFMRegressor,
    "RFMClassifier": RFMClassifier,
}
# Parameters that live in the process only.
_NOT_KEPT = ("callbacks",)
# Attributes that do: a loaded estimator is on the CPU.
_OF_PROCESS = ("device_", "_placed")

_OF_ALL = ("n_features_in_", "feature_names_in_", "members_", "member_weights_", "_encoders")
_DERIVED = (*OF_HEAVIEST, "feature_importances_", "encoded_feature_names_")
_OF_TARGETS = {
    "RFMRegressor": ("_target_ndim", "_target_scaler"),
    "RFMClassifier": ("classes_", "_priors", "_calibration"),
}
# Of scikit-learn's metadata routing; says how to call fit, not what was learned.
_ROUTING = "_metadata_requests"

_FIELDS = (
    "schema",
    "fastrfm",
    "estimator",
    "parameters",
    "n_features",
    "feature_names",
    "encoders",
    "members",
    "member_weights",
    "targets",
)
_MEMBER_FIELDS = (
    "columns",
    "norm",
    "exponent",
    "bandwidth",
    "alpha",
    "best_iter",
    "n_iter",
    "history",
    "X_fit",
    "dual_coef",
    "root",
    "agop",
)
_SCALER_FIELDS = ("mean", "scale", "var", "n_samples_seen")
_CLASSES_FIELDS = ("classes", "priors", "power", "floor")


def model_state(
    model: BaseRFM, centers_dtype: str | None = None, store: ArrayStore | None = None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the document and the arrays that `model_of` makes an equal estimator of.

    Parameters
    ----------
    model : RFMRegressor or RFMClassifier
    centers_dtype : {"float16"}, default=None
        In which the rows `X_fit_` are stored; None: their own.
    store : ArrayStore, optional
        Gets the arrays; by default a new one.

    Raises
    ------
    NotFittedError
        If the estimator has not been fitted.
    TypeError
        If it is of another class, or holds something that cannot be kept.
    ValueError
        If a centre is beyond the range of float16.
    """
    name = type(model).__name__
    if _CLASSES.get(name) is not type(model):
        raise TypeError(
            f"only RFMRegressor and RFMClassifier themselves can be saved; this is {type(model)}"
        )
    check_is_fitted(model)
    parameters = model.get_params(deep=False)
    kept = (*parameters, *_OF_ALL, *_DERIVED, *_OF_TARGETS[name], _ROUTING, *_OF_PROCESS)
    check_attributes(model, kept, f"this {name}")

    store = ArrayStore() if store is None else store
    names = getattr(model, "feature_names_in_", None)
    document = {
        "schema": SCHEMA,
        "fastrfm": __version__,
        "estimator": name,
        "parameters": parameters_state(model, store),
        "n_features": int(model.n_features_in_),
        "feature_names": None if names is None else store.add("feature_names_in_", names),
        "encoders": {
            columns: encoder_state(encoder, f"encoders.{columns}", store)
            for columns, encoder in model._encoders.items()
        },
        "members": [
            _member_state(member, f"members.{i}", model._encoders, centers_dtype, store)
            for i, member in enumerate(model.members_)
        ],
        "member_weights": store.add("member_weights_", model.member_weights_),
        "targets": (
            _target_scaler_state(model, store)
            if isinstance(model, RFMRegressor)
            else _classes_state(model, store)
        ),
    }
    return document, store.arrays


def model_of(document: Any, arrays: Mapping[str, NDArray[Any]]) -> Model:
    """Return the estimator that `model_state` was given.

    Everything is checked against everything else that it must fit, so that the estimator predicts,
    or is refused here.

    Raises
    ------
    ModelFileError
        If there can be no such estimator.
    """
    if isinstance(document, dict) and document.get("kind") == CHECKPOINT_KIND:
        raise ModelFileError(
            "it is a checkpoint of a fit, not a model; pass it to fit, as resume_from"
        )
    schema = document.get("schema") if isinstance(document, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise ModelFileError(
            f"it was written by fastrfm {document.get('fastrfm')!s:.20}, in schema {schema}; this "
            f"is fastrfm {__version__}, which reads schemas up to {SCHEMA}: update fastrfm"
        )
    record = Record(document, "the model", arrays, _FIELDS)
    record.integer("schema", low=1)
    name = record.choice("estimator", tuple(_CLASSES))
    model = with_parameters(_CLASSES[name], record)

    d = record.integer("n_features", low=1)
    model.n_features_in_ = d
    names = read_feature_names(record, d)
    if names is not None:
        model.feature_names_in_ = names
    encoders = record.record("encoders", None)
    if not set(encoders.content) <= set(COLUMNS):
        raise record.wrong("encoders", f"for some of {', '.join(COLUMNS)}", "not")
    model._encoders = {
        cast("Columns", columns): encoder_of(_encoder_record(encoders, columns), d, names)
        for columns in encoders.content
    }
    outputs = (
        _read_target_scaler(model, record)
        if isinstance(model, RFMRegressor)
        else _read_classes(model, record)
    )
    members = record.records("members", _MEMBER_FIELDS)
    # Arrays may be shared, but each member has a metric of its own: a small file of many would
    # fill the memory.
    if len(members) > len(AUTO_KINDS):
        raise record.wrong("members", f"at most {len(AUTO_KINDS)}", f"{len(members):,} members")
    model.members_ = [_member_of(member, model._encoders, outputs) for member in members]
    if not model.members_ or {m.columns_ for m in model.members_} != set(model._encoders):
        raise record.wrong("members", "at least one, for each encoder", "not")
    model.member_weights_ = record.array("member_weights", shape=(len(model.members_),), low=0.0)
    model._summarise()
    model._go_to(None)
    return model


def parameters_state(model: BaseEstimator, store: ArrayStore) -> dict[str, Any]:
    """Return the parameters that `with_parameters` gives an estimator."""
    return {
        key: encode(_number_or_none(value), f"parameters.{key}", store)
        for key, value in model.get_params(deep=False).items()
        if key not in _NOT_KEPT
    }


def read_feature_names(record: Record, n_features: int) -> NDArray[np.object_] | None:
    """Return the names of the features, None where there are none."""
    names = record.optional_array("feature_names", dtypes=[object], shape=(n_features,))
    if names is not None and not all(isinstance(label, str) for label in names.tolist()):
        raise record.wrong("feature_names", "strings")
    return names


def _number_or_none(value: Any) -> Any:
    """Return a parameter; None if it is a generator of random numbers (`random_state`)."""
    is_generator = isinstance(value, np.random.RandomState) or value is np.random
    return None if is_generator else value


def _encoder_record(encoders: Record, columns: str) -> Record:
    content = encoders.content[columns]
    raw = isinstance(content, dict) and "raw" in content
    return encoders.record(columns, RAW_ENCODER_FIELDS if raw else ENCODER_FIELDS)


def with_parameters(cls: type[Estimator], record: Record) -> Estimator:
    """Return an unfitted estimator; what an older file does not name is at its default."""
    parameters = record.record("parameters", None)
    known = cls._get_param_names()
    for name in parameters.content:
        if name not in known or name in _NOT_KEPT:
            raise record.wrong("parameters", f"of {cls.__name__}", f"with {name[:40]!r} in it")
    model: Estimator = cls(**{name: parameters.value(name) for name in parameters.content})
    model._validate_params()
    return model


def _member_state(
    member: FittedMember,
    name: str,
    encoders: Mapping[Columns, TableEncoder],
    centers_dtype: str | None,
    store: ArrayStore,
) -> dict[str, Any]:
    derived = {"metric_", "_kernel"}
    kept = {f"{field}_" for field in _MEMBER_FIELDS if field != "root"} | {"_root"}
    assert {field.name for field in fields(member)} == kept | derived
    if centers_dtype is not None:
        check_range(member, encoders[member.columns_].encoded_feature_names_)
        member = with_half_centers(member)
    narrow = centers_dtype if member.X_fit_.dtype.kind == "f" else None
    return {
        "columns": member.columns_,
        "norm": float(member.norm_),
        "exponent": float(member.exponent_),
        "bandwidth": float(member.bandwidth_),
        "alpha": float(member.alpha_),
        "best_iter": int(member.best_iter_),
        "n_iter": int(member.n_iter_),
        "history": encode(member.history_, f"{name}.history_", store),
        "X_fit": store.add(f"{name}.X_fit_", member.X_fit_, narrow=narrow),
        "dual_coef": store.add(f"{name}.dual_coef_", member.dual_coef_),
        "root": None if member._root is None else store.add(f"{name}.root", member._root),
        "agop": store.add(f"{name}.agop_", member.agop_),
    }


def _member_of(
    record: Record, encoders: Mapping[Columns, TableEncoder], outputs: int
) -> FittedMember:
    columns = record.choice("columns", tuple(encoders))
    encoder = encoders[columns]
    d = len(encoder.source_)
    X_fit = record.array("X_fit", dtypes=[encoder.dtype_], shape=(None, d))
    n = len(X_fit)
    if not n:
        raise record.wrong("X_fit", "of at least one row", "empty")
    kernel = Kernel(
        norm=record.number("norm"),
        exponent=record.number("exponent"),
        bandwidth=record.number("bandwidth"),
    )
    agop = _features_squared(record, "agop", (d, d))
    root = None if record.content["root"] is None else _features_squared(record, "root", (d, None))
    # Of raw columns the first root is a vector, whatever the metric.
    vector_too = encoder.is_raw_ and root is not None and root.ndim == 1
    if root is not None and root.ndim != agop.ndim and not vector_too:
        # d numbers would make a metric of d^2
        raise record.wrong("root", f"with {agop.ndim} axes, as agop", f"with {root.ndim}")
    history = record.value("history")
    if not isinstance(history, list) or not all(
        isinstance(entry, dict) and all(isinstance(key, str) for key in entry) for entry in history
    ):
        raise record.wrong("history", "a list of dicts", "not")
    return FittedMember(
        metric_=metric_in_use(root, d, diagonal=agop.ndim == 1),
        dual_coef_=record.array("dual_coef", dtypes=[np.float32, np.float64], shape=(n, outputs)),
        X_fit_=X_fit,
        norm_=kernel.norm,
        exponent_=kernel.exponent,
        bandwidth_=kernel.bandwidth,
        alpha_=record.number("alpha"),
        agop_=agop,
        best_iter_=record.integer("best_iter"),
        n_iter_=record.integer("n_iter"),
        history_=history,
        columns_=columns,
        _kernel=kernel,
        _root=root,
    )


def _features_squared(
    record: Record, name: str, shape: tuple[int, int | None]
) -> NDArray[np.float64]:
    """Return a matrix of this shape, or a diagonal of its length."""
    try:
        array = record.array(name, shape=shape[:1])
    except ModelFileError:
        array = record.array(name, shape=shape)
    if not array.size:
        raise record.wrong(name, "not empty", "empty")
    return array


def _target_scaler_state(model: RFMRegressor, store: ArrayStore) -> dict[str, Any]:
    scaler = model._target_scaler
    return {
        "ndim": int(model._target_ndim),
        "mean": store.add("targets.mean", scaler.mean_),
        "scale": store.add("targets.scale", scaler.scale_),
        "var": store.add("targets.var", scaler.var_),
        "n_samples_seen": store.add("targets.n_samples_seen", np.asarray(scaler.n_samples_seen_)),
    }


def _read_target_scaler(model: RFMRegressor, record: Record) -> int:
    """Set how targets are scaled, and return their number."""
    targets = record.record("targets", ("ndim", *_SCALER_FIELDS))
    mean = targets.array("mean", shape=(None,))
    c = len(mean)
    model._target_ndim = targets.integer("ndim", low=1)
    if not c or model._target_ndim > 2 or (model._target_ndim == 1 and c > 1):
        raise targets.wrong("ndim", f"that of {c} outputs")
    scaler = model._target_scaler = StandardScaler()
    scaler.n_features_in_, scaler.mean_ = c, mean
    scaler.scale_ = targets.array("scale", shape=(c,), low=0.0)
    scaler.var_ = targets.array("var", shape=(c,))  # of a constant a rounding below 0, perhaps
    scaler.n_samples_seen_ = targets.array(
        "n_samples_seen", dtypes=[np.int64, np.float64], shape=(), low=0.0
    )[()]
    if not scaler.scale_.all():
        raise targets.wrong("scale", "above 0", "0 somewhere")
    return c


def _classes_state(model: RFMClassifier, store: ArrayStore) -> dict[str, Any]:
    return {
        "classes": store.add("classes_", model.classes_),
        "priors": store.add("targets.priors", model._priors),
        "power": float(model._calibration.power),
        "floor": float(model._calibration.floor),
    }


def _read_classes(model: RFMClassifier, record: Record) -> int:
    """Set the classes and what scores mean, and return the number of outputs."""
    targets = record.record("targets", _CLASSES_FIELDS)
    classes = targets.array("classes", dtypes=None, shape=(None,))
    if len(classes) < 2 or len(set(classes.tolist())) < len(classes):
        raise targets.wrong("classes", "at least two, each once", "not")
    c = 1 if len(classes) == 2 else len(classes)
    model.classes_ = classes
    model._priors = targets.array("priors", shape=(c,), low=0.0)
    model._calibration = Calibration(
        priors=model._with_first_class(model._priors[None])[0],
        power=targets.number("power", low_ok=False),
        floor=targets.number("floor"),
    )
    return c
