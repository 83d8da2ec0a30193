"""The losses of the game by a second road: loops, closed forms, finite differences, limits."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from makedo.data.domains import DomainGraph
from makedo.methods.grda import embedding
from makedo.methods.grda.adversaries import (
    ConditionalAdversary,
    DomainAdversary,
    GraphAdversary,
    IndexAdversary,
    MarginAdversary,
    SourceAdversary,
    Step,
    graph_loss,
)
from makedo.methods.grda.embedding import (
    domain_index,
    embed_domains,
    spectral_embedding,
)


def random_graph(n, rng, chance=0.5):
    upper = np.triu(rng.random((n, n)) < chance, 1)
    return torch.from_numpy(upper | upper.T)


def by_loops(q, adjacency, self_pairs):
    """The same loss, ordered pair by ordered pair, row by row."""
    n, n_rows = q.shape[:2]
    edges, others = [], []
    for i, j in itertools.product(range(n), repeat=2):
        if i == j and self_pairs == "none":
            continue
        shift = int(i == j)  # never a row with itself
        logits = torch.stack([q[i, b] @ q[j, b - shift] for b in range(n_rows)])
        target = torch.full_like(logits, float(adjacency[i, j]))
        loss = functional.binary_cross_entropy_with_logits(logits, target)
        (edges if adjacency[i, j] else others).append(loss)
    mean = [torch.stack(side).mean() if side else torch.zeros(()) for side in (edges, others)]
    return sum(mean) / 2


@pytest.mark.parametrize("self_pairs", ["none", "negative"])
@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_the_graph_loss_equals_a_loop_over_pairs(n, self_pairs):
    rng = np.random.default_rng(n)
    adjacency = random_graph(n, rng)
    q = torch.from_numpy(rng.normal(size=(3, n, 5, 2)))
    found = graph_loss(q, adjacency, self_pairs)
    for one, loss in zip(q, found, strict=True):
        assert loss.item() == pytest.approx(by_loops(one, adjacency, self_pairs).item(), abs=1e-9)


def test_a_discriminator_that_says_nothing_loses_ln_2():
    adjacency = random_graph(5, np.random.default_rng(0))
    for self_pairs in ("none", "negative"):
        loss = graph_loss(torch.zeros(1, 5, 4, 3), adjacency, self_pairs)
        assert loss.item() == pytest.approx(np.log(2), abs=1e-7)


def test_gradients_of_the_graph_loss_are_right():
    adjacency = random_graph(4, np.random.default_rng(1))
    q = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    for self_pairs in ("none", "negative"):
        assert torch.autograd.gradcheck(lambda q, s=self_pairs: graph_loss(q, adjacency, s), q)


def test_self_pairs_never_compare_a_row_with_itself():
    q = torch.zeros(1, 2, 3, 2)
    q[0, 0, 0, 0] = 100.0  # its square would cost 10,000
    assert graph_loss(q, torch.tensor([[False, True], [True, False]]), "negative").item() < 1


def test_the_best_table_of_logits_is_the_log_ratio_of_edges_and_others():
    """Discriminator optimum: G = log(w1 / w0), found by descent on a free symmetric table."""
    rng = np.random.default_rng(0)
    n, m = 4, 3
    p = rng.dirichlet(np.ones(m), size=n)  # p(e | u)
    adjacency = random_graph(n, rng).numpy()
    w1, w0 = pair_weights(p, adjacency, self_pairs=True)
    free = torch.zeros(m, m, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=200, tolerance_grad=1e-12)
    first, second = torch.from_numpy(w1), torch.from_numpy(w0)

    def cost():
        optimizer.zero_grad()
        table = (free + free.T) / 2
        loss = (first * functional.softplus(-table) + second * functional.softplus(table)).sum()
        loss.backward()
        return loss

    optimizer.step(cost)
    best = ((free + free.T) / 2).detach().numpy()
    np.testing.assert_allclose(best, np.log(w1 / w0), atol=1e-4)


# --- the equilibrium on a finite alphabet, section 3 of the paper ---------------------------------


def pair_weights(p, adjacency, self_pairs):
    """How often symbols e, e' meet on an edge, and on other ordered pairs, both (m, m)."""
    n = len(p)
    pairs = [(i, j) for i in range(n) for j in range(n) if self_pairs or i != j]
    edges = [(i, j) for i, j in pairs if adjacency[i][j]]
    others = [(i, j) for i, j in pairs if not adjacency[i][j]]

    def weight(pairs):
        return sum(p[i][:, None] * p[j][None] for i, j in pairs) / max(len(pairs), 1)

    return weight(edges), weight(others)


def equilibrium(adjacency, self_pairs=True, m=3, seed=0):
    """The encoder's best p(e | u) against the best discriminator, by gradient ascent."""
    n = len(adjacency)
    generator = torch.Generator().manual_seed(seed)
    theta = 1.5 * torch.randn(n, m, generator=generator, dtype=torch.float64)
    theta.requires_grad_()
    ascent = torch.optim.LBFGS(
        [theta], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-16, history_size=50,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def value():
        w1, w0 = pair_weights(theta.softmax(1), adjacency, self_pairs)
        logits = torch.log(w1 / w0)  # the best discriminator
        return (w1 * functional.softplus(-logits) + w0 * functional.softplus(logits)).sum() / 2

    def cost():
        ascent.zero_grad()
        loss = -value()
        loss.backward()
        return loss

    ascent.step(cost)
    return theta.softmax(1).detach().numpy(), value().item()


def adjacency_of(n, edges):
    matrix = np.zeros((n, n), dtype=bool)
    for a, b in edges:
        matrix[a, b] = matrix[b, a] = True
    return matrix


def test_in_a_chain_the_middle_is_the_mean_of_its_ends_which_stay_apart():
    p, value = equilibrium(adjacency_of(3, [(0, 1), (1, 2)]))
    np.testing.assert_allclose(p[1], (p[0] + p[2]) / 2, atol=1e-3)
    assert np.abs(p[0] - p[2]).max() > 0.1 and value == pytest.approx(np.log(2), abs=1e-5)


def test_in_a_star_the_centre_is_the_mean_of_its_leaves():
    p, value = equilibrium(adjacency_of(4, [(0, 1), (0, 2), (0, 3)]))
    np.testing.assert_allclose(p[0], p[1:].mean(0), atol=2e-3)
    assert np.ptp(p[1:], axis=0).max() > 0.1 and value == pytest.approx(np.log(2), abs=1e-5)


def test_in_a_clique_all_domains_become_alike():
    p, _ = equilibrium(~np.eye(4, dtype=bool))
    assert np.ptp(p, axis=0).max() < 5e-3


def test_without_self_pairs_the_chain_collapses_to_one_distribution():
    p, _ = equilibrium(adjacency_of(3, [(0, 1), (1, 2)]), self_pairs=False)
    assert np.ptp(p, axis=0).max() < 5e-2


# --- the other adversaries ------------------------------------------------------------------------


def step_of(n_domains=3, n_rows=4, n_outputs=2, n_models=2):
    n = n_domains * n_rows
    source = torch.zeros(n_models, n, dtype=torch.bool)
    source[:, : 2 * n_rows] = True
    scores = torch.randn(n_models, n, n_outputs)
    adjacency = random_graph(n_domains, np.random.default_rng(0))
    return Step(torch.arange(n_domains), adjacency, source, scores)


def adversaries(n_domains=3, n_outputs=2, n_models=2, width=8):
    return {
        "graph": GraphAdversary(n_models, width, 2, "default", True, "none"),
        "dann": DomainAdversary(n_models, width, n_domains, "default"),
        "cdann": ConditionalAdversary(n_models, width, n_domains, n_outputs, "default"),
        "cida": IndexAdversary(n_models, width, torch.randn(n_domains, 2), "default"),
        "adda": SourceAdversary(n_models, width, "default"),
        "mdd": MarginAdversary(n_models, width, n_outputs, "default", True),
    }


@pytest.mark.parametrize("name", adversaries())
def test_models_of_a_team_do_not_touch_each_other(name):
    torch.manual_seed(0)
    adversary, step = adversaries()[name], step_of()
    e = torch.randn(2, 12, 8, requires_grad=True)
    adversary.discriminator_loss(e, step)[0].backward()
    assert e.grad[0].abs().sum() > 0 and e.grad[1].abs().sum() == 0
    for parameter in adversary.parameters():
        if parameter.grad is not None:
            assert parameter.grad[1].abs().sum() == 0


@pytest.mark.parametrize("name", ["graph", "dann", "cdann", "cida", "mdd"])
def test_the_encoder_wants_the_opposite_of_the_discriminator(name):
    torch.manual_seed(0)
    adversary, step = adversaries()[name], step_of()
    e = torch.randn(2, 12, 8)
    mine, theirs = adversary.encoder_loss(e, step), adversary.discriminator_loss(e, step)
    torch.testing.assert_close(mine, -theirs)


def test_a_domain_adversary_that_says_nothing_loses_the_logarithm_of_the_number():
    adversary, step = adversaries()["dann"], step_of()
    for parameter in adversary.parameters():
        torch.nn.init.zeros_(parameter)
    loss = adversary.discriminator_loss(torch.randn(2, 12, 8), step)
    np.testing.assert_allclose(loss.detach(), np.log(3), rtol=1e-6)
    assert adversary.fair == pytest.approx(np.log(3))


def test_cida_regresses_the_index_of_each_rows_domain():
    torch.manual_seed(0)
    adversary, step = adversaries()["cida"], step_of()
    e = torch.randn(2, 12, 8)
    said, index = adversary.net(e).detach().numpy(), adversary.index.numpy()
    for model, loss in enumerate(adversary.discriminator_loss(e, step)):
        errors = [((said[model, b] - index[b // 4]) ** 2).mean() for b in range(12)]
        assert loss.item() == pytest.approx(np.mean(errors), rel=1e-5)


def test_an_index_is_the_embedding_or_else_the_spectral_one_and_a_blind_guess_of_it_loses_1():
    graph = DomainGraph.from_chain(range(9))
    z = np.random.default_rng(0).normal(3.0, 5.0, size=(9, 2)).astype(np.float32)
    mine, none = domain_index(graph, z, 4), domain_index(graph, np.zeros((9, 1), np.float32), 4)
    np.testing.assert_allclose(mine, (z - z.mean(0)) / z.std(0), rtol=1e-5)
    for index in (mine, none):
        np.testing.assert_allclose((index**2).mean(), IndexAdversary.fair, rtol=1e-4)
    assert (np.diff(none[:, 0]) > 0).all() or (np.diff(none[:, 0]) < 0).all()  # along the chain


def test_adda_trains_the_encoder_on_targets_only():
    torch.manual_seed(0)
    adversary, step = adversaries()["adda"], step_of()
    e = torch.randn(2, 12, 8, requires_grad=True)
    adversary.encoder_loss(e, step).sum().backward()
    assert e.grad[:, :8].abs().sum() == 0 and (e.grad[:, 8:].abs().sum(2) > 0).all()


def test_mdd_rewards_disagreement_on_targets():
    torch.manual_seed(0)
    adversary = adversaries()["mdd"]
    e = torch.randn(2, 12, 8)
    agreeing = Step(step_of().domains, step_of().adjacency, step_of().source, adversary.net(e))
    differing = Step(
        agreeing.domains, agreeing.adjacency, agreeing.source,
        torch.where(agreeing.source[..., None], agreeing.scores, -agreeing.scores),
    )  # fmt: skip
    loss = [adversary.discriminator_loss(e, step).sum() for step in (agreeing, differing)]
    assert loss[1] < loss[0]


# --- embeddings -----------------------------------------------------------------------------------


def test_embeddings_are_those_of_autograd_and_adam_on_a_loop_over_pairs(monkeypatch):
    monkeypatch.setattr(embedding, "STEPS", 20)
    rng = np.random.default_rng(0)
    adjacency = random_graph(5, rng).float()
    start = torch.from_numpy(rng.normal(size=(5, 2))).float()
    z = start.clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=1e-2)
    for _ in range(20):
        losses = [
            functional.binary_cross_entropy_with_logits(z[i] @ z[j], adjacency[i, j])
            for i, j in itertools.combinations(range(5), 2)
        ]
        adam.zero_grad()
        torch.stack(losses).mean().backward()
        adam.step()
    ours = embedding.lower_loss(start, adjacency.numpy())
    torch.testing.assert_close(ours, z.detach(), rtol=1e-5, atol=1e-5)


def test_wide_embeddings_give_back_every_edge():
    graph = DomainGraph.from_edges([(0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (5, 0)])
    z = embed_domains(graph, "bce", 6, random_state=0)
    i, j = np.triu_indices(6, 1)
    assert (((z @ z.T)[i, j] > 0) == graph.adjacency[i, j]).all()


def test_spectral_embeddings_are_eigenvectors_of_a_fixed_sign():
    graph = DomainGraph.from_chain(range(7))
    z = spectral_embedding(graph, 2)
    laplacian = np.diag(graph.degree) - graph.adjacency
    values = 2 - 2 * np.cos(np.pi * np.arange(1, 3) / 7)  # of a path
    np.testing.assert_allclose(laplacian @ z, z * values, atol=1e-5)
    assert (z.max(0) >= np.abs(z).max(0) - 1e-5).all()
