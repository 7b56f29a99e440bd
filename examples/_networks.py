"""The networks of the examples, and their training."""

import math
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def train(model, X, y, *, steps, batch=128, rate=1e-3, weight_decay=0.0):
    """Train a network by AdamW on cross-entropy, the rate falling to 0 as a cosine does."""
    X, y = torch.as_tensor(X), torch.as_tensor(y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(X), (batch,))
        loss = functional.cross_entropy(model(X[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model, X, y):
    """Return the part of rows whose largest output is that of their class."""
    outputs = model(torch.as_tensor(X))
    return float((outputs.argmax(1) == torch.as_tensor(y)).float().mean())


def text_windows(length, n, seed):
    """Return stretches of text as (n, length) codes of characters, and how many there are.

    The text, 465,000 characters of English, is the language reference that Python ships with.
    """
    text = "".join(topics[name] for name in sorted(topics))
    characters, codes = np.unique(np.array(list(text)), return_inverse=True)
    starts = np.random.default_rng(seed).integers(len(codes) - length, size=n)
    return codes[starts[:, None] + np.arange(length)], len(characters)


class RowReader(nn.Module):
    """A recurrent network that reads an image row by row and then says what it is."""

    def __init__(self, side, classes, width=128):
        super().__init__()
        self.side = side
        self.rnn = nn.RNN(side, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        """Return scores (n, classes) of flat images (n, side * side)."""
        return self.head(self.rnn(x.reshape(len(x), -1, self.side))[0][:, -1])


class Block(nn.Module):
    """A block of GPT-2: attention and a perceptron, each after a normalisation and added on."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        """Return the new stream (n, length, width)."""
        n, length, width = x.shape
        h = self.norm_1(x)
        q, k, v = (
            part(h).reshape(n, length, self.heads, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class SmallGPT(nn.Module):
    """GPT-2 with few and narrow blocks, over characters."""

    def __init__(self, codes, length, width=64, blocks=2, heads=4):
        super().__init__()
        self.tokens = nn.Embedding(codes, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codes, bias=False)
        # As GPT-2 begins: narrower where blocks are added to the stream.
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                down = "out." in name or "down." in name
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * blocks) if down else 0.02)

    def forward(self, x):
        """Return scores (n, codes, length), as cross_entropy wants them, of each next code."""
        h = self.tokens(x) + self.positions.weight[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h)).transpose(1, 2)
