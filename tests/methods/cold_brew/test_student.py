"""The look-up and both parts of the student against naive loops and limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import makedo.methods.cold_brew.student as student_module
from makedo.core.training import Training
from makedo.methods.cold_brew.routing import hide_half
from makedo.methods.cold_brew.student import (
    Bank,
    column_scale,
    nearest_in_bank,
    part1_phase,
    virtual_embedding,
)
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP, mlp_phase

SCORES = ["cosine", "dot"]


@pytest.fixture
def values():
    return torch.randn(13, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def queries():
    return torch.randn(7, 4, generator=torch.Generator().manual_seed(1))


def bank_of(values, score="cosine"):
    return Bank(torch.arange(len(values)), values, score)


def naive(e_hat, values, K, temperature, score, own=None):
    """One query at a time: full sort, softmax over the K best."""
    result = []
    for i, query in enumerate(e_hat.double().numpy()):
        keys = values.double().numpy()
        s = keys @ query
        if score == "cosine":
            s = s / np.linalg.norm(keys, axis=1) / np.linalg.norm(query)
        if own is not None and own[i] >= 0:
            s[own[i]] = -np.inf
        best = np.argsort(-s)[:K]
        w = np.exp((s[best] - s[best].max()) / temperature)
        result.append(((w / w.sum()) @ values.double().numpy()[best], best))
    return np.array([e for e, _ in result]), [list(b) for _, b in result]


# --- top-K attention (spec 9.5) ------------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("K", [1, 4, 13])
@pytest.mark.parametrize("exclude", [False, True])
def test_the_blocked_look_up_is_the_naive_loop(
    values, queries, score, block, K, exclude, monkeypatch
):
    monkeypatch.setattr(student_module, "BLOCK", block)
    own = torch.tensor([3, -1, 0, 12, -1, 3, 7]) if exclude else None
    K = min(K, 12) if exclude else K
    bank = bank_of(values, score)
    index, weight = nearest_in_bank(queries, bank, K, 0.3, own)
    expected, best = naive(queries, values, K, 0.3, score, own)
    assert index.tolist() == best
    np.testing.assert_allclose(virtual_embedding(bank, index, weight), expected, atol=1e-5)
    np.testing.assert_allclose(weight.sum(1), 1, atol=1e-6)
    assert (weight[:, :-1] >= weight[:, 1:]).all()


@pytest.mark.parametrize("score", SCORES)
def test_with_all_neighbours_it_is_plain_attention(values, queries, score):
    bank = bank_of(values, score)
    index, weight = nearest_in_bank(queries, bank, 13, 0.2)
    keys, query = (
        (F.normalize(values), F.normalize(queries)) if score == "cosine" else (values, queries)
    )
    expected = (query @ keys.T / 0.2).softmax(1) @ values
    torch.testing.assert_close(virtual_embedding(bank, index, weight), expected)
    more = nearest_in_bank(queries, bank, 500, 0.2)  # there are no more
    assert torch.equal(more[0], index)


@pytest.mark.parametrize("score", SCORES)
def test_one_neighbour_is_the_nearest_and_so_is_a_cold_attention(values, queries, score):
    bank = bank_of(values, score)
    one = virtual_embedding(bank, *nearest_in_bank(queries, bank, 1, 5.0))
    cold = virtual_embedding(bank, *nearest_in_bank(queries, bank, 6, 1e-4))
    assert all(any(torch.equal(row, known) for known in values) for row in one)
    torch.testing.assert_close(one, cold, atol=1e-4, rtol=1e-4)


def test_a_node_is_never_its_own_neighbour_where_it_is_excluded(values):
    own = torch.arange(13)
    index, weight = nearest_in_bank(values, bank_of(values), 12, 0.1, own)
    assert not (index == own[:, None]).any() and torch.isfinite(weight).all()
    with_self, _ = nearest_in_bank(values, bank_of(values), 1, 0.1)
    assert with_self.squeeze(1).tolist() == own.tolist()


def test_the_order_of_the_bank_does_not_matter(values, queries):
    order = torch.randperm(13, generator=torch.Generator().manual_seed(2))
    results = [
        virtual_embedding(bank, *nearest_in_bank(queries, bank, 5, 0.1))
        for bank in (bank_of(values), bank_of(values[order]))
    ]
    torch.testing.assert_close(*results)


def test_the_cosine_does_not_see_the_length_of_a_query(values, queries):
    bank = bank_of(values)
    results = [nearest_in_bank(scale * queries, bank, 5, 0.1) for scale in (0.01, 100.0)]
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


@pytest.mark.parametrize("score", SCORES)
def test_the_scale_of_a_column_is_undone(values, queries, score):
    """Layers of any scale and offset make the same standardised bank."""
    factor, offset = torch.tensor([1e3, 1e-3, 1.0, 7.0]), torch.tensor([5.0, 0.0, -3.0, 0.1])
    banks = []
    for embedding in (values, values * factor + offset):
        mean, scale = column_scale(embedding)
        banks.append(bank_of((embedding - mean) / scale, score))
    results = [virtual_embedding(b, *nearest_in_bank(queries, b, 5, 0.1)) for b in banks]
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(banks[0].values.mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(banks[0].values.std(0, correction=0), torch.ones(4))


def test_a_constant_column_of_the_bank_becomes_zero(values):
    embedding = torch.cat([values, torch.full((13, 1), 3.25)], 1)
    mean, scale = column_scale(embedding)
    standard = (embedding - mean) / scale
    assert (standard[:, 4] == 0).all() and torch.isfinite(standard).all()


@pytest.mark.parametrize("score", ["cosine"])
def test_a_perfect_guess_with_one_neighbour_finds_itself(values, score):
    """Spec 9.6: part 1 an oracle, K = 1, no exclusion: the virtual embedding is the bank."""
    bank = bank_of(values, score)
    assert torch.equal(virtual_embedding(bank, *nearest_in_bank(values, bank, 1, 0.1)), values)


# --- part 1 and part 2 ---------------------------------------------------------------------------


def run(phase):
    with Training("Test", random_state=0) as training:
        training.run(phase)
    return training.history


def mlp(n_extra=0, seed=0, n_outputs=2, dropout=0.3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FeatureMLP(3, n_extra, 8, n_outputs, dropout=dropout)


STUDENT = {
    "learning_rate": 0.02,
    "weight_decay": 1e-3,
    "max_epochs": 25,
    "patience": None,
    "batch_size": 8,
}


def test_part_1_learns_the_bank_rows_of_its_nodes_and_no_others(values):
    X = torch.randn(20, 3, generator=torch.Generator().manual_seed(3))
    rows = torch.tensor([2, 5, 7, 11, 13, 17])
    nets = []
    for noise in (0.0, 100.0):  # what stands in other rows of X does not matter
        net, x = mlp(n_outputs=4, dropout=0.0), X.clone()
        x[[0, 1, 3]] += noise
        target = torch.stack([X[rows].sum(1), X[rows][:, 0], X[rows][:, 1], -X[rows].sum(1)], 1)
        none = torch.empty(0, dtype=torch.int64)
        history = run(
            part1_phase(
                net, Features(x), rows, target, none, target[:0], **STUDENT | {"max_epochs": 200}
            )
        )
        assert history[-1]["loss"] < 0.1 * history[0]["loss"]
        nets.append(net)
    assert all(
        torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    )


@pytest.mark.parametrize("distill", [1.0, 0.4, 0.0])
def test_with_nothing_beside_the_features_part_2_is_the_distilled_mlp(distill):
    """Spec 9.14: same teacher, same nodes, same weights of the feature part, zeros beside it."""
    rng = np.random.default_rng(0)
    X = Features(torch.from_numpy(rng.normal(size=(40, 3)).astype(np.float32)))
    y, train, valid = torch.arange(40) % 2, torch.arange(10), torch.arange(10, 20)
    soft = torch.from_numpy(rng.dirichlet([1, 1], 40).astype(np.float32))
    glnn, part2 = mlp(), mlp(n_extra=6, seed=1)
    part2.load_state_dict({**part2.state_dict(), **glnn.state_dict()})
    for net, extra in ((glnn, None), (part2, torch.zeros(40, 6))):
        run(
            mlp_phase(
                "same",
                net,
                X,
                y,
                train,
                valid,
                extra=extra,
                soft=soft,
                soft_rows=torch.arange(15, 40),
                distill=distill,
                **STUDENT,
            )
        )
    with torch.no_grad():
        torch.testing.assert_close(glnn(X), part2(X, torch.zeros(40, 6)), atol=1e-5, rtol=1e-4)


def test_soft_labels_alone_teach_the_teacher_s_answer():
    X = Features(torch.randn(60, 3, generator=torch.Generator().manual_seed(5)))
    soft = (4 * X.values[:, :2]).softmax(1)
    wrong = 1 - soft.argmax(1)  # hard labels say the opposite; with distill=1 they have no weight
    net = mlp(dropout=0.0)
    none = torch.empty(0, dtype=torch.int64)
    run(
        mlp_phase(
            "p",
            net,
            X,
            wrong,
            torch.arange(60),
            none,
            soft=soft,
            soft_rows=torch.arange(60),
            distill=1.0,
            **STUDENT | {"max_epochs": 60},
        )
    )
    with torch.no_grad():
        assert float((net(X).argmax(1) == soft.argmax(1)).float().mean()) > 0.9


# --- who serves ----------------------------------------------------------------------------------


def test_half_of_the_linked_validation_nodes_lose_their_edges_and_the_lonely_have_none_to_lose():
    degree = np.array([0, 3, 1, 0, 2, 5, 1, 4])
    valid = np.array([0, 1, 2, 4, 5, 6])
    hidden, kept = hide_half(valid, degree, np.random.default_rng(0))
    assert (
        np.union1d(hidden, kept).tolist() == valid.tolist()
        and not np.intersect1d(hidden, kept).size
    )
    assert 0 in hidden and (degree[kept] > 0).all() and len(hidden) == 1 + 3
