"""Wrong input raises the right type, names the argument and the value, and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrfm
from cases import Array, essentials, number, shape
from fastrfm import backend
from fastrfm.kernels import Kernel

# Each function with the name of its third array; solve_ridge has Y for its second.
ROWS, CENTRES, FEATURES = 6, 4, 3
FUNCTIONS = ["kernel_matrix", "kernel_matmul", "gradients", "agop", "solve_ridge"]
SUMS = {"kernel_matmul": "V", "gradients": "coef", "agop": "coef"}


def good_arguments(name: str) -> dict[str, Any]:
    """Return valid arguments of a function, by name."""
    rng = np.random.default_rng(0)
    arguments: dict[str, Any] = {"X": rng.standard_normal((ROWS, FEATURES))}
    if name == "solve_ridge":
        return {**arguments, "Y": rng.standard_normal((ROWS, 2))}
    arguments["Z"] = rng.standard_normal((CENTRES, FEATURES))
    if name in SUMS:
        arguments[SUMS[name]] = rng.standard_normal((CENTRES, 2))
    return arguments


def refuse(error: type[Exception], pattern: str, name: str, **changes: Any) -> None:
    """Call with good arguments but for the changes: it must raise, and touch no array."""
    arguments = {**good_arguments(name), **changes}
    arrays = {key: a for key, a in arguments.items() if isinstance(a, np.ndarray)}
    before = {key: a.tobytes() for key, a in arrays.items() if a.dtype != object}
    with pytest.raises(error, match=pattern):
        getattr(fastrfm, name)(**arguments)
    for key, content in before.items():
        assert arrays[key].tobytes() == content, f"{key} was changed"


def array_arguments() -> list[Any]:
    """Return each (function, argument that is a 2-D array)."""
    return [
        pytest.param(name, argument, id=f"{name}-{argument}")
        for name in FUNCTIONS
        for argument in good_arguments(name)
    ]


def spoilt(name: str, argument: str, value: float, dtype: type = np.float64) -> Array:
    """Return the good array with one bad entry near its end."""
    array = good_arguments(name)[argument].astype(dtype)
    array[-1, -1] = value
    return array


@pytest.mark.parametrize(("name", "argument"), array_arguments())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_refused(name: str, argument: str, dtype: type) -> None:
    array = spoilt(name, argument, np.nan, dtype)
    refuse(ValueError, essentials(rf"\b{argument}\b", r"\bNaN\b"), name, **{argument: array})


@pytest.mark.parametrize(("name", "argument"), array_arguments())
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_refused(name: str, argument: str, value: float) -> None:
    array = spoilt(name, argument, value)
    refuse(ValueError, essentials(rf"\b{argument}\b", r"\binf"), name, **{argument: array})


@pytest.mark.parametrize(("name", "argument"), array_arguments())
@pytest.mark.parametrize("dtype", ["object", "complex64", "complex128", "U3", "S3", "M8[s]"])
def test_other_dtypes_are_refused(name: str, argument: str, dtype: str) -> None:
    array = np.zeros_like(good_arguments(name)[argument], dtype=dtype)
    shown = {"U3": "(str|U3)", "S3": "(bytes|S3)", "M8[s]": "(datetime|M8)"}.get(dtype, dtype)
    refuse(TypeError, essentials(rf"\b{argument}\b", shown), name, **{argument: array})


@pytest.mark.parametrize(("name", "argument"), array_arguments())
@pytest.mark.parametrize("sizes", [(), (2, 3, 4)])
def test_other_numbers_of_dimensions_are_refused(
    name: str, argument: str, sizes: tuple[int, ...]
) -> None:
    pattern = essentials(rf"\b{argument}\b", "2-?D|two.dim", shape(*sizes))
    refuse(ValueError, pattern, name, **{argument: np.ones(sizes)})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_row_must_be_two_dimensional(name: str) -> None:
    """The commonest slip: X[0] instead of X[:1]."""
    pattern = essentials(r"\bX\b", "2-?D|two.dim", shape(3))
    refuse(ValueError, pattern, name, X=np.ones(3))


@pytest.mark.parametrize(("name", "argument"), array_arguments())
@pytest.mark.parametrize("axis", [0, 1], ids=["no_rows", "no_columns"])
def test_empty_arrays_are_refused(name: str, argument: str, axis: int) -> None:
    """No rows, no features, no outputs (c = 0)."""
    array = good_arguments(name)[argument]
    array = array[:0] if axis == 0 else array[:, :0]
    pattern = essentials(rf"\b{argument}\b", "empty|at least (1|one)", shape(*array.shape))
    refuse(ValueError, pattern, name, **{argument: array})


@pytest.mark.parametrize("name", ["kernel_matrix", *SUMS])
def test_features_of_x_and_z_must_agree(name: str) -> None:
    pattern = essentials(r"\bX\b", r"\bZ\b", "feature", number(3), number(7))
    refuse(ValueError, pattern, name, Z=np.ones((CENTRES, 7)))


@pytest.mark.parametrize(("name", "argument"), [*SUMS.items(), ("solve_ridge", "Y")])
def test_rows_must_agree(name: str, argument: str) -> None:
    partner, rows = ("X", ROWS) if name == "solve_ridge" else ("Z", CENTRES)
    pattern = essentials(rf"\b{argument}\b", rf"\b{partner}\b", "row", number(9), number(rows))
    refuse(ValueError, pattern, name, **{argument: np.ones((9, 2))})


BAD_PARAMETERS = [
    ("bandwidth", 0.0, r"0"), ("bandwidth", -1.5, r"-1\.5"), ("bandwidth", np.nan, "nan"),
    ("norm", 0.0, r"0"), ("norm", -2.0, r"-2"), ("norm", 2.5, r"2\.5"), ("norm", np.nan, "nan"),
    ("norm", np.inf, "inf"), ("exponent", 0.0, r"0"), ("exponent", -1.0, r"-1"),
    ("exponent", 2.25, r"2\.25"), ("exponent", np.nan, "nan"),
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("parameter", "value", "shown"), BAD_PARAMETERS)
def test_parameters_out_of_range(name: str, parameter: str, value: float, shown: str) -> None:
    refuse(ValueError, essentials(rf"\b{parameter}\b", shown), name, **{parameter: value})


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("norm", "exponent"), [(1.0, 1.2), (0.8, 1.0), (1.5, 2.0)])
def test_exponent_above_the_norm(name: str, norm: float, exponent: float) -> None:
    """Such a kernel is not positive definite: both values are named."""
    pattern = essentials(r"\bexponent\b", r"\bnorm\b", number(norm), number(exponent))
    refuse(ValueError, pattern, name, norm=norm, exponent=exponent)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("parameter", ["bandwidth", "norm", "exponent"])
@pytest.mark.parametrize(
    "value", ["1", None, 1 + 0j, [1.0]], ids=["str", "None", "complex", "list"]
)
def test_parameters_of_another_type(name: str, parameter: str, value: object) -> None:
    refuse(TypeError, rf"\b{parameter}\b", name, **{parameter: value})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_unknown_and_positional_options(name: str) -> None:
    refuse(TypeError, "bandwith", name, bandwith=1.0)
    with pytest.raises(TypeError, match="positional"):
        getattr(fastrfm, name)(*good_arguments(name).values(), None)


BAD_METRICS = {
    "not_symmetric": (np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]), ["symmetric"]),
    "not_psd": (
        np.array([[1.0, 2, 0], [2, 1, 0], [0, 0, 1]]),
        ["semi-?definite", r"-1\b|-1\.|-0\.9"],
    ),
    "negative_weight": (np.array([1, -0.25, 1]), ["negative", r"-0\.25"]),
    "too_long": (np.ones(5), [shape(5), shape(3)]),
    "too_wide": (np.eye(4), [shape(4, 4), shape(3, 3)]),
    "not_square": (np.ones((3, 2)), [shape(3, 2), shape(3, 3)]),
    "three_dimensions": (np.ones((3, 3, 3)), [shape(3, 3, 3), shape(3, 3)]),
    "nan_weight": (np.array([1, np.nan, 1]), ["NaN"]),
    "nan_entry": (np.diag([1, np.nan, 1]), ["NaN"]),
    "infinite": (np.array([1, np.inf, 1]), ["inf"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("case", BAD_METRICS)
def test_metrics_that_are_none(name: str, case: str) -> None:
    metric, words = BAD_METRICS[case]
    refuse(ValueError, essentials(r"\bmetric\b", *words), name, metric=metric)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("metric", [np.eye(3) * 1j, np.full(3, "1"), np.full(3, None), "full"])
def test_metrics_of_another_type(name: str, metric: object) -> None:
    refuse(TypeError, r"\bmetric\b", name, metric=metric)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_metric_with_rounding_errors_is_accepted(name: str) -> None:
    """What a product of float32 matrices gives: nearly symmetric, nearly semi-definite."""
    row = np.array([[0.1, 0.7, -0.3]], np.float32)
    metric = row.T @ row
    metric[0, 1] *= np.float32(1 + 1e-6)
    result = getattr(fastrfm, name)(**good_arguments(name), metric=metric)
    assert np.isfinite(result).all()


@pytest.mark.parametrize(("value", "shown"), [(-0.5, r"-0\.5"), (np.nan, "nan"), (np.inf, "inf")])
def test_alpha_out_of_range(value: float, shown: str) -> None:
    refuse(ValueError, essentials(r"\balpha\b", shown), "solve_ridge", alpha=value)


def test_alpha_of_another_type() -> None:
    refuse(TypeError, r"\balpha\b", "solve_ridge", alpha="auto!")


@pytest.mark.parametrize("solver", ["lu", "", "Cholesky"])
def test_unknown_solver_lists_the_known(solver: str) -> None:
    words = (r"\bsolver\b", repr(solver), "auto", "cholesky")
    refuse(ValueError, essentials(*words), "solve_ridge", solver=solver)


OUT_SHAPE = {"kernel_matrix": (ROWS, CENTRES), "kernel_matmul": (ROWS, 2)}


@pytest.mark.parametrize("name", OUT_SHAPE)
def test_out_of_the_wrong_kind(name: str) -> None:
    sizes = OUT_SHAPE[name]
    wrong = np.full((CENTRES, ROWS), 7.0)
    refuse(ValueError, essentials(r"\bout\b", shape(*sizes), shape(4, 6)), name, out=wrong)
    single = np.full(sizes, 7, np.float32)
    refuse(TypeError, essentials(r"\bout\b", "float64", "float32"), name, out=single)
    locked = np.full(sizes, 7.0)
    locked.flags.writeable = False
    refuse(ValueError, essentials(r"\bout\b", "read-?only|writ"), name, out=locked)
    across = np.asfortranarray(np.full(sizes, 7.0))
    refuse(ValueError, essentials(r"\bout\b", "contiguous"), name, out=across)
    refuse(TypeError, r"\bout\b", name, out=[[0.0] * sizes[1]] * sizes[0])


@pytest.mark.parametrize("name", OUT_SHAPE)
def test_out_is_untouched_by_an_error_elsewhere(name: str) -> None:
    out = np.full(OUT_SHAPE[name], 7.0)
    refuse(ValueError, "NaN", name, X=spoilt(name, "X", np.nan), out=out)
    refuse(ValueError, "bandwidth", name, bandwidth=-1.0, out=out)
    refuse(ValueError, "metric", name, metric=-np.ones(3), out=out)


@pytest.mark.parametrize("argument", ["X", "Z", "V"])
def test_out_may_not_overlap_an_input(argument: str) -> None:
    """Tiles of the result would be read again as input; 5 rows, features and outputs alias."""
    arguments = {key: np.random.default_rng(1).standard_normal((5, 5)) for key in ("X", "Z", "V")}
    pattern = essentials(r"\bout\b", rf"\b{argument}\b", "overlap|share")
    refuse(ValueError, pattern, "kernel_matmul", **arguments, out=arguments[argument])
    if argument != "V":
        del arguments["V"]
        refuse(ValueError, pattern, "kernel_matrix", **arguments, out=arguments[argument])


@pytest.mark.core
@pytest.mark.parametrize("empty", ["X", "Z", "outputs", "features"])
@pytest.mark.parametrize("op", ["kernel_matrix", "kernel_matmul", "gradients", "gradient_sums"])
def test_the_core_refuses_what_would_corrupt_memory(op: str, empty: str) -> None:
    """Users hear of it in words of their own; this is what stands behind them."""
    d = 0 if empty == "features" else FEATURES
    X, Z = np.ones((0 if empty == "X" else ROWS, d)), np.ones((0 if empty == "Z" else CENTRES, d))
    law = (Kernel(norm=2.0, exponent=1.0, bandwidth=1.0), None)
    if op == "kernel_matrix":
        arguments: tuple[Any, ...] = (X, Z, *law)
    else:
        arguments = (X, Z, np.ones((len(Z), 0 if empty == "outputs" else 2)), *law)
    options = {"diagonal": False, "center": False} if op == "gradient_sums" else {}
    if empty == "outputs" and op.startswith("kernel"):  # of which nothing is read
        assert getattr(backend, op)(*arguments).shape[0] == ROWS
        return
    with pytest.raises(ValueError, match=r"at least one row and one feature|with c > 0"):
        getattr(backend, op)(*arguments, **options)
