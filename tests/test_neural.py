"""`fastrfm.neural` against plain autograd, one example, output and place at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from fastrfm.neural import agop, linear_layers, neural_feature_correlation, nfm  # noqa: E402
from fastrfm.neural import averages as averages_module  # noqa: E402


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def oracle(run: Callable[[Any], tuple[Any, list[Any]]], X: Any) -> Any:
    """AGOP from ``run(x)``, which returns outputs and the inputs h of the map in each place."""
    total: Any = 0
    for x in X:
        outputs, places = run(x[None])
        for out in outputs.flatten():
            for h in torch.autograd.grad(out, places, retain_graph=True):
                rows = h.reshape(-1, h.shape[-1])
                total = total + rows.T @ rows
    return total / len(X)


def assert_close(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def mlp(*widths: int) -> Any:
    layers: list[Any] = []
    for d, m in pairwise(widths):
        layers += [nn.Linear(d, m), nn.Tanh()]
    return nn.Sequential(*layers[:-1]).double()


@pytest.mark.parametrize("layer", [0, 2, 4])
@pytest.mark.parametrize("at_once", [1, 60, 2**24])
def test_mlp(layer: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Widths that make both sums of m x m and of d x d.
    model = mlp(6, 9, 4, 3)
    monkeypatch.setattr(averages_module, "GRADIENTS_AT_ONCE", at_once)
    X = torch.randn(11, 6, dtype=torch.float64)

    def run(x: Any) -> tuple[Any, list[Any]]:
        h = model[:layer](x).detach().requires_grad_()
        return model[layer:](h), [h]

    expected = oracle(run, X)
    assert_close(agop(model, model[layer], X, batch_size=4), expected)
    assert_close(agop(model, str(layer), X.numpy()), expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": 1, "stride": 2}, {"groups": 2, "dilation": 2}, {"padding_mode": "circular"}],
)
def test_convolution_is_over_patches(options: dict[str, Any]) -> None:
    if "padding_mode" in options:
        options["padding"] = 1
    conv = nn.Conv2d(4, 6, 3, **options).double()
    X = torch.randn(5, 4, 7, 6, dtype=torch.float64)
    with torch.no_grad():
        side = conv(X).shape[-2:]
    head = nn.Linear(6 * side.numel(), 2).double()
    model = nn.Sequential(conv, nn.ReLU(inplace=True), nn.Flatten(), head)
    groups = conv.groups

    def run(x: Any) -> tuple[Any, list[Any]]:
        pads = conv._reversed_padding_repeated_twice
        mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
        patches = functional.unfold(
            functional.pad(x, pads, mode), 3, dilation=conv.dilation, stride=conv.stride
        )
        patches = patches.reshape(1, groups, -1, patches.shape[-1]).transpose(2, 3)
        patches = patches.detach().requires_grad_()  # (1, groups, places, d)
        weight = conv.weight.reshape(groups, 6 // groups, -1)
        y = torch.einsum("ngpd,gmd->ngmp", patches, weight).reshape(1, 6, -1)
        y = y + conv.bias[:, None]
        return head(y.relu().flatten(1)), [patches]

    assert_close(agop(model, conv, X), oracle(run, X))
    flat = conv.weight.detach().flatten(1)
    assert_close(nfm(conv), flat.T @ flat)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent(kind: str) -> None:
    rnn = getattr(nn, kind)(3, 4, batch_first=True).double()
    head = nn.Linear(4, 2).double()

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = rnn, head

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0][:, -1])

    model = Model()
    X = torch.randn(3, 5, 3, dtype=torch.float64)

    def run(seen: str) -> Callable[[Any], tuple[Any, list[Any]]]:
        def inner(x: Any) -> tuple[Any, list[Any]]:
            h = c = torch.zeros(1, 4, dtype=torch.float64)
            places = []
            for t in range(x.shape[1]):
                into_ih, into_hh = x[:, t].clone().requires_grad_(), h + torch.zeros_like(h)
                if t == 0:
                    into_hh.requires_grad_()
                places.append(into_ih if seen == "ih" else into_hh)
                a = functional.linear(into_ih, rnn.weight_ih_l0, rnn.bias_ih_l0)
                b = functional.linear(into_hh, rnn.weight_hh_l0, rnn.bias_hh_l0)
                if kind == "RNN":
                    h = (a + b).tanh()
                elif kind == "LSTM":
                    i, f, g, o = (a + b).chunk(4, 1)
                    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                    h = o.sigmoid() * c.tanh()
                else:
                    (ar, az, an), (br, bz, bn) = a.chunk(3, 1), b.chunk(3, 1)
                    z = (az + bz).sigmoid()
                    h = (1 - z) * (an + (ar + br).sigmoid() * bn).tanh() + z * h
            return head(h), places

        return inner

    assert linear_layers(model) == ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "head"]
    assert_close(agop(model, "rnn.weight_ih_l0", X), oracle(run("ih"), X))
    assert_close(agop(model, "rnn.weight_hh_l0", X), oracle(run("hh"), X))


def self_attention(**options: Any) -> Any:
    return nn.MultiheadAttention(6, 2, batch_first=True, **options).double()


def test_attention() -> None:
    attention = self_attention()

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x: Any) -> Any:
            return x + self.attention(x, x, x, need_weights=False)[0]

    X = torch.randn(3, 4, 6, dtype=torch.float64)
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)

    def run(seen: int) -> Callable[[Any], tuple[Any, list[Any]]]:
        def inner(x: Any) -> tuple[Any, list[Any]]:
            copies = [x.clone().requires_grad_() for _ in range(3)]
            q, k, v = (
                functional.linear(one, w, b).reshape(4, 2, 3).transpose(0, 1)
                for one, w, b in zip(copies, weights, biases, strict=True)
            )
            mixed = (q @ k.transpose(1, 2) / 3**0.5).softmax(-1) @ v
            mixed = mixed.transpose(0, 1).reshape(1, 4, 6)
            places = [copies[seen] if seen < 3 else mixed]
            return x + attention.out_proj(mixed), places

        return inner

    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj")
    model = Model()
    for seen, name in enumerate(names):
        assert_close(agop(model, f"attention.{name}", X), oracle(run(seen), X))


class Shared(nn.Module):
    """One map that runs twice, and one that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(3, 3)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return self.twice(self.twice(x).tanh())


def test_a_map_that_runs_twice_counts_in_both_places() -> None:
    model = Shared().double()
    X = torch.randn(4, 3, dtype=torch.float64)

    def run(x: Any) -> tuple[Any, list[Any]]:
        first = x.clone().requires_grad_()
        second = model.twice(first).tanh()
        return model.twice(second), [first, second]

    assert_close(agop(model, "twice", X), oracle(run, X))
    assert list(neural_feature_correlation(model, X)) == ["twice"]
    message = "layer 'unused' takes no part in what the model makes of data"
    with pytest.raises(ValueError, match=message):
        agop(model, "unused", X)
    with pytest.raises(ValueError, match=message):
        neural_feature_correlation(model, X, layers=["unused"])


def runs(model: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Return what the model makes of its arguments as it is, and as fastrfm.neural runs it."""
    from fastrfm.neural.taps import tapped

    seen: list[str] = []
    model.eval()
    with torch.no_grad():
        plain = model(*args, **options)
        with tapped(model, lambda name, y: (seen.append(name), y)[1]):
            ours = model(*args, **options)
    assert set(seen) == set(linear_layers(model))
    assert not [key for module in model.modules() for key in vars(module) if key == "forward"]
    return plain, ours


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
        ("GRU", {"bidirectional": True, "num_layers": 2, "bias": False}),
        ("LSTM", {"bidirectional": True, "num_layers": 2, "proj_size": 2, "batch_first": True}),
    ],
)
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 3)])
def test_recurrent_modules_are_what_pytorch_runs(
    kind: str, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    model = getattr(nn, kind)(3, 4, **options).double()
    x = torch.randn(shape, dtype=torch.float64)
    plain, ours = runs(model, x)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*runs(model, x, plain[1]))


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell"])
def test_cells_are_what_pytorch_runs(kind: str) -> None:
    model = getattr(nn, kind)(3, 4).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    plain, ours = runs(model, x)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*runs(model, x, plain))


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"add_bias_kv": True, "add_zero_attn": True}, {"kdim": 5}]
)
def test_attention_is_what_pytorch_runs(options: dict[str, Any]) -> None:
    model = self_attention(**options)
    query = torch.randn(2, 4, 6, dtype=torch.float64)
    key = torch.randn(2, 3, options.get("kdim", 6), dtype=torch.float64)
    value = torch.randn(2, 3, 6, dtype=torch.float64)
    padding = torch.tensor([[False, False, True], [False, False, False]])
    torch.testing.assert_close(*runs(model, query, key, value, key_padding_mask=padding))


def test_transformer_layer_is_what_pytorch_runs() -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).double()
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(*runs(model, x))
    assert len(neural_feature_correlation(model, x)) == 12


def test_conv1d_of_transformers_is_a_map() -> None:
    class Conv1D(nn.Module):
        def __init__(self, nf: int, nx: int) -> None:
            super().__init__()
            self.nf = nf
            self.weight = nn.Parameter(torch.randn(nx, nf))

        def forward(self, x: Any) -> Any:
            return x @ self.weight

    model = Conv1D(4, 3)
    logits = nn.Sequential(model, nn.Tanh())

    class Lm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = logits

        def forward(self, input_ids: Any, scale: Any) -> Any:
            return SimpleNamespace(logits=self.inner(input_ids * scale[:, None]))

    lm = Lm()
    X = torch.randn(6, 3)
    torch.testing.assert_close(nfm(model), (model.weight @ model.weight.T).detach())
    batch = {"input_ids": X, "scale": torch.ones(6)}
    torch.testing.assert_close(agop(lm, "inner.0", batch), agop(logits, "0", X))
    assert list(neural_feature_correlation(lm, batch)) == ["inner.0"]


def test_correlation_is_the_cosine_of_the_matrices() -> None:
    model = mlp(6, 9, 4, 3)
    X = torch.randn(20, 6, dtype=torch.float64)
    found = neural_feature_correlation(model, X, batch_size=7)
    halves = neural_feature_correlation(model, X, power=0.5, layers=[model[2]])
    assert list(found) == ["0", "2", "4"]
    assert list(halves) == ["2"]
    F, G = nfm(model[2]).numpy(), agop(model, "2", X).numpy()
    expected = np.vdot(F, G) / np.linalg.norm(F) / np.linalg.norm(G)
    assert found["2"] == pytest.approx(expected, rel=1e-12)
    values, vectors = np.linalg.eigh(G)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    expected = np.vdot(F, root) / np.linalg.norm(F) / np.linalg.norm(root)
    assert halves["2"] == pytest.approx(expected, rel=1e-9)


def test_random_mixtures_have_the_exact_mean_and_repeat() -> None:
    model = mlp(4, 6, 8)
    X = torch.randn(200, 4, dtype=torch.float64)
    exact = agop(model, "0", X)
    some = agop(model, "0", X, output_samples=3, random_state=0)
    assert_close(some, agop(model, "0", X, output_samples=3, random_state=0))
    assert not torch.allclose(some, exact)
    many = [agop(model, "0", X, output_samples=3, random_state=seed) for seed in range(60)]
    # The mean of 60 has about an eighth of one estimate's error.
    error = torch.stack(many).mean(0) - exact
    assert error.norm() < (some - exact).norm() / 2
    assert error.norm() < 0.02 * exact.norm()
    assert_close(agop(model, "0", X, output_samples=8), exact)


def test_modes_gradients_and_batches_of_a_loader() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    model[2].eval()
    frozen = [parameter.clone() for parameter in model.parameters()]
    X = np.random.default_rng(0).normal(size=(10, 3))  # float64; the model has float32
    whole = agop(model, "0", X)
    assert whole.dtype == torch.float32
    assert [module.training for module in model] == [True, True, False, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(frozen, model.parameters(), strict=True))
    dataset = torch.utils.data.TensorDataset(torch.tensor(X), torch.zeros(10))
    loader = torch.utils.data.DataLoader(dataset, batch_size=3)
    torch.testing.assert_close(agop(model, "0", loader), whole)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    torch.testing.assert_close(agop(model, "0", X), whole)


def test_output_chooses_what_counts() -> None:
    model = mlp(3, 4, 2)
    X = torch.randn(5, 3, dtype=torch.float64)
    first = agop(model, "0", X, output=lambda y: y[:, 0])
    second = agop(model, "0", X, output=lambda y: y[:, 1])
    assert_close(first + second, agop(model, "0", X))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m, X: agop(m, "9", X), ValueError, "layer '9' is no linear map of model; name one"),
        (lambda m, X: agop(m, nn.Linear(1, 1), X), ValueError, "a Linear, is no module of model"),
        (lambda m, X: agop(m, 0, X), TypeError, "layer must be a module or a name; got int"),
        (lambda m, X: agop(len, "0", X), TypeError, "model must be a torch.nn.Module; got builtin"),
        (lambda m, X: agop(nn.Tanh(), "0", X), ValueError, "model has no linear map; those known"),
        (lambda m, X: agop(m, "0", X[:0]), ValueError, "data has no examples"),
        (lambda m, X: agop(m, "0", 3), TypeError, "data must be an array, a tensor"),
        (
            lambda m, X: agop(m, "0", ["a"]),
            TypeError,
            "a batch must be an array or a tensor; got s",
        ),
        (lambda m, X: agop(m, "0", X, batch_size=0), ValueError, "batch_size == 0, must be >= 1"),
        (lambda m, X: agop(m, "0", X, output_samples=0), ValueError, "output_samples must be at"),
        (
            lambda m, X: agop(m, "0", X, output=len),
            TypeError,
            "output must return a tensor; got int",
        ),
        (
            lambda m, X: agop(m, "0", X, output=lambda y: y.T),
            ValueError,
            r"have the 5 examples of a batch along their first axis; got shape \(2, 5\)",
        ),
        (
            lambda m, X: neural_feature_correlation(m, X, power=0),
            ValueError,
            "power must be",
        ),
        (lambda m, X: nfm(3), TypeError, "layer must be a module or its weight; got int"),
        (lambda m, X: nfm(nn.Tanh()), ValueError, "Tanh is no linear map; those known are of nn.L"),
        (lambda m, X: nfm(nn.GRU(2, 2)), ValueError, "GRU has several linear maps; give one of we"),
        (lambda m, X: nfm(torch.ones(3)), ValueError, r"2 or more axes; got shape \(3,\)"),
        (
            lambda m, X: agop(nn.Sequential(nn.GRU(3, 2)), "0", X),
            ValueError,
            "layer '0' has several linear maps; name one of '0.weight_ih_l0', '0.weight_hh_l0'",
        ),
    ],
)
def test_wrong_input(call: Callable[..., Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(mlp(3, 4, 2), torch.randn(5, 3, dtype=torch.float64))


def test_packed_sequences_are_refused() -> None:
    class Packs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(3, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, [4] * len(x), batch_first=True)
            return self.rnn(packed)[1][0]

    message = "takes sequences as padded tensors; a RNN of the model was called with PackedSequence"
    with pytest.raises(TypeError, match=message):
        agop(Packs(), "rnn.weight_ih_l0", torch.randn(2, 4, 3))


def test_fastrfm_does_not_import_torch() -> None:
    code = "import sys, fastrfm; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
