"""Products with a kernel matrix that is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.arrays import is_on_device, namespace
from fastrfm.kernels import Kernel
from fastrfm.metric import Root

__all__ = ["stored_product"]

Array = NDArray[Any]


def stored_product(X: Array, kernel: Kernel, root: Root, like: Array) -> Callable[[Array], Array]:
    """Store K(X, X); return V -> K V, (n, c) -> (n, c), for vectors that lie where `like` does.

    One packed triangle on the host. On a device all of K, which cuBLAS multiplies at the speed of
    its memory: reading one triangle for both halves has no routine there that is as quick.
    """
    if is_on_device(like):
        K: Array = namespace(like).empty((len(X), len(X)), like.dtype)
        backend.kernel_matrix(X, None, kernel, root, out=K)
        return lambda V: K @ V
    packed = backend.packed_kernel_matrix(X, kernel, root)
    return lambda V: backend.packed_matmul(packed, V)
