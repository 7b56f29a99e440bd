"""The truth that a result is held to before its time counts: float64, by explicit differences.

As `fastrfm.bench.oracle`, on the device, where rows against 30,000 centres of 1,024 features take
milliseconds and not seconds; and once for all contenders.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.cases import Problem
from fastrfm.bench.gpu.cases import sample_of_rows
from fastrfm.bench.gpu.device import Device
from fastrfm.bench.oracle import ROWS, SAME_POINT

__all__ = ["Truth"]

Array = NDArray[Any]


class Truth:
    """Of a problem, at a sample of its rows.

    Parameters
    ----------
    problem : Problem
    device : Device

    Attributes
    ----------
    rows : ndarray of shape (r,)
        The sample.
    expected : ndarray
        K (r, n), K V (r, c), or the AGOP over the sample's rows (d, d).
    """

    def __init__(self, problem: Problem, device: Device) -> None:
        self._op = problem.case.op
        self.rows = sample_of_rows(len(problem.Z), ROWS)
        xp = device.xp
        Z = device.to_device(problem.Z).astype(xp.float64)
        V = device.to_device(problem.V).astype(xp.float64)
        p, q, L = problem.case.norm, problem.case.exponent, problem.bandwidth
        values, G = [], np.zeros((problem.case.d, problem.case.d))
        for i in self.rows.tolist():
            U = Z[i] - Z
            D = xp.abs(U).sum(axis=1) if p == 1 else xp.sqrt((U * U).sum(axis=1))
            K = xp.exp(-((D / L) ** q))
            if self._op == "kernel_matrix":
                values.append(device.to_host(K))
            elif self._op == "kernel_matmul":
                values.append(device.to_host(K @ V))
            else:
                apart = D > SAME_POINT * L
                safe = xp.where(apart, D, 1.0)
                w = xp.where(apart, -(q / L**q) * K * safe ** (q - p), 0.0)
                phi = U / xp.where(U == 0, 1.0, xp.abs(U)) if p == 1 else U
                g = device.to_host((V * w[:, None]).T @ phi)
                G += g.T @ g / len(self.rows)
        self.expected: Array = G if self._op == "agop" else np.stack(values)

    def error(self, sample: Array) -> float:
        """Return the error of a result at the sample's rows: absolute for K, else relative."""
        if sample.shape != self.expected.shape:
            raise ValueError(f"a sample of shape {sample.shape}, not {self.expected.shape}")
        error = float(np.abs(sample - self.expected).max())
        return error if self._op == "kernel_matrix" else error / float(np.abs(self.expected).max())
