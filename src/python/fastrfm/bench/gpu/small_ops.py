"""Every operation once at small shapes, in both tiers: what compute-sanitizer looks at.

    python -m fastrfm.bench.gpu.small_ops [--rehearse ROOT]

Results are held to the formulas, written out in float64 by explicit differences, so that a run
that does nothing does not pass. On a GPU CuPy's pool is off: each array is an allocation of its
own, whose end memcheck knows.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrfm
from fastrfm.backend import cuda_room
from fastrfm.bench.gpu.device import CupyDevice, Device, HostDevice, open_emulator
from fastrfm.bench.gpu.tiers import TIERS, tier

__all__ = ["check_all", "main"]

Array = NDArray[Any]

# Rows, centres, features, outputs: no multiples of a tile's sides, one with a second row tile and
# more outputs than the narrow kernel has, one of a few pairs.
SHAPES = ((150, 131, 37, 17), (5, 3, 2, 1))
# The emulator takes 14 s for those, and for this one 1 s.
REHEARSED = ((70, 66, 9, 3),)
# (p, q): each form of a pair (src/cuda/form.hpp), and p = 2 without a root.
KERNELS = ((2.0, 1.0), (2.0, 2.0), (1.0, 1.0), (1.5, 0.7))
# Relative to the largest entry: tests/test_cuda.py holds them closer, and to more.
LIMITS = {"float32": 1e-4, "float64": 1e-9}
ALPHA = 0.1


def check_all(device: Device, shapes: Sequence[tuple[int, int, int, int]] = SHAPES) -> int:
    """Return the number of results that were compared.

    Parameters
    ----------
    device : Device
    shapes : sequence of tuple
        Rows, centres, features, outputs.

    Raises
    ------
    AssertionError
        If one is wrong, which it names.
    """
    count = 0
    for name in TIERS:
        with tier(name):
            for dtype in LIMITS:
                for shape in shapes:
                    for norm, exponent in KERNELS:
                        kernel = {"norm": norm, "exponent": exponent, "bandwidth": 4.0}
                        for op, actual, expected in _results(device, shape, dtype, kernel):
                            error = np.abs(actual - expected).max() / np.abs(expected).max()
                            where = f"{op}, {dtype}, {shape}, p={norm}, q={exponent}, {name}"
                            assert error <= LIMITS[dtype], f"{where}: error {error:.1e}"
                            count += 1
    return count


def _results(
    device: Device, shape: tuple[int, int, int, int], dtype: str, kernel: dict[str, float]
) -> Iterator[tuple[str, Array, Array]]:
    """Yield an operation's name, its result, and the truth."""
    n, m, d, c = shape
    rng = np.random.default_rng(n)
    X, Z, V = (rng.standard_normal(size).astype(dtype) for size in ((n, d), (m, d), (m, c)))
    Z[0] = X[0]  # no gradient there
    if n > 100:
        X[n - 20 :] = X[:20] + 1e-3  # too near for a difference of products
    W = rng.standard_normal((n, c)).astype(dtype)
    x, z, v, w = (device.to_device(array) for array in (X, Z, V, W))

    def run(function: Any, *arrays: Any, **options: Any) -> Array:
        with device.running():
            return device.to_host(function(*arrays, **options, **kernel)).astype(np.float64)

    K, Kx = _kernel(X, Z, kernel), _kernel(X, X, kernel)
    yield "kernel_matrix X,Z", run(fastrfm.kernel_matrix, x, z), K
    yield "kernel_matrix X=Z", run(fastrfm.kernel_matrix, x), Kx
    yield "kernel_matmul X,Z", run(fastrfm.kernel_matmul, x, z, v), K @ V
    yield "kernel_matmul X=Z", run(fastrfm.kernel_matmul, x, x, w), Kx @ W
    g = _gradients(X, Z, V, kernel)
    yield "gradients", run(fastrfm.gradients, x, z, v), g
    G = np.einsum("nci,ncj->ij", g, g) / n
    mean = g.mean(axis=0)
    yield "agop", run(fastrfm.agop, x, z, v), G
    yield "agop diagonal", run(fastrfm.agop, x, z, v, diagonal=True), np.diag(G)
    yield "agop centred", run(fastrfm.agop, x, z, v, center=True), G - mean.T @ mean
    coef = run(fastrfm.solve_ridge, x, w, alpha=ALPHA)
    yield "solve_ridge", Kx @ coef + ALPHA * coef, W.astype(np.float64)


def _differences(X: Array, Z: Array, p: float) -> tuple[Array, Array]:
    U = X[:, None, :].astype(np.float64) - Z
    return U, (np.abs(U) ** p).sum(axis=2) ** (1 / p)


def _kernel(X: Array, Z: Array, kernel: dict[str, float]) -> Array:
    D = _differences(X, Z, kernel["norm"])[1]
    K: Array = np.exp(-((D / kernel["bandwidth"]) ** kernel["exponent"]))
    return K


def _gradients(X: Array, Z: Array, V: Array, kernel: dict[str, float]) -> Array:
    """Return ``sum_j v[j, l] w phi(x - z_j)``, (n, c, d): see `fastrfm.gradients`."""
    p, q, L = kernel["norm"], kernel["exponent"], kernel["bandwidth"]
    U, D = _differences(X, Z, p)
    safe = np.where(D > 0, D, 1.0)
    w = np.where(D > 0, -(q / L**q) * np.exp(-((D / L) ** q)) * safe ** (q - p), 0.0)
    phi = np.sign(U) * np.abs(U) ** (p - 1)
    g: Array = np.einsum("nm,mc,nmd->ncd", w, V.astype(np.float64), phi, optimize=True)
    return g


def main(arguments: list[str] | None = None) -> None:
    """Check on the GPU, or on the emulator."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rehearse", type=Path, metavar="ROOT", help="of a checkout")
    options = parser.parse_args(arguments)
    device: Device
    shapes: tuple[tuple[int, int, int, int], ...] = SHAPES
    if options.rehearse is None:
        cuda_room()  # says what is missing
        cupy = importlib.import_module("cupy")
        cupy.cuda.set_allocator(None)
        device = CupyDevice(cupy)
    else:
        device, shapes = HostDevice(open_emulator(options.rehearse)), REHEARSED
    sys.stdout.write(f"{check_all(device, shapes)} results agree with the formulas\n")


if __name__ == "__main__":
    main()
