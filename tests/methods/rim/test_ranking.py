"""Figures of lists, against counting by hand, and laws that they obey."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError
from makedo.methods.rim.ranking import (
    NOTHING,
    evaluate_item_rec,
    evaluate_user_rec,
    gain,
    hits_of,
    perplexity,
    rank,
    top_lists,
    usual_lengths,
)
from makedo.methods.rim.scores import ScoreOperator


def problem(seed=0, n=40, m=25, share=0.1):
    rng = np.random.default_rng(seed)
    return rng.random((n, m)), sp.csr_matrix(rng.random((n, m)) < share)


def by_hand(scores, wanted, k):
    """Precision, recall over all and over those with targets, NDCG; a list a row."""
    hits, recalls, gains, asked = 0, [], [], []
    for row, truth in zip(scores, wanted, strict=True):
        listed = [int(i) for i in sorted(range(len(row)), key=lambda i: -row[i])[:k]]
        found = [truth[i] for i in listed]
        hits += sum(found)
        recalls.append(sum(found) / max(1, truth.sum()))
        asked.append(truth.sum() > 0)
        best = sum(1 / math.log2(i + 2) for i in range(min(k, int(truth.sum()))))
        gains.append(
            sum(f / math.log2(i + 2) for i, f in enumerate(found)) / best if best else math.nan
        )
    asked = np.array(asked)
    return (
        hits / (len(scores) * k),
        np.mean(recalls),
        np.array(recalls)[asked].mean(),
        np.array(gains)[asked].mean(),
    )


@pytest.mark.parametrize("k", [1, 3, 10])
def test_figures_are_those_of_counting_by_hand(k):
    scores, targets = problem()
    targets = sp.csr_matrix(targets.toarray() * (np.arange(40) % 4 > 0)[:, None])  # some without
    items = evaluate_item_rec(scores, targets, k).iloc[0]
    users = evaluate_user_rec(scores, targets, k).iloc[0]
    names = ["precision", "recall", "recall with targets", "ndcg"]
    assert items[names].tolist() == pytest.approx(by_hand(scores, targets.toarray(), k))
    assert users[names].tolist() == pytest.approx(by_hand(scores.T, targets.toarray().T, k))
    assert items["chance"] == pytest.approx(targets.nnz / 1000)


def test_variety_counts_what_is_listed():
    scores, targets = problem()
    best = np.zeros_like(scores)
    best[:, 3], best[:, 5] = 2, 1  # the same two items for all
    found = evaluate_item_rec(best, targets, 2).iloc[0]
    assert found["perplexity"] == pytest.approx(2) and found["coverage"] == 2 / 25
    assert perplexity(np.array([3, 3, 3, 0])) == pytest.approx(3)
    assert math.isnan(perplexity(np.zeros(4)))


def test_an_operator_and_its_matrix_give_the_same_lists():
    rng = np.random.default_rng(1)
    U, V = rng.normal(size=(40, 6)), rng.normal(size=(25, 6))
    U, V = U.astype(np.float32), V.astype(np.float32)
    operator = ScoreOperator((40, 25), U, V, log_scale=rng.normal(size=40))
    targets = problem()[1]
    for side in ("items", "users"):
        a, b = (rank(s, targets, 7, side) for s in (operator, operator.to_dense()))
        assert np.array_equal(a.lists, b.lists) and np.array_equal(a.hits, b.hits)


def test_where_scores_say_nothing_the_figure_is_that_of_chance():
    _, targets = problem(n=60, m=50, share=0.2)
    constant = np.zeros(targets.shape)
    operator = ScoreOperator((60, 50), user_floor=np.ones(60), item_floor=np.ones(50))
    for scores in (constant, operator):
        found = rank(scores, targets, 10, "users", tie_orders=200)
        assert found.precision(10) == pytest.approx(targets.nnz / 3000, abs=0.01)
    assert len(rank(constant, targets, 10, "users").lists) == 10  # orders, where none is asked for
    assert len(rank(problem()[0], problem()[1], 5, "users").lists) == 1  # no ties, one order


def test_lists_end_where_nothing_more_may_be_listed():
    scores = np.array([[1.0, -np.inf, 2.0], [-np.inf] * 3])
    lists = top_lists(scores, 2, np.arange(3))
    assert lists.tolist() == [[2, 0], [NOTHING, NOTHING]]
    truth = sp.csr_matrix(np.array([[True, True, False], [True, False, False]]))
    assert hits_of(lists, truth).tolist() == [[False, True], [False, False]]
    found = rank(scores, truth, 3, "items")
    assert found.precision(3) == 1 / 2  # of two entries, not of six


def test_no_rate_changes_the_items_of_a_user_and_any_common_factor_the_users_of_an_item():
    scores, targets = problem()
    rate = np.random.default_rng(2).uniform(0.01, 100, 40)
    operator = ScoreOperator((40, 25), pairs=sp.csr_matrix(scores.astype(np.float32)))
    for given in (operator.scaled(rate), operator.scaled(np.full(40, 7.0))):
        assert np.array_equal(
            rank(given, targets, 9, "items").lists, rank(operator, targets, 9, "items").lists
        )
    scaled = rank(operator.scaled(7 * rate), targets, 9, "users").lists
    assert np.array_equal(scaled, rank(operator.scaled(rate), targets, 9, "users").lists)
    assert not np.array_equal(scaled, rank(operator, targets, 9, "users").lists)


def test_parts_of_the_precision_add_up_over_users_and_over_items():
    scores, targets = problem()
    for side in ("items", "users"):
        found = rank(scores, targets, 8, side)
        for over, n in (("users", 40), ("items", 25)):
            parts = found.by(over, 8)
            assert len(parts) == n and parts.mean() == pytest.approx(found.precision(8))


def test_an_interval_over_users_covers_what_other_users_would_give():
    rng = np.random.default_rng(3)
    taste, activity = rng.random(30), rng.gamma(0.3, size=4000)
    p = np.minimum(0.3 * activity[:, None] * taste, 1)
    precision, covered = [], 0
    for i in range(20):
        rows = slice(200 * i, 200 * (i + 1))
        targets = sp.csr_matrix(rng.random((200, 30)) < p[rows])
        found = rank(p[rows], targets, 20, "users")
        precision.append(found.precision(20))
        low, high = found.interval(20)
        covered += low <= (p[rows][np.argsort(-p[rows, 0])[:20]]).mean() <= high
    assert covered >= 15
    assert np.std(precision) > 0.01


def test_an_interval_of_a_share_stays_between_0_and_1():
    """Ten users fill all lists, and one of them has all the hits, or all have them."""
    scores = np.tile(np.arange(200.0)[:, None], 40)
    for hit in (slice(198, 199), slice(190, 200)):
        targets = np.zeros(scores.shape, bool)
        targets[hit] = True
        found = evaluate_user_rec(scores, sp.csr_matrix(targets), 10).iloc[0]
        assert 0 <= found["low"] <= found["precision"] <= found["high"] <= 1


def test_the_interval_of_a_gain_is_as_wide_as_gains_vary_over_samples_of_users():
    """Taking entries for fixed, as if each user stood in as many lists, doubles its width."""
    rng = np.random.default_rng(4)
    taste, gains, halves = rng.random(25), [], []
    for _ in range(120):
        activity = rng.gamma(0.5, size=250)
        p = np.minimum(0.3 * activity[:, None] * taste, 1)
        targets = sp.csr_matrix(rng.random(p.shape) < p)
        pair = [
            rank(p * rng.lognormal(0, noise, (250, 1)), targets, 10, "users", tie_orders=1)
            for noise in (0.3, 1.5)
        ]
        found = gain(*pair, 10, ("near", "far"))
        gains.append(found.gain)
        halves.append((found.interval[1] - found.interval[0]) / 2)
    assert np.mean(halves) == pytest.approx(1.96 * np.std(gains), rel=0.25)


def test_a_gain_is_the_difference_and_is_paired_over_users():
    scores, targets = problem()
    better = scores + targets.toarray()
    ours, reference = (rank(one, targets, 8, "users") for one in (better, scores))
    found = gain(ours, reference, 8, ("better", "as it was"))
    assert found.gain == pytest.approx(ours.precision(8) - reference.precision(8))
    assert found.n == 40 and found.clear == 1
    assert gain(ours, ours, 8, ("a", "b")).interval == (0, 0)


@pytest.mark.parametrize("k", [0, 26, [3, 99], [], -1])
def test_lengths_that_cannot_be_are_refused(k):
    scores, targets = problem()
    with pytest.raises(MakedoInputError, match="k must be one or more numbers from 1 to the 25"):
        evaluate_item_rec(scores, targets, k)


def test_scores_and_targets_must_be_of_one_shape():
    scores, targets = problem()
    with pytest.raises(MakedoInputError, match="same requests and candidate items"):
        evaluate_user_rec(scores[:, :3], targets, 2)


def test_usual_lengths_are_shares_but_not_too_few():
    assert usual_lengths(10_001) == [51, 101, 201] and usual_lengths(1557) == [8, 16, 32]
    assert usual_lengths(471) == [5, 10, 20] and usual_lengths(12) == [5, 10, 12]
    assert usual_lengths(1) == [1]
