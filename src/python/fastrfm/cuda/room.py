"""The room of `_cuda`: moves arrays to the device, queues an op there, and fetches its result.

The ops of `_cuda` take addresses of device memory as integers and own none of it: what they work
in comes from an allocator that the caller passes, so that CuPy's pool serves fastrfm and the rest
of a program alike. Arrays may lie on the host or on the device, each for itself; one on the device
is read and written in place, and the call then returns before the work is done. Where the device
has too little memory for all rows at once they are taken tile by tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.cuda.call import Call, same
from fastrfm.cuda.memory import Memory, Part
from fastrfm.cuda.plan import (
    LEAST_ROWS,
    Needs,
    Shapes,
    gradient_sums_needs,
    gradients_needs,
    kernel_matmul_needs,
    kernel_matrix_needs,
    rows_that_fit,
)

if TYPE_CHECKING:
    from fastrfm.kernels import Kernel
    from fastrfm.metric import Root

__all__ = ["Cuda"]

Array = NDArray[Any]
# Tiles of rows draw their random mixtures from streams so far apart (the golden ratio, in 64 bits:
# Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
_SEEDS_APART = 0x9E3779B97F4A7C15


class Cuda:
    """The ops of `_cuda` (`fastrfm.rooms.Room`).

    Parameters
    ----------
    ops : module
        `fastrfm._cuda`, or one with its functions (_cuda.pyi).
    memory : Memory
        Of the device that those ops run on.
    """

    def __init__(self, ops: Any, memory: Memory) -> None:
        self._ops = ops
        self._memory = memory

    @property
    def memory(self) -> Memory | None:
        """The device's memory."""
        return self._memory if self._memory.on_device else None

    def kernel_matrix(
        self, X: Array, Z: Array | None, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, m); Z None: with K(X, X)."""
        shapes = self._shapes(X, X if Z is None else Z, root, 0, out, symmetric=Z is None)
        centres = self._held(X if Z is None else Z)

        def part(x: Any, result: Any, _: slice) -> None:
            self._kernel_matrix(Call(self._ops, self._memory), x, centres(), kernel, root, result)

        def whole() -> None:
            call = Call(self._ops, self._memory)
            result = call.result(out)
            self._kernel_matrix(call, X, Z, kernel, root, result)
            self._return(result, out)

        self._run("kernel_matrix", X, out, shapes, kernel_matrix_needs(shapes), whole, part)

    def kernel_triangle(self, X: Array, kernel: Kernel, root: Root, out: Array) -> None:
        """Fill the lower triangle of `out` (n, n) with K(X, X)'s.

        Above it, `out` keeps its values, but for those of tiles that the diagonal crosses.
        """
        call = Call(self._ops, self._memory)
        result = call.array(out)
        self._kernel_matrix(call, X, None, kernel, root, result, triangle=True)
        self._return(result, out)

    def _kernel_matrix(
        self,
        call: Call,
        X: Array,
        Z: Array | None,
        kernel: Kernel,
        root: Root,
        result: Any,
        *,
        triangle: bool = False,
    ) -> None:
        self._ops.kernel_matrix(
            call.points(X),
            None if Z is None else call.points(Z),
            *call.law(kernel, root),
            self._memory.address(result),
            result.dtype.name,
            triangle,
            call.allocate,
            self._memory.stream,
        )

    def kernel_matmul(
        self, X: Array, Z: Array, V: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c); Z the array X: from one triangle's evaluations."""
        symmetric = same(X, Z)
        shapes = self._shapes(X, Z, root, V.shape[1], out, symmetric=symmetric)
        centres, columns = self._held(Z), self._held(V)

        def queue(call: Call, x: Any, z: Any | None, v: Any, result: Any) -> None:
            self._ops.kernel_matmul(
                call.points(x),
                None if z is None else call.points(z),
                self._memory.address(call.array(v)),
                V.shape[1],
                *call.law(kernel, root),
                self._memory.address(result),
                result.dtype.name,
                call.allocate,
                self._memory.stream,
            )

        def part(x: Any, result: Any, _: slice) -> None:
            queue(Call(self._ops, self._memory), x, centres(), columns(), result)

        def whole() -> None:
            call = Call(self._ops, self._memory)
            result = call.result(out)
            queue(call, X, None if symmetric else Z, V, result)
            self._return(result, out)

        self._run("kernel_matmul", X, out, shapes, kernel_matmul_needs(shapes), whole, part)

    def gradients(
        self, X: Array, Z: Array, coef: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c, d)."""
        shapes = self._shapes(X, Z, root, coef.shape[1], out)
        centres, columns = self._held(Z), self._held(coef)

        def queue(call: Call, x: Any, z: Any, v: Any, result: Any) -> None:
            points = call.points(x)
            self._ops.gradients(
                points,
                call.centres(z, x, points),
                self._memory.address(call.array(v)),
                coef.shape[1],
                *call.law(kernel, root),
                self._memory.address(result),
                result.dtype.name,
                call.allocate,
                self._memory.stream,
            )

        def part(x: Any, result: Any, _: slice) -> None:
            queue(Call(self._ops, self._memory), x, centres(), columns(), result)

        def whole() -> None:
            call = Call(self._ops, self._memory)
            result = call.result(out)
            queue(call, X, Z, coef, result)
            self._return(result, out)

        self._run("gradients", X, out, shapes, gradients_needs(shapes), whole, part)

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
        """Return the sums of g g^T, (k, k) or (k,), and of g for each output, (c, k); NumPy's.

        With `row_weights` (n,), at least 0, of w g g^T and w g.
        """
        shapes = self._shapes(X, Z, root, coef.shape[1], None, itemsize=coef.dtype.itemsize)
        k = shapes.k
        needs = gradient_sums_needs(shapes, samples=output_samples, diagonal=diagonal)
        centres, columns = self._held(Z), self._held(coef)
        totals: list[Any] = []  # on the device: fetched once, so that tiles do not wait

        def add(x: Any, z: Any, v: Any, which: slice) -> None:
            call = Call(self._ops, self._memory)
            sums = call.empty((k,) if diagonal else (k, k), np.float64)
            of_outputs = call.empty((coef.shape[1], k), np.float64) if output_sums else None
            points = call.points(x)
            weights = None if row_weights is None else call.array(row_weights[which])
            self._ops.gradient_sums(
                points,
                call.centres(z, x, points),
                self._memory.address(call.array(v)),
                coef.shape[1],
                *call.law(kernel, root),
                diagonal,
                self._memory.address(sums),
                None if of_outputs is None else self._memory.address(of_outputs),
                output_samples,
                (seed + which.start // LEAST_ROWS * _SEEDS_APART) % 2**64,
                None if weights is None else self._memory.address(weights),
                coef.dtype.name,
                call.allocate,
                self._memory.stream,
            )
            found = [sums] if of_outputs is None else [sums, of_outputs]
            if not totals:
                totals.extend(found)
                return
            for total, each in zip(totals, found, strict=True):
                total += each

        def part(x: Any, _: Any, which: slice) -> None:
            if which.start == 0:
                totals.clear()
            add(x, centres(), columns(), which)

        def whole() -> None:
            totals.clear()
            add(X, Z, coef, slice(0, len(X)))

        self._run("agop", X, None, shapes, needs, whole, part)
        fetched = [self._fetch(total) for total in totals]
        return fetched[0], fetched[1] if output_sums else None

    def _run(
        self,
        name: str,
        X: Array,
        out: Array | None,
        shapes: Shapes,
        needs: Needs,
        whole: Callable[[], None],
        part: Part,
    ) -> None:
        """Run an op on all rows at once, or, as far as memory asks for it, on tiles of rows."""
        n = len(X)
        free = self._memory.free_bytes()
        # Where none fit by the count, which is generous, the least is tried all the same.
        rows = rows_that_fit(needs, free) or min(n, LEAST_ROWS)
        cause: MemoryError | None = None
        while True:
            try:
                if rows >= n:
                    whole()
                else:
                    self._memory.by_rows(X, out, rows, part)
                return
            except MemoryError as error:
                # The count was too low, or others have taken memory since. The traceback would keep
                # what the op had allocated.
                cause = error.with_traceback(None)
                if rows <= LEAST_ROWS or n <= LEAST_ROWS:
                    break
            self._memory.release()
            free = self._memory.free_bytes()
            half = -(-min(rows, n) // 2)
            half = -(-half // LEAST_ROWS) * LEAST_ROWS
            rows = min(half, rows_that_fit(needs, free) or LEAST_ROWS)
        raise MemoryError(
            f"{name} of {n:,} rows and {shapes.m:,} centres of {shapes.d:,} features needs "
            f"{needs.least():,} bytes on {self._memory.device} even for {LEAST_ROWS} "
            f"rows at a time, and {free:,} are free{_said(cause)}. Use fewer centres, float32 "
            "instead of float64, free what else lies there, or compute on the CPU "
            '(device="cpu", or NumPy arrays)'
        ) from cause

    def _shapes(
        self,
        X: Array,
        Z: Array,
        root: Root,
        c: int,
        out: Array | None,
        *,
        symmetric: bool = False,
        itemsize: int = 0,
    ) -> Shapes:
        d = X.shape[1]
        k = root.shape[1] if root is not None and root.ndim == 2 else d
        out_bytes = 0
        if out is not None:
            itemsize = out.dtype.itemsize
            if not self._memory.holds(out):
                out_bytes = int(np.prod(out.shape[1:])) * itemsize

        def bytes_of(points: Array) -> int:
            return 0 if self._memory.holds(points) else d * points.dtype.itemsize

        return Shapes(
            len(X), len(Z), d, k, c, itemsize, bytes_of(X), bytes_of(Z), out_bytes, symmetric
        )

    def _held(self, array: Array) -> Callable[[], Any]:
        """Return what gives `array` on the device, copied at the first call."""
        held: list[Any] = []

        def on_device() -> Any:
            if not held:
                held.append(self._memory.to_device(array))
            return held[0]

        return on_device

    def _return(self, result: Any, out: Array) -> None:
        if result is not out:
            self._memory.to_host(result, out)

    def _fetch(self, array: Any) -> Array:
        out = np.empty(array.shape, array.dtype)
        self._memory.to_host(array, out)
        return out


def _said(cause: MemoryError | None) -> str:
    return f" ({str(cause).rstrip('.')})" if str(cause or "") else ""
