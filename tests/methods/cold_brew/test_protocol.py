"""How the tables split and score, on data of our own and on the data sets that they name."""

import os
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from makedo import ColdBrewRegressor
from makedo.core.checks import MakedoWarning
from makedo.core.tables import Pair
from makedo.data import catalog
from makedo.data.catalog import GraphData
from makedo.data.graph import Graph
from makedo.methods.cold_brew.baselines import candidates
from makedo.methods.cold_brew.protocol import load_problem, run, split, strict_cold_start
from makedo.methods.cold_brew.regression_baselines import regression_candidates
from makedo.methods.cold_brew.reproduce import COLD_START, cold_start, rows
from makedo.methods.cold_brew.reproduce.regression import r_squared

realdata = pytest.mark.skipif("MAKEDO_DATA" not in os.environ, reason="MAKEDO_DATA is not set")


def data_set(name, y, **masks):
    X = sp.csr_matrix(np.eye(len(y), dtype=np.float32))
    graph = Graph.from_edges(np.array([[0], [1]]), n_nodes=len(y))
    return GraphData(name, X, y, graph, "", "", masks=masks)


def test_splits_that_are_given_are_used_by_seed():
    rng = np.random.default_rng(0)
    part = rng.integers(0, 3, size=(10, 40))
    data = data_set("own", np.zeros(40, int), train=part == 0, valid=part == 1, test=part == 2)
    for seed in (0, 3, 13):
        for k, found in enumerate(split(data, seed)):
            assert found.tolist() == np.flatnonzero(part[seed % 10] == k).tolist()


def test_a_data_set_without_splits_is_cut_in_each_class_at_random():
    y = np.repeat([-1, 0, 1, 2], [10, 100, 50, 1])
    parts = split(data_set("own", y), 0)
    assert [np.bincount(y[rows], minlength=3).tolist() for rows in parts] == [
        [48, 24, 0], [32, 16, 1], [20, 10, 0],
    ]  # fmt: skip
    assert sorted(np.concatenate(parts)) == list(range(10, 161))
    again, other = split(data_set("own", y), 0), split(data_set("own", y), 1)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert not np.array_equal(parts[0], other[0])


def test_cora_and_citeseer_have_as_many_labelled_nodes_as_the_paper_whatever_splits_they_bring():
    y = np.arange(1100) % 7
    y[:50] = -1
    mask = np.ones((1, 1100), bool)
    for name, n_valid in (("cora", 271), ("citeseer", 333)):
        parts = split(data_set(name, y, train=mask, valid=mask, test=mask), 2)
        assert [len(rows) for rows in parts] == [600, n_valid, 450 - n_valid]
        assert sorted(np.concatenate(parts)) == list(range(50, 1100))


def test_a_group_without_test_nodes_has_no_score_and_breaks_nothing(make_problem, small):
    problem = make_problem(60)
    order = np.random.default_rng(0).permutation(60)
    # the nodes of lowest degree all teach: no test node is isolated
    low = np.argsort(problem.graph.degree, kind="stable")[:12]
    rest = order[~np.isin(order, low)]
    train, valid, test = np.concatenate([low, rest[:20]]), rest[20:34], rest[34:]
    parts = (problem.X, problem.y, problem.graph, train, valid, test)
    cold = strict_cold_start(*parts, random_state=0)
    outcome = run(small(), 0, cold)
    assert outcome.sizes["isolated"] == 0 and np.isnan(outcome.groups["isolated"])
    assert 0 <= outcome.groups["all"] <= 1 and 0 <= outcome.valid <= 1


def test_without_validation_nodes_that_keep_edges_there_still_is_a_score(make_problem, small):
    problem = make_problem(60)
    order = np.random.default_rng(0).permutation(60)
    parts = (problem.X, problem.y, problem.graph, order[:40], order[40:41], order[41:])
    for model in (small(), *(c.make() for c in candidates("MLP", "SGC"))):
        assert 0 <= run(model, 0, strict_cold_start(*parts)).groups["all"] <= 1


@pytest.mark.parametrize("data", COLD_START)
def test_every_data_set_has_every_row_and_its_differences(data):
    found = cold_start.rows(data, range(2))
    names = [row.row for row in found if not isinstance(row, Pair)]
    assert names == [candidate.name for candidate in candidates()]
    pairs = {(row.ours, row.reference) for row in found if isinstance(row, Pair)}
    assert len(pairs) == 9 and ("Cold Brew", "GraphMLP") in pairs


def test_the_table_covers_its_data_sets_in_order():
    found = [row.data for row in rows("cold-start")]
    assert list(dict.fromkeys(found)) == list(COLD_START)


@pytest.mark.realdata
@realdata
@pytest.mark.parametrize("data", COLD_START)
def test_problems_on_real_data_are_disjoint_and_isolated_nodes_have_no_edges(data):
    first, second = load_problem(data, 0), load_problem(data, 1)
    test = first.groups["all"]
    everyone = np.concatenate([first.train, first.valid, test])
    assert len(np.unique(everyone)) == len(everyone)
    known = catalog.load(data).y >= 0
    assert known[everyone].all()
    for group in ("isolated", "collateral"):
        assert (first.graph.degree[first.groups[group]] == 0).all()
    assert not np.array_equal(first.train, second.train)
    assert set(first.groups["isolated"]) <= set(test) and len(first.groups["tail"])


@pytest.mark.realdata
@realdata
def test_texas_has_few_nodes_in_a_group_and_every_quick_candidate_runs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # its class of one node
        for seed in range(2):
            problem = load_problem("texas", seed)
            assert len(problem.groups["isolated"]) < 10
            for candidate in candidates("label propagation", "feature neighbours", "SGC"):
                outcome = run(candidate.make(random_state=seed), seed, problem)
                assert 0.1 < outcome.groups["all"] < 1 and outcome.sizes["all"] == 37


def test_numbers_are_scored_by_r_squared_in_every_group():
    rng = np.random.default_rng(0)
    z = rng.normal(size=120)
    pairs = np.unique(np.sort(rng.integers(120, size=(2, 900)), axis=0), axis=1)
    graph = Graph.from_edges(pairs[:, np.abs(z[pairs[0]] - z[pairs[1]]) < 0.5], n_nodes=120)
    X = (z[:, None] + 0.1 * rng.normal(size=(120, 3))).astype(np.float32)
    order = rng.permutation(120)
    cold = strict_cold_start(X, 5 * z, graph, *np.split(order, [60, 90]), random_state=0)
    mean, ridge = (
        run(candidate.make(random_state=0), 0, cold, score=r_squared).groups["all"]
        for candidate in regression_candidates()[:2]
    )
    assert mean < 0.1 and ridge > 0.9
    parts = {"max_epochs": 5, "student_max_epochs": 3, "hidden": 4, "student_hidden": 8}
    for part in ("student", "teacher", "auto"):
        model = ColdBrewRegressor(cold_part=part, **parts)
        outcome = run(model, 0, cold, score=r_squared)
        assert np.isfinite([outcome.valid, outcome.groups["all"]]).all()
        assert outcome.sizes["isolated"] == len(cold.groups["isolated"])
    truth = np.array([1.0, 2.0, 4.0])
    assert r_squared(truth, truth) == 1 and r_squared(np.full(3, truth.mean()), truth) == 0
    assert np.isnan(r_squared(truth[:1], truth[:1]))
