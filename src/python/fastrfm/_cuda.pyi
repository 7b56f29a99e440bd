from collections.abc import Callable
from typing import Literal

__version__: str
emulated: bool
architectures: str

_DType = Literal["float32", "float64"]
_Element = Literal["float32", "float64", "int8", "uint8"]
_Allocate = Callable[[int], int]

class Points:
    def __init__(
        self,
        pointer: int,
        element: _Element,
        rows: int,
        features: int,
        row_stride: int,
        feature_stride: int,
    ) -> None: ...

class Root:
    def __init__(self, pointer: int, features: int, rank: int = 0) -> None: ...

def device_count() -> int: ...
def runtime_version() -> int: ...
def driver_version() -> int: ...
def kernel_matrix(
    X: Points,
    Z: Points | None,
    root: Root | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out: int,
    dtype: _DType,
    triangle: bool,
    allocate: _Allocate,
    stream: int,
) -> None: ...
def kernel_matmul(
    X: Points,
    Z: Points | None,
    V: int,
    outputs: int,
    root: Root | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out: int,
    dtype: _DType,
    allocate: _Allocate,
    stream: int,
) -> None: ...
def gradients(
    X: Points,
    Z: Points,
    coef: int,
    outputs: int,
    root: Root | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    out: int,
    dtype: _DType,
    allocate: _Allocate,
    stream: int,
) -> None: ...
def gradient_sums(
    X: Points,
    Z: Points,
    coef: int,
    outputs: int,
    root: Root | None,
    norm: float,
    exponent: float,
    bandwidth: float,
    diagonal: bool,
    sums: int,
    output_sums: int | None,
    output_samples: int,
    seed: int,
    row_weights: int | None,
    dtype: _DType,
    allocate: _Allocate,
    stream: int,
) -> None: ...
