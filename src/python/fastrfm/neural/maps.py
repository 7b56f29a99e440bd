"""Which linear maps a model has, and their weights as matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
KINDS = (
    "nn.Linear, nn.Conv1d to nn.Conv3d, nn.RNN, nn.GRU, nn.LSTM and their cells, "
    "nn.MultiheadAttention, and Conv1D of transformers"
)


@dataclass(frozen=True)
class LinearMap:
    """One linear map ``y = W h`` inside a model.

    Attributes
    ----------
    name : str
        The module's in the model, or ``module.weight`` where a module has several maps.
    weight : Tensor of shape (groups, m, d)
        W; for a convolution h is the patch under the filter, and each group sees its own channels.
    channel_axis : int
        The axis of y that has its groups * m entries.
    """

    name: str
    weight: torch.Tensor
    channel_axis: int = -1

    def rows(self, y: torch.Tensor) -> torch.Tensor:
        """Return `y`, with any axes before the map's own, as (groups, positions, m)."""
        groups, m, _ = self.weight.shape
        return y.movedim(self.channel_axis, -1).reshape(-1, groups, m).transpose(0, 1)


def is_transformers_conv1d(module: nn.Module) -> bool:
    """Return whether `module` is the linear map of GPT-2 in transformers: ``y = h W + b``."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def recurrent_weights(module: nn.Module) -> list[str]:
    """Return the names of the weights of a recurrent module, without the biases."""
    return [name for name, _ in module.named_parameters(recurse=False) if "weight" in name]


def projections(attention: nn.MultiheadAttention) -> dict[str, torch.Tensor]:
    """Return the maps of queries, keys and values, named as where their widths differ."""
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    if attention.in_proj_weight is None:
        return {name: getattr(attention, name) for name in names}
    return dict(zip(names, attention.in_proj_weight.chunk(3), strict=True))


def maps_of(name: str, module: nn.Module) -> list[LinearMap]:
    """Return the linear maps of one module, without those of its children."""
    if isinstance(module, nn.Linear):
        return [LinearMap(name, module.weight.detach()[None])]
    if isinstance(module, CONVOLUTIONS):
        weight = module.weight.detach()
        groups = weight.reshape(module.groups, len(weight) // module.groups, -1)
        return [LinearMap(name, groups, channel_axis=1 - weight.ndim)]
    if is_transformers_conv1d(module):
        return [LinearMap(name, module.weight.detach().T[None])]
    weights: dict[str, Any] = {}
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        weights = {weight: getattr(module, weight) for weight in recurrent_weights(module)}
    elif isinstance(module, nn.MultiheadAttention):
        weights = projections(module)
    prefix = f"{name}." if name else ""
    return [LinearMap(prefix + key, weight.detach()[None]) for key, weight in weights.items()]


def linear_maps(model: nn.Module) -> dict[str, LinearMap]:
    """Return all linear maps of a model by name, in the order of its modules."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    found = [one for name, module in model.named_modules() for one in maps_of(name, module)]
    if not found:
        raise ValueError(f"model has no linear map; those known are of {KINDS}")
    return {one.name: one for one in found}


def find_map(model: nn.Module, layer: nn.Module | str) -> LinearMap:
    """Return the map that a caller names, or whose module it gives.

    Raises
    ------
    TypeError, ValueError
        If `layer` is no name or module, is not in the model, or stands for none or several maps.
    """
    maps = linear_maps(model)
    if isinstance(layer, str):
        if layer in maps:
            return maps[layer]
        name = layer
        module = dict(model.named_modules()).get(layer)
    elif isinstance(layer, nn.Module):
        module = layer
        names = [key for key, value in model.named_modules() if value is layer]
        if not names:
            raise ValueError(f"layer, a {type(layer).__name__}, is no module of model")
        name = names[0]
    else:
        raise TypeError(f"layer must be a module or a name; got {type(layer).__name__}")
    found = [] if module is None else maps_of(name, module)
    if len(found) == 1:
        return found[0]
    wanted = [one.name for one in found] or list(maps)
    reason = "has several linear maps" if found else "is no linear map of model"
    raise ValueError(f"layer {name!r} {reason}; name one of {', '.join(map(repr, wanted))}")
