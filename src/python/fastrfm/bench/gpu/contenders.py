"""Who is measured on the GPU: fastrfm, PyTorch with and without TF32, xRFM and kermac.

All run in one process, by turns, so that they see the same clocks. Those that are not installed,
or do not load, are named with the reason.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import fastrfm
from fastrfm.bench.cases import Problem
from fastrfm.bench.gpu.device import Call, Device

__all__ = ["OURS", "PEERS", "Contender", "Ours", "open_peers"]

Array = NDArray[Any]

OURS = "fastrfm"


class Contender(Protocol):
    """Who computes."""

    name: str

    def prepare(self, problem: Problem) -> Call:
        """Move the inputs to the device, and return what is timed."""

    def to_host(self, result: Any, rows: NDArray[np.intp] | None = None) -> Array:
        """Return a result, or some of its rows."""

    def peak(self, call: Call) -> tuple[Any, int]:
        """Return a call's result, and the most bytes that it took, the result included."""

    def release(self) -> None:
        """Give memory that is kept for later arrays back."""


class Ours:
    """fastrfm's public functions on arrays of the device.

    Parameters
    ----------
    device : Device
    """

    name = OURS

    def __init__(self, device: Device) -> None:
        self._device = device

    def prepare(self, problem: Problem) -> Call:
        """Return the call; K and K V go to an array that is made in the first one."""
        X = self._device.to_device(problem.X)
        Z = X if problem.X is problem.Z else self._device.to_device(problem.Z)
        V, kernel, op = self._device.to_device(problem.V), problem.kernel, problem.case.op
        kept: dict[str, Any] = {}

        def call() -> Any:
            with self._device.running():
                if op == "agop":
                    return fastrfm.agop(X, Z, V, **kernel)
                if op == "kernel_matrix":
                    result = fastrfm.kernel_matrix(X, None if Z is X else Z, **kept, **kernel)
                else:
                    result = fastrfm.kernel_matmul(X, Z, V, **kept, **kernel)
                kept["out"] = result
                return result

        return call

    def to_host(self, result: Any, rows: NDArray[np.intp] | None = None) -> Array:
        """Return a result, or some of its rows."""
        if rows is not None:
            result = result[self._device.to_device(rows)]
        return self._device.to_host(result)

    def peak(self, call: Call) -> tuple[Any, int]:
        """Of the device's own counter."""
        return self._device.peak(call)

    def release(self) -> None:
        """Give memory back."""
        self._device.release()


class _OnTorch(ABC):
    """What all that run on PyTorch have in common.

    Attributes
    ----------
    precision : str
        Of float32 products, for `torch.set_float32_matmul_precision`: "high" is TF32.
    """

    name: str
    precision = "highest"

    def __init__(self, device: Device) -> None:
        self._torch = importlib.import_module("torch")
        self._where = device.torch_name
        self._cuda = self._where == "cuda"
        if self._cuda and not self._torch.cuda.is_available():
            raise ImportError("this build of PyTorch sees no GPU")

    def prepare(self, problem: Problem) -> Call:
        """Return the call."""
        X = self._torch.as_tensor(problem.X, device=self._where)
        Z = X if problem.X is problem.Z else self._torch.as_tensor(problem.Z, device=self._where)
        V = self._torch.as_tensor(problem.V, device=self._where)
        run = self._operation(problem, X, Z, V)

        def call() -> Any:
            self._torch.set_float32_matmul_precision(self.precision)
            try:
                return run()
            finally:
                self._torch.set_float32_matmul_precision("highest")

        return call

    @abstractmethod
    def _operation(self, problem: Problem, X: Any, Z: Any, V: Any) -> Call:
        """Return what computes the problem on these tensors."""

    def to_host(self, result: Any, rows: NDArray[np.intp] | None = None) -> Array:
        """Return a result, or some of its rows."""
        if rows is not None:
            result = result[self._torch.as_tensor(rows, device=self._where)]
        host: Array = result.cpu().numpy()
        return host

    def peak(self, call: Call) -> tuple[Any, int]:
        """By PyTorch's allocator; 0 in a rehearsal."""
        if not self._cuda:
            return call(), 0
        self.release()
        before = self._torch.cuda.memory_allocated()
        self._torch.cuda.reset_peak_memory_stats()
        result = call()
        self._torch.cuda.synchronize()
        return result, int(self._torch.cuda.max_memory_allocated() - before)

    def release(self) -> None:
        """Give the allocator's free blocks back."""
        if self._cuda:
            self._torch.cuda.synchronize()
            self._torch.cuda.empty_cache()


class Torch(_OnTorch):
    """The formulas as the papers write them (`fastrfm.bench.contenders.textbook_torch`)."""

    name = "PyTorch"

    def _operation(self, problem: Problem, X: Any, Z: Any, V: Any) -> Call:
        textbook = importlib.import_module("fastrfm.bench.contenders.textbook_torch")
        kernel = problem.kernel
        calls: dict[str, Call] = {
            "kernel_matrix": lambda: textbook.kernel_matrix(X, Z, kernel),
            "kernel_matmul": lambda: textbook.kernel_matrix(X, Z, kernel) @ V,
            "agop": lambda: textbook.agop(X, Z, V, kernel),
        }
        return calls[problem.case.op]


class TorchTf32(Torch):
    """The same with products of TF32 numbers allowed, three digits of accuracy for speed."""

    name = "PyTorch TF32"
    precision = "high"


class Xrfm(_OnTorch):
    """The package xrfm, by the kernel classes that it takes on such a device, in its batches."""

    name = "xRFM"

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._package = importlib.import_module("xrfm.rfm_src")

    def _operation(self, problem: Problem, X: Any, Z: Any, V: Any) -> Call:
        kernels, torch = self._package.kernels, self._torch
        if problem.case.norm == 2:
            kind = kernels.LaplaceKernel
        elif self._cuda and kernels.kermac is not None:
            kind = kernels.KermacProductLaplaceKernel
        else:
            kind = kernels.ProductLaplaceKernel
        kernel = kind(bandwidth=problem.bandwidth, exponent=problem.case.exponent)
        model = self._package.RFM(kernel, device=self._where, verbose=False)

        def agop() -> Any:
            batch = model._compute_optimal_M_batch(len(X), V.shape[1], X.shape[1])
            total = torch.zeros(X.shape[1], X.shape[1], device=self._where)
            for rows in torch.arange(len(X), device=self._where).split(batch):
                total.add_(model.kernel_obj.get_agop(x=Z, z=X[rows], coefs=V.T, mat=None))
            return total / len(X)

        calls: dict[str, Call] = {
            "kernel_matrix": lambda: kernel.get_kernel_matrix(X, Z),
            "kernel_matmul": lambda: kernel.get_kernel_matrix(X, Z) @ V,
            "agop": agop,
        }
        return calls[problem.case.op]


class Kermac(_OnTorch):
    """The package kermac: K in one fused pass, gradients from a stored matrix of weights."""

    name = "kermac"

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        if not self._cuda:
            raise ImportError("it runs on GPUs only")
        self._package = importlib.import_module("kermac")

    def _operation(self, problem: Problem, X: Any, Z: Any, V: Any) -> Call:
        kermac, torch, L = self._package, self._torch, float(problem.bandwidth)
        p = float(problem.case.norm)
        descriptor = (
            kermac.kernel_descriptor_laplace_l2 if p == 2 else kermac.kernel_descriptor_laplace_l1
        )

        def kernel_matrix() -> Any:
            K = kermac.run_kernel(descriptor, X, Z, bandwidth=L, try_to_align=True)
            return K.squeeze(0)

        def agop() -> Any:
            # w = -K / (L D^(p - 1)), q = 1; transposed as kermac wants it: centres by points.
            D = kermac.cdist(Z, X, p=p, try_to_align=True).squeeze(0)
            w = torch.exp(-D / L).mul_(-1 / L)
            if p == 2:
                w = torch.where(D > 1e-10 * L, w / D, 0.0)
            del D
            points, centres, coef = X.T.contiguous(), Z.T.contiguous(), V.T.contiguous()
            g = kermac.cdist_grad(w, centres, coef, points, p=p).squeeze(0)  # (c, d, n)
            G = g.transpose(0, 1).reshape(X.shape[1], -1)
            return G @ G.T / len(X)

        calls: dict[str, Call] = {
            "kernel_matrix": kernel_matrix,
            "kernel_matmul": lambda: kernel_matrix() @ V,
            "agop": agop,
        }
        return calls[problem.case.op]


# What --peers takes -> (who that is, what has to be installed).
PEERS: dict[str, tuple[tuple[Callable[[Device], Contender], ...], tuple[str, ...]]] = {
    "torch": ((Torch, TorchTf32), ("torch",)),
    "xrfm": ((Xrfm,), ("torch", "xrfm")),
    "kermac": ((Kermac,), ("torch", "kermac")),
}


def open_peers(
    names: Sequence[str], device: Device
) -> tuple[list[Contender], dict[str, str | None], dict[str, str]]:
    """Import rivals.

    Returns
    -------
    peers : list of Contender
    versions : dict
        Of what has to be installed for them; None where it is not.
    absent : dict
        Name -> why it is not measured.
    """
    peers: list[Contender] = []
    versions: dict[str, str | None] = {}
    absent = {}
    for name in names:
        kinds, packages = PEERS[name]
        for package in packages:
            try:
                versions[package] = installed_version(package)
            except PackageNotFoundError:
                versions[package] = None
        missing = [package for package in packages if versions[package] is None]
        if missing:
            absent[name] = " and ".join(missing) + " not installed"
            continue
        try:
            peers += [kind(device) for kind in kinds]
        # A package that was made for another CUDA or another version of its own needs may raise
        # anything; the others are measured all the same.
        except Exception as error:
            absent[name] = f"does not load: {type(error).__name__}: {error}"
    return peers, versions, absent
