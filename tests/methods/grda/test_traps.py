"""What goes wrong in the released code and in careless use: the list of traps, one by one.

Elsewhere: T0, the gradients of the two sides; T1, numbers far from the sources; T4, the order of
rows; T8, garbage in target labels; T10, domains and graphs that do not match (test_training).  T2,
an encoder that fooled the discriminator (test_settings).  T9, forms of a graph (data/test_domains).
"""

import warnings

import numpy as np
import pytest
import torch

from makedo import GRDAClassifier, GRDARegressor
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.domains import DomainGraph
from makedo.methods.grda.adversaries import SourceAdversary, Step, graph_loss

QUICK = {"hidden": 8, "max_epochs": 3, "device": "cpu"}


def problem(sizes=(24,) * 6):
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(len(sizes)), sizes)
    y = np.arange(len(domain)) % 2
    X = rng.normal(size=(len(y), 2)) + 1.5 * (2 * y - 1)[:, None] * [1, 0.2] + 0.1 * domain[:, None]
    return X, y, domain, DomainGraph.from_chain(range(len(sizes)))


def fitted(method="network", weight=0.3, sizes=(24,) * 6, cls=GRDAClassifier, **settings):
    X, y, domain, graph = problem(sizes)
    model = cls(method, weight, **QUICK | settings)
    return model.fit(X, y, domain=domain, graph=graph, sources=range(3))


def said(model, sizes=(24,) * 6):
    X, _, domain, _ = problem(sizes)
    return model.predict_proba(X, domain=domain)


# --- T2 and T7: a game that stands still looks like one that is over ------------------------------


def test_history_tells_a_discriminator_that_never_learnt_from_one_that_did():
    """Weights from N(0, 0.01²): the loss stays at that of chance to the last decimals."""
    off = {
        init: np.abs(fitted(init=init, weight=0.0).history_["discriminator"] - 1).max()
        for init in ("paper", "default")
    }
    assert off["paper"] < 1e-6 and off["default"] > 100 * off["paper"]


def test_encodings_cannot_grow_without_bound():
    """Bounded encodings, whatever is gained by growing: the norm of each is √hidden."""
    model = fitted(weight=30.0, ramp=False, stop_when_fooled=False, max_epochs=10)
    X, _, domain, _ = problem()
    norms = np.linalg.norm(model.transform(X, domain=domain), axis=1)
    assert np.isfinite(norms).all() and norms.max() < 1.01 * np.sqrt(8)


# --- T3: sets of domains without an edge, or with nothing else ------------------------------------


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("self_pairs", ["none", "negative"])
def test_a_batch_with_only_one_kind_of_pair_has_a_finite_loss_and_gradient(edge, self_pairs):
    adjacency = torch.full((3, 3), edge) & ~torch.eye(3, dtype=torch.bool)
    q = torch.randn(1, 3, 4, 2, requires_grad=True)
    loss = graph_loss(q, adjacency, self_pairs)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(q.grad).all()


def test_batches_of_few_domains_without_an_edge_train():
    """Two of six domains of a chain: most batches hold no edge, some nothing else."""
    model = fitted(domains_per_batch=2, max_epochs=6)
    assert np.isfinite(said(model)).all()
    assert np.isfinite(model.history_.select_dtypes("number")).all(axis=None)


def test_a_single_domain_and_an_empty_graph_are_refused():
    X, y, _, _ = problem()
    one = np.zeros(len(y), dtype=int)
    for graph in (np.zeros((1, 1)), DomainGraph([0, 1], np.zeros((2, 2), dtype=bool))):
        for cls, method in ((GRDAClassifier, "auto"), (GRDARegressor, "network")):
            with pytest.raises(MakedoInputError, match="has no edges.*DomainGraph.from_knn"):
                cls(method).fit(X, y.astype(float), domain=one, graph=graph)


# --- T4: rows beyond the length of the first domain -----------------------------------------------


def test_no_row_is_ignored_where_domains_are_of_unequal_size():
    """Labels of the last rows of the longest source, beyond the length of all others."""
    sizes = (12, 60, 12, 12, 12, 12)
    X, y, domain, graph = problem(sizes)
    other = y.copy()
    last = np.flatnonzero(domain == 1)[-20:]
    other[last] = 1 - other[last]
    models = [
        GRDAClassifier("network", 0.3, **QUICK | {"max_epochs": 12}).fit(
            X, labels, domain=domain, graph=graph, sources=range(3)
        )
        for labels in (y, other)
    ]
    assert np.abs(said(models[0], sizes) - said(models[1], sizes)).max() > 1e-3


# --- T5: rivals that crash or play the wrong game -------------------------------------------------


@pytest.mark.parametrize("adversary", ["graph", "dann", "cdann", "cida", "adda", "mdd"])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_every_adversary_runs_with_frozen_embeddings_and_with_lambda_0(adversary, weight):
    model = fitted(weight=weight, adversary=adversary, domain_embedding="bce")
    assert np.isfinite(said(model)).all()


def test_adda_makes_targets_look_like_sources_and_not_the_other_way():
    torch.manual_seed(0)
    adversary = SourceAdversary(1, 8, "default")
    source = torch.arange(40)[None] < 20
    e = torch.randn(1, 40, 8) + 2.0 * source[..., None]
    step = Step(torch.arange(2), torch.zeros(2, 2, dtype=torch.bool), source, torch.zeros(1, 40, 2))
    adam = torch.optim.Adam(adversary.parameters(), 1e-2)
    for _ in range(100):
        adam.zero_grad()
        adversary.discriminator_loss(e, step).sum().backward()
        adam.step()
    chance = torch.sigmoid(adversary.net(e)).squeeze(2)
    assert chance[source].mean() > 0.9 > 0.1 > chance[~source].mean()  # D says "source"
    e.requires_grad_()
    adversary.encoder_loss(e, step).sum().backward()
    closer = torch.sigmoid(adversary.net(e - 1.0 * e.grad.sign())).squeeze(2)
    assert closer[~source].mean() > chance[~source].mean()
    assert torch.equal(closer[source], chance[source])


# --- T6: what standardises ------------------------------------------------------------------------


def test_features_are_standardised_over_the_rows_of_all_domains():
    model = fitted("linear")
    X, _, _, _ = problem()
    scaled = model._scaled(X.astype(np.float32))
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-4)


# --- T9: graphs that are not undirected, binary and free of loops ---------------------------------


def test_weighted_directed_and_looped_graphs_are_read_as_who_is_a_neighbour_of_whom():
    matrix = np.array([[2.0, 0.7, 0.0], [0.0, 0.0, 0.1], [0.0, 0.4, 0.0]])
    with pytest.warns(MakedoWarning):
        graph = DomainGraph.from_adjacency(matrix)
    assert graph.edges().tolist() == [[0, 1], [1, 2]]
    with pytest.warns(MakedoWarning):
        assert DomainGraph.from_adjacency(matrix, threshold=0.5).edges().tolist() == [[0, 1]]


def test_an_isolated_target_is_told_and_trained_without_a_positive_pair():
    X, y, domain, _ = problem()
    graph = DomainGraph.from_edges([(i, i + 1) for i in range(4)], names=range(6))
    model = GRDAClassifier("network", 0.3, **QUICK)
    with pytest.warns(MakedoWarning, match="joins 1 target domain to a source"):
        model.fit(X, y, domain=domain, graph=graph, sources=range(3))
    assert np.isfinite(model.predict_proba(X, domain=domain)).all()


# --- T11: targets with hardly a row ---------------------------------------------------------------


def test_targets_with_hardly_a_row_are_told_where_a_network_adapts_to_them():
    sizes = (24, 24, 24, 24, 3, 24)
    with pytest.warns(
        MakedoWarning, match="1 target domain with less than half the rows.*first: 4"
    ):
        fitted(sizes=sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(sizes=sizes, batch_size=6)
        fitted("self-training", sizes=sizes)
        fitted(sizes=(3, 24, 24, 24, 24, 24))  # a source has labels


# --- T12: labels and numbers ----------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused(bad):
    X, y, domain, graph = problem()
    X[5, 1] = bad
    with pytest.raises(MakedoInputError, match="NaN|inf|finite"):
        GRDAClassifier("linear").fit(X, y, domain=domain, graph=graph, sources=range(3))


def test_labels_may_be_text_or_truth_values_and_not_numbers_on_a_scale():
    X, y, domain, graph = problem()
    where = {"domain": domain, "graph": graph, "sources": range(3)}
    plain = GRDAClassifier("linear").fit(X, y, **where).predict_proba(X, domain=domain)
    for labels in (y.astype(bool), np.array(["no", "yes"])[y], y.astype(float)):
        model = GRDAClassifier("linear").fit(X, labels, **where)
        assert np.array_equal(model.predict_proba(X, domain=domain), plain)
    with pytest.raises(MakedoInputError, match="y is continuous"):
        GRDAClassifier("linear").fit(X, y + 0.5 * (X[:, 0] > 0), **where)
    with pytest.raises(MakedoInputError, match="not numbers"):
        GRDARegressor("linear").fit(X, np.array(["no", "yes"])[y], **where)


def test_sources_of_one_class_are_refused_whatever_targets_hold():
    X, y, domain, graph = problem()
    with pytest.raises(MakedoInputError, match="two classes are needed"):
        GRDAClassifier().fit(
            X, np.where(domain < 3, 1, y), domain=domain, graph=graph, sources=range(3)
        )
