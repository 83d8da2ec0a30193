import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.autograd import gradcheck, gradgradcheck

from makedo.data.graph import Graph
from makedo.nn.propagation import Propagation, SparseFeatures, sparse_linear


def random_matrix(shape, density=0.3, seed=0):
    return sp.random(*shape, density, format="csr", random_state=seed, dtype=np.float32)


@pytest.fixture
def adjacency():
    pairs = np.random.default_rng(0).integers(0, 40, (2, 90))
    return Graph.from_edges(pairs, n_nodes=40).normalized()


# --- Propagation ---------------------------------------------------------------------------------


def test_propagation_equals_the_dense_product(adjacency):
    x = torch.randn(40, 5)
    expected = torch.from_numpy(adjacency.toarray()) @ x
    torch.testing.assert_close(Propagation(adjacency)(x), expected)


@pytest.mark.parametrize("shape", [(6, 5), (5, 6)])
def test_gradients_are_right_to_second_order_when_the_matrix_is_not_symmetric(shape):
    propagation = Propagation(random_matrix(shape))
    x = torch.randn(shape[1], 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(propagation, (x,))
    assert gradgradcheck(propagation, (x,))


def test_gradients_are_right_when_the_matrix_is_symmetric(adjacency):
    x = torch.randn(40, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(Propagation(adjacency), (x,))


def test_float32_gradient_equals_that_of_the_dense_product(adjacency):
    seed = torch.randn(40, 5)
    ours, dense = (torch.ones(40, 5, requires_grad=True) for _ in range(2))
    Propagation(adjacency)(ours).backward(seed)
    (torch.from_numpy(adjacency.toarray()) @ dense).backward(seed)
    torch.testing.assert_close(ours.grad, dense.grad)


def test_the_places_of_a_symmetric_matrix_are_its_entries_and_their_mirrors(adjacency):
    propagation = Propagation(adjacency)
    row, column, mirror = propagation.places
    entries = adjacency.tocoo()
    assert (row.numpy() == entries.row).all() and (column.numpy() == entries.col).all()
    assert torch.equal(row[mirror], column) and torch.equal(column[mirror], row)
    with pytest.raises(AssertionError, match="symmetric"):
        _ = Propagation(random_matrix((6, 6))).places


def test_with_other_values_it_is_the_matrix_of_those(adjacency):
    propagation = Propagation(adjacency)
    row, column, _ = propagation.places
    values = (row + column).float()  # symmetric, as must be
    x = torch.randn(40, 5, requires_grad=True)
    dense = torch.zeros(40, 40)
    dense[row, column] = values
    y = propagation.with_values(values)(x)
    torch.testing.assert_close(y, dense @ x)
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * dense.T @ dense @ x.detach(), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(propagation(x), torch.from_numpy(adjacency.toarray()) @ x)


def test_symmetric_matrices_are_kept_once_and_others_with_their_transpose(adjacency):
    symmetric, other = Propagation(adjacency), Propagation(random_matrix((6, 6)))
    assert symmetric._transposed is symmetric._rows
    assert other._transposed is not other._rows
    same_pattern = adjacency.copy()
    same_pattern.data[1] += 1
    weighted = Propagation(same_pattern)
    assert weighted._transposed is not weighted._rows


def test_the_matrix_given_is_neither_changed_nor_watched():
    given = sp.csr_matrix((np.ones(3, np.float32), [1, 0, 1], [0, 3, 3]), (2, 2))  # (0, 1) twice
    before = [part.copy() for part in (given.data, given.indices, given.indptr)]
    propagation, features = Propagation(given), SparseFeatures(given)
    for part, old in zip((given.data, given.indices, given.indptr), before, strict=True):
        np.testing.assert_array_equal(part, old)
    given.data[:] = 7
    identity = torch.eye(2)
    expected = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(propagation(identity), expected)
    torch.testing.assert_close(sparse_linear(features, identity), expected)


def test_columns_of_x_need_not_be_contiguous(adjacency):
    x = torch.randn(40, 10)
    propagation = Propagation(adjacency)
    torch.testing.assert_close(propagation(x[:, ::2]), propagation(x)[:, ::2])


def test_rows_without_entries_give_zero():
    empty = sp.csr_matrix((4, 3), dtype=np.float32)
    assert Propagation(empty)(torch.ones(3, 2)).eq(0).all()
    assert Propagation(empty)(torch.ones(3, 2)).shape == (4, 2)


def test_propagation_equals_the_graph_convolution_of_pyg(adjacency):
    pyg = pytest.importorskip("torch_geometric.nn", reason="torch_geometric is not installed")
    pairs = np.random.default_rng(0).integers(0, 40, (2, 90))
    edges = torch.from_numpy(Graph.from_edges(pairs, n_nodes=40).edges().T)
    conv = pyg.GCNConv(7, 4, bias=False)
    x = torch.randn(40, 7)
    ours = Propagation(adjacency)(x @ conv.lin.weight.T)
    torch.testing.assert_close(conv(x, torch.cat([edges, edges.flip(0)], 1)), ours)


# --- sparse_linear -------------------------------------------------------------------------------


def test_sparse_linear_equals_the_dense_product_and_its_weight_gradient():
    matrix = random_matrix((30, 12))
    weight, dense = (torch.ones(12, 4).normal_(generator=torch.Generator().manual_seed(0))
                     .requires_grad_() for _ in range(2))  # fmt: skip
    seed = torch.randn(30, 4)
    ours = sparse_linear(SparseFeatures(matrix), weight)
    theirs = torch.from_numpy(matrix.toarray()) @ dense
    torch.testing.assert_close(ours, theirs)
    ours.backward(seed)
    theirs.backward(seed)
    torch.testing.assert_close(weight.grad, dense.grad)


def test_weight_gradient_of_sparse_linear_passes_the_numerical_check_with_dropped_values():
    features = SparseFeatures(random_matrix((8, 5)))
    values = features.dropout(0.5)
    weight = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda w: sparse_linear(features, w, values), (weight,))


def test_some_rows_are_those_rows_in_the_order_asked_for():
    matrix = random_matrix((9, 5))
    weight = torch.randn(5, 3, requires_grad=True)
    order = torch.tensor([7, 0, 7, 3])
    part = SparseFeatures(matrix).rows(order)
    assert part.shape == (4, 5)
    seed = torch.randn(4, 3)
    output = sparse_linear(part, weight)
    output.backward(seed)
    dense = torch.from_numpy(matrix.toarray())[order]
    torch.testing.assert_close(output, dense @ weight)
    torch.testing.assert_close(weight.grad, dense.T @ seed)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_the_share_asked_for_and_keeps_the_mean(p):
    features = SparseFeatures(sp.csr_matrix(np.full((200, 500), 3.0)))
    dropped = features.dropout(p, torch.Generator().manual_seed(0))
    share = (dropped == 0).double().mean().item()
    sd = (p * (1 - p) / 100_000) ** 0.5
    assert abs(share - p) < 5 * sd
    scaled = dropped[dropped > 0].unique()
    torch.testing.assert_close(scaled, torch.tensor([3 / (1 - p)]), rtol=1e-4, atol=0)


def test_dropout_is_fresh_at_each_call_and_the_same_from_the_same_seed():
    features = SparseFeatures(sp.csr_matrix(np.ones((10, 10))))
    generator = torch.Generator().manual_seed(3)
    one, two = features.dropout(0.5, generator), features.dropout(0.5, generator)
    assert not torch.equal(one, two)
    assert torch.equal(one, features.dropout(0.5, torch.Generator().manual_seed(3)))
    torch.manual_seed(3)
    assert torch.equal(one, features.dropout(0.5))
    assert torch.equal(features.dropout(0.0), features.values)
    assert torch.equal(features.values, torch.ones(100))


def test_neighbouring_entries_are_dropped_independently():
    features = SparseFeatures(sp.csr_matrix(np.ones((200, 500))))
    kept = (features.dropout(0.5, torch.Generator().manual_seed(1)) > 0).double() - 0.5
    for lag in (1, 2, 3, 4):  # 4 entries are decided by one random number
        correlation = 4 * (kept[lag:] * kept[:-lag]).mean().item()
        assert abs(correlation) < 5 / 100_000**0.5
