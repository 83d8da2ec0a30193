import torch

from makedo.nn.dropout import dropout


def test_the_asked_share_is_dropped_and_the_mean_kept():
    x = torch.ones(1000, 300)
    dropped = dropout(x, 0.3, torch.Generator().manual_seed(0))
    assert abs((dropped == 0).float().mean() - 0.3) < 5e-3
    assert abs(dropped.mean() - 1) < 5e-3
    assert torch.allclose(dropped[dropped > 0], torch.tensor(1 / 0.7), rtol=1e-4)


def test_entries_are_dropped_independently():
    gone = (dropout(torch.ones(500, 400), 0.5, torch.Generator().manual_seed(1)) == 0).double()
    neighbours = torch.corrcoef(torch.stack([gone[:, :-1].flatten(), gone[:, 1:].flatten()]))[0, 1]
    assert abs(neighbours) < 0.01
    assert abs(gone.mean(0) - 0.5).max() < 0.15
    assert abs(gone.mean(1) - 0.5).max() < 0.15


def test_the_gradient_is_that_of_the_same_mask():
    x = torch.randn(7, 5, requires_grad=True)
    y = dropout(x, 0.4)
    y.sum().backward()
    assert torch.allclose(x.grad * x, y)


def test_nothing_is_dropped_at_zero_and_equal_generators_drop_alike():
    x = torch.randn(4, 3)
    assert torch.equal(dropout(x, 0.0), x)
    first, second = (dropout(x, 0.5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
