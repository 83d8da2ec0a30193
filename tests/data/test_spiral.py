"""The spiral is drawn as its recipe says, and the published files are what the preset draws."""

import numpy as np
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data import catalog
from makedo.data.spiral import make_domain_graph_spiral


@pytest.mark.parametrize(("n", "preset"), [(15, "formula"), (15, "shipped"), (60, "formula")])
def test_every_domain_is_two_discs_on_opposite_sides(n, preset):
    drawn = make_domain_graph_spiral(n, preset=preset, random_state=1)
    assert drawn.X.shape == (100 * n, 2) and np.bincount(drawn.y).tolist() == [50 * n] * 2
    turn = np.pi if preset == "shipped" else 2 * np.pi * n / 60
    assert 0 <= drawn.angle.min() and drawn.angle.max() <= turn
    for u in range(n):
        first, second = (drawn.X[(drawn.domain == u) & (drawn.y == c)] for c in (0, 1))
        radius = 1 + (1.8 if preset == "shipped" else 6.0) * drawn.angle[u] / turn
        centre = radius * np.array([np.cos(drawn.angle[u]), np.sin(drawn.angle[u])])
        assert np.linalg.norm(first - centre, axis=1).max() < 1
        assert np.linalg.norm(second + centre, axis=1).max() < 1
    assert drawn.sources.tolist() == np.argsort(drawn.angle)[:6].tolist()


def test_edges_are_as_frequent_as_the_cosine_says():
    least, chance, seen = 0.2, 0.0, 0
    for seed in range(40):
        drawn = make_domain_graph_spiral(20, n_per_class=1, random_state=seed)
        cosine = np.cos(drawn.angle[:, None] - drawn.angle)[np.triu_indices(20, 1)]
        linked = drawn.graph.adjacency[np.triu_indices(20, 1)]
        assert not linked[cosine < least].any()
        chance += np.where(cosine >= least, cosine, 0).sum()
        seen += linked.sum()
    assert abs(seen - chance) < 4 * np.sqrt(chance)


def test_rows_are_in_random_order_and_a_seed_decides_them():
    first, second = (make_domain_graph_spiral(15, random_state=3) for _ in range(2))
    assert (
        np.array_equal(first.X, second.X)
        and (first.graph.adjacency == second.graph.adjacency).all()
    )
    one = first.y[first.domain == 0]
    assert 20 < (one[1:] != one[:-1]).sum() < 80


@pytest.mark.parametrize(
    "bad", [{"n_domains": 6}, {"n_domains": 15, "preset": "x"}, {"n_domains": 15, "n_per_class": 0}]
)
def test_what_cannot_be_drawn_is_refused(bad):
    with pytest.raises(MakedoInputError, match="make_domain_graph_spiral"):
        make_domain_graph_spiral(**bad)


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "n", "n_edges"), [("dg15", 15, 56), ("dg60", 60, 545)])
def test_the_published_files_are_as_described(name, n, n_edges):
    try:
        data = catalog.load(name)
    except MakedoInputError as error:
        pytest.skip(str(error))
    assert data.graph.n_domains == n and data.graph.n_edges == n_edges
    assert len(data.tasks["six smallest angles"]) == 6
    centre = np.array([data.X[(data.domain == u) & (data.y == 0)].mean() for u in range(n)])
    spread = data.X.to_numpy() - centre[data.domain] * (1 - 2 * data.y)[:, None]
    assert np.linalg.norm(spread, axis=1).max() < 1.4


def test_the_counties_are_as_described():
    data = catalog.load("nc_crime")
    assert data.X.shape == (630, 12) and data.graph.n_domains == 90 and data.graph.n_edges == 201
    assert {where: len(names) for where, names in data.tasks.items()} == {
        "east": 35, "west": 21, "central": 34,
    }  # fmt: skip
    assert (np.unique(data.domain, return_counts=True)[1] == 7).all()
    assert abs((data.y == "high").mean() - 0.5) < 0.01


@pytest.mark.realdata
def test_hops_of_the_states_are_the_published_levels():
    try:
        panel = catalog.load("tpt48")
    except MakedoInputError as error:
        pytest.skip(str(error))
    assert panel.values.shape == (144, 48) and panel.graph.n_edges == 105
    assert panel.graph.diameter == 11
    levels = {"E24_to_W24": [8, 7, 9], "N24_to_S24": [10, 6, 8], "W6_to_E42": [4, 6, 32]}
    for task, sources in panel.tasks.items():
        hops = np.minimum(panel.graph.hops(sources), 3)
        assert np.bincount(hops)[1:].tolist() == levels[task]
