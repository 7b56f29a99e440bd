"""What callers give as data, as batches on the model's device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn


def batches(data: Any, batch_size: int, model: nn.Module) -> Iterator[tuple[int, Any]]:
    """Yield each batch's number of examples and what ``call`` gives to the model.

    Parameters
    ----------
    data : array, tensor, mapping or iterable
        As :func:`fastrfm.neural.agop` takes it.
    batch_size : int
        Rows a batch, where `data` is not in batches already.
    model : Module
        Its device, and its dtype for floating-point data.
    """
    if isinstance(data, Mapping) or hasattr(data, "shape"):
        whole = prepare(data, model)
        n = n_examples(whole)
        parts: Iterable[Any] = (
            take(whole, slice(start, start + batch_size)) for start in range(0, n, batch_size)
        )
    elif isinstance(data, Iterable):
        parts = (prepare(batch, model) for batch in data)
    else:
        raise TypeError(
            "data must be an array, a tensor, a mapping of them, or an iterable of batches; "
            f"got {type(data).__name__}"
        )
    for part in parts:
        yield n_examples(part), part


def prepare(batch: Any, model: nn.Module) -> Any:
    """Return a batch as tensors; of a tuple or list, as (inputs, targets), the first."""
    if isinstance(batch, Mapping):
        return {name: as_tensor(value, model) for name, value in batch.items()}
    if isinstance(batch, tuple | list) and batch:
        batch = batch[0]
    return as_tensor(batch, model)


def as_tensor(values: Any, model: nn.Module) -> torch.Tensor:
    """Return `values` on the model's device, and floating-point ones in its dtype."""
    if not isinstance(values, torch.Tensor | np.ndarray):
        raise TypeError(f"a batch must be an array or a tensor; got {type(values).__name__}")
    # A copy where NumPy forbids writing, of which PyTorch warns.
    if isinstance(values, np.ndarray) and not values.flags.writeable:
        values = values.copy()
    tensor = torch.as_tensor(values).detach()
    if tensor.ndim == 0:
        raise ValueError("a batch must have examples along its first axis; got a number")
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    if like is None:
        return tensor
    return tensor.to(like.device, like.dtype if tensor.is_floating_point() else tensor.dtype)


def n_examples(batch: Any) -> int:
    """Return the length of the first axis."""
    lengths = {len(one) for one in (batch.values() if isinstance(batch, dict) else [batch])}
    if len(lengths) != 1:
        raise ValueError(f"the tensors of a batch must be of one length; got {sorted(lengths)}")
    return lengths.pop()


def take(batch: Any, rows: slice) -> Any:
    """Return some examples of a batch."""
    if isinstance(batch, dict):
        return {name: value[rows] for name, value in batch.items()}
    return batch[rows]


def call(model: nn.Module, batch: Any) -> Any:
    """Return what the model makes of a batch."""
    return model(**batch) if isinstance(batch, dict) else model(batch)
