"""Norms against their formulas in numpy, and what is kept of the training graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from makedo.nn.norms import NORMS, Statistic, build_norm, measured

N, WIDTH = 23, 6
OVER_ROWS = ["batch", "pair", "mean", "group"]  # take statistics over the rows


def rows(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, WIDTH)) * [1, 2, 3, 1, 1, 5] + 2)  # float64


def norm(name, seed=0):
    """A norm whose parameters are not those that it starts from."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = build_norm(name, WIDTH).double()
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter)
    return made


def formula(name, made, x):
    """The definition, one group after the other where there are groups."""
    p = {key: value.detach().numpy() for key, value in made.named_parameters()}
    if name == "batch":
        return p["gamma"] * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + p["beta"]
    if name == "pair":
        centered = x - x.mean(0)
        return centered / np.sqrt(1e-6 + (np.linalg.norm(centered, axis=1) ** 2).mean())
    if name == "node":
        return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    if name == "mean":
        return x - x.mean(0)
    s = np.exp(x @ p["assign.weight"].T + p["assign.bias"])
    s /= s.sum(1, keepdims=True)
    total = np.zeros_like(x)
    for g in range(s.shape[1]):
        gated = s[:, [g]] * x
        standard = (gated - gated.mean(0)) / np.sqrt(gated.var(0) + 1e-5)
        total += p["gamma"][g] * standard + p["beta"][g]
    return x + 0.01 * total


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_is_its_formula(name):
    made, x = norm(name), rows()
    wanted = formula(name, made, x.numpy())
    np.testing.assert_allclose(made(x).detach(), wanted, rtol=1e-9, atol=1e-9)
    assert np.abs(wanted - x.numpy()).max() > 0.1
    np.testing.assert_allclose(measured(made, lambda: made(x)), wanted, rtol=1e-9, atol=1e-9)


def test_batch_and_node_norm_are_torch_s():
    x = rows()
    theirs = torch.nn.BatchNorm1d(WIDTH).double()
    torch.testing.assert_close(build_norm("batch", WIDTH).double()(x), theirs(x))
    layer = torch.nn.LayerNorm(WIDTH, elementwise_affine=False).double()
    torch.testing.assert_close(build_norm("node", WIDTH)(x), layer(x))


def test_no_norm_changes_nothing():
    assert torch.equal(build_norm(None, WIDTH)(rows()), rows())


@pytest.mark.parametrize("name", NORMS)
def test_in_eval_mode_an_answer_does_not_depend_on_the_other_rows(name):
    made, x = norm(name), rows()
    whole = measured(made, lambda: made(x))
    assert not made.training
    other = torch.cat([x[4:5], 100 * rows(3, seed=1)])
    for asked in (x[4:5], other):
        torch.testing.assert_close(made(asked)[0], whole[4], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", OVER_ROWS)
def test_statistics_are_kept_in_the_state_and_only_measuring_changes_them(name):
    made, fresh, x = norm(name), norm(name, seed=7), rows()
    wanted = measured(made, lambda: made(x))
    made.train()
    made(rows(seed=2))  # a training step
    made.eval()
    made(rows(seed=3))
    fresh.load_state_dict(made.state_dict())
    assert torch.equal(fresh.eval()(x), wanted)


def test_measuring_ends_when_the_forward_pass_fails():
    made = norm("pair")
    with pytest.raises(ZeroDivisionError):
        measured(made, lambda: 1 / 0)
    assert not any(part.measuring for part in made.modules() if isinstance(part, Statistic))


@pytest.mark.parametrize("name", NORMS)
def test_gradients_are_those_of_finite_differences(name):
    made, x = norm(name), rows(7).requires_grad_()
    assert torch.autograd.gradcheck(made, (x,), atol=1e-6)
