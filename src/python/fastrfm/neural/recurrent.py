"""Recurrent modules step by step, so that each of their linear maps can be seen.

What PyTorch runs for them is one fused operation. The formulas are those of its documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

Tensor: TypeAlias = torch.Tensor
Tap: TypeAlias = Callable[[str, Tensor], Tensor]
State: TypeAlias = tuple[Tensor, ...]  # h, and c of an LSTM


def step(kind: str, inputs: Tensor, recurrent: Tensor, state: State) -> State:
    """Return the next state from ``W_ih x + b`` and ``W_hh h + b``."""
    if kind == "LSTM":
        i, f, g, o = (inputs + recurrent).chunk(4, dim=-1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if kind == "GRU":
        input_r, input_z, input_n = inputs.chunk(3, dim=-1)
        hidden_r, hidden_z, hidden_n = recurrent.chunk(3, dim=-1)
        z = (input_z + hidden_z).sigmoid()
        n = (input_n + (input_r + hidden_r).sigmoid() * hidden_n).tanh()
        return ((1 - z) * n + z * state[0],)
    total = inputs + recurrent
    return (total.relu() if kind == "RNN_RELU" else total.tanh(),)


def one_direction(rnn: nn.RNNBase, tap: Tap, suffix: str, x: Tensor, state: State) -> Any:
    """Return the outputs (T, n, h) for inputs (T, n, d), and the last state."""

    def weight(name: str) -> Any:
        return getattr(rnn, f"{name}_{suffix}", None)

    inputs = functional.linear(x, weight("weight_ih"), weight("bias_ih"))
    inputs = tap(f"weight_ih_{suffix}", inputs)
    times = range(len(x))
    outputs = []
    for t in reversed(times) if suffix.endswith("_reverse") else times:
        recurrent = functional.linear(state[0], weight("weight_hh"), weight("bias_hh"))
        state = step(rnn.mode, inputs[t], tap(f"weight_hh_{suffix}", recurrent), state)
        if rnn.proj_size:
            h = tap(f"weight_hr_{suffix}", functional.linear(state[0], weight("weight_hr")))
            state = (h, *state[1:])
        outputs.append(state[0])
    if suffix.endswith("_reverse"):
        outputs.reverse()
    return torch.stack(outputs), state


def rnn_forward(rnn: nn.RNNBase, tap: Tap, x: Any, hx: Any = None) -> Any:
    """Do what ``rnn(x, hx)`` does in evaluation mode."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f"fastrfm.neural takes sequences as padded tensors; a {type(rnn).__name__} of the "
            f"model was called with {type(x).__name__}"
        )
    unbatched = x.ndim == 2
    axis = 1 if unbatched or not rnn.batch_first else 0  # of the examples
    given = hx if isinstance(hx, tuple) else (hx,)
    if unbatched:
        x = x[:, None]
        given = tuple(one if one is None else one[:, None] for one in given)
    x = x.movedim(axis, 1)
    directions = 2 if rnn.bidirectional else 1
    widths = [rnn.proj_size or rnn.hidden_size]
    if rnn.mode == "LSTM":
        widths.append(rnn.hidden_size)
    if hx is None:
        size = (directions * rnn.num_layers, x.shape[1])
        given = tuple(x.new_zeros(*size, width) for width in widths)
    last = []
    for layer in range(rnn.num_layers):
        outputs = []
        for direction, ending in enumerate(("", "_reverse")[:directions]):
            state = tuple(one[directions * layer + direction] for one in given)
            out, state = one_direction(rnn, tap, f"l{layer}{ending}", x, state)
            outputs.append(out)
            last.append(state)
        x = torch.cat(outputs, dim=-1)
    final = tuple(torch.stack(states) for states in zip(*last, strict=True))
    x = x.movedim(1, axis)
    if unbatched:
        x = x[:, 0]
        final = tuple(one[:, 0] for one in final)
    return x, final if rnn.mode == "LSTM" else final[0]


def cell_forward(cell: nn.RNNCellBase, tap: Tap, x: Tensor, hx: Any = None) -> Any:
    """Do what ``cell(x, hx)`` does."""
    kind = {nn.LSTMCell: "LSTM", nn.GRUCell: "GRU"}.get(type(cell), "RNN_TANH")
    if getattr(cell, "nonlinearity", None) == "relu":
        kind = "RNN_RELU"
    if hx is None:
        h = x.new_zeros(*x.shape[:-1], cell.hidden_size)
        hx = (h, h)
    state = hx if isinstance(hx, tuple) else (hx,)
    inputs = tap("weight_ih", functional.linear(x, cell.weight_ih, cell.bias_ih))
    recurrent = tap("weight_hh", functional.linear(state[0], cell.weight_hh, cell.bias_hh))
    state = step(kind, inputs, recurrent, state)
    return state if kind == "LSTM" else state[0]
