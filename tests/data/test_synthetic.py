"""The block model: what was asked for is what was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data.synthetic import sbm_graph


@pytest.fixture(scope="module")
def large():
    return sbm_graph(40_000, 5, mean_degree=8, homophily=0.7, degree_exponent=2.5, random_state=1)


def share_inside(data):
    source, target = data.graph.edges().T
    return (data.y[source] == data.y[target]).mean()


def test_the_number_of_edges_and_the_share_inside_classes_are_exact(large):
    assert large.graph.n_edges == 160_000 and large.graph.degree.mean() == 8
    assert share_inside(large) == pytest.approx(0.7, abs=1e-9)


@pytest.mark.parametrize("homophily", [0.0, 1.0])
def test_edges_can_lie_only_inside_or_only_between_classes(homophily):
    assert share_inside(sbm_graph(500, 3, homophily=homophily)) == homophily


def test_edges_are_stored_both_ways_once_and_never_lead_from_a_node_to_itself(large):
    matrix = large.graph.to_scipy()
    matrix.check_format(full_check=True)
    assert abs(matrix - matrix.T).nnz == 0 and not matrix.diagonal().any()
    assert (matrix.data == 1).all() and matrix.has_canonical_format
    pairs = large.graph.edges()
    assert len(np.unique(pairs, axis=0)) == len(pairs)


@pytest.mark.parametrize("exponent", [2.3, 3.0])
def test_the_tail_of_the_degrees_has_the_exponent_asked_for(exponent):
    """Hill's estimate over the largest degrees below the cut-off."""
    data = sbm_graph(200_000, 2, mean_degree=10, degree_exponent=exponent, n_features=1)
    degree = np.sort(data.graph.degree)[::-1].astype(float)
    least, most = 40.0, 0.2 * degree[0]  # a power law on [least, most], cut off on both sides
    tail = degree[(degree >= least) & (degree <= most)]
    a = np.linspace(0.5, 4, 2000)  # exponent of 1 - F; likelihood of the truncated Pareto
    fit = len(tail) * (np.log(a) - np.log(least**-a - most**-a)) - (a + 1) * np.log(tail).sum()
    assert a[fit.argmax()] + 1 == pytest.approx(exponent, abs=0.15)


def test_an_infinite_exponent_is_the_plain_block_model_with_poisson_degrees():
    data = sbm_graph(50_000, 4, mean_degree=9, degree_exponent=np.inf, n_features=1)
    assert (data.propensity == 1).all()
    assert data.graph.degree.var() == pytest.approx(9, rel=0.05)


def test_expected_degrees_are_propensities_times_the_mean(large):
    groups = np.array_split(np.argsort(large.propensity), 20)
    degree = [large.graph.degree[nodes].mean() for nodes in groups]
    expected = [8 * large.propensity[nodes].mean() for nodes in groups]
    np.testing.assert_allclose(degree, expected, rtol=0.06)


def test_pairs_of_nodes_are_as_frequent_as_the_model_says():
    """All pairs of a few nodes over many draws, beside the formula of the docstring."""
    n, draws, found, expected = 12, 3000, np.zeros((12, 12)), np.zeros((12, 12))
    for seed in range(draws):
        data = sbm_graph(n, 2, mean_degree=0.4, homophily=0.5, n_features=1, random_state=seed)
        if len(np.unique(data.y)) < 2:
            continue
        theta, same = data.propensity, data.y[:, None] == data.y
        order = np.argsort(data.propensity)  # by rank: the nodes of every draw are comparable
        room = same.astype(float) @ theta
        for weight in (same * np.outer(theta, theta) / room, ~same * np.outer(theta, theta)):
            np.fill_diagonal(weight, 0)
            expected += (weight / weight.sum())[np.ix_(order, order)]
        found += data.graph.to_scipy().toarray()[np.ix_(order, order)]
    pairs = np.triu_indices(n, 1)
    got, want = found[pairs], 2 * expected[pairs]  # one edge of each kind, seen from two sides
    error = np.sqrt(want)
    assert (np.abs(got - want) < 4.5 * error + 0.03 * want).all()


def test_features_are_the_center_of_the_class_and_noise_of_variance_one(large):
    np.testing.assert_allclose(np.linalg.norm(large.centers, axis=1), 2.0, rtol=1e-5)
    for c in range(5):
        rows = large.X[large.y == c]
        np.testing.assert_allclose(rows.mean(0), large.centers[c], atol=5 / np.sqrt(len(rows)))
    noise = large.X - large.centers[large.y]
    assert noise.std() == pytest.approx(1, abs=0.01)


def test_the_best_guess_is_the_bayes_rule_and_nobody_beats_it(large):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    X, y = large.X[:3000].astype(float), large.y[:3000]
    density = np.exp(-((X[:, None] - large.centers) ** 2).sum(2) / 2)  # up to a constant
    assert (large.best_guess(large.X[:3000]) == density.argmax(1)).all()
    best = (large.best_guess(large.X[3000:]) == large.y[3000:]).mean()
    learnt = LinearDiscriminantAnalysis().fit(X, y).score(large.X[3000:], large.y[3000:])
    assert best - 0.03 < learnt < best + 0.005


def test_without_a_signal_features_say_nothing_and_with_a_strong_one_everything():
    none, strong = (sbm_graph(4000, 4, signal=s) for s in (0.0, 30.0))
    assert (none.best_guess(none.X) == none.y).mean() < 0.3
    assert (strong.best_guess(strong.X) == strong.y).all()


def test_equal_seeds_draw_equal_graphs_and_others_do_not():
    one, same, other = (sbm_graph(300, 3, random_state=seed) for seed in (0, 0, 1))
    for name in ("X", "y", "centers", "propensity"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(one.graph.indices, same.graph.indices)
    assert not np.array_equal(one.graph.edges(), other.graph.edges())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"homophily": 1.2}, r"homophily must be a number in \[0, 1\]. Got 1.2"),
        ({"degree_exponent": 2.0}, r"degree_exponent must be a number in \(2, inf\)"),
        ({"n_nodes": 2.5}, "n_nodes must be an integer"),
        ({"mean_degree": 60, "homophily": 1.0}, "edges inside classes, where there are .* pairs"),
        ({"n_classes": 1, "homophily": 0.5}, "edges between classes, where there are 0 pairs"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, message):
    with pytest.raises(MakedoInputError, match=message):
        sbm_graph(**{"n_nodes": 100, "n_classes": 2} | changes)
