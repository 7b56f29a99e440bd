"""How fast the card is at what floors are made of: copies, and products in float32 and TF32."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.gpu.device import Call, Device

__all__ = ["measure_ceilings"]

REPEATS = 7


def measure_ceilings(device: Device, copy_bytes: int, side: int) -> dict[str, Any]:
    """Return the best rates.

    Parameters
    ----------
    device : Device
    copy_bytes : int
        Of the array that is copied; several times any cache.
    side : int
        Of the square matrices that are multiplied.

    Returns
    -------
    rates : dict
        "copy": bytes read and bytes written a second, together; "fill": bytes written; "sgemm" and
        "tf32": flops a second. "tf32" is None where "tf32_reason" says why.
    """
    copy, fill = _memory_seconds(device, copy_bytes)
    device.release()
    # Random numbers: on constant ones a card needs less power, and clocks higher.
    host = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    A = device.to_device(host)
    sgemm = _best(device, lambda: device.xp.matmul(A, A))
    flops = 2.0 * side**3
    rates: dict[str, Any] = {
        "copy": 2.0 * copy_bytes / copy,
        "fill": copy_bytes / fill,
        "sgemm": flops / sgemm,
        "tf32": None,
        "tf32_reason": None,
    }
    try:
        rates["tf32"] = flops / _tf32_seconds(device, host)
    # Without it, or built for another CUDA, PyTorch may raise anything; all else is measured.
    except Exception as error:
        rates["tf32_reason"] = f"not measured: {error}"
    device.release()
    return rates


def _tf32_seconds(device: Device, host: NDArray[np.float32]) -> float:
    """Return the seconds of a product with TF32 allowed, by PyTorch: CuPy has no setting for it."""
    torch = importlib.import_module("torch")
    A = torch.as_tensor(host, device=device.torch_name)
    torch.set_float32_matmul_precision("high")
    try:
        return _best(device, lambda: torch.mm(A, A))
    finally:
        torch.set_float32_matmul_precision("highest")


def _memory_seconds(device: Device, size: int) -> tuple[float, float]:
    """Return the seconds of copying and of filling so many bytes."""
    source, target = (device.empty((size // 4,)) for _ in range(2))
    source[...] = 1.0
    copy = _best(device, lambda: _assign(target, source))
    return copy, _best(device, lambda: _assign(target, 2.0))


def _assign(target: Any, value: Any) -> None:
    target[...] = value


def _best(device: Device, call: Call) -> float:
    call()
    return min(device.seconds(call) for _ in range(REPEATS))
