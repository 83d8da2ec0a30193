"""The game on the training loop: whose gradient is whose, rows drawn independently, leaks."""

import warnings

import numpy as np
import pytest
import torch

from makedo import GRDAClassifier, GRDARegressor
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.domains import DomainGraph
from makedo.methods.grda.sampling import deal, domain_batches, sample_domains
from makedo.methods.grda.tasks import Classification
from makedo.methods.grda.team import Game, Player, Rows


def turning(n_domains=8, n_rows=24, step=0.2, seed=0):
    """X (n, 2), y, domain, graph: two clouds that turn by ``step`` from domain to domain."""
    rng = np.random.default_rng(seed)
    domain = np.repeat(np.arange(n_domains), n_rows)
    y = np.tile([0, 1], len(domain) // 2)
    turn = step * domain
    side = (2 * y - 1)[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    X = 2 * side + rng.normal(scale=0.4, size=side.shape)
    return X, y, domain, DomainGraph.from_chain(range(n_domains))


@pytest.fixture
def problem():
    """Eight domains of 24 rows."""
    return turning()


def game(weights, **parameters):
    X, y, domain, graph = turning()
    model = GRDAClassifier(
        "network", hidden=8, embedding_dropout=0.0, ramp=False, device="cpu", **parameters
    )
    model.graph_, model.complete_ = graph, False
    rng = np.random.default_rng(0)
    z = rng.normal(size=(8, 2)).astype(np.float32)
    rows = Rows(X.astype(np.float32), domain, z, graph.adjacency)
    players = [Player(weight, y, domain < 4) for weight in weights]
    torch.manual_seed(0)
    return Game(model, rows, players, Classification(np.array([0, 1])))


def one_batch(played):
    return next(iter(played.batches(np.random.default_rng(0))))


def gradients(played, loss):
    for module in (played.team, played.adversary):
        module.zero_grad()
    loss.backward()
    return [
        [None if p.grad is None else p.grad.clone() for p in module.parameters()]
        for module in (played.team, played.adversary)
    ]


def test_the_discriminators_gradient_does_not_depend_on_lambda():
    taken = []
    for weight in (0.0, 0.5, 1.0):
        played = game([weight])
        batch = one_batch(played)
        steps = []
        played.optimizers[1].register_step_pre_hook(
            lambda *_, p=played, s=steps: s.append(
                [q.grad.clone() for q in p.adversary.parameters()]
            )
        )
        for update in played.phase("p").updates:  # as the loop does it
            update.optimizer.zero_grad(set_to_none=True)
            update.loss(batch).backward()
            update.optimizer.step()
        taken.append(steps[0])
    for other in taken[1:]:
        for a, b in zip(taken[0], other, strict=True):
            assert torch.equal(a, b) and a.abs().sum() > 0


def test_the_encoders_gradient_is_that_of_the_task_less_lambda_times_the_games():
    played = game([0.3], normalize_encoding=False)
    batch = one_batch(played)
    played.discriminator_loss(batch)
    whole, _ = gradients(played, played.team_loss(batch))
    played.discriminator_loss(batch)
    task, _ = gradients(
        played,
        played.task.losses(played.scores, played.y[:, played.flat])[
            played.labelled[:, played.flat]
        ].mean(),
    )
    played.discriminator_loss(batch)
    against, _ = gradients(played, played.adversary.discriminator_loss(played.e, played.step).sum())
    for a, b, c in zip(whole, task, against, strict=True):
        expected = b - 0.3 * 8 * c if c is not None else b
        torch.testing.assert_close(a, expected, rtol=1e-4, atol=1e-6)


def test_a_model_is_the_same_alone_and_in_a_team():
    X, y, domain, graph = turning()
    labels = np.where(domain < 4, y, -1)
    alone = GRDAClassifier("network", 0.3, hidden=8, max_epochs=5, device="cpu")
    alone.fit(X, labels, domain=domain, graph=graph)
    team = GRDAClassifier("auto", 0.3, hidden=8, max_epochs=5, device="cpu")
    team.fit(X, labels, domain=domain, graph=graph)
    assert team.domain_weights_ == [0.0, 0.3]
    mine, theirs = (m.team_.run(m._scaled(X.astype(np.float32)), m.domain_embedding_[domain])[1][-1]
                    for m in (alone, team))  # fmt: skip
    np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_unlabelled_rows_of_a_hidden_source_teach_nothing():
    """A player that may not see labels gets no gradient from them."""
    played = game([0.0])
    batch = one_batch(played)
    played.discriminator_loss(batch)
    first, _ = gradients(played, played.team_loss(batch))
    played.y[:, played.domain >= 4] = 1 - played.y[:, played.domain >= 4]
    played.discriminator_loss(batch)
    second, _ = gradients(played, played.team_loss(batch))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True) if a is not None)


# --- batches --------------------------------------------------------------------------------------


def test_rows_of_two_domains_are_drawn_independently():
    """The b-th rows of two domains sorted by class agree in class half of the time."""
    rows_of = {u: np.arange(100) + 100 * u for u in range(4)}
    batches = domain_batches(rows_of, 10, 4, np.ones((4, 4), dtype=bool))
    agree = []
    for seed in range(20):
        for _, rows in batches(np.random.default_rng(seed)):
            second_half = rows.numpy() % 100 >= 50  # (n_domains, n_rows)
            agree += (second_half[:-1] == second_half[1:]).ravel().tolist()
    assert 0.46 < np.mean(agree) < 0.54


def test_every_row_comes_before_any_comes_again_and_sizes_may_differ():
    rows_of = {0: np.arange(40), 1: np.arange(40, 47), 2: np.arange(47, 147)}
    drawn = list(domain_batches(rows_of, 10, 3, np.ones((3, 3), bool))(np.random.default_rng(0)))
    assert len(drawn) == 4  # a domain of median size fills them
    rows = np.concatenate([batch.numpy() for _, batch in drawn], axis=1)
    assert sorted(rows[0]) == list(range(40)) and set(rows[1]) == set(range(40, 47))
    assert len(set(rows[2])) == 40
    assert sorted(deal(np.arange(7), 14, np.random.default_rng(0))) == sorted([*range(7)] * 2)


def test_walks_take_more_edges_than_chance():
    graph = DomainGraph.from_chain(range(40))
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(200):
        chosen = sample_domains(graph.adjacency, 8, rng)
        assert len(set(chosen.tolist())) == 8
        inside.append(graph.adjacency[np.ix_(chosen, chosen)].sum() / 2)
    assert np.mean(inside) > 2 * 28 * 39 / 780  # twice the edges among eight drawn at random


# --- leaks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "network"])
def test_garbage_in_the_labels_of_targets_changes_nothing(method):
    X, y, domain, graph = turning()
    models = []
    for garbage in (y, np.random.default_rng(1).integers(0, 2, len(y))):
        labels = np.where(domain < 4, y, garbage)
        model = GRDAClassifier(method, hidden=8, max_epochs=4, device="cpu")
        models.append(model.fit(X, labels, domain=domain, graph=graph, sources=range(4)))
    same = [m.predict_proba(X, domain=domain) for m in models]
    assert np.array_equal(*same) and models[0].fingerprint_ == models[1].fingerprint_


def test_classes_that_only_targets_have_do_not_leak():
    X, y, domain, graph = turning()
    labels = np.where(domain < 4, y, 7)
    model = GRDAClassifier("linear").fit(X, labels, domain=domain, graph=graph, sources=range(4))
    assert model.classes_.tolist() == [0, 1]


def test_the_order_of_rows_changes_accuracy_by_no_more_than_a_seed():
    accuracies = {"sorted": [], "shuffled": []}
    for seed in range(5):
        X, y, domain, graph = turning(step=0.15, seed=seed)
        sorted_rows = np.lexsort((y, domain))
        orders = {
            "sorted": sorted_rows,
            "shuffled": np.random.default_rng(seed).permutation(len(y)),
        }
        for name, order in orders.items():
            model = GRDAClassifier("network", 0.3, hidden=8, max_epochs=25, random_state=seed)
            model.fit(X[order], y[order], domain=domain[order], graph=graph, sources=range(4))
            target = domain >= 4
            right = model.predict(X[target], domain=domain[target]) == y[target]
            accuracies[name].append(right.mean())
    gap = np.array(accuracies["sorted"]) - np.array(accuracies["shuffled"])
    spread = np.std(accuracies["shuffled"], ddof=1) + 0.02
    assert abs(gap.mean()) < 2 * spread


# --- bad input and stated behaviour ---------------------------------------------------------------


def refused(call, match):
    with pytest.raises(MakedoInputError, match=match):
        call()


def test_domains_graphs_and_labels_that_cannot_be_used_are_refused_in_a_sentence(problem):
    X, y, domain, graph = problem
    model = GRDAClassifier("linear")

    def fit(y=y, domain=domain, graph=graph, X=X, **more):
        return lambda: model.fit(X, y, domain=domain, graph=graph, **more)

    refused(fit(domain=domain + 3), "3 domains not in the graph.*first: 8, 9, 10")
    refused(fit(domain=None), "Pass domain=")
    refused(fit(domain=domain[:-1]), "one name a row")
    refused(fit(domain="state"), "no column 'state'")
    refused(fit(domain=9), "no column 9")
    refused(fit(graph=np.zeros((8, 8))), "has no edges")
    refused(fit(graph=None), "no graph of domains")
    refused(fit(y=np.full(len(y), -1)), "no row has a label")
    refused(fit(y=np.where(domain < 4, 1, -1)), "two classes are needed")
    refused(fit(sources=[]), "no row has a label")
    refused(fit(sources=["x"]), "1 domain not in the graph")
    refused(fit(sources=[0], sample_domain=domain), "Pass it alone")
    refused(fit(domain_features=np.ones((3, 2))), "one row of finite numbers for each of 8 domains")
    refused(
        lambda: GRDAClassifier(hidden=0).fit(X, y, domain=domain, graph=graph), "hidden must be"
    )
    fitted = model.fit(X, y, domain=domain, graph=graph)
    refused(lambda: fitted.predict(X), "Pass domain=")
    refused(lambda: fitted.predict(X, domain=["q"] * len(X)), "1 domain not in the graph")
    refused(lambda: fitted.transform(X, domain=domain), "no network was trained")


def test_targets_that_no_path_reaches_and_domains_without_rows_are_told(problem):
    X, y, domain, _ = problem
    graph = DomainGraph.from_edges([(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (7, 8)])
    labels = np.where(domain < 4, y, -1)
    with pytest.warns(MakedoWarning) as caught:
        model = GRDAClassifier("self-training").fit(X, labels, domain=domain, graph=graph)
    text = " ".join(str(one.message) for one in caught)
    assert "joins 4 target domains" in text and "1 domain of the graph without rows" in text
    far = domain >= 4  # served as if they were sources
    base = model.simple_.linear.scores(model._scaled(X.astype(np.float32)))
    assert (model.predict(X[far], domain=domain[far]) == base[far].argmax(1)).all()
    with pytest.warns(MakedoWarning, match="saw no rows"):
        model.predict(X[:1], domain=[8])


def test_a_complete_graph_makes_all_alike_with_a_warning(problem):
    X, y, domain, _ = problem
    model = GRDAClassifier("network", 0.3, hidden=8, max_epochs=3)
    with pytest.warns(MakedoWarning, match="every domain is a neighbour"):
        model.fit(X, y, domain=domain, graph=DomainGraph.complete(range(8)), sources=range(4))
    assert np.isfinite(model.predict_proba(X, domain=domain)).all()


def test_two_sources_are_too_few_to_choose_by(problem):
    X, y, domain, graph = problem
    with pytest.warns(MakedoWarning, match="takes 3"):
        model = GRDAClassifier(hidden=8, max_epochs=2).fit(
            X, y, domain=domain, graph=graph, sources=[0, 1]
        )
    assert model.served_ == "source only"


def test_domains_may_be_named_in_the_manner_of_skada(problem):
    X, y, domain, graph = problem
    signed = np.where(domain < 4, domain + 1, -(domain + 1))
    named = DomainGraph(np.arange(1, 9), graph.adjacency)
    one = GRDAClassifier("self-training").fit(X, y, sample_domain=signed, graph=named)
    two = GRDAClassifier("self-training").fit(X, y, domain=domain, graph=graph, sources=range(4))
    same = (one.predict(X, domain=domain + 1), two.predict(X, domain=domain))
    assert np.array_equal(*same) and one.sources_.tolist() == [1, 2, 3, 4]


def test_names_of_domains_and_labels_do_not_matter(problem):
    X, y, domain, graph = problem
    names = np.array([f"state {u}" for u in range(8)])
    known = DomainGraph(names, graph.adjacency)
    settings = {"hidden": 8, "max_epochs": 4, "device": "cpu"}
    one = GRDAClassifier(**settings).fit(X, y, domain=domain, graph=graph, sources=range(4))
    two = GRDAClassifier(**settings).fit(
        X, np.array(["no", "yes"])[y], domain=names[domain], graph=known, sources=names[:4]
    )
    first, second = one.predict_proba(X, domain=domain), two.predict_proba(X, domain=names[domain])
    assert np.array_equal(first, second) and two.classes_.tolist() == ["no", "yes"]


def test_a_module_of_the_users_encodes_sequences(problem):
    X, y, domain, graph = problem
    series = np.repeat(X[:, :, None], 3, axis=2)  # (n, 2, 3)

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(6, 8)

        def forward(self, x):
            return torch.relu(self.layer(x.flatten(1)))

    torch.manual_seed(0)
    model = GRDAClassifier("auto", encoder=Own(), max_epochs=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(series, y, domain=domain, graph=graph, sources=range(4))
    assert model.transform(series, domain=domain).shape == (len(X), 8)
    assert model.score(series[domain < 4], y[domain < 4], domain=domain[domain < 4]) > 0.9


def test_predictions_of_numbers_stay_near_the_labels_of_the_sources():
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(10), 20)
    X = rng.normal(size=(200, 3)) + 0.5 * domain[:, None]  # targets lie ever further out
    y = X @ [1.0, -1.0, 0.5] + rng.normal(scale=0.1, size=200)
    graph = DomainGraph.from_chain(range(10))
    model = GRDARegressor("network", 0.3, hidden=16, max_epochs=30, domain_embedding="bce")
    model.fit(X, y, domain=domain, graph=graph, sources=range(4))
    said, known = model.predict(X, domain=domain), y[domain < 4]
    assert said.min() > known.min() - 3 * known.std() and said.max() < known.max() + 3 * known.std()


def test_numbers_in_another_unit_give_the_same_model_in_that_unit():
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(6), 20)
    X = rng.normal(size=(120, 3))
    y = np.column_stack([X[:, 0] + 0.1 * domain * X[:, 1], X[:, 2]])
    graph = DomainGraph.from_chain(range(6))
    said = []
    for scale, shift in ((1.0, 0.0), (1.8, 32.0)):
        model = GRDARegressor("network", 0.3, hidden=8, max_epochs=5)
        model.fit(X, scale * y + shift, domain=domain, graph=graph, sources=range(3))
        said.append((model.predict(X, domain=domain) - shift) / scale)
    assert said[0].shape == (120, 2)
    np.testing.assert_allclose(said[0], said[1], atol=1e-4)
