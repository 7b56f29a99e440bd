from typing import Any

from numpy.typing import NDArray

__version__: str
has_openmp: bool

def isa_level() -> str: ...
def compiled_isa_levels() -> list[str]: ...
def supported_isa_levels() -> list[str]: ...
def max_threads() -> int: ...
def kernel_matrix(
    X: NDArray[Any],
    Z: NDArray[Any] | None,
    root: NDArray[Any] | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out: NDArray[Any],
    part_rows: int = 0,
) -> None: ...
def kernel_matrix_packed(
    X: NDArray[Any],
    root: NDArray[Any] | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out: NDArray[Any],
) -> None: ...
def kernel_matmul(
    X: NDArray[Any],
    Z: NDArray[Any],
    V: NDArray[Any],
    root: NDArray[Any] | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out: NDArray[Any],
    part_rows: int = 0,
) -> None: ...
def kernel_matmul_both_ways(
    X: NDArray[Any],
    Z: NDArray[Any],
    V: NDArray[Any],
    U: NDArray[Any],
    root: NDArray[Any] | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out_x: NDArray[Any],
    out_z: NDArray[Any],
    part_rows: int = 0,
) -> None: ...
def landmark_gram(C: NDArray[Any], out: NDArray[Any]) -> None: ...
def landmark_matmul(C: NDArray[Any], B: NDArray[Any], out: NDArray[Any]) -> None: ...
def landmark_transposed_matmul(C: NDArray[Any], R: NDArray[Any], out: NDArray[Any]) -> None: ...
def packed_matmul(A: NDArray[Any], V: NDArray[Any], out: NDArray[Any]) -> None: ...
def gradients(
    X: NDArray[Any],
    Z: NDArray[Any],
    coef: NDArray[Any],
    root: NDArray[Any] | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out: NDArray[Any],
    part_rows: int = 0,
) -> None: ...
def gradient_sums(
    X: NDArray[Any],
    Z: NDArray[Any],
    coef: NDArray[Any],
    root: NDArray[Any] | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    diagonal: bool,
    output_sums: bool,
    output_samples: int = 0,
    seed: int = 0,
    row_weights: NDArray[Any] | None = None,
    part_rows: int = 0,
) -> tuple[NDArray[Any], NDArray[Any] | None]: ...
