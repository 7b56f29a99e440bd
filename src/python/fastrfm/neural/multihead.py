"""`nn.MultiheadAttention` with each of its linear maps in the open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from fastrfm.neural.maps import projections

Tensor: TypeAlias = torch.Tensor


def attention_forward(
    module: nn.MultiheadAttention,
    tap: Callable[[str, Tensor], Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """Do what ``module(query, key, value, ...)`` does in evaluation mode.

    The maps before and after the attention are applied here, and PyTorch's function for what lies
    between, masks included, gets the identity in their place.
    """
    tokens = [query, key, value]
    swap = module.batch_first and query.ndim == 3
    if swap:
        tokens = [one.transpose(0, 1) for one in tokens]
    width = module.embed_dim
    biases: Any = [None] * 3 if module.in_proj_bias is None else module.in_proj_bias.chunk(3)
    q, k, v = (
        tap(name, functional.linear(x, weight, bias))
        for x, (name, weight), bias in zip(tokens, projections(module).items(), biases, strict=True)
    )
    identity = torch.eye(width, dtype=q.dtype, device=q.device)
    mixed, weights = functional.multi_head_attention_forward(
        q,
        k,
        v,
        width,
        module.num_heads,
        None,
        None,
        module.bias_k,
        module.bias_v,
        module.add_zero_attn,
        0.0,
        identity,
        None,
        training=False,
        key_padding_mask=key_padding_mask,
        need_weights=need_weights,
        attn_mask=attn_mask,
        use_separate_proj_weight=True,
        q_proj_weight=identity,
        k_proj_weight=identity,
        v_proj_weight=identity,
        average_attn_weights=average_attn_weights,
        is_causal=is_causal,
    )
    mixed = functional.linear(mixed, module.out_proj.weight, module.out_proj.bias)
    mixed = tap("out_proj", mixed)
    return (mixed.transpose(0, 1) if swap else mixed), weights
