"""The kernel of images that sums a kernel of their patches, and the AGOP over patches."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastrfm.gradients import agop
from fastrfm.kernels import kernel_matmul, kernel_matrix
from fastrfm.patches.grid import Grid

Array: TypeAlias = NDArray[Any]


class PatchKernel:
    """``K(x, z) = (1/s) sum_p sum_p' w(p - p') exp(-|x_p - z_p'|_M / L)``.

    x_p is the patch of image x in place p, w the grid's weights and s the mean of K(x, x) over the
    images that it is made with.

    Parameters
    ----------
    grid : Grid
    centres : ndarray of shape (places, n, q)
        Patches of the training images.
    metric : ndarray of shape (q, q), optional
    bandwidth : float
    """

    def __init__(self, grid: Grid, centres: Array, metric: Array | None, bandwidth: float) -> None:
        self.grid = grid
        self.centres = centres
        self.kernel: dict[str, Any] = {"metric": metric, "bandwidth": bandwidth}
        self.scale = 1.0

    def matrix(self) -> NDArray[np.float64]:
        """Return K of the centres, (n, n), and keep its scale."""
        n = self.centres.shape[1]
        K = np.zeros((n, n))
        for p, around in enumerate(self.grid.neighbours):
            for other, weight in around:
                if other == p:
                    K += weight * kernel_matrix(self.centres[p], **self.kernel)
                elif other > p:
                    part = weight * kernel_matrix(
                        self.centres[p], self.centres[other], **self.kernel
                    )
                    K += part
                    K += part.T
        self.scale = float(np.trace(K) / n)
        K /= self.scale
        return K

    def predict(self, patches: Array, coef: Array) -> Array:
        """Return ``sum_j K(x, z_j) coef_j`` for images given by their patches, (m, c)."""
        total = np.zeros((patches.shape[1], coef.shape[1]))
        for p, own in enumerate(patches):
            total += kernel_matmul(own, *self._around(p, coef), **self.kernel)
        return total

    def agop(self, patches: Array, coef: Array) -> NDArray[np.float64]:
        """Return ``(1/m) sum_i sum_p sum_l g g^T``, g the gradient of output l by patch x_p."""
        q = self.centres.shape[2]
        G = np.zeros((q, q))
        for p, own in enumerate(patches):
            G += agop(own, *self._around(p, coef), **self.kernel)
        return G

    def _around(self, p: int, coef: Array) -> tuple[Array, Array]:
        """Return the patches that place p is compared with as centres, and their coefficients."""
        around = self.grid.neighbours[p]
        centres = np.concatenate([self.centres[other] for other, _ in around])
        weighted = np.concatenate([weight / self.scale * coef for _, weight in around])
        return centres, weighted.astype(self.centres.dtype)
