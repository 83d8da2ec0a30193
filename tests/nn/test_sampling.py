import numpy as np
import torch

from makedo.data.graph import Graph
from makedo.nn.sampling import sample_neighbors


def star(n_leaves):
    """Node 0 with leaves 1 to n_leaves, and one more node without edges."""
    edges = [[0] * n_leaves, list(range(1, n_leaves + 1))]
    graph = Graph.from_edges(edges, n_nodes=n_leaves + 2)
    return torch.from_numpy(graph.indptr), torch.from_numpy(graph.indices)


def test_only_neighbours_are_drawn():
    pairs = np.sort(np.random.default_rng(0).integers(0, 30, (2, 60)), axis=0)
    graph = Graph.from_edges(pairs, n_nodes=30)
    indptr, indices = torch.from_numpy(graph.indptr), torch.from_numpy(graph.indices)
    seeds = torch.arange(30).repeat(2)
    drawn = sample_neighbors(indptr, indices, seeds, 20).numpy()
    dense = graph.to_scipy().toarray()
    for seed, row in zip(seeds.tolist(), drawn, strict=True):
        assert (dense[seed, row] > 0).all() if graph.degree[seed] else (row == seed).all()


def test_every_neighbour_is_drawn_equally_often():
    indptr, indices = star(5)
    generator = torch.Generator().manual_seed(0)
    drawn = sample_neighbors(indptr, indices, torch.tensor([0]), 50_000, generator)
    share = torch.bincount(drawn.ravel(), minlength=7).double() / 50_000
    assert share[0] == share[6] == 0
    assert (share[1:6] - 0.2).abs().max() < 5 * (0.2 * 0.8 / 50_000) ** 0.5


def test_a_node_without_neighbours_gets_itself_even_at_the_end_or_in_a_graph_without_edges():
    indptr, indices = star(3)
    assert sample_neighbors(indptr, indices, torch.tensor([4, 4]), 3).eq(4).all()
    nothing = torch.zeros(3, dtype=torch.long), torch.empty(0, dtype=torch.long)
    assert sample_neighbors(*nothing, torch.tensor([1]), 2).tolist() == [[1, 1]]


def test_equal_seeds_draw_equal_neighbours():
    indptr, indices = star(50)
    one, two, other = (
        sample_neighbors(indptr, indices, torch.tensor([0]), 9, torch.Generator().manual_seed(s))
        for s in (1, 1, 2)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)
