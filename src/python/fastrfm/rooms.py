"""The devices that run the fused passes: what each offers (`Room`), and the CPU (`Cpu`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastrfm.cuda.memory import Memory
    from fastrfm.kernels import Kernel
    from fastrfm.metric import Root

__all__ = ["Cpu", "Room"]

Array = NDArray[Any]


class Room(Protocol):
    """A device that runs the fused passes; shapes and formulas: src/cpp/<op>.hpp.

    X and Z are float32, float64, int8 or uint8, of any strides; a root is float64; V, coef and out
    are of the working dtype. All but X and Z are C-contiguous. They are NumPy's; where there is a
    `memory`, each may instead lie in it.
    """

    @property
    def memory(self) -> Memory | None:
        """Memory that arrays can be kept in between ops; None: the host's."""

    def kernel_matrix(
        self, X: Array, Z: Array | None, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, m); Z None: with K(X, X)."""

    def kernel_triangle(self, X: Array, kernel: Kernel, root: Root, out: Array) -> None:
        """Fill the lower triangle of `out` (n, n) with K(X, X)'s, above which it may write too."""

    def kernel_matmul(
        self, X: Array, Z: Array, V: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c); Z the array X: from one triangle's evaluations."""

    def gradients(
        self, X: Array, Z: Array, coef: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c, d)."""

    def gradient_sums(
        self,
        X: Array,
        Z: Array,
        coef: Array,
        kernel: Kernel,
        root: Root,
        *,
        diagonal: bool,
        output_sums: bool,
        output_samples: int,
        seed: int,
        row_weights: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the sums of g g^T, (k, k) or (k,), and of g for each output, (c, k).

        With `row_weights` (n,), at least 0, of w g g^T and w g.
        """


class Cpu:
    """The ops of `_cpu`.

    Parameters
    ----------
    ops : module
        `fastrfm._cpu`.
    """

    memory = None

    def __init__(self, ops: Any) -> None:
        self._ops = ops

    def kernel_matrix(
        self, X: Array, Z: Array | None, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, m); Z None: with K(X, X)."""
        self._ops.kernel_matrix(X, Z, root, kernel.norm, kernel.exponent, kernel.bandwidth, out)

    def kernel_triangle(self, X: Array, kernel: Kernel, root: Root, out: Array) -> None:
        """Fill all of `out` (n, n) with K(X, X)."""
        # Its own form of a triangle is the packed one; in an (n, n) array the whole costs little
        # more, as one triangle's evaluations serve both.
        self.kernel_matrix(X, None, kernel, root, out)

    def kernel_matmul(
        self, X: Array, Z: Array, V: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c); Z the array X: from one triangle's evaluations."""
        self._ops.kernel_matmul(X, Z, V, root, kernel.norm, kernel.exponent, kernel.bandwidth, out)

    def gradients(
        self, X: Array, Z: Array, coef: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c, d)."""
        self._ops.gradients(X, Z, coef, root, kernel.norm, kernel.exponent, kernel.bandwidth, out)

    def gradient_sums(
        self,
        X: Array,
        Z: Array,
        coef: Array,
        kernel: Kernel,
        root: Root,
        *,
        diagonal: bool,
        output_sums: bool,
        output_samples: int,
        seed: int,
        row_weights: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the sums of g g^T, (k, k) or (k,), and of g for each output, (c, k).

        With `row_weights` (n,), at least 0, of w g g^T and w g.
        """
        sums: tuple[NDArray[np.float64], NDArray[np.float64] | None] = self._ops.gradient_sums(
            X,
            Z,
            coef,
            root,
            kernel.norm,
            kernel.exponent,
            kernel.bandwidth,
            diagonal,
            output_sums,
            output_samples,
            seed,
            row_weights,
        )
        return sums
