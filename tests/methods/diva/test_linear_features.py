"""linear_features: what a network is linear in, checked against the network itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from makedo import DatasetDerivative
from makedo.core.checks import MakedoInputError
from makedo.methods.diva import linear_features, network_outputs


class Network(nn.Module):
    """A trunk with batch norm and dropout; the head is defined first and runs last."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.head = nn.Linear(6, n_outputs)
        self.trunk = nn.Sequential(
            nn.Linear(4, 8),
            nn.BatchNorm1d(8),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(8, 6),
            nn.Tanh(),
        )

    def forward(self, x):
        return self.head(self.trunk(x))


@pytest.fixture
def network():
    generator = torch.Generator().manual_seed(0)
    model = Network()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.5)
        model.trunk[1].running_mean.copy_(torch.randn(8, generator=generator))
    return model


@pytest.fixture
def x():
    return torch.randn(10, 4, generator=torch.Generator().manual_seed(1))


def loader(x, size=3, **more):
    return DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=size, **more)


def by_autograd(model, x, names):
    """The Jacobian row by row, (n, c, P)."""
    model = copy.deepcopy(model).eval()
    parameters = [dict(model.named_parameters())[name] for name in names]
    rows = []
    for one in x:
        out = model(one[None])[0]
        grads = [torch.autograd.grad(f, parameters, retain_graph=True) for f in out]
        rows.append(torch.stack([torch.cat([g.flatten() for g in each]) for each in grads]))
    return torch.stack(rows).numpy()


def test_activations_are_the_input_of_the_layer_that_runs_last(network, x):
    found = linear_features(network, loader(x))
    network.eval()
    expected = network.trunk(x).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32 and found.shape == (10, 6)
    W, b = (p.detach().numpy() for p in (network.head.weight, network.head.bias))
    outputs = network_outputs(network, loader(x))
    np.testing.assert_allclose(found @ W.T + b, outputs, atol=1e-5)


def test_a_layer_may_be_named(network, x):
    found = linear_features(network, loader(x), layer="trunk.4")
    expected = network.eval().trunk[:4](x).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_jacobian_of_a_linear_model_is_its_input(x):
    found = linear_features(nn.Linear(4, 1), loader(x), kind="last_k_jacobian")
    np.testing.assert_array_equal(found, np.hstack([x.numpy(), np.ones((10, 1), "float32")]))


@pytest.mark.parametrize("last_k, layers", [(1, ["trunk.4"]), (2, ["trunk.1", "trunk.4"])])
def test_the_jacobian_equals_autograd(network, x, last_k, layers):
    names = [n for n, _ in network.named_parameters() if n.rpartition(".")[0] in layers]
    J = by_autograd(network, x, names)
    settings = {"kind": "last_k_jacobian", "last_k": last_k}
    each = linear_features(network, loader(x), outputs="each", **settings)
    np.testing.assert_allclose(each, J.reshape(30, -1), atol=1e-5)
    summed = linear_features(network, loader(x), **settings)
    np.testing.assert_allclose(summed, J.sum(1) / np.sqrt(3), atol=1e-5)


def test_the_jacobian_says_what_a_small_step_does(network, x):
    J = linear_features(network, x, kind="last_k_jacobian", last_k=4, outputs="each")
    before = network_outputs(network, x)
    moved = copy.deepcopy(network).double()
    step = 1e-5 * np.random.default_rng(0).normal(size=J.shape[1])
    start = 0
    with torch.no_grad():
        for p in moved.parameters():
            p += torch.from_numpy(step[start : start + p.numel()].reshape(p.shape))
            start += p.numel()
    after = moved.eval()(x.double()).detach().numpy()
    there = copy.deepcopy(network).double().eval()(x.double()).detach().numpy()
    assert start == J.shape[1]
    np.testing.assert_allclose((J @ step).reshape(10, 3), after - there, atol=1e-8)
    np.testing.assert_allclose(before, there, atol=1e-5)


def test_projections_keep_inner_products(network, x):
    J = by_autograd(network, x, [n for n, _ in network.named_parameters()]).sum(1) / np.sqrt(3)
    settings = {"kind": "projected_gradients", "n_projections": 4096}
    Z = linear_features(network, loader(x), **settings)
    assert Z.shape == (10, 4096)
    length = np.linalg.norm(J, axis=1)
    error = np.abs(Z @ Z.T - J @ J.T) / np.outer(length, length)
    assert error.max() < 5 * np.sqrt(2 / 4096)  # five standard deviations at most
    same = linear_features(network, loader(x, size=10), **settings)
    np.testing.assert_allclose(Z, same, atol=1e-5)
    other = linear_features(network, loader(x), random_state=1, **settings)
    assert np.abs(Z - other).max() > 0.1


def test_projections_are_the_same_a_part_at_a_time(network, x, monkeypatch):
    from makedo.methods.diva import linearise

    J = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(linearise, "CHUNK", 8 * 16)  # parts of 8 columns
    parts = linearise.project(J, 16, 0)
    rows = torch.cat([linearise.project(one[None], 16, 0) for one in torch.eye(40)])
    np.testing.assert_allclose(parts, J @ rows, atol=1e-5)
    assert torch.allclose(rows.abs(), torch.full((40, 16), 0.25))


@pytest.mark.parametrize("outputs", ["sum", "each"])
def test_features_of_the_kernel_have_its_inner_products(network, x, outputs):
    Z = linear_features(network, loader(x), kind="ntk", outputs=outputs)
    J = by_autograd(network, x, [n for n, _ in network.named_parameters()])
    J = J.reshape(30, -1) if outputs == "each" else J.sum(1) / np.sqrt(3)
    np.testing.assert_allclose(Z @ Z.T, J @ J.T, atol=1e-4 * np.abs(J @ J.T).max())
    assert Z.shape[1] <= len(J)


def test_the_head_learns_what_the_network_lacks(network, x):
    """With Y − f(x; w₀) as targets, and the Jacobian: the linear network, by its closed form."""
    J = linear_features(network, x, kind="last_k_jacobian", last_k=4, outputs="each")
    f = network_outputs(network, x)
    Y = np.eye(3)[np.arange(10) % 3]
    residual = (Y - f).ravel()
    head = DatasetDerivative(penalty=0.5, fit_intercept=False, scale=None, targets="values")
    head.fit(J, residual, groups=np.repeat(np.arange(10), 3))
    w = np.linalg.solve(J.T @ J + 0.5 * np.eye(J.shape[1]), J.T @ residual)
    np.testing.assert_allclose(head.coef_[0], w, atol=1e-4)
    left = (residual - head.predict(J)) ** 2
    assert left.mean() < 0.5 * (residual**2).mean()


@pytest.mark.parametrize("kind", ["activations", "last_k_jacobian", "projected_gradients", "ntk"])
def test_the_model_is_as_it_was(network, x, kind):
    network.train()
    network.trunk[1].eval()  # some parts are meant to stay in eval mode
    modes = [part.training for part in network.modules()]
    before = copy.deepcopy(network.state_dict())
    for p in network.head.parameters():
        p.requires_grad_(False)
    state = torch.random.get_rng_state()
    linear_features(network, loader(x), kind=kind)
    assert [part.training for part in network.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert [p.requires_grad for p in network.parameters()].count(False) == 2
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_failing_network_is_as_it_was(network):
    network.train()
    with pytest.raises(RuntimeError):
        linear_features(network, torch.ones(2, 5))
    assert network.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def test_double_precision_is_kept_inside(network, x):
    single = linear_features(network, loader(x))
    double = linear_features(network.double(), loader(x.double()))
    assert double.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=1e-6)
    assert next(network.parameters()).dtype == torch.float64


def test_batches_may_be_dictionaries(x):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 2)

        def forward(self, values):
            return self.inner(values)

    batches = [{"values": part, "labels": torch.zeros(len(part))} for part in x.split(4)]
    np.testing.assert_array_equal(linear_features(Named(), batches), x.numpy())


@pytest.mark.parametrize("kind", ["activations", "last_k_jacobian", "ntk"])
def test_a_loader_that_can_be_read_once_loses_no_batch(network, x, kind):
    once = linear_features(network, (part for part in x.split(3)), kind=kind)
    np.testing.assert_allclose(once, linear_features(network, list(x.split(3)), kind=kind))
    assert len(once) == 10


def test_what_is_refused(network, x):
    with pytest.raises(MakedoInputError, match=r"random order.*shuffle=False"):
        linear_features(network, loader(x, shuffle=True))
    with pytest.raises(MakedoInputError, match="no layer 'tail'. It has 'head', 'trunk'"):
        linear_features(network, loader(x), layer="tail")
    with pytest.raises(MakedoInputError, match="No Linear layer|no Linear layer"):
        linear_features(nn.Sequential(nn.Conv1d(1, 2, 1)), torch.ones(2, 1, 4))
    with pytest.raises(MakedoInputError, match="gives no batch"):
        linear_features(network, [])
    with pytest.raises(MakedoInputError, match="kind must be one of 'activations'"):
        linear_features(network, loader(x), kind="gradients")
    with pytest.raises(MakedoInputError, match="last_k must be from 1 to 4"):
        linear_features(network, loader(x), kind="last_k_jacobian", last_k=5)
    twice = nn.Sequential(layer := nn.Linear(4, 4), nn.Tanh(), layer)
    with pytest.raises(MakedoInputError, match="'0' runs 2 times for a batch"):
        linear_features(twice, loader(x))
    with pytest.raises(MakedoInputError, match="5,001 rows are too many for kind='ntk'"):
        linear_features(network, torch.zeros(5001, 4), kind="ntk")
