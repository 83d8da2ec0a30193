"""Shapley and Banzhaf values against axioms, closed forms, brute force and other libraries."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from makedo.methods.trajectory import game


def table(n, seed=0, n_games=1):
    """Values of all coalitions of random games, (n_games, 2^n)."""
    return np.random.default_rng(seed).normal(size=(n_games, 2**n))


def called(v):
    """A table of values as a game that is called with coalitions."""
    n = int(np.log2(len(v)))
    return lambda S: v[S @ (1 << np.arange(n))]


def values_of(plan, v):
    return v[..., plan.coalitions @ (1 << np.arange(plan.coalitions.shape[1]))]


def by_permutations(v, n):
    """Shapley's own definition: the mean over all n! orders."""
    phi = np.zeros(n)
    for order in itertools.permutations(range(n)):
        S = 0
        for j in order:
            phi[j] += v[S | 1 << j] - v[S]
            S |= 1 << j
    return phi / math.factorial(n)


# --- exact values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 7))
def test_exact_values_are_the_mean_over_all_orders(n):
    for v in table(n, n, 3):
        phi, se = game.exact(n).solve(v)
        np.testing.assert_allclose(phi, by_permutations(v, n), atol=1e-12)
        assert (se == 0).all()


@pytest.mark.parametrize("index", game.INDICES)
@pytest.mark.parametrize("n", [1, 3, 6])
def test_the_matrix_of_weights_gives_the_same(n, index):
    v, plan = table(n, n, 3), game.exact(n, index)
    A = game.index_weights(index, n)
    np.testing.assert_allclose(plan.solve(values_of(plan, v))[0], v @ A.T, atol=1e-12)
    np.testing.assert_allclose(A.sum(1), 0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12])
def test_shapley_values_add_up_to_what_all_bring(n):
    v = table(n, n, 4)
    phi, _ = game.exact(n).solve(v)
    np.testing.assert_allclose(phi.sum(1), v[:, -1] - v[:, 0], atol=1e-12)


def test_players_that_do_the_same_get_the_same_and_one_that_does_nothing_gets_nothing():
    n = 6
    members = game.all_coalitions(n)
    size = np.random.default_rng(1).normal(size=(n + 1,))
    v = size[members[:, :4].sum(1)] + np.where(members[:, 4], 0.7, 0)  # 0..3 alike, 5 does nothing
    phi, _ = game.exact(n).solve(v)
    np.testing.assert_allclose(phi[:4], phi[0], atol=1e-12)
    assert abs(phi[4] - 0.7) < 1e-12 and phi[5] == 0
    for index in game.INDICES:
        assert game.exact(n, index).solve(values_of(game.exact(n, index), v))[0][5] == 0


@pytest.mark.parametrize("index", game.INDICES)
def test_values_are_linear_in_the_game(index):
    plan = game.exact(5, index)
    a, b = (values_of(plan, v) for v in table(5, 0, 2))
    both = plan.solve(2.5 * a - 3 * b)[0]
    np.testing.assert_allclose(both, 2.5 * plan.solve(a)[0] - 3 * plan.solve(b)[0], atol=1e-12)


def test_banzhaf_is_the_mean_over_all_coalitions_without_the_player():
    n, v = 5, table(5)[0]
    expected = [
        np.mean([v[S | 1 << j] - v[S] for S in range(2**n) if not S >> j & 1]) for j in range(n)
    ]
    np.testing.assert_allclose(game.exact(n, "banzhaf").solve(v)[0], expected, atol=1e-12)


def test_leaving_out_and_coming_first_need_n_plus_three_coalitions():
    n, v = 8, table(8)[0]
    every = 2**n - 1
    for index, expected in (
        ("loo", [v[every] - v[every ^ 1 << j] for j in range(n)]),
        ("first", [v[1 << j] - v[0] for j in range(n)]),
    ):
        plan = game.exact(n, index)
        assert len(plan) == n + 3
        np.testing.assert_allclose(plan.solve(values_of(plan, v))[0], expected, atol=1e-12)


# --- closed forms ---------------------------------------------------------------------------------


def additive(w):
    return lambda S: S @ w


def pairwise(w, W):
    return lambda S: S @ w + np.einsum("ci,ij,cj->c", S, np.triu(W, 1), S)


def test_of_an_additive_game_each_value_is_the_player_s_own_weight():
    w = np.random.default_rng(0).normal(size=7)
    for index in game.INDICES:
        phi, _ = game.shapley_of(additive(w), 7, index=index)
        np.testing.assert_allclose(phi, w, atol=1e-12)


def test_of_a_pairwise_game_each_pair_is_shared_by_halves_and_one_pair_of_orders_is_exact():
    rng, n = np.random.default_rng(0), 7
    w, W = rng.normal(size=n), rng.normal(size=(n, n))
    both = np.triu(W, 1) + np.triu(W, 1).T
    expected = w + 0.5 * both.sum(1)
    for index in ("shapley", "banzhaf"):
        phi, _ = game.shapley_of(pairwise(w, W), n, index=index)
        np.testing.assert_allclose(phi, expected, atol=1e-12)
    one = game.permutations(n, 1, rng)
    phi, se = one.solve(pairwise(w, W)(one.coalitions))
    np.testing.assert_allclose(phi, expected, atol=1e-12)
    assert np.isnan(se).all() and len(one) <= 2 * (n - 1) + 4


def test_three_that_only_work_together_get_a_third_by_shapley_and_a_quarter_by_banzhaf():
    def v(S):
        return S.all(1).astype(float)

    np.testing.assert_allclose(game.shapley_of(v, 3)[0], 1 / 3, atol=1e-12)
    banzhaf = game.shapley_of(v, 3, index="banzhaf")[0]
    np.testing.assert_allclose(banzhaf, 1 / 4, atol=1e-12)
    assert abs(banzhaf.sum() - 0.75) < 1e-12


def test_the_interaction_index_of_a_pairwise_game_is_the_pair_s_weight():
    rng, n = np.random.default_rng(0), 5
    w, W = rng.normal(size=n), rng.normal(size=(n, n))
    v = pairwise(w, W)(game.all_coalitions(n))
    for i, j in itertools.combinations(range(n), 2):
        assert abs(game.interaction_weights(n, i, j) @ v - W[i, j]) < 1e-12
    assert abs(game.interaction_weights(3, 0, 1) @ game.all_coalitions(3).all(1) - 0.5) < 1e-12


def test_the_headline_of_two_players_is_the_exact_value_of_that_game():
    v = table(2, 3, 5)
    found = game.two_players(v)
    phi, _ = game.exact(2).solve(v)
    np.testing.assert_allclose(found["past"], phi[:, 0], atol=1e-12)
    np.testing.assert_allclose(found["neighbors"], phi[:, 1], atol=1e-12)
    np.testing.assert_allclose(found["interaction"], v @ game.interaction_weights(2, 0, 1))


# --- sampling -------------------------------------------------------------------------------------


def runs(make, v, n_runs=2000):
    """φ and se of many runs, (n_runs, n)."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n_runs):
        plan = make(rng)
        found.append(plan.solve(values_of(plan, v)))
    return (np.stack(part) for part in zip(*found, strict=True))


SAMPLERS = {
    "permutation": (game.permutations, 8, "shapley"),
    "two permutations": (game.permutations, 2, "shapley"),
    "stratified": (game.stratified, 8, "shapley"),
    "four stratified": (game.stratified, 4, "shapley"),
    "banzhaf": (game.banzhaf_sample, 10, "banzhaf"),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampled_values_are_unbiased_and_their_standard_error_is_their_spread(name):
    n, (make, n_samples, index) = 6, SAMPLERS[name]
    v = table(n, 2)[0]
    phi, se = runs(lambda rng: make(n, n_samples, rng), v)
    error = phi.std(0, ddof=1)
    exact = game.exact(n, index).solve(v)[0]
    assert (np.abs(phi.mean(0) - exact) < 3.5 * error / np.sqrt(len(phi))).all()
    np.testing.assert_allclose(np.sqrt((se**2).mean(0)), error, rtol=0.1)  # a wrong √2 is 40 %
    if n_samples > 2:  # an interval of so few samples needs Student's t
        half = stats.t.ppf(0.975, n_samples - 1) * se
        assert 0.93 < (np.abs(phi - exact) <= half).mean() < 0.97
        assert (np.abs(phi - exact) <= 1.96 * se).mean() < 0.93
    if name == "permutation":  # each pair of orders adds up
        np.testing.assert_allclose(phi.sum(1), v[-1] - v[0], atol=1e-12)


def test_the_kernel_estimate_adds_up_converges_and_is_exact_with_all_coalitions():
    n = 8
    v = table(n, 5)[0]
    exact = game.exact(n).solve(v)[0]
    spread = []
    for budget in (40, 80, 160, 254):
        phi, se = runs(lambda rng, b=budget: game.kernel(n, b, rng), v, 100)
        np.testing.assert_allclose(phi.sum(1), v[-1] - v[0], atol=1e-9)
        error = np.sqrt(((phi - exact) ** 2).mean())
        spread.append(error)
        if budget < 200:
            assert 0.75 < np.sqrt((se**2).mean()) / error < 1.5
    assert spread[0] > spread[1] > spread[2] > spread[3]
    everything = game.kernel(n, 2**n, np.random.default_rng(0))
    np.testing.assert_allclose(everything.solve(values_of(everything, v))[0], exact, atol=1e-10)
    order = [0, 2**n - 1, *range(1, 2**n - 1)]  # the least squares themselves, nothing sampled
    members = game.all_coalitions(n)[order]
    weights = [game._kernel_weight(n, s) if 0 < s < n else 0 for s in members.sum(1)]
    found = game._least_squares(members, np.array(weights)) @ v[order]
    np.testing.assert_allclose(found, exact, atol=1e-10)


@pytest.mark.parametrize("budget", [30, 40])  # all sizes sampled, or the smallest taken whole
def test_sampled_coalitions_have_on_average_the_weight_of_the_kernel(budget):
    n, rng, total = 6, np.random.default_rng(0), np.zeros(2**6)
    for _ in range(1000):
        masks, weights, _ = game._kernel_coalitions(n, budget, rng)
        np.add.at(total, masks, weights / 1000)
    size = game.all_coalitions(n).sum(1)
    for s in range(1, n):
        assert total[size == s].mean() == pytest.approx(game._kernel_weight(n, s), rel=0.04)
    assert total[0] == total[-1] == 0


def test_of_coalitions_that_are_all_drawn_alike_the_kernel_has_no_doubt():
    n, n_pairs = 6, 15  # groups of the jackknife with one pair and with two
    alone = game._of_size(n, 1)
    masks = np.concatenate([[0, 63], alone, np.full(n_pairs, 0b000011), np.full(n_pairs, 0b111100)])
    weights = np.full(len(masks), game._mass(n, np.array([2, 3])).sum() / (2 * n_pairs))
    weights[:2], weights[2 : 2 + len(alone)] = 0.0, game._kernel_weight(n, 1)
    of_pair = np.arange(n_pairs) % game.N_JACKKNIFE
    group = np.concatenate([np.full(2 + len(alone), -1), of_pair, of_pair])
    solver = game.Kernel(game._members(masks, n), weights, group, masks)
    np.testing.assert_allclose(solver(table(n, 2)[0])[1], 0, atol=1e-9)


def test_no_coalition_is_asked_for_twice_in_a_draw_and_the_ends_come_first_and_last():
    rng = np.random.default_rng(0)
    for plan in (
        game.permutations(5, 64, rng),
        game.banzhaf_sample(5, 30, rng),
        game.stratified(5, 9, rng),
        game.kernel(9, 100, rng),
        game.exact(4),
        game.repeated(game.exact(4), 3),
        game.repeated(game.kernel(9, 100, rng), 2),
    ):
        rows = np.column_stack([plan.noise, plan.coalitions])
        assert len(np.unique(rows, axis=0)) == len(plan)
        assert not plan.coalitions[0].any() and plan.coalitions[-1].all()
        assert (np.diff(plan.noise) >= 0).all()
        first, others = plan.coalitions[:, 0], plan.coalitions[:, 1:]
        for draw, four in enumerate(plan.four):  # nobody, the first, the others, everybody
            assert (plan.noise[four] == draw).all()
            assert first[four].tolist() == [False, True, False, True]
            assert others[four].all(1).tolist() == [False, False, True, True]
            assert others[four].any(1).tolist() == [False, False, True, True]
        assert len(plan.four) == plan.noise[-1] + 1
    pair = len(game.permutations(5, 64, rng)) / 64
    assert 2 * 4 + 2 <= pair <= 2 * 4 + 4


@pytest.mark.parametrize(
    ("n", "how", "expected"),
    [
        (10, {}, 1024),
        (10, {"budget": 512, "n_permutations": 4}, (2 * 9 + 4) * 4),
        (11, {"n_permutations": 3}, (2 * 10 + 4) * 3),
        (4, {"n_draws": 5}, 5 * 16),
        (12, {"estimator": "exact"}, 4096),
        (9, {"estimator": "kernel", "budget": 100, "n_draws": 3}, 3 * 100),
        (8, {"estimator": "stratified"}, 8 * 2 * 7 * 7),
        (12, {"index": "loo"}, 15),
    ],
)
def test_the_plan_is_exact_while_the_budget_has_room(n, how, expected):
    plan = game.plan(n, np.random.default_rng(0), **how)
    assert len(plan) <= expected and (len(plan) > 0.8 * expected)


# --- noise ----------------------------------------------------------------------------------------


def with_noise(plan, v, rng):
    """Values of a plan's coalitions, one of the games of v (n_games, 2^n) for each draw."""
    masks = plan.coalitions @ (1 << np.arange(plan.coalitions.shape[1]))
    return v[rng.integers(len(v), size=plan.noise[-1] + 1)[plan.noise], masks]


NOISY = {
    "permutation": lambda n, rng: game.permutations(n, 8, rng),
    "stratified": lambda n, rng: game.stratified(n, 8, rng),
    "exact": lambda n, rng: game.repeated(game.exact(n), 8),
    "kernel": lambda n, rng: game.repeated(game.kernel(n, 40, rng), 8),
}


@pytest.mark.parametrize("name", NOISY)
def test_of_a_random_game_the_value_is_that_of_its_mean_and_the_error_has_the_noise_in_it(name):
    n, rng = 6, np.random.default_rng(0)
    v = table(n, 3) + 2.0 * table(n, 4, 50)  # a game, and 50 draws of noise on its values
    solved = []
    for _ in range(1000):
        plan = NOISY[name](n, rng)
        solved.append(plan.solve(with_noise(plan, v, rng)))
    phi, se = (np.stack(part) for part in zip(*solved, strict=True))
    expected, error = game.exact(n).solve(v.mean(0))[0], phi.std(0, ddof=1)
    bias = 4 * error / np.sqrt(len(phi))
    high = 1.1
    if name == "kernel":  # a ratio: nearly unbiased; its jackknife sees some noise once more
        bias, high = bias + 0.1 * error, 1.6
    assert (np.abs(phi.mean(0) - expected) < bias).all()
    ratio = np.sqrt((se**2).mean(0)) / error
    assert (ratio > 0.9).all() and (ratio < high).all()


def test_a_draw_for_each_pair_divides_the_noise_and_keeps_a_pair_exact():
    rng, n = np.random.default_rng(0), 6
    W = rng.normal(size=(200, n, n))  # games of pairs: given the draw, one pair of orders is exact
    members = game.all_coalitions(n).astype(float)
    v = np.einsum("ci,dij,cj->dc", members, np.triu(W), members)
    of_one_draw = game.exact(n).solve(v)[0].std(0)
    found = []
    for _ in range(1000):
        plan = game.permutations(n, 10, rng)
        values = with_noise(plan, v, rng)
        found.append(plan.solve(values)[0])
        none, first, others, everybody = values[plan.four].mean(0)  # adds up over the draws
        assert abs(found[-1].sum() - (everybody - none)) < 1e-12
    np.testing.assert_allclose(np.std(found, axis=0), of_one_draw / np.sqrt(10), rtol=0.15)


# --- other libraries ------------------------------------------------------------------------------


def test_captum_finds_the_same():
    torch = pytest.importorskip("torch")
    attr = pytest.importorskip("captum.attr", reason="captum is not installed (extra bench)")
    n = 5
    v = table(n, 7)[0]

    def forward(x):  # 1 where a player is in
        S = (x > 0.5).numpy()
        return torch.tensor(called(v)(S))

    found = attr.ShapleyValues(forward).attribute(torch.ones(1, n), baselines=torch.zeros(1, n))
    np.testing.assert_allclose(found[0].numpy(), game.shapley_of(called(v), n)[0], atol=1e-6)


def test_shap_finds_the_same():
    shap = pytest.importorskip("shap", reason="shap is not installed (extra bench)")
    n = 5
    v = table(n, 7)[0]
    masker = shap.maskers.Independent(np.zeros((1, n)))
    explain = shap.explainers.Exact(lambda X: called(v)(X > 0.5), masker)
    found = explain(np.ones((1, n))).values[0]
    np.testing.assert_allclose(found, game.shapley_of(called(v), n)[0], atol=1e-6)
