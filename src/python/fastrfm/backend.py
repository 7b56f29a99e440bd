"""Where the ops run: the only importer of `_cpu` and `_cuda`.

Arrays are validated by the callers (`fastrfm.validation`); a `root` is what `fastrfm.metric`
makes of a metric, NumPy's. This module chooses the working dtype, allocates results, and returns
from the root's coordinates to input space what is small enough there to be NumPy's. The passes are
those of the room in use: the CPU, or what `running_on` sets. Arrays are NumPy's, and in a room that
has a `memory` of its own each may be CuPy's; a result lies where the coefficients do.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import _cpu
from fastrfm.arrays import contiguous, is_on_device, namespace
from fastrfm.cuda import Cuda, CupyMemory, Memory, landmarks
from fastrfm.cuda.presence import open_cupy
from fastrfm.outputs import rotate_outputs, rotation_pays
from fastrfm.remote import RemoteColumns, RemoteRows
from fastrfm.rooms import Cpu, Room
from fastrfm.threads import one_blas_thread
from fastrfm.validation import floating_dtype

if TYPE_CHECKING:
    from fastrfm.kernels import Kernel
    from fastrfm.metric import Root

__all__ = [
    "CPU",
    "compiled_isa_levels",
    "cuda_build",
    "cuda_room",
    "device_memory",
    "gradient_sums",
    "gradients",
    "has_openmp",
    "isa_level",
    "kernel_matmul",
    "kernel_matmul_both_ways",
    "kernel_matrix",
    "kernel_triangle",
    "landmark_columns",
    "landmark_gram",
    "landmark_matmul",
    "landmark_transposed_matmul",
    "max_threads",
    "packed_kernel_matrix",
    "packed_matmul",
    "room",
    "running_on",
    "supported_isa_levels",
]

Array = NDArray[Any]


CPU: Room = Cpu(_cpu)

_room: ContextVar[Room] = ContextVar("fastrfm room", default=CPU)


@contextmanager
def running_on(room: Room) -> Iterator[None]:
    """Run the ops that `room` has there, in this thread (or task) and until the block ends.

    `packed_kernel_matrix` and `packed_matmul` are the CPU's; the `landmark_*` ops run where their
    arrays lie.
    """
    token = _room.set(room)
    try:
        yield
    finally:
        _room.reset(token)


def cuda_build() -> Any | None:
    """Return the module `_cuda`, or None where this build has none.

    Raises
    ------
    ImportError
        If it is there and does not load.
    """
    # Not before someone asks: users of the CPU never load it.
    try:
        return importlib.import_module("fastrfm._cuda")
    except ModuleNotFoundError as error:
        if error.name != "fastrfm._cuda":
            raise
        return None


def cuda_room() -> Cuda:
    """Return the room of `_cuda`, on CuPy's current device and stream.

    Raises
    ------
    RuntimeError
        If this build has no `_cuda`, or there is no CuPy, no driver that is new enough, or no
        device that this build has code for.
    ImportError
        If `_cuda` or CuPy is there and does not load.
    """
    build = cuda_build()
    return Cuda(build, CupyMemory(open_cupy(build)))


def room() -> Room:
    """Return the room in use."""
    return _room.get()


def device_memory() -> Memory | None:
    """Return the memory of the device in use that arrays can be kept in; None: the host's."""
    return _room.get().memory


def isa_level() -> str:
    """Return the instruction-set level in use: "baseline", "avx2" or "avx512"."""
    return _cpu.isa_level()


def supported_isa_levels() -> tuple[str, ...]:
    """Return the levels that this machine can run, lowest first."""
    return tuple(_cpu.supported_isa_levels())


def compiled_isa_levels() -> tuple[str, ...]:
    """Return the levels in this build, lowest first."""
    return tuple(_cpu.compiled_isa_levels())


def max_threads() -> int:
    """Return the number of threads that the next op would use."""
    return _cpu.max_threads()


def has_openmp() -> bool:
    """Return whether this build has threads at all."""
    return _cpu.has_openmp


def kernel_matrix(
    X: Array, Z: Array | None, kernel: Kernel, root: Root, out: Array | None = None
) -> Array:
    """K(X, Z), (n, m); Z None: K(X, X), exactly symmetric."""
    if out is None:
        out = _empty(X, (len(X), len(X if Z is None else Z)), floating_dtype(X, Z))
    _room.get().kernel_matrix(X, Z, kernel, root, out)
    return out


def kernel_triangle(X: Array, kernel: Kernel, root: Root) -> Array:
    """Lower triangle of K(X, X) in an array (n, n); above the diagonal there may be anything.

    What a factorisation in place reads.
    """
    shape, dtype = (len(X), len(X)), floating_dtype(X)
    # Zeros of the host cost nothing, and an op of a device may copy them there and back.
    out = _empty(X, shape, dtype) if is_on_device(X) else np.zeros(shape, dtype)
    _room.get().kernel_triangle(X, kernel, root, out)
    return out


def packed_kernel_matrix(X: Array, kernel: Kernel, root: Root) -> Array:
    """Lower triangle of K(X, X) in LAPACK's RFP format, (n (n + 1) / 2,).

    TRANSR = 'N', UPLO = 'L': what `spftrf` and its kin take.
    """
    n = len(X)
    out = np.empty(n * (n + 1) // 2, floating_dtype(X))
    _cpu.kernel_matrix_packed(X, root, kernel.norm, kernel.exponent, kernel.bandwidth, out)
    return out


def kernel_matmul(
    X: Array | RemoteRows,
    Z: Array | RemoteRows,
    V: Array,
    kernel: Kernel,
    root: Root,
    out: Array | None = None,
) -> Array:
    """K(X, Z) V, (n, c). X may lie elsewhere if Z does, and is the same then."""
    if isinstance(Z, RemoteRows):
        return Z.matmul(X, V, kernel, root)
    assert not isinstance(X, RemoteRows)
    dtype = floating_dtype(X, Z, V)
    if out is None:
        out = _empty(V, (len(X), V.shape[1]), dtype)
    V = contiguous(V, dtype)
    _room.get().kernel_matmul(X, Z, V, kernel, root, out)
    return out


def kernel_matmul_both_ways(
    X: Array, Z: Array, V: Array, U: Array, kernel: Kernel, root: Root
) -> tuple[Array, Array]:
    """K(X, Z) V, (n, c), and K(X, Z)^T U, (m, c).

    On the CPU from one evaluation of K(X, Z); CUDA has no such pass, and makes two.
    """
    if device_memory() is not None:
        return kernel_matmul(X, Z, V, kernel, root), kernel_matmul(Z, X, U, kernel, root)
    dtype = floating_dtype(X, Z, V)
    of_rows = np.empty((len(X), V.shape[1]), dtype)
    of_centres = np.empty((len(Z), U.shape[1]), dtype)
    V, U = contiguous(V, dtype), contiguous(U, dtype)
    law = (root, kernel.norm, kernel.exponent, kernel.bandwidth)
    _cpu.kernel_matmul_both_ways(X, Z, V, U, *law, of_rows, of_centres)
    return of_rows, of_centres


def packed_matmul(A: Array, V: Array) -> Array:
    """Return A V, (n, c), for a symmetric A as `packed_kernel_matrix` gives it."""
    V = np.ascontiguousarray(V, A.dtype)
    out = np.empty_like(V)
    _cpu.packed_matmul(A, V, out)
    return out


def landmark_columns(
    X: Array | RemoteRows, S: Array, kernel: Kernel, root: Root, like: Array
) -> Array | RemoteColumns:
    """K(X, S), (n, r), where X lies elsewhere there; else where `like` lies, in its dtype."""
    if isinstance(X, RemoteRows):
        return X.columns(S, kernel, root, like.dtype)
    C = namespace(like).empty((len(X), len(S)), like.dtype)
    return kernel_matrix(X, S, kernel, root, out=C)


def landmark_gram(C: Array | RemoteColumns) -> NDArray[np.float64]:
    """Return C^T C, (r, r), for C of shape (n, r); summed in float64 whatever C's dtype."""
    if isinstance(C, RemoteColumns):
        return C.gram()
    if is_on_device(C):
        return landmarks.gram(C)
    out = np.empty((C.shape[1], C.shape[1]))
    _cpu.landmark_gram(C, out)
    return out


def landmark_matmul(C: Array | RemoteColumns, B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return C B, (n, c), for C of shape (n, r); summed in float64 whatever C's dtype."""
    if isinstance(C, RemoteColumns):
        return C.matmul(B)
    if is_on_device(C):
        return landmarks.matmul(C, B)
    out = np.empty((len(C), B.shape[1]))
    _cpu.landmark_matmul(C, np.ascontiguousarray(B), out)
    return out


def landmark_transposed_matmul(
    C: Array | RemoteColumns, R: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return C^T R, (r, c), for C of shape (n, r); summed in float64 whatever C's dtype."""
    if isinstance(C, RemoteColumns):
        return C.transposed_matmul(R)
    if is_on_device(C):
        return landmarks.transposed_matmul(C, R)
    out = np.empty((C.shape[1], R.shape[1]))
    _cpu.landmark_transposed_matmul(C, np.ascontiguousarray(R), out)
    return out


def gradients(X: Array, Z: Array, coef: Array, kernel: Kernel, root: Root) -> Array:
    """Gradients in input space, (n, c, d)."""
    dtype = floating_dtype(X, Z, coef)
    working = _gradient_dtype(dtype, kernel, root)
    out = _empty(coef, (len(X), coef.shape[1], X.shape[1]), working)
    _room.get().gradients(X, Z, contiguous(coef, working), kernel, root, out)
    return out.astype(dtype, copy=False)


def gradient_sums(
    X: Array | RemoteRows,
    Z: Array | RemoteRows,
    coef: Array,
    kernel: Kernel,
    root: Root,
    *,
    diagonal: bool,
    center: bool,
    output_samples: int | None = None,
    seed: int = 0,
    row_weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Mean over the rows of X of the sum over outputs of g g^T, in input space.

    (d, d), or (d,) if `diagonal`; float64, NumPy's. With `center`, less each output's mean
    gradient. With `output_samples`, an unbiased estimate from as many random mixtures of the
    outputs (unless there are no more outputs than that); not with `center`. With `row_weights`
    (n,), at least 0 and not all 0, all means are weighted ones.
    """
    if isinstance(X, RemoteRows) or isinstance(Z, RemoteRows):
        dtype = floating_dtype(coef)
    else:
        dtype = floating_dtype(X, Z, coef)
    working = _gradient_dtype(dtype, kernel, root)
    n_outputs = coef.shape[1]
    samples = 0 if output_samples is None or output_samples >= n_outputs else output_samples
    if rotation_pays(len(X), len(Z), X.shape[1], n_outputs, samples or n_outputs):
        # Means rotate along with the gradients, so centring is not in the way. Mixtures of rotated
        # outputs scatter as those of the outputs do, or less where the rank is nearly low: relative
        # Frobenius error of one mixture 0.25 against 0.25 (load_digits), 0.12 against 0.17 (ten
        # targets of rank 2 and noise).
        rotated = rotate_outputs(coef, dtype)
        if samples >= rotated.shape[1]:
            samples = 0
        if samples or rotated.shape[1] < n_outputs:
            coef = rotated
    coef = contiguous(coef, working)
    if isinstance(Z, RemoteRows):
        return Z.gradient_sums(
            X,
            coef,
            kernel,
            root,
            diagonal=diagonal,
            center=center,
            output_samples=samples,
            seed=seed,
            row_weights=None if row_weights is None else _weights_of_mean_one(row_weights),
        )
    assert not isinstance(X, RemoteRows)
    full = root is not None and root.ndim == 2
    # The diagonal in input space needs all of G~ when the root mixes the features.
    diagonal_sums = diagonal and not full
    sums, output_sums = _room.get().gradient_sums(
        X,
        Z,
        coef,
        kernel,
        root,
        diagonal=diagonal_sums,
        output_sums=center,
        output_samples=samples,
        seed=seed,
        row_weights=None if row_weights is None else _weights_of_mean_one(row_weights),
    )
    G: NDArray[np.float64] = sums / len(X)
    # On one BLAS thread, so that the bits do not depend on their number.
    with one_blas_thread():
        if output_sums is not None:
            mean = output_sums / len(X)
            G -= (mean * mean).sum(axis=0) if diagonal_sums else mean.T @ mean
        if root is not None and root.ndim == 2:
            AG = root @ G
            G = (AG * root).sum(axis=1) if diagonal else AG @ root.T
    # Centring subtracts; what should be zero may come out a rounding below it.
    G = np.clip(G, 0, None) if diagonal else (G + G.T) / 2
    return G


def _empty(like: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array where `like` lies."""
    try:
        out: Array = namespace(like).empty(shape, dtype)
    except MemoryError as error:
        memory = device_memory()
        if memory is None or not is_on_device(like):
            raise
        needed = int(np.prod(shape)) * dtype.itemsize
        raise MemoryError(
            f"a result of shape {shape} and dtype {dtype} needs {needed:,} bytes on "
            f"{memory.device}, and {memory.free_bytes():,} are free. Free what else lies there, "
            "take fewer rows at a time, or pass NumPy arrays, whose rows are streamed"
        ) from error.with_traceback(None)
    return out


def _weights_of_mean_one(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights over their mean, so that weighted sums have the size of plain ones."""
    scaled: NDArray[np.float64] = weights / weights.max()  # sums of these do not overflow
    scaled *= len(scaled) / scaled.sum()
    return scaled


def _gradient_dtype(dtype: np.dtype[Any], kernel: Kernel, root: Root) -> np.dtype[Any]:
    """Return the working dtype of the gradient ops.

    For p other than 2, phi(u) jumps or diverges at u = 0, and behind a (d, k) root the sign of a
    near-tie hangs on the rounding of x~: float32 would make errors of a whole term there.
    """
    if kernel.norm != 2 and root is not None and root.ndim == 2:
        return np.dtype(np.float64)
    return dtype
